"""Marching in time: errors against tolerances, conditions at walls, resuming, what fails."""

import functools
import math

import pytest
import torch
from cases import Manufactured, Stated, error_of, formulas, travelling
from scipy.integrate import solve_ivp

import kanpinn as kp
from kanpinn.geometry.sampling import sample
from kanpinn.runs.progress import Progress
from kanpinn.spaces.evolution_terms import TimeScales
from kanpinn.spaces.time_schemes import stages
from kanpinn.tasks.march import state_kind
from kanpinn.tasks.window import Control, Window

F = torch.float64
ROD = kp.Box(x=(0, 1), t=(0, 1))
d = kp.partial


COOLING = "exp(-pi**2 * t / 10) * cos(pi * x + 0.3)"


def warm(domain=ROD, **data):
    """u_t = u_xx / 10, with given fluxes and temperatures at its ends."""
    walls = {"x_min": "neumann", "x_max": {"robin": [2, 1]}}
    given = {"exact": COOLING, "source": 0, "boundary": walls}
    return kp.Heat(domain, diffusion=0.1, **(given | data))


STRING = kp.Wave(ROD, source=0, exact="sin(pi * x) * (cos(pi * t) + sin(pi * t) / pi)", boundary=0)
STRUCK = kp.Wave(ROD, source=0, exact="sin(pi * x) * sin(pi * t) / pi", initial=0, boundary=0)
DAMPED = Manufactured(
    ROD,
    lambda p, u: d(u, "t", "t") + 2 * d(u, "t") - d(u, "x", "x"),
    "sin(pi * x) * (cos(pi * t) + sin(pi * t) / pi)",
    rate=True,
)
# i h_t + h_xx / 2 = 0 for h = u + iv, in the other order than the fields: a wave that travels
TURNING = Manufactured(
    kp.Box(x=(0, 2 * math.pi), t=(0, 1)),
    lambda p, u, v: (d(v, "t") - d(u, "x", "x") / 2, d(u, "t") + d(v, "x", "x") / 2),
    ("cos(2 * x - 2 * t)", "sin(2 * x - 2 * t)"),
    periodic=("x",),
    source=False,
    fields=("u", "v"),
)
# three conditions at the walls, two of them at one end
THIRD = Manufactured(
    ROD,
    lambda p, u: d(u, "t") + d(u, "x", "x", "x"),
    "sin(x + t)",
    {"x_max": "dirichlet neumann"},
    source=False,
)
# u does not occur in u_t = sin πx
HEATED = Manufactured(
    ROD, lambda p, u: d(u, "t"), "t * sin(pi * x)", {"x_min": "none", "x_max": "none"}
)
PROBLEMS = {
    "travelling front": travelling(),
    "rod": warm(),
    "string": STRING,
    "damped string": DAMPED,
    "turning": TURNING,
    "third order": THIRD,
    "struck string": STRUCK,
    "heated": HEATED,
}


def solved(problem, tolerance, network=None, **options):
    network = kp.Windows([problem.domain.dim, len(problem.fields)]) if network is None else network
    return kp.solve(problem, network, kp.March(tolerance), verified=False, **options)


@functools.cache
def accurate(name):
    """The solution of one of the problems to 1e-9."""
    return solved(PROBLEMS[name], 1e-9, errors=False)


@functools.cache
def front():
    """The travelling front to 1e-6, with its errors amid the march."""
    return solved(PROBLEMS["travelling front"], 1e-6)


@pytest.mark.parametrize("name", PROBLEMS)
def test_errors_are_those_asked_for(name):
    solution = accurate(name)
    assert solution.status == "converged" and error_of(solution) < 1e-9


def test_a_solution_that_is_zero():
    solution = solved(warm(exact=None, initial=0, boundary=0), 1e-6, errors=False)
    assert solution.status == "converged"
    assert solution(torch.tensor([[0.3, 0.4]], dtype=F)) == 0


