"""The residual at points that no step has seen: what is overfitted is said, what is good passes."""

import math
import re

import numpy
import pytest
import torch
from cases import Cubic, Known, Line, Manufactured, Stated
from commands import solved

import kanpinn as kp
from kanpinn.data.column_files import read_columns
from kanpinn.jets import Channels
from kanpinn.solvers.discretization import SolveSettings, discretize
from kanpinn.solvers.verification import resonance, scan_data, verification_of
from kanpinn.solvers.verify import _by_differences


def zero_at_walls(domain, residual, **attributes):
    return Stated(domain, residual, [kp.Dirichlet(domain.boundary, 0.0)], **attributes)


UNIT, SQUARE = kp.Box(x=(0, 1)), kp.Box(x=(0, 1), y=(0, 1))


def with_source(source, domain=UNIT):
    """-Δu = f."""
    return zero_at_walls(domain, lambda p, u: -kp.laplacian(u) - source(p))


def spike(width=1e-5):
    """-u'' = π² sin πx + 2 g(x), g a Gaussian of area 1 about 0.537: u bends there by 2."""

    def source(p):
        peak = torch.exp(-(((p.x - 0.537) / width) ** 2)) / width / math.sqrt(math.pi)
        return math.pi**2 * torch.sin(math.pi * p.x) + 2 * peak

    return with_source(source)


# a u'' = 1 with a coefficient that jumps from 1 to 50 at 0.3
JUMP = zero_at_walls(UNIT, lambda p, u: torch.where(p.x < 0.3, 1.0, 50.0) * kp.laplacian(u) - 1)


def solve(problem, points=None, width=24, **settings):
    network = kp.KAN([problem.domain.dim, width, 1], degree=7, grid=[4, 8], seed=0)
    return kp.solve(problem, network, points=points, **settings)


@pytest.mark.parametrize(
    ("problem", "boundary"), [(Line(), "penalty"), (Cubic(), "exact"), (Known(), "penalty")]
)
def test_a_good_solve_passes(problem, boundary):
    solution = solve(problem, boundary=boundary)
    found = solution.verification
    assert solution.status == "converged" and solution.success
    assert found.growth < 3 and not found.overfitted
    assert found.error <= 0.2 * found.fresh
    assert found.points >= 1024 * 0.9


@pytest.mark.parametrize(("width", "points"), [(1e-4, 100), (1e-5, 1000)])
def test_a_spike_between_the_points_is_seen(width, points):
    solution = solve(spike(width), kp.Collocation(points, 2), width=4)
    assert solution.status.startswith("overfitted: the mean squared residual is ")
    assert f"{points} + 2 points" in solution.status and not solution.success
    assert solution.verification.where["x"] == pytest.approx(0.537, abs=4 * width)
    estimate = kp.estimate_error(solution)
    assert estimate.errors is None and "near x = 0.5" in estimate.reason


def test_more_unknowns_than_points_are_overfitted():
    solution = solve(Known(), kp.Collocation(150, 40))
    assert solution.verification.growth > 100
    assert solution.status.startswith("overfitted: ") and "for 888 parameters" in solution.status
    assert kp.estimate_error(solution).errors is None


def test_a_network_that_is_too_small_has_not_converged():
    waves = with_source(lambda p: torch.sin(100 * p.x))
    solution = solve(waves, kp.Collocation(400, 2), width=2)
    assert 0.1 < solution.verification.relative < 1.1 and not solution.success
    assert solution.status.startswith("stopped: the residual is still ")
    better = solve(waves, kp.Collocation(400, 2), width=20)
    assert better.status == "converged" and better.verification.relative < 0.01


def harmonic(values, domain=SQUARE):
    """Δu = 0 with values on the boundary."""
    given = [kp.Dirichlet(domain.boundary, values)]
    return Stated(domain, lambda p, u: kp.laplacian(u), given)


def test_a_condition_that_does_not_hold_has_not_converged():
    solution = solve(
        harmonic("sin(40 * (x + y))"), kp.Collocation(300, 200), width=4, boundary="penalty"
    )
    assert solution.status.startswith("stopped: the residual is still ")


