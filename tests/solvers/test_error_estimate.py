"""Errors estimated without the solution agree with the true ones, or say more."""

import dataclasses
import math

import library
import pytest
import torch
from cases import Known, Manufactured, Stated, Waves, formulas
from commands import solved
from scipy.special import dawsn

import kanpinn as kp
from kanpinn.accuracy import Errors, Estimate
from kanpinn.linalg.qr import undetermined
from kanpinn.solvers import error_estimate
from kanpinn.solvers.auto.choices import first_choice
from kanpinn.solvers.auto.search import Trial, TrialSearch, judge
from kanpinn.solvers.error_estimate import estimate_error, finer_solves, judged_by_tolerance
from kanpinn.spaces.cells.problem import ProblemInPlane

CUBIC = Manufactured(Known.domain, lambda p, u: kp.laplacian(u) - u.value**3, Known().exact)


def cooling():
    """u_t = u_xx; the values at one end cannot be built in, since autograd does not see them."""
    rod, exact = kp.Box(x=(0, 2), t=(0, 0.5)), formulas("exp(-4 * t) * sin(2 * x)")
    ends = rod.boundary
    measured = lambda p: torch.from_numpy(exact(p).detach().numpy())  # noqa: E731
    given = [
        kp.Initial(rod, exact),
        kp.Dirichlet(ends["x_min"], exact),
        kp.Dirichlet(ends["x_max"], measured),
    ]
    residual = lambda p, u: kp.partial(u, "t") - kp.partial(u, "x", "x")  # noqa: E731
    return Stated(rod, residual, given, exact=exact)


def rough(count=1, **attributes):
    """Δu = 0 on the L-shape, u a sum of r^(2j/3) sin(2jθ/3): the strong form cannot find it."""
    bent = kp.LShape()
    exact = lambda p: kp.Corner(bent, (0, 0), count)(p).sum(dim=1, keepdim=True)  # noqa: E731
    given = [kp.Dirichlet(bent.boundary, exact)]
    return Stated(bent, lambda p, u: kp.laplacian(u), given, exact=exact, **attributes)


def effectivity(problem, width, degree=7, boundary="exact", **settings):
    network = kp.KAN([2, width, 1], degree=degree, grid=[4, 8])
    points = kp.Collocation(900, 160)
    solution = kp.solve(problem, network, points=points, boundary=boundary, **settings)
    estimate = estimate_error(solution)
    return estimate.errors.l2_relative / solution.errors.l2_relative


@pytest.mark.parametrize(("width", "boundary"), [(6, "exact"), (24, "penalty")])
def test_a_smooth_solution_s_error_is_estimated_to_a_tenth(width, boundary):
    assert effectivity(Known(), width, boundary=boundary) == pytest.approx(1, abs=0.1)


def test_a_nonlinear_problem_s_error_is_estimated():
    assert effectivity(CUBIC, 12) == pytest.approx(1, abs=0.1)


def test_a_march_has_an_estimate():
    march = kp.March(windows=2, stages=3)
    solution = kp.solve(cooling(), kp.Windows([2, 1], degree=5, grid=6), march)
    estimate = estimate_error(solution)
    ratio = estimate.errors.l2_relative / solution.errors.l2_relative
    assert ratio == pytest.approx(1, abs=0.5)


def test_marches_from_a_jump_are_compared_by_their_limits_as_the_residual_does_not_decrease():
    jump, box = "where(x > 0, 1, -1)", kp.Box(x=(-1, 1), t=(0, 0.1))
    problem = kp.Heat(box, initial=jump, boundary=jump)
    marches = kp.March(5e-2), kp.March(1e-2)
    pair = [kp.solve(problem, kp.Windows(degree=5), march) for march in marches]
    found = error_estimate.compare(*pair)
    assert not found.doubt and found.contraction == pytest.approx(0.2)
    assert 1e-4 < found.norms.l2_relative < 5e-2