def test_a_search_marches_from_a_rate_that_a_constraint_prescribes():
    start = kp.Constraint(
        ROD.boundary["t_min"], lambda p, u: d(u, "t") - torch.sin(math.pi * p.x), field="u"
    )
    others = [kp.Initial(ROD, 0.0), kp.Dirichlet(ROD.boundary["x_min", "x_max"])]
    string = Stated(ROD, lambda p, u: d(u, "t", "t") - d(u, "x", "x"), [start, *others])
    found, points = kp.solve(string, tolerance=1e-8), sample(ROD, 99)
    exact = torch.sin(math.pi * points.x) * torch.sin(math.pi * points.t) / math.pi
    assert found.log[0].startswith("Windows")
    assert torch.dist(found(points), exact) < 1e-7 * exact.norm()


def squared(exact):
    """The square of the temperature is given at one end."""
    problem = warm(boundary={"x_min": "neumann", "x_max": "none"}, exact=exact)
    end = ROD.boundary["x_max"]
    known = kp.Constraint(end, lambda p, u: u.value**2 - problem.exact(p) ** 2)
    problem._conditions.append(known)
    return problem


def test_conditions_that_are_not_linear():
    assert error_of(solved(squared(COOLING), 1e-6, errors=False)) < 1e-6
    with pytest.raises(kp.InputError, match="derivative by the solution is zero"):
        solved(squared("0 * x"), 1e-6)


@pytest.mark.parametrize("time", [0.0, 3.1])
def test_networks_of_single_precision(time):
    network = kp.Windows([2, 1], dtype=torch.float32)
    solution = solved(warm(kp.Box(x=(0, 1), t=(time, time + 1))), 1e-5, network)
    assert solution.status == "converged" and solution.errors.l2_relative < 1e-5
    assert {t.dtype for t in network.state_dict().values() if t.is_floating_point()} == {
        torch.float32
    }


def test_errors_do_not_depend_on_units():
    other = solved(travelling(unit=1e6), 1e-6, errors=False)
    rows = [solution.history.column("time") for solution in (front(), other)]
    assert rows[0][1:].tolist() == pytest.approx(rows[1][1:].tolist(), rel=1e-6)


def test_intervals_are_fine_where_the_front_is():
    solution = solved(travelling(0.01), 1e-6, errors=False)
    (breaks,) = solution.network.breaks()
    widths, middle = breaks.diff(), (breaks[1:] + breaks[:-1]) / 2
    assert -0.1 < middle[widths.argmin()] < 0.3  # where the front has been
    assert widths.max() > 5 * widths.min()


def test_values_and_rates_go_over_from_window_to_window():
    solution = accurate("string")
    network = solution.network
    assert network.count > 2
    for end in network.ends[1:-1].tolist():
        points = torch.tensor([[0.3, t] for t in (end / 2, math.nextafter(end / 2, 1))], dtype=F)
        u = solution.surrogate.jet(
            kp.Points(points, ("x", "t")), kp.jets.Channels(("x", "t"), True)
        )
        assert (u.value[0] - u.value[1]).abs() < 1e-11  # new intervals: 1e-3 of the tolerance
        assert (u.gradient[0, 1] - u.gradient[1, 1]).abs() < 1e-10


def lorenz(t, u):
    x, y, z = u
    return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z


def robertson(t, u):
    """Robertson's reaction, which is stiff: its rates differ by nine orders of magnitude."""
    a, b, c = u
    slow, fast, square = 0.04 * a, 1e4 * b * c, 3e7 * b**2
    return fast - slow, slow - fast - square, square


@pytest.mark.parametrize(
    ("rates", "start", "end"), [(lorenz, (1, 1, 1), 2), (robertson, (1, 0, 0), 1e6)]
)
def test_ordinary_differential_equations(rates, start, end):
    def residual(p, *u):
        wanted = rates(p.t, [one.value for one in u])
        return tuple(d(one, "t") - rate for one, rate in zip(u, wanted, strict=True))

    time, fields = kp.Box(t=(0, end)), ("a", "b", "c")
    first = [kp.Initial(time, float(v), field=f) for f, v in zip(fields, start, strict=True)]
    solution = solved(Stated(time, residual, first, fields=fields), 1e-9)
    found = solution(torch.tensor([[end]], dtype=F))[0].numpy()
    other = solve_ivp(rates, (0, end), start, method="Radau", rtol=1e-11, atol=1e-14)
    assert abs(found - other.y[:, -1]).max() < 1e-8 * abs(other.y[:, -1]).max()
    early = torch.tensor([[1e-9]], dtype=F)  # resolved in windows from 0 on
    slope = solution(early)[0, 0] - start[0]
    assert abs(float(slope) - rates(0, start)[0] * 1e-9) < 1e-12