def test_a_flux_that_is_zero_everywhere_needs_no_scale():
    """u depends on y alone, so both terms of the flux through the other sides are rounding."""

    walls = SQUARE.boundary
    given = [kp.Dirichlet(walls["y_min"]), kp.Neumann(walls["x_min", "x_max", "y_max"])]
    column = Stated(SQUARE, lambda p, u: kp.laplacian(u) + torch.cos(p.y), given)
    solution = kp.solve(column, kp.Cells([2, 1], degree=8, cells=2), kp.AdaptiveLeastSquares(1e-8))
    assert solution.status == "converged"


def test_the_loss_at_fresh_points_is_the_mean_over_the_domain():
    solution = solve(Known(), kp.Collocation(900, 120), width=6, boundary="penalty")
    points, weights = solution.problem.domain.quadrature(64)
    exact = float(weights @ solution.residual(points).square().sum(dim=1)) / float(weights.sum())
    found = solution.verification
    assert found.interior == pytest.approx(exact, abs=4 * found.error)
    assert found.fresh == pytest.approx(found.interior + found.boundary)
    assert found.loss(kp.Loss(interior=2.0, boundary=0.5)) == pytest.approx(
        2 * found.interior + 0.5 * found.boundary
    )


def test_rounding_errors_are_told_from_others():
    parabola = kp.Poisson(UNIT, source=-2, exact="x**2")
    assert solve(parabola).verification.is_rounding
    assert not solve(Line(), width=2).verification.is_rounding


def test_second_derivatives_that_cancel_are_terms_of_their_own():
    """The Laplacian of x² - y² is rounding error, but u_xx is not."""
    box = kp.Box(x0=(-1, 1), x1=(-1, 1))
    solution = solve(kp.Poisson(box, source=0, exact="x0**2 - x1**2"), width=4)
    assert solution.errors.l2_relative < 1e-12
    assert solution.status == "converged" and solution.verification.is_rounding


def test_a_residual_that_is_not_finite_somewhere_is_said():
    pole = with_source(lambda p: torch.where((p.x - 0.4).abs() < 2e-3, math.inf, 1.0))
    solution = solve(pole, kp.Collocation(20, 2), width=2)
    assert "overfitted: the residual is not finite near x = 0.4" in solution.status


def test_verification_changes_nothing():
    solution = solve(Known(), kp.Collocation(400, 80))
    before = {name: value.clone() for name, value in solution.network.state_dict().items()}
    state = torch.get_rng_state()
    again = verification_of(solution.discretization, solution.residuals, solution.loss_terms)
    assert torch.equal(state, torch.get_rng_state())
    after = solution.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    first = solution.verification
    assert (again.own, again.fresh, again.rounding) == (first.own, first.fresh, first.rounding)


def test_steep_data_are_found():
    for problem, place in ((spike(1e-4), 0.537), (JUMP, 0.3)):
        places = scanned(problem).places
        assert len(places) and float((places - place).abs().max()) < 5e-4
    assert not len(scanned(Known()).places)


def scanned(problem):
    network = kp.KAN([problem.domain.dim, 2, 1], degree=7, grid=3)
    return scan_data(discretize(problem, network, SolveSettings(points=kp.Collocation(300, 60))))


def given(f, dim=1):
    """Δu = f in an interval, a square or a cube."""
    box = kp.Box(**{name: (0, 1) for name in "xyz"[:dim]})
    return zero_at_walls(box, lambda p, u: kp.laplacian(u) - f(p))


def radius(p):
    return ((p.x - 0.5123) ** 2 + (p.y - 0.4) ** 2).sqrt()