def test_a_nonlinear_solve_that_has_not_converged_gives_no_estimate():
    one = kp.solve(CUBIC, kp.Cells([2, 1], 3, 2), kp.AdaptiveLeastSquares(1e-12, steps=1))
    other = kp.solve(CUBIC, kp.Cells([2, 1], 6, 2), kp.AdaptiveLeastSquares(1e-12, steps=1))
    assert other.estimated_error is None
    assert "have not converged" in error_estimate.compare(one, other).doubt


@pytest.mark.parametrize("grids", [(8, 32), (128, 512)])
def test_two_wrong_minima_of_a_nonlinear_residual_give_no_estimate(grids):
    """ε u'' + u'² = 1: coarse networks agree on a kink that turns the wrong way."""
    line = kp.Box(x=(0, 1))
    values = kp.Dirichlet(line.boundary, lambda p: 0.5 * p.x)

    def equation(p, u):
        return 1e-3 * kp.laplacian(u) + kp.partial(u, "x") ** 2 - 1

    problem = Stated(line, equation, [values])
    pair = [kp.solve(problem, kp.KAN([1, 1], 9, grid), seed=0) for grid in grids]
    found = error_estimate.compare(*pair)
    assert found.contraction < 0.7 and "terms of a nonlinear equation" in found.doubt


def burgers(viscosity):
    """u u' = ε u'' from 1 to -1: shifts of the layer change the residual by exp(-1 / ε)."""
    line = kp.Box(x=(-1, 1.37))
    values = kp.Dirichlet(line.boundary, lambda p: 1 - 2 * (p.x > 0).to(p.x))

    def equation(p, u):
        return u.value * kp.partial(u, "x") - viscosity * kp.laplacian(u)

    return Stated(line, equation, [values])


@pytest.mark.parametrize(("viscosity", "determined"), [(0.2, True), (0.04, False)])
def test_a_layer_that_its_data_hardly_hold_in_place_has_no_small_error(viscosity, determined):
    solution = kp.solve(burgers(viscosity), kp.KAN([1, 1], 9, 256), seed=0)
    assert (estimate_error(solution).errors.l2_relative < 1e-6) == determined


def test_the_error_in_a_nearly_singular_direction_grows_steadily_with_the_residual():
    one, other = (torch.tensor([g, 1.0, 0.5, 0.3]) for g in (100.0, 15.0))
    residuals = [10.0**-n for n in range(9, 1, -1)]
    errors = [undetermined(one, r, False) for r in residuals]
    assert errors[:4] == pytest.approx([100 * r for r in residuals[:4]]) and errors[-1] == 1
    assert undetermined(one, 1e-3, True) == pytest.approx(0.1)
    assert all(e >= 100 * r for e, r in zip(errors[:-1], residuals, strict=False))
    assert errors == sorted(errors)
    assert undetermined(one, 3e-6, False) == pytest.approx(3e-4 * 9)
    # While a layer is not resolved, its response is not much larger than the following ones.
    assert [undetermined(other, r, False) for r in (1e-5, 1e-3)] == [0, 1]


def test_a_nearly_singular_direction_that_a_finer_space_still_changes_leaves_everything_open():
    one = torch.tensor([100.0, 1.0, 0.5, 0.3])
    for growth, error in ((2.0, 0.02), (4.0, 1.0)):
        assert undetermined(one, 2e-4, True, lambda g=growth: g * one) == pytest.approx(error)
    plain = torch.tensor([1.0, 0.25, 0.1])
    assert undetermined(plain, 2e-4, True, lambda: 9 * plain) == 0


def turning(viscosity):
    """ε u'' = x u' from 1 to 2: the equation holds a constant between layers at both ends."""
    line = kp.Box(x=(-1, 1.3))
    values = kp.Dirichlet(line.boundary, lambda p: 1 + (p.x > 0).to(p.x))

    def equation(p, u):
        return viscosity * kp.laplacian(u) - p.x * kp.partial(u, "x")

    return Stated(line, equation, [values])