def test_progress_is_told_by_the_time_reached(caplog):
    caplog.set_level("INFO")
    solved(travelling(), 1e-4, errors=False, observers=[Progress(interval=0.0)])
    lines = [one.getMessage() for one in caplog.records if "March" in one.getMessage()]
    parts = [float(line.split("% done")[0].split(", ")[-1]) for line in lines]
    assert parts == sorted(parts) and parts[-1] == 100
    assert all("about" in line for line in lines[1:-1]) and "left" not in lines[0]
    for line in lines:
        for what in ("up to t = ", "length ", "stages", "Newton step", "estimated error so far"):
            assert what in line
        assert "loss" not in line


def test_errors_amid_a_march_are_those_of_the_part_reached():
    """A later part, where the network is constant in time, does not count."""
    rows = front().history.rows
    errors = [row["l2_relative"] for row in rows[1:] if "l2_relative" in row]
    assert len(errors) > 3 and max(errors) < 1e-5
    assert rows[0]["l2_relative"] > 0.1  # before the first step all of it counts


def test_windows_of_equal_length_on_the_intervals_of_the_network():
    march = kp.March(windows=5, stages=3)
    settings = {"verified": False, "errors": False}
    solution = kp.solve(warm(), kp.Windows([2, 1], grid=12), march, **settings)
    assert solution.network.ends.diff().tolist() == pytest.approx([0.4] * 5)
    assert len(solution.network.breaks()[0]) == 13
    assert set(solution.history.column("stages")[1:].tolist()) == {3.0}


def burning():
    """u' = u², u = 1 / (1 - t)."""
    time = kp.Box(t=(0, 2))
    return Stated(time, lambda p, u: d(u, "t") - u.value**2, [kp.Initial(time, 1.0)])


def test_initial_values_that_contradict_the_walls():
    """u = 1 at first, 0 at the walls: a march resolves the layers, in which u is an erf."""
    contrary = warm(kp.Box(x=(0, 1), t=(0, 0.1)), exact=None, initial=1, boundary=0)
    with pytest.warns(UserWarning, match="disagree by 1 at .* a march takes short windows"):
        solution = solved(contrary, 1e-3, kp.Windows([2, 1], degree=5, grid=6), errors=False)
    assert solution.status == "converged"
    lengths = solution.network.ends.diff()
    assert lengths[0] < 1e-5 and lengths[-1] > 0.1
    for t in (0.001, 0.01, 0.1):
        x = torch.linspace(0, 1, 50, dtype=F)[:, None]
        width = 2 * math.sqrt(0.1 * t)  # the images beyond the walls are below 1e-15
        exact = torch.erf(x / width) + torch.erf((1 - x) / width) - 1
        found = solution(torch.cat([x, torch.full_like(x, t)], dim=1))
        assert (found - exact).norm() < 1e-4 * exact.norm()


def test_windows_of_which_too_many_are_left_end_a_march():
    march = kp.March(1e-6, stages=3, steps=500)
    solution = kp.solve(burning(), kp.Windows([1, 1]), march, verified=False, errors=False)
    assert solution.status.startswith("failed: near t = 0.99")
    assert "windows have a length of" in solution.status
    assert "may cease to exist there, or have jumps" in solution.status
    assert "are left" in solution.status and "what comes before is kept" in solution.status


def plane(end, k, **data):
    """u_t = Δu in a square; u = exp(-(k² + 1) π² t) sin kπx sin πy."""
    square = kp.Box(x=(0, 1), y=(0, 1), t=(0, end))
    exact = f"exp(-{k**2 + 1} * pi**2 * t) * sin({k} * pi * x) * sin(pi * y)"
    return kp.Heat(square, exact=exact, source=0, boundary=0, **data)


@pytest.mark.parametrize(
    ("problem", "width", "tolerance", "bound"),
    [
        (plane(0.1, 1), [3, 16, 1], 1e-5, 1e-4),
        (plane(0.02, 2, periodic=["x"]), [4, 32, 1], 1e-3, 5e-3),
    ],
    ids=["walls", "periodic"],
)
def test_random_functions_of_two_coordinates(problem, width, tolerance, bound):
    network = kp.Windows(width, degree=[7, 5], grid=[2, 3])
    solution = solved(problem, tolerance, network, errors=False)
    assert solution.status == "converged" and error_of(solution) < bound