BREAKS = {
    "jump": (
        lambda p: torch.sin(9 * p.x) + 0.01 * (p.x > 0.3711),
        1,
        "jumps at x = 0.371, by 0.01",
    ),
    "pole": (lambda p: 1 / (p.x - 0.3711), 1, "has a pole near x = 0.371"),
    "logarithm": (lambda p: (p.x - 0.3711).abs().log(), 1, "has a pole near x = 0.371"),
    "circle": (lambda p: (radius(p) < 0.3) + p.x, 2, "jumps at x = .*, by 1$"),
    "point": (lambda p: 1 / radius(p), 2, "has a pole near x = 0.512, y = 0.4"),
    "plane": (lambda p: 3.0 * (p.x + p.y + p.z > 1.4), 3, "jumps at x = .*, by 3$"),
}
SMOOTH = {
    "step": (lambda p: torch.tanh((p.x - 0.3711) / 1e-5), 1),
    "spike": (lambda p: torch.exp(-(((p.x - 0.3711) / 1e-4) ** 2)), 1),
    "kink": (lambda p: (p.x - 0.3711).abs(), 1),
    "cusp": (lambda p: (p.x - 0.3711).abs().sqrt(), 1),
    "wall": (lambda p: 1 / p.x, 1),
    "peak": (lambda p: torch.exp(-1e5 * radius(p) ** 2), 2),
    "waves": (lambda p: torch.sin(60 * p.x) * torch.cos(50 * p.y), 2),
    "constant": (lambda p: 1 + 0 * p.x, 3),
}


@pytest.mark.parametrize("name", BREAKS)
def test_jumps_and_poles_of_the_source_are_said_before_the_solve(name):
    f, dim, words = BREAKS[name]
    with pytest.warns(UserWarning, match=f"the source or a coefficient {words.partition(',')[0]}"):
        kp.solve(given(f, dim), kp.KAN([dim, 2, 1], degree=5, grid=3))
    assert re.search(words, str(scanned(given(f, dim)).breaks[0]))


@pytest.mark.parametrize("name", SMOOTH)
def test_what_is_steep_but_smooth_does_not_jump(name):
    assert not scanned(given(*SMOOTH[name])).breaks


def test_a_jump_that_the_problem_tells_is_not_said():
    told = given(lambda p: (p.x > 0.5).to(p.x))
    told.inputs = lambda: lambda p: torch.cat([2 * p.x - 1, (p.x - 0.5).abs()], dim=1)
    kp.solve(told, kp.KAN([2, 2, 1], degree=5, grid=3))


def test_measurements_are_not_verified():
    known, operator = Line().exact, lambda p, u: kp.laplacian(u)
    measured = Manufactured(Line.domain, operator, known, observed=(9, 0.5))
    found = solve(measured).verification
    assert found.boundary == 0 and not found.overfitted


def test_energies_have_no_residual():
    energy = lambda p, u: kp.partial(u, "x") ** 2 / 2 - u.value  # noqa: E731
    problem = zero_at_walls(UNIT, lambda p, u: kp.laplacian(u) + 1, energy=energy)
    assert solve(problem, loss=kp.Loss(form="energy")).verification is None


FILE = """
[problem]
equation = "poisson"
domain = { type = "interval", x = [0, 1] }
source = "1 + 1e4 * exp(-((x - 0.537) / 1e-4)**2)"
boundary = 0

[network]
type = "kan"
width = [1, 8, 1]
degree = 5
grid = 4

[points]
interior = 100
boundary = 2

[run]
estimate = true
tolerance = 1e-3
"""


def test_the_command_line_exits_with_1_and_run_json_says_why(tmp_path):
    done, folder, record = solved(tmp_path / "spike.toml", FILE)
    assert done.exit_code == 1
    assert done.output.count("overfitted: ") == done.output.count("no step has seen") == 1
    assert record["success"] is False and record["status"].startswith("overfitted: ")
    assert record["estimate"]["l2_relative"] is None and record["estimate"]["reason"]
    assert record["verification"]["fresh"] > 1e3 * record["verification"]["own"]
    loaded = kp.load(folder)
    assert loaded.verification.where["x"] == pytest.approx(0.537, abs=1e-3)
    assert loaded.estimate.errors is None and not loaded.success


# u'' + 1/u = f with a narrow source: the equation is singular at u = 0
INVERSE = Stated(
    UNIT,
    lambda p, u: (
        kp.laplacian(u) + u.value**-1 - 1 - 2e4 * torch.exp(-(((p.x - 0.537) / 1e-4) ** 2))
    ),
    [kp.Dirichlet(UNIT.boundary, 1.0)],
)


def test_an_equation_that_is_singular_for_zero_is_verified_too():
    found = solve(INVERSE, kp.Collocation(100, 2), width=4).verification
    assert found.overfitted and math.isfinite(found.negligible)