@pytest.mark.parametrize(
    "network", [lambda: kp.Cells([1, 1], 14, 4), lambda: kp.KAN([1, 1], 9, 128)]
)
def test_a_constant_that_only_layers_at_both_ends_determine_has_no_small_error(network):
    """u(0) = 1 + G(1) / (G(1) + G(1.3)) with the integral G(b) of exp(x² / 2ε) from 0 to b."""
    middle, epsilon = torch.zeros(1, 1, dtype=torch.float64), 0.05
    wrong, right = (kp.solve(turning(one), network(), tolerance=1e-6) for one in (0.01, epsilon))
    assert wrong.estimated_error > 0.3 and "hardly determine" in wrong.status
    scale = math.sqrt(2 * epsilon)
    left, rest = (math.exp((b / scale) ** 2) * dawsn(b / scale) for b in (1.0, 1.3))
    error = abs(float(right(middle)) - 1 - left / (left + rest))
    assert error < right.estimated_error < 1e-4


def test_a_large_error_of_a_nonlinear_equation_is_not_estimated_by_a_linear_one():
    cubic = kp.solve(CUBIC, kp.KAN([2, 12, 1], degree=7, grid=[4, 8]))
    waves = kp.solve(Known(), kp.KAN([2, 12, 1], degree=7, grid=[4, 8]))
    for solution, part, expected in (
        (cubic, 0.3, 1),
        (cubic, 0.2, 0.8),
        (cubic, 0.05, 0.05),
        (waves, 0.3, 0.3),
    ):
        given = Estimate(Errors(*[part] * 6), 0.1, 0.0)
        found = error_estimate.with_undetermined(given, solution)
        assert found.errors.l2_relative == pytest.approx(expected)


def test_a_coarse_layer_has_at_least_the_error_of_a_finer_one_in_directions_that_it_hides():
    search, pair = TrialSearch(problem=burgers(0.04)), []
    for grid in (4, 256):
        solution = kp.solve(search.problem, kp.KAN([1, 1], 9, grid), seed=0)
        estimate = Estimate(Errors(*[1e-3] * 6), 0.1, 0.0)
        found = dataclasses.replace(solution, estimate=estimate)
        pair.append(Trial(choice=None, solution=found, seconds=1.0))
    coarse, fine = pair
    assert [search._as_determined(one).error for one in (coarse, fine, coarse)] == [1e-3, 1, 1]


def test_a_poorer_solution_of_unknown_error_is_no_failure():
    solution = kp.solve(Known(), kp.KAN([2, 12, 1], degree=7, grid=[4, 8]))
    unknown = Estimate(None, 3.0, 0.0, "a finer network leaves 3 times the residual")
    judged = judged_by_tolerance(dataclasses.replace(solution, estimate=unknown), 1e-6)
    assert judged.status.startswith("stopped: the error is not known: ")
    ended = "stopped: the budget of 1 s leaves no time for another step"
    doubted = dataclasses.replace(unknown, contraction=1.0)
    for status, word in ((solution.status, "failed"), (ended, "stopped")):
        one = dataclasses.replace(solution, estimate=doubted, status=status)
        assert judged_by_tolerance(one, 1e-6).outcome == word


def test_an_estimate_keeps_to_the_budget_and_a_late_one_is_no_failure(monkeypatch):
    solution = kp.solve(CUBIC, kp.KAN([2, 12, 1], degree=7, grid=[4, 8]))
    finer = next(error_estimate.finer_solutions(solution, 1.5, 1e-3))
    assert "the budget" in finer.status
    late = dataclasses.replace(finer, status="failed: the budget of 1 s is too small")
    monkeypatch.setattr(error_estimate, "finer_solutions", lambda *_: [late])
    judged = error_estimate.with_estimate(solution, 1e-6, budget=1)
    assert judged.status.startswith("stopped: the error is not known: the budget leaves no time")


def test_a_solution_that_is_zero_has_an_absolute_error():
    line = kp.Box(x=(0, 1))
    zero = Stated(line, lambda p, u: kp.laplacian(u) + 0 * p.x, [kp.Dirichlet(line.boundary, 0.0)])
    solution = kp.solve(zero, kp.KAN([1, 1], degree=5), tolerance=1e-6)
    assert solution.status.startswith("converged: the estimated absolute L2 error 0.0e+00 is")