def test_few_intervals_are_made_more():
    solution = solved(STRING, 1e-6, kp.Windows([2, 1], degree=3, grid=1), errors=False)
    assert solution.status == "converged" and error_of(solution) < 1e-5


@pytest.mark.parametrize("width", [[2, 1], [2, 4, 1]])
def test_functions_that_do_not_resolve_the_solution(width):
    march = kp.March(1e-4, regrade=False)
    network = kp.Windows(width, degree=5, grid=4)
    solution = kp.solve(HEATED, network, march, verified=False, errors=False)
    assert solution.status == "converged"

    fine = Stated(ROD, HEATED.operator, [kp.Initial(ROD, "sin(40 * x)")])
    solution = kp.solve(fine, network, march, verified=False, errors=False)
    assert "in space do not resolve the solution" in solution.status


# u_t = Δu + f in a disk with a given flux through its rim
DISH = kp.Heat(
    kp.Disk((0, 0), 1.0).over(t=(0, 1)), exact="exp(-t) * cos(x + y / 2)", boundary="neumann"
)


@pytest.mark.parametrize("units", [6, 9])
def test_fluxes_on_a_disk_and_the_error_in_space(units):
    """The inner functions are affine, so that these are polynomials of a total degree."""
    degree = [1, units - 1]
    network = kp.Windows([3, units, 1], degree=degree, grid=[1, 1])
    solution = kp.solve(DISH, network, kp.March(1e-8), verified=False, errors=False)
    estimated = solution.history.rows[-1]["estimated_error"]
    assert 0.1 < error_of(solution) / estimated < 10
    assert ("do not resolve" in solution.status) == (units == 6)


def test_windows_of_equal_length_that_resolve_little_tell_their_error():
    march = kp.March(windows=2, stages=1)
    solution = kp.solve(travelling(), kp.Windows([2, 1]), march, errors=False, verified=False)
    windows, estimated = (solution.history.column(c)[-1] for c in ("window", "estimated_error"))
    words = f"converged: the errors of {windows:.0f} windows add up to {estimated:.1e}"
    assert solution.status == words and error_of(solution) < 3 * estimated < 1


def higher(order):
    """An equation of an order above that of its initial data."""
    time = kp.Box(t=(0, 1))
    start = kp.Initial(time, 1.0, None if order == 2 else 0.0)
    residual = lambda p, u: d(u, *["t"] * order) + u.value  # noqa: E731
    return Stated(time, residual, [start], needs_conditions=False)


def and_also(condition):
    """The travelling front with one condition more."""
    front = travelling()
    return Stated(front.domain, front.operator, [*front.conditions(), condition])


def with_method(name, method):
    """The rod with one method more."""
    rod = warm()
    setattr(rod, name, method)
    return rod


EARLY = kp.Box(x=(-1, 0), t=(0, 0.15)).boundary["x_max"]
OBSERVED = kp.Observed(travelling().domain, [[0.0, 0.1], [0.0, 0.2]], [1.0, 1.0])


REFUSED = {
    "weights": ({"loss": kp.Loss(interior=0.5)}, "the weight of interior must be left out"),
    "a weight of the boundary": (
        {"loss": kp.Loss(boundary=10)},
        "the weight of boundary must be left out, got .* satisfies both",
    ),
    "a balance": ({"loss": kp.Loss(balance="ntk")}, "balance must be left out"),
    "hard": ({"boundary": "hard"}, "boundary must be"),
    "a penalty": ({"boundary": "penalty"}, "boundary must be"),
    "a KAN": ({"network": kp.KAN([2, 4, 1], degree=4)}, "march is for networks in time windows"),
    "two outputs": ({"network": kp.Windows([2, 2])}, "must end with 1 outputs"),
    "no rates": ({"problem": higher(2)}, "march needs initial rates"),
    "order three": ({"problem": higher(3)}, "of order 1 or 2"),
    "data at points": (
        {"problem": and_also(OBSERVED)},
        "cannot be solved in windows of time",
    ),
    "a condition for some time": (
        {"problem": and_also(kp.Constraint(EARLY, lambda p, u: u.value - 1))},
        "does not hold at all times",
    ),
    "a time that is not last": (
        {"problem": kp.Heat(kp.Box(t=(0, 1), x=(0, 1)), initial="sin(pi*x)", boundary="0")},
        "coordinates t, x: an evolution expects the time t as the last one",
    ),
    "few periodic intervals": (
        {"problem": TURNING, "network": kp.Windows([2, 2], degree=9, grid=5)},
        "grid must be at least 10 for periodic splines",
    ),
    "few points on the boundary": (
        {
            "problem": DISH,
            "network": kp.Windows([3, 9, 1], degree=[1, 8], grid=[1, 1]),
            "points": kp.Collocation(400, 16, "gauss"),
        },
        "needs more than 4 points on the boundary",
    ),
    "inputs of its own": (
        {"problem": with_method("inputs", lambda: lambda p: torch.cat([p.x**3, p.t], dim=1))},
        "which a network in time windows cannot use",
    ),
    "known functions": (
        {"problem": with_method("enrichment", lambda: [lambda p: (p.x - 0.5).abs()])},
        "which a network in time windows cannot use",
    ),
}