def test_thin_domains_are_verified():
    """Δu = 1 + sin 40x between two circles that nearly touch."""
    ring = kp.Annulus((0, 0), 1 - 3e-3, 1.0)
    thin = with_source(lambda p: -1 - torch.sin(40 * p.x), ring)
    found = solve(thin, kp.Collocation(300, 60), width=8).verification
    assert found.points > 900 and math.isfinite(found.fresh)


@pytest.mark.parametrize("name", ["boundary", "interior"])
def test_terms_without_weight_do_not_count(name):
    solution = solve(Known(), boundary="penalty", loss=kp.Loss(**{name: 0.0}))
    found = solution.verification
    part = {"boundary": found.interior, "interior": found.boundary}[name]
    assert found.fresh == pytest.approx(part)


def test_a_misfit_on_the_boundary_is_placed_there():
    peak = harmonic(lambda p: torch.exp(-(((p.x - 0.5371) / 3e-3) ** 2)) * (p.y < 1e-9))
    solution = solve(peak, kp.Collocation(400, 40), width=8, boundary="penalty")
    assert solution.verification.on_boundary
    assert "most of all on the boundary" in solution.verification.words


def test_many_coordinates_have_no_place():
    many = with_source(lambda p: -1, kp.Box(**{f"x{i}": (0, 1) for i in range(11)}))
    network = kp.KAN([11, 4, 1], degree=3, grid=2, seed=0)
    solution = kp.solve(many, network, points=kp.Collocation(20, 4, "sobol"))
    assert solution.status.startswith("overfitted") and "near" not in solution.status
    assert solution.verification.points == 2048


def waves(square):
    """Helmholtz' equation -Δu - λu = f in the unit disk, u = 0 on the circle."""
    residual = lambda p, u: -kp.laplacian(u) - square * u.value - torch.exp(p.x)  # noqa: E731
    return zero_at_walls(kp.Disk((0, 0), 1.0), residual)


@pytest.mark.parametrize("boundary", ["exact", "penalty"])
def test_a_resonance_has_no_solution(boundary):
    """λ is the square of Bessel's first zero, or as much as 1e-4 from it."""
    zero = 2.404825557695773

    def solution(square):
        points = kp.Collocation(1500, 100)
        return solve(waves(square), points, width=20, boundary=boundary, errors=False)

    assert solution(zero**2).status.startswith("failed: the problem is singular to rounding")
    assert solution(zero**2 * (1 + 1e-4)).status == "converged"
    assert solution(-(zero**2)).status == "converged"


def test_the_smallest_singular_value_is_the_distance_from_the_spectrum():
    zero = 2.404825557695773
    solution = solve(waves(zero**2 - 0.5), kp.Collocation(1500, 100), width=20, boundary="exact")
    found = resonance(solution.discretization, solution.residuals, solution.verification)
    assert found.residual == pytest.approx(0.5, rel=3e-2)
    assert found.coefficient == pytest.approx(zero**2 - 0.5) and not found.matters


def test_a_spike_in_the_data_of_a_wall_is_seen():
    """It lies between all points that a solve draws."""

    def values(p):
        return torch.where(p.y > 0, torch.exp(-((p.x + 0.5731) ** 2) / 2e-4**2), 0.0)

    problem = harmonic(values, kp.Box(x=(-1, 1), y=(-1, 1)))
    solution = kp.solve(problem, kp.KAN([2, 40, 1], degree=[9, 5]), errors=False)
    assert solution.status.startswith("overfitted") and "on the boundary" in solution.status
    mean = 2e-4 * math.sqrt(math.pi / 2) / 8  # of exp(-2 x² / w²) on walls of length 8
    assert solution.verification.boundary == pytest.approx(mean, rel=0.1)


# --- `verify`: fields of other codes, with known errors


BOX = kp.Box(x=(0, 1), y=(0, 1))
# -Δu = 2π² sin πx sin πy with u = 0, with and without the exact solution.
EXACT = kp.Poisson(BOX, exact="sin(pi*x) * sin(pi*y)")
UNKNOWN = kp.Poisson(BOX, source="2 * pi**2 * sin(pi*x) * sin(pi*y)", boundary="0")