def test_an_error_that_refinement_does_not_cure_is_not_known():
    network = kp.KAN([2, 12, 1], degree=7, grid=[4, 8])
    solution = kp.solve(rough(), network, points=kp.Collocation(900, 160), boundary="penalty")
    estimate = estimate_error(solution)
    assert estimate.errors is None and estimate.contraction > 0.7
    assert str(estimate).startswith("the error is not known: ")
    assert len(str(estimate).splitlines()) == 2
    assert estimate.bound.l2 >= solution.errors.l2 and estimate.bound.h1 >= solution.errors.h1
    judged = judged_by_tolerance(dataclasses.replace(solution, estimate=estimate), 1e9)
    assert judged.status.startswith("failed: the error is not known: ") and not judged.success


def test_a_poorer_solution_does_not_count_against_a_good_one(monkeypatch):
    """The distance bounds the good solution's error and is nearly the poor one's."""
    points = kp.Collocation(900, 160)
    good, poor = (
        kp.solve(Known(), kp.KAN([2, units, 1], degree=7, grid=[4, 8]), points=points)
        for units in (16, 4)
    )
    monkeypatch.setattr(error_estimate, "finer_solutions", lambda *_: [poor])
    estimate = error_estimate.estimate_error(good)
    assert estimate.contraction > 2 and "poorer" in str(estimate)
    true = [one.errors.l2_relative for one in (good, poor)]
    assert true[0] < estimate.errors.l2_relative == pytest.approx(true[1], rel=0.1)
    first, second = (Trial(first_choice(Known()), one, 1.0) for one in (good, poor))
    verdict = judge(first, second)
    assert verdict.second.error == pytest.approx(true[1], rel=0.1)
    assert true[0] / 10 < verdict.first.error < true[1]


def test_bounds_of_a_network_s_errors_hold_and_the_estimate_says_them():
    solution = kp.solve(Known(), kp.KAN([2, 12, 1], degree=7, grid=[4, 8]), boundary="penalty")
    estimate = estimate_error(solution, bound=True)
    for bound in (estimate.bound, kp.error_bound(solution)):
        assert 1 <= bound.l2 / solution.errors.l2 < 30
        assert 1 <= bound.h1 / solution.errors.h1 < 10
    assert estimate.bound.h1 < 1.1 * solution.errors.h1
    first, second = str(estimate).splitlines()
    assert first.startswith("estimated relative errors: L2 ")
    assert second.startswith("guaranteed relative bounds: L2 ")


def test_a_nonlinear_problem_has_no_bounds_but_the_reason():
    solution = kp.solve(CUBIC, kp.KAN([2, 12, 1], degree=7, grid=[4, 8]))
    bound = kp.error_bound(solution)
    assert math.isnan(bound.l2) and str(bound).endswith(
        "the residual is not linear in the solution"
    )


def test_the_bound_of_a_function_that_jumps_between_cells_holds():
    # A constant other than zero in one of the cells has no residual at any point.
    solution = kp.solve(Known(), kp.Cells(degree=3, cells=2), tolerance=1)
    bound = kp.error_bound(solution)
    # The rule of the true errors crosses the cells, and is right to 1 or 2 %.
    assert 0.98 <= bound.l2 / solution.errors.l2 < 2 and 0.98 <= bound.h1 / solution.errors.h1 < 1.5


def test_few_units_are_compared_with_a_finer_grid():
    network = kp.KAN([2, 5, 1], degree=[1, 7], grid=[1, 6], seed=2)
    solution = kp.solve(Known(), network, boundary="penalty")
    network = next(iter(finer_solves(solution, 1.5, seed=1)))[0]
    assert network.width == (2, 8, 1) and network.layers[1].basis.intervals == 9
    own, made = solution.network.layers[0].coefficients, network.layers[0].coefficients
    assert (own == made[:, :, :5]).all()