@pytest.mark.parametrize(("settings", "words"), REFUSED.values(), ids=REFUSED)
def test_what_a_march_cannot_do_is_refused(settings, words):
    with pytest.raises(kp.InputError, match=words):
        solved(**{"problem": travelling(), "tolerance": 1e-4} | settings)


def test_tolerances_below_rounding_are_refused():
    with pytest.raises(kp.InputError, match="at least 1e-14"):
        kp.March(1e-16)
    assert kp.March(1e-13).finer().tolerance == 1e-14 == kp.March(1e-14).finer().tolerance


# --- Equations with algebraic fields: those of which no equation has a derivative in time


def starting(end, residual, exact=None, **start):
    """A system of ordinary differential equations with some values at t = 0."""
    time = kp.Box(t=(0, end))
    first = [kp.Initial(time, v, field=name) for name, v in start.items() if v is not None]
    known = {} if exact is None else {"exact": formulas(exact)}
    return Stated(time, residual, first, fields=(*start,), **known)


def driven():
    """x' = z - x, z + z³/10 = y + y³/10 for y = x cos t; x = exp(sin t - t), z = x cos t."""

    def residual(p, x, z):
        y = torch.cos(p.t) * x.value
        return d(x, "t") + x.value - z.value, z.value + z.value**3 / 10 - y - y**3 / 10

    x = "exp(sin(t) - t)"
    return starting(3, residual, [x, f"{x} * cos(t)"], x=1.0, z=None)


def pendulum(v=0.0):
    """A pendulum of length 1 by its velocity's constraint, which has index 2.

    x' = u, y' = v, u' = -l x, v' = -l y - 1, x u + y v = 0; at rest at (0.6, -0.8) for v = 0.
    """

    def residual(p, x, y, u, v, l):  # noqa: E741
        return (
            d(x, "t") - u.value,
            d(y, "t") - v.value,
            d(u, "t") + l.value * x.value,
            d(v, "t") + l.value * y.value + 1,
            x.value * u.value + y.value * v.value,
        )

    return starting(4, residual, x=0.6, y=-0.8, u=0.0, v=v, l=None)


DRIVEN, PENDULUM = driven(), pendulum()


def rod(residual, exact, fixed, other):
    """u begins with sin πx; the fixed fields are zero at the walls."""
    ends = ROD.boundary["x_min", "x_max"]
    walls = [kp.Dirichlet(ends, 0.0, field=name) for name in fixed]
    start = kp.Initial(ROD, "sin(pi * x)", field="u")
    known = {"fields": ("u", other), "exact": formulas(exact)}
    return Stated(ROD, residual, [start, *walls], **known)


# u_t = q_x with the flux q = u_x / 10 as a field of its own
FLUX = rod(
    lambda p, u, q: (d(u, "t") - d(q, "x"), q.value - d(u, "x") / 10),
    [f"exp(-pi**2 * t / 10) * {form}" for form in ("sin(pi * x)", "pi / 10 * cos(pi * x)")],
    "u",
    "q",
)
# u_t = u_xx / 10 + φ with φ_xx = u; φ = -u / π²
POTENTIAL = rod(
    lambda p, u, v: (d(u, "t") - d(u, "x", "x") / 10 - v.value, d(v, "x", "x") - u.value),
    [f"exp(-(pi**2 / 10 + 1 / pi**2) * t) * sin(pi * x) * {c}" for c in ("1", "(-1 / pi**2)")],
    "uv",
    "v",
)