def sine(x, error, of=torch):
    """The solution with a relative L2 error, in the mode sin 2πx sin πy."""
    u = of.sin(math.pi * x[:, 0]) * of.sin(math.pi * x[:, 1])
    return u + error * of.sin(2 * math.pi * x[:, 0]) * of.sin(math.pi * x[:, 1])


@pytest.mark.parametrize("error", [1e-1, 1e-7])
def test_the_error_of_a_field_is_measured_to_a_tenth_of_itself(error):
    found = kp.verify(UNKNOWN, lambda x: sine(x, error))
    assert found.errors.l2_relative == pytest.approx(error, rel=0.1)
    # |∇| of the modes is √5 π/2 and √2 π/2; the H1 norm has the mean of u² as well.
    ratio = math.sqrt((1 + 5 * math.pi**2) / (1 + 2 * math.pi**2))
    assert found.errors.h1_relative == pytest.approx(ratio * error, rel=0.1)
    assert found.uncertainty <= 0.1 * error
    assert found.outcome is kp.Outcome.MEASURED and not found.success


def test_derivatives_by_differences_give_the_same_errors():
    by_differences = kp.verify(EXACT, lambda x: sine(x, 1e-3, of=numpy))
    by_pytorch = kp.verify(EXACT, lambda x: sine(x, 1e-3))
    assert by_differences.errors.h1_relative == pytest.approx(
        by_pytorch.errors.h1_relative, rel=1e-6
    )
    assert by_differences.errors.l2_relative == pytest.approx(1e-3, rel=1e-6)
    assert not by_differences.defects and by_pytorch.defects


def test_differences_stay_inside_the_domain():
    thin = kp.Polygon([(0, 0), (1, 0.3), (0.9, 0.45)])
    seen = []

    def cube(x):
        seen.append(torch.as_tensor(x))
        return x[:, 0] ** 3 + x[:, 1]

    places = [[1e-6, 4e-7], [0.5, 0.2], [1.0, 0.3]]
    points = kp.Points(torch.tensor(places, dtype=torch.float64), ("x", "y"))
    channels = Channels(("x", "y"), gradient=True)
    problem = kp.Poisson(thin, source="1", boundary="0")
    jet = _by_differences(problem, lambda x: cube(x)[:, None], points, channels)
    assert all(bool(thin.contains(x).all()) for x in seen)
    x = points.x[:2]
    expected = torch.stack([3 * x**2, torch.ones_like(x)], dim=1)
    torch.testing.assert_close(jet.gradient[:2], expected, rtol=1e-6, atol=1e-6)