def test_a_singular_function_that_was_left_out_is_seen():
    """Of the two singular functions in u the network is given the first."""
    problem = rough(2, enrichment=lambda: [kp.Corner(kp.LShape(), (0, 0), 1)])
    network = kp.KAN([2, 12, 1], degree=7, grid=[4, 8])
    points = kp.Collocation(900, 160)
    solution = kp.solve(problem, network, points=points, loss=kp.Loss(interior=0.01))
    estimate = estimate_error(solution)
    assert estimate.errors.l2_relative == pytest.approx(solution.errors.l2_relative, rel=0.1)


def test_a_solve_in_cells_knows_its_error_at_a_corner(monkeypatch):
    """Residuals of r^(2/3) grow without limit with the degree, but the solve has an estimate."""
    monkeypatch.setattr(ProblemInPlane, "corner_patches", lambda *_: [])  # polynomials alone
    problem = library.class_of("reentrant_corner", "ReentrantCorner")()
    solution = kp.solve(problem, kp.Cells([2, 1], 4, 2), kp.AdaptiveLeastSquares(tolerance=5e-2))
    found = kp.estimate_error(solution)
    own = solution.history.rows[-1]["estimated_error"]
    assert found.errors is not None and found.errors.l2_relative == own
    assert math.isnan(found.errors.h1)
    assert solution.errors.l2_relative / 3 < own < 3 * solution.errors.l2_relative


def test_an_estimate_does_not_read_the_exact_solution():
    found = []
    for problem in (Known(), Waves()):
        network = kp.KAN([2, 6, 1], degree=5, grid=[2, 4])
        solution = kp.solve(problem, network, points=kp.Collocation(200, 40))
        found.append(estimate_error(solution))
    with_exact, without = (dataclasses.replace(e, seconds=0.0) for e in found)
    assert with_exact.contraction == without.contraction
    assert with_exact.errors.l2 == without.errors.l2


PROBLEM = """
[problem]
equation = "poisson"
domain = { type = "interval", x = [0, 1] }
exact = "sin(3*x)"

[network]
type = "kan"
width = [1, 2, 1]
degree = 4
grid = [1, 2]

[run]
bound = true
"""


def test_the_command_line_prints_both_and_saves_both(tmp_path):
    done, folder, record = solved(tmp_path / "rod.toml", PROBLEM)
    assert done.exit_code == 0
    assert "L2, estimated" in done.output and "H1, estimated" in done.output
    assert "L2, bound" in done.output and "energy, bound" in done.output
    ratio = record["estimate"]["l2_relative"] / record["errors"]["l2_relative"]
    assert ratio == pytest.approx(1, abs=0.3)
    loaded = kp.load(folder)
    assert loaded.estimate.errors.l2 == record["estimate"]["l2"]
    bound = record["estimate"]["bound"]
    assert record["errors"]["h1"] <= bound["h1"] < 2 * record["errors"]["h1"]
    assert loaded.estimate.bound.energy == bound["energy"]
    assert loaded.estimate.bound.constants == bound["constants"]


def test_the_distance_of_solutions_is_integrated_where_a_layer_has_it():
    """ε u'' + x u' = f in [-1, 1] with an inner layer of the width √ε at x = 0."""
    line, width = kp.Box(x=(-1, 1)), 1e-3

    def residual(p, u):
        wave = math.pi * p.x
        rate = width * math.pi**2 * torch.cos(wave) + math.pi * p.x * torch.sin(wave)
        return width * kp.partial(u, "x", "x") + p.x * kp.partial(u, "x") + rate

    ends = kp.Dirichlet(line.boundary, "x - 1")
    exact = formulas(f"cos(pi * x) + erf(x / {math.sqrt(2 * width)})")
    problem = Stated(line, residual, [ends], exact=exact)
    solution = kp.solve(problem, kp.KAN([1, 1], degree=9, grid=128))
    estimated = kp.estimate_error(solution).errors.l2_relative
    assert estimated == pytest.approx(solution.errors.l2_relative, rel=0.1)