@functools.cache
def marched(problem: kp.Problem, tolerance: float, **options) -> kp.Solution:
    network = kp.Windows([problem.domain.dim, len(problem.fields)])
    return kp.solve(problem, network, kp.March(tolerance, **options), verified=False)


def test_the_error_of_a_march_that_ends_early_is_not_known():
    whole, early = (marched(DRIVEN, 1e-5, steps=steps) for steps in (500, 2))
    assert whole.status == "converged" and 0 < whole.estimated_error < 1e-4
    assert early.status.startswith("stopped") and early.estimated_error is None


@pytest.mark.parametrize(
    ("problem", "tolerance"),
    [(DRIVEN, 1e-5), (DRIVEN, 1e-9), (FLUX, 1e-7), (POTENTIAL, 1e-7)],
    ids=["driven", "driven-fine", "flux", "potential"],
)
def test_errors_of_algebraic_fields_are_those_asked_for(problem, tolerance):
    solution = marched(problem, tolerance)
    assert solution.status == "converged"
    errors = [one.l2 for one in solution.errors.fields.values()]
    assert max(errors) < tolerance * (solution.errors.l2 / solution.errors.l2_relative)


def test_a_force_that_is_infinite_between_equal_fields():
    """A body at (x, y) on a circle around a body at (z, z) at rest, where z = 0."""

    def residual(p, x, y, u, v, z):
        gaps = [z.value - x.value, z.value - y.value]
        pull = (gaps[0] ** 2 + gaps[1] ** 2) ** -1.5
        rates = [u.value, v.value, *(pull * gap for gap in gaps), 0.0]
        return tuple(d(one, "t") - rate for one, rate in zip((x, y, u, v, z), rates, strict=True))

    solution = marched(starting(5, residual, x=1.0, y=0.0, u=0.0, v=1.0, z=0.0), 1e-6)
    t = torch.linspace(0, 5, 51, dtype=F)[:, None]
    assert solution.status == "converged"
    assert torch.dist(solution(t)[:, :2], torch.cat([t.cos(), t.sin()], dim=1)) < 1e-6 * 51**0.5


@pytest.mark.parametrize("tolerance", [1e-6, 1e-10])
def test_a_constraint_of_index_two(tolerance):
    """Against the angle θ of the pendulum, θ'' = -cos θ, with l = θ'² - sin θ."""
    solution = marched(PENDULUM, tolerance)
    assert solution.status == "converged"
    t = torch.linspace(0, 4, 41, dtype=F)
    start = (math.atan2(-0.8, 0.6), 0.0)
    angle, rate = torch.from_numpy(
        solve_ivp(
            lambda t, w: (w[1], -math.cos(w[0])), (0, 4), start, "DOP853", t, rtol=1e-13, atol=1e-13
        ).y
    )
    x, y = angle.cos(), angle.sin()
    exact = torch.stack([x, y, -y * rate, x * rate, rate**2 - y], dim=1)
    assert (solution(t[:, None]) - exact).abs().max() < 20 * tolerance


def test_values_at_the_start_are_consistent_with_the_equations():
    first, second = marched(DRIVEN, 1e-9), marched(PENDULUM, 1e-10)
    start = torch.zeros(1, 1, dtype=F)
    assert first(start)[0].tolist() == pytest.approx([1, 1], abs=1e-8)
    assert float(second(start)[0, 4]) == pytest.approx(0.8, abs=1e-8)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_at_the_start_chooses_one_of_several_solutions(sign):
    """x' = z, z² = 1 + x²: sinh t or -sinh t."""

    def residual(p, x, z):
        return d(x, "t") - z.value, z.value**2 - x.value**2 - 1

    exact = [f"{sign} * sinh(t)", f"{sign} * cosh(t)"]
    root = starting(1, residual, exact, x=0.0, z=0.5 * sign)
    assert marched(root, 1e-8).errors.l2_relative < 1e-8


def test_values_that_contradict_the_constraint_are_named():
    assert "initial values may contradict the equation" in marched(pendulum(1.0), 1e-6).status