def test_a_function_in_single_precision_is_differentiated():
    class InFloat32(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.input = torch.nn.Linear(2, 2, bias=False)
            self.input.weight.data = torch.eye(2)

        def forward(self, x):
            return sine(self.input(x), 1e-3)

    found = kp.verify(EXACT, InFloat32())
    assert found.errors.l2_relative == pytest.approx(1e-3, rel=1e-3) and found.defects


def test_the_residual_and_the_conditions_of_a_function_are_reported():
    shifted = kp.verify(EXACT, lambda x: sine(x, 0.0) + 0.1)
    inside, boundary = shifted.defects
    assert inside.relative < 1e-12  # a constant is not seen by the equation
    assert boundary.size == pytest.approx(0.1)


def test_the_status_compares_with_the_tolerance():
    good, bad = (kp.verify(EXACT, lambda x: sine(x, 1e-3), tolerance=t) for t in (1e-2, 1e-4))
    assert good.outcome is kp.Outcome.CONVERGED and good.success
    assert bad.outcome is kp.Outcome.FAILED and not bad.success
    assert "above the tolerance 1.0e-04" in bad.status


def test_the_worst_place_and_other_units_are_told():
    def with_a_bump(x):
        return sine(x, 0.0) + torch.exp(-((x - 0.25) ** 2).sum(dim=1) / 1e-3)

    bump = kp.verify(EXACT, with_a_bump)
    assert all(abs(place - 0.25) < 0.03 for place in bump.worst.values())
    assert bump.largest == pytest.approx(1.0, abs=0.2)
    millimetres = kp.verify(EXACT, lambda x: 1000 * sine(x, 0.0))
    assert millimetres.factor == pytest.approx(1e-3)
    assert "other units" in str(millimetres)
    assert bump.factor is None


def test_values_at_points_have_errors_as_means_over_them(tmp_path):
    x = torch.rand(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    columns = {"x": x[:, 0], "y": x[:, 1], "u": 1.01 * sine(x, 0.0)}
    numpy.savez(tmp_path / "field.npz", **columns)
    for field in (columns, tmp_path / "field.npz"):
        found = kp.verify(EXACT, field)
        assert found.errors.l2_relative == pytest.approx(0.01, rel=1e-3)
        assert math.isnan(found.errors.h1_relative)
    heat = {"a": columns["x"], "y": columns["y"], "T": columns["u"]}
    found = kp.verify(EXACT, heat, columns={"x": "a", "u": "T"})
    assert found.errors.l2_relative == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(kp.InputError, match="no column 't' for u; did you mean \"T\""):
        kp.verify(UNKNOWN, heat, columns={"x": "a", "u": "t"})


def test_values_at_the_points_of_a_mesh(tmp_path):
    meshio = pytest.importorskip("meshio")
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 9, dtype=torch.float64)] * 2)
    flow = torch.stack([1.01 * sine(grid, 0.0), grid[:, 0]], dim=1).numpy()
    points, path = numpy.c_[grid, numpy.zeros(len(grid))], tmp_path / "flow.vtu"
    meshio.Mesh(points, [("triangle", [[0, 1, 9]])], {"flow": flow}).write(path)
    found = kp.verify(EXACT, path, columns={"u": "flow[0]"})
    assert found.errors.l2_relative == pytest.approx(0.01, rel=1e-3)
    centres = grid[[0, 1, 9]].mean(dim=0, keepdim=True)
    points[9, 2] = 0.1  # no longer in a plane
    cells = {"x": [[1.0, 2.0]], "u": [[3.0, 4.0]]}
    two = [("triangle", [[0, 1, 9], [0, 1, 2]])]
    meshio.Mesh(points, two, cell_data=cells).write(path)
    columns = read_columns(path)
    assert columns["x"][0] == pytest.approx(float(centres[0, 0])) and columns["u"].tolist() == [
        3,
        4,
    ]
    assert columns["data x"].tolist() == [1, 2]
    with pytest.raises(kp.InputError, match=r"points from z = 0 to 0\.03"):
        kp.verify(UNKNOWN, path)
    path.write_text("no mesh")
    with pytest.raises(kp.InputError, match=r"cannot be read by meshio: .*damaged, or no"):
        kp.verify(UNKNOWN, path)


def test_each_field_of_a_system_has_its_errors():
    line, exact = kp.Box(x=(0, 1)), lambda p: torch.cat([p.x**3 / 6, p.x], dim=1)
    residual = lambda p, u, v: (kp.laplacian(u) - v.value, kp.laplacian(v))  # noqa: E731
    given = [kp.Dirichlet(line.boundary, exact)]
    pair = Stated(line, residual, given, fields=("u", "v"), exact=exact)
    found = kp.verify(pair, lambda x: torch.cat([x**3 / 6, 1.1 * x], dim=1))
    assert found.errors.fields["u"].l2_relative < 1e-14
    assert found.errors.fields["v"].l2_relative == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (lambda x: x[:, 0] / 0, "must be finite in the domain: it is not at 256 of 256 points"),
        (lambda x: x, r"the shape \(4, 1\) for 4 points and the fields u, got \(4, 2\)"),
        (lambda x: x[:, 0] + 0j, "must be real"),
        (lambda x: {}[0], r"raises an exception for an array of 4 points, KeyError: 0"),
        (3.0, "must be a function of points, a mapping with values at points, or the path"),
        ({"x": [0.5], "u": [0.5]}, "the field has no column 'y'; its columns are x, u"),
        ({"x": [0.5], "y": [2.0], "u": [0.5]}, "the field has 1 points outside the domain"),
        ({"x": [0.5], "y": [0.5, 1], "u": [0.5]}, "the field: y has 2 numbers, x has 1"),
        ("missing.npz", "missing.npz cannot be read"),
    ],
)
def test_bad_fields_are_refused(field, said):
    with pytest.raises(kp.InputError, match=said):
        kp.verify(UNKNOWN, field)
