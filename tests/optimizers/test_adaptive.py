"""Points and knots that follow the residual."""

import copy

import pytest
import torch
from cases import Coupled, Cubic, Line, Square

import kanpinn as kp
from kanpinn.geometry.sampling import _systematic, r3, rad
from kanpinn.networks.layer import get_coefficients

SQUARE = kp.Box(x=(0, 1), y=(-1, 1))


def corner(points):
    """A residual that is large near one corner only."""
    return torch.exp(-4 * (points.x**2 + (points.y + 1) ** 2))[:, 0]


def state(solution) -> torch.Tensor:
    return get_coefficients(solution.network.all_layers)


def test_half_of_rads_points_follow_the_residual(generator):
    """The density is |r| / mean |r| + 1: half of a peak's share, and half of its area's."""
    points = rad(SQUARE, 1000, corner, generator)
    near = float((points.x**2 + (points.y + 1) ** 2 < 0.25).double().mean())
    assert len(points) == 1000 and near == pytest.approx(0.365, abs=0.03)
    assert len(points.coords.unique(dim=0)) == 1000


def test_rad_spreads_points_evenly_over_an_even_residual(generator):
    points = rad(SQUARE, 1024, lambda p: torch.ones(len(p)), generator)
    counts = torch.histogramdd(points.coords, [4, 4], range=[0.0, 1.0, -1.0, 1.0]).hist
    assert float(counts.min()) > 40 and float(counts.max()) < 90  # 64 ± 8 of independent points


def test_a_draw_is_in_proportion_to_its_density_and_never_twice(generator):
    density = torch.cat([torch.full((700,), 1.0), torch.full((100,), 7.0)]).double()
    drawn = _systematic(density, 140, generator)
    assert len(drawn.unique()) == 140 and int((drawn >= 700).sum()) == pytest.approx(70, abs=1)
    steep = torch.cat([torch.full((700,), 1.0), torch.full((100,), 1e6)]).double()
    drawn = _systematic(steep, 140, generator)
    assert len(drawn.unique()) == 140 and int((drawn >= 700).sum()) == 100


def test_r3_retains_what_is_above_the_mean_and_no_more(generator):
    current = kp.Points(
        SQUARE.from_unit(torch.rand(500, 2, generator=generator).double()).coords, ("x", "y")
    )
    size = corner(current)
    found = r3(current, SQUARE, "uniform", corner, generator)
    kept = current.coords[size > size.mean()]
    assert len(found) == 500 and 0 < len(kept) < 250
    assert torch.equal(found.coords[: len(kept)], kept)
    assert not (found.coords[len(kept) :, None] == current.coords).all(dim=2).any()


def test_points_cannot_follow_what_is_no_number(generator):
    def holed(points):
        return torch.where(points.x[:, 0] > 0.5, torch.nan, corner(points))

    current = kp.Points(torch.tensor([[0.25, 0], [0.75, 0], [0.1, 0]]).double(), ("x", "y"))
    with pytest.raises(kp.NumericalError, match="not a finite number at 1 of 3 candidates"):
        r3(current, SQUARE, "uniform", holed, generator)
    with pytest.raises(kp.NumericalError, match="not a finite number at 40 of 80 candidates"):
        rad(SQUARE, 10, holed, generator)


def test_a_residual_that_is_no_number_where_points_could_go_fails_in_words():
    """At few places: the loss does not see it, what points are drawn by does."""

    class Holed(Line):
        def residual(self, p, u):
            first = kp.laplacian(u) - self.source(p)
            return first + torch.where((p.x > 0) & (len(p) > 20), torch.nan, 0.0)

    points = kp.Collocation(20, 2, "sobol", resample=2, adapt="rad")
    solution = kp.solve(Holed(), kp.KAN([1, 3, 1], 5, 2), kp.Adam(5), points, errors=False)
    assert solution.status.startswith("failed: points cannot follow the residual, which is not a")
    assert solution.status.endswith("the state after step 2 is kept")


@pytest.mark.parametrize("adapt", ["rad", "r3"])
@pytest.mark.parametrize("problem", [Line, Square, Coupled])
def test_points_are_the_same_for_the_same_seed_and_go_where_the_residual_is(adapt, problem):
    width = [problem.domain.dim, 3, len(problem.fields)]
    points = kp.Collocation(60, 16, "sobol", resample=2, adapt=adapt)
    settings = {"verified": False, "errors": False}
    first, second, other = (
        kp.solve(
            problem(), kp.KAN(width, 5, 3), kp.LevenbergMarquardt(3), points, seed=seed, **settings
        )
        for seed in (0, 0, 1)
    )
    places = [s.residuals.terms[0].points.coords for s in (first, second, other)]
    assert len(places[0]) == 60 and torch.equal(places[0], places[1])
    assert torch.equal(state(first), state(second))
    assert not torch.equal(places[0], places[2])
    assert not torch.equal(places[0], first.discretization.points(0)[0].coords)


@pytest.mark.parametrize("adapt", ["rad", "r3"])
def test_a_run_with_adapted_points_goes_on_bit_for_bit(adapt):
    points = kp.Collocation(60, 8, "sobol", resample=2, adapt=adapt)
    optimizers = [kp.LevenbergMarquardt(4), kp.LBFGS(4, iterations=3)]
    kept = {}

    def keep(run):
        kept[run.progress.step] = copy.deepcopy(run.state_dict())

    def solved(**more):
        settings = {"boundary": "penalty", "verified": False, "errors": False}
        settings["loss"] = kp.Loss(balance="ntk")
        return kp.solve(Cubic(), kp.KAN([1, 5, 1], 5, 3), optimizers, points, **settings, **more)

    whole = solved(observers=[keep])
    for at in (1, 2, 3, 5):
        again = solved(checkpoint=kept[at])
        assert torch.equal(state(whole), state(again)), at
        assert whole.history.column("loss").tolist() == again.history.column("loss").tolist()


def test_a_linear_solve_goes_on_with_new_points_up_to_its_limit():
    points = kp.Collocation(80, 2, "sobol", resample=1, adapt="rad")
    solution = kp.solve(Line(), kp.KAN([1, 8, 1], 6, 4), kp.LeastSquares(steps=3), points)
    assert solution.history.steps == 3 and solution.status == "converged"
    assert solution.errors.l2_relative < 1e-6


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"adapt": "radd", "resample": 5}, "adapt must be one of rad, r3, not 'radd'"),
        ({"adapt": "rad"}, "resample the number of steps .* got resample = 0"),
    ],
)
def test_bad_adaptation_is_refused(settings, words):
    with pytest.raises(kp.InputError, match=words):
        kp.Collocation(50, 8, "sobol", **settings)


def test_an_energy_takes_no_adapted_points():
    class Energetic(Line):
        def energy(self, p, u):
            return u.gradient[:, 0].square() / 2 + self.source(p) * u.value

    points = kp.Collocation(50, 8, "sobol", resample=1, adapt="rad")
    with pytest.raises(kp.InputError, match="integral"):
        kp.solve(Energetic(), kp.KAN([1, 4, 1], 5, 3), points=points, loss=kp.Loss(form="energy"))


def test_points_of_an_estimate_do_not_adapt():
    points = kp.Collocation(80, 2, "sobol", resample=1, adapt="rad")
    solution = kp.solve(Line(), kp.KAN([1, 8, 1], 6, 4), kp.LeastSquares(steps=2), points)
    assert kp.estimate_error(solution) is not None