def test_gauss_stages_are_refused():
    with pytest.raises(kp.InputError, match='scheme must be "radau"'):
        marched(DRIVEN, 1e-6, scheme="gauss")


# --- The estimated error of a march against the true one


UNSTABLE = Manufactured(  # errors grow by e^10, the solution does not
    kp.Box(x=(0, 2 * math.pi), t=(0, 1)),
    lambda p, u: d(u, "t") - d(u, "x", "x") - 10 * u.value,
    "sin(x - t)",
    periodic=("x",),
)


def test_the_estimate_is_near_the_truth_where_errors_grow():
    solution = solved(UNSTABLE, 1e-5, errors=False)
    estimated = solution.history.column("estimated_error")[-1]
    assert 0.1 * estimated < error_of(solution) < 3 * estimated
    assert solution.success
    added = f"add up to {estimated:.1e}" in solution.status
    assert added == (estimated > 3e-5) == (solution.status != "converged")


@pytest.mark.parametrize("rate", [-20, 5])
@pytest.mark.parametrize("network", [kp.Windows, kp.CellWindows])
def test_the_estimate_is_relative_to_the_solution_at_all_times(network, rate):
    """The largest value of e^(-20 t) is 6 times its root mean square over a unit of time."""
    problem = Manufactured(
        ROD, lambda p, u: d(u, "t") - d(u, "x", "x") / 2, f"exp({rate} * t) * sin(2 * x + 1)"
    )
    solution = solved(problem, 1e-3, network([2, 1], 7, 4), errors=False)
    estimated = solution.history.column("estimated_error")[-1]
    assert estimated / 10 < error_of(solution) < 1.5 * estimated


@pytest.mark.parametrize(
    ("network", "seconds"), [(kp.Windows, (2.0, 2.0)), (kp.CellWindows, (1.0, 0.5))]
)
def test_a_march_without_time_reaches_the_end_in_few_windows(network, seconds, monkeypatch):
    """The budget is 5 s, and forecasts of windows are far too high."""
    monkeypatch.setattr(state_kind(network([2, 1])), "costs", property(lambda _: seconds))
    made = network([2, 1], 7, 4)
    method = kp.March(1e-8, stages=3)
    solution = kp.solve(warm(), made, method, errors=False, verified=False, budget=5)
    assert solution.status.startswith("stopped: the budget leaves no time for shorter windows")
    assert len(solution.network.ends) - 1 <= 25  # without a budget they are a few hundred
    assert error_of(solution) < 3 * solution.estimated_error < 0.3


def test_errors_of_doubtful_windows_are_between_those_of_s_and_of_s_minus_2_stages():
    window = tried(3, 1e-6, 1e-2)
    assert window.doubted(0.5).error == pytest.approx(1e-4)
    assert (window.doubted(0).error, window.doubted(1).error) == pytest.approx((1e-6, 1e-2))
    assert tried(3, 1e-2, 1e-6).doubted(0.5).error == 1e-2


# --- The controller of a march: what it learns of a window from its Legendre polynomials


def tried(count, error, lower=0.0, length=0.1):
    """A window that has been tried."""
    converged = math.isfinite(error)
    states = torch.zeros(count + 1, 1, 1)
    return Window(stages(count), 0.0, length, states, error, lower, converged=converged)


def test_the_controller_shortens_and_lengthens():
    control = Control(allowed=1e-6, length=0.1, stages=5)
    assert not control.accepts(tried(5, 1e-5))
    control.shorten(tried(5, 1e-5))
    assert 0.01 <= control.length < 0.07
    control.follow(tried(5, 1e-9, 1e-7))
    assert control.length > 0.1
    control.shorten(tried(5, math.inf))
    assert control.length == pytest.approx(0.1 / 3)


# --- Data that change fast in time: windows end before a pulse, and no pulse is jumped over


TIMES = (torch.arange(2048, dtype=F) + 0.5) / 2048


def pulse(t, at, width):
    return torch.exp(-(((t - at) / width) ** 2))


@pytest.mark.parametrize("seed", range(2))
def test_windows_end_before_a_pulse_and_are_as_short_as_it(seed, generator):
    generator.manual_seed(seed)
    at, size = torch.rand(2, generator=generator, dtype=F).tolist()
    at, width = 0.3 + 0.4 * at, 0.002 * 10**size
    slow = torch.sin(TIMES)
    scales = TimeScales.of_samples(
        torch.stack([slow, pulse(TIMES, at, width)], dim=1), 0.0, 1.0, 1e-6
    )
    time = 0.0
    while time < at - 5 * width:  # where the pulse is below rounding
        length = scales.reach(time, 1.0, 5)
        assert time + length < at - width
        time += length
    assert scales.reach(at - width, 1.0, 5) < 5 * width
    assert scales.reach(at + 0.2, 1.0, 5) > 20 * 0.002


def test_rounding_in_a_source_that_cancels_does_not_shorten_windows():
    cancels = "sin(3 + x * t) ** 2 + cos(3 + x * t) ** 2 - 1"
    counts = [len(marched(warm(source=one), 1e-4).network.pieces) for one in (0, cancels)]
    assert counts[0] == counts[1]


class Cubic(kp.Problem):
    """u_t = Δu - g(t) u³, so that u = (1 + 2 ∫ g)^-½ at all places."""

    domain = kp.Box(x=(0, 1), t=(0, 2))
    at, width = 1.237, 0.004

    def residual(self, p, u):
        given = 100 * pulse(p.t, self.at, self.width)
        return kp.partial(u, "t") - kp.partial(u, "x", "x") + given * u.value**3

    def conditions(self):
        sides = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, 1.0), kp.Neumann(sides, 0.0)]

    def exact(self, p):
        passed = torch.erf((p.t - self.at) / self.width) + 1
        area = 100 * self.width * math.sqrt(math.pi) / 2 * passed
        return (1 + 2 * area) ** -0.5 + 0 * p.x


class Wall(Cubic):
    """u_t = a u_xx with a pulse of the flux at x = 0, and another wall too far away to matter.

    A flux δ(t - s) gives 2 exp(-x² / 4 a (t - s)) / (4 π a (t - s))^½; a quadrature sums these over
    the pulse.
    """

    domain = kp.Box(x=(0, 3), t=(0, 2))
    a = 0.02

    def residual(self, p, u):
        return kp.partial(u, "t") - self.a * kp.partial(u, "x", "x")

    def conditions(self):
        sides = self.domain.boundary
        flux = lambda p: 30 * pulse(p.t, self.at, self.width)  # noqa: E731
        return [
            kp.Initial(self.domain, 0.0),
            kp.Neumann(sides["x_min"], flux),
            kp.Dirichlet(sides["x_max"], 0.0),
        ]

    def exact(self, p):
        nodes = self.at + self.width * torch.linspace(-5, 5, 41, dtype=F)
        weights = self.a * 30 * pulse(nodes, self.at, self.width) * self.width / 4
        since = (p.t - nodes).clamp_min(1e-300)
        kernel = torch.exp(-(p.x**2) / (4 * self.a * since)) / (math.pi * self.a * since) ** 0.5
        return torch.where(p.t > nodes, kernel * weights, 0.0).sum(dim=1, keepdim=True)


def relative_error(problem, network, tolerance, begin=0.0):
    march = kp.March(tolerance=tolerance)
    solution = kp.solve(problem, network, march, errors=False, verified=False)
    assert "converged" in solution.status
    points = sample(problem.domain, 2000, "sobol")
    points = points[points.t[:, 0] >= begin]
    exact = problem.exact(points)
    return float((solution(points.coords) - exact).norm() / exact.norm())


@pytest.mark.parametrize("network", [kp.Windows([2, 1]), kp.CellWindows([2, 1], 3, 1)])
def test_a_pulse_in_a_coefficient_of_a_cubic_term_is_not_jumped_over(network):
    assert relative_error(Cubic(), network, 1e-3) < 2e-3


def test_a_pulse_of_a_flux_at_a_wall_is_not_jumped_over():
    after = Wall.at + 50 * Wall.width
    network = kp.Windows([2, 1], degree=5, grid=12)
    assert relative_error(Wall(), network, 1e-2, after) < 1e-2


def test_own_kinds_of_windows_march():
    class Own(kp.Windows):
        pass

    solution = solved(warm(), 1e-4, Own(), errors=False)
    assert solution.status == "converged" and error_of(solution) < 1e-4
