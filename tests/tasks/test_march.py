"""Marching in time: errors against tolerances, conditions at walls, resuming, what fails."""

import copy
import math

import pytest
import torch
from cases import error_of

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.runs.progress import Progress
from kanpinn.solvers.state import SolverState
from kanpinn.spaces.function_space import graded_breaks
from kanpinn.tasks.march import MarchWords
from kanpinn.tasks.window import windows_left

F = torch.float64


class Travelling(kp.Problem):
    """u_t + u u_x = ν u_xx, whose exact solution is a front tanh that travels at speed 1."""

    domain = kp.Box(x=(-1, 1), t=(0, 0.2))
    viscosity = 0.02

    def residual(self, p, u):
        advection = u.value * kp.partial(u, "x")
        return kp.partial(u, "t") + advection - self.viscosity * kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(ends, self.exact)]

    def exact(self, p):
        return 1 - torch.tanh((p.x - p.t) / (2 * self.viscosity))


class Warm(kp.Problem):
    """u_t = u_xx / 10, with given fluxes and temperatures at its ends."""

    domain = kp.Box(x=(0, 1), t=(0, 1))

    def residual(self, p, u):
        return kp.partial(u, "t") - kp.partial(u, "x", "x") / 10

    def conditions(self):
        ends = self.domain.boundary
        return [
            kp.Initial(self.domain, self.exact),
            kp.Neumann(ends["x_min"], self.flux),
            kp.Robin(ends["x_max"], 2.0, 1.0, self.exchange),
        ]

    def exact(self, p):
        return torch.exp(-(math.pi**2) * p.t / 10) * torch.cos(math.pi * p.x + 0.3)

    def slope(self, p):
        return -math.pi * torch.exp(-(math.pi**2) * p.t / 10) * torch.sin(math.pi * p.x + 0.3)

    def flux(self, p):
        return -self.slope(p)

    def exchange(self, p):
        return 2 * self.exact(p) + self.slope(p)


class String(kp.Problem):
    """u_tt = u_xx; u = sin πx (cos πt + sin πt / π)."""

    domain = kp.Box(x=(0, 1), t=(0, 1))

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x")

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        start = kp.Initial(self.domain, self.form, self.form)
        return [start, kp.Dirichlet(ends, 0.0)]

    def form(self, p):
        return torch.sin(math.pi * p.x)

    def exact(self, p):
        wave = torch.cos(math.pi * p.t) + torch.sin(math.pi * p.t) / math.pi
        return torch.sin(math.pi * p.x) * wave


class Damped(String):
    """u_tt + 2 u_t = u_xx + f, whose solution is that of `String`."""

    def residual(self, p, u):
        phase = math.pi * p.t
        rate = torch.sin(math.pi * p.x) * (torch.cos(phase) - math.pi * torch.sin(phase))
        return super().residual(p, u) + 2 * (kp.partial(u, "t") - rate)


class Turning(kp.Problem):
    """i h_t + h_xx / 2 = 0 for h = u + iv, periodic: a wave that travels."""

    domain = kp.Box(x=(0, 2 * math.pi), t=(0, 1))
    fields = ("u", "v")

    def residual(self, p, u, v):  # in the other order than the fields
        return (
            kp.partial(v, "t") - kp.partial(u, "x", "x") / 2,
            kp.partial(u, "t") + kp.partial(v, "x", "x") / 2,
        )

    def conditions(self):
        return [kp.Initial(self.domain, self.exact), kp.Periodic(self.domain, "x")]

    def exact(self, p):
        phase = 2 * p.x - 2 * p.t
        return torch.cat([torch.cos(phase), torch.sin(phase)], dim=1)


class Third(kp.Problem):
    """u_t + u_xxx = f with three conditions at the walls, two of them at one end."""

    domain = kp.Box(x=(0, 1), t=(0, 1))

    def residual(self, p, u):
        forcing = torch.cos(p.x + p.t) - torch.cos(p.x + p.t)
        return kp.partial(u, "t") + kp.partial(u, "x", "x", "x") - forcing

    def conditions(self):
        ends = self.domain.boundary
        return [
            kp.Initial(self.domain, self.exact),
            kp.Dirichlet(ends["x_min", "x_max"], self.exact),
            kp.Neumann(ends["x_max"], lambda p: torch.cos(p.x + p.t)),
        ]

    def exact(self, p):
        return torch.sin(p.x + p.t)


class Struck(String):
    """A string that is at rest where it is struck; u = sin πx sin πt / π."""

    def conditions(self):
        ends = self.domain.boundary["x_min", "x_max"]
        return [kp.Initial(self.domain, 0.0, self.form), kp.Dirichlet(ends, 0.0)]

    def exact(self, p):
        return torch.sin(math.pi * p.x) * torch.sin(math.pi * p.t) / math.pi


class Heated(kp.Problem):
    """u_t = sin πx, in which u does not occur, from zero on."""

    domain = kp.Box(x=(0, 1), t=(0, 1))

    def residual(self, p, u):
        return kp.partial(u, "t") - torch.sin(math.pi * p.x)

    def conditions(self):
        return [kp.Initial(self.domain, 0.0)]

    def exact(self, p):
        return p.t * torch.sin(math.pi * p.x)


def solved(problem, tolerance, network=None, **options):
    network = kp.Windows([problem.domain.dim, len(problem.fields)]) if network is None else network
    return kp.solve(problem, network, kp.March(tolerance), verified=False, **options)


@pytest.mark.parametrize(
    "problem",
    [Travelling(), Warm(), String(), Damped(), Turning(), Third(), Struck(), Heated()],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("tolerance", [1e-5, 1e-9])
def test_errors_are_those_asked_for(problem, tolerance):
    solution = solved(problem, tolerance)
    assert solution.status == "converged"
    assert solution.errors.l2_relative < tolerance


def test_a_solution_that_is_zero():
    class Nothing(Warm):
        def conditions(self):
            ends = self.domain.boundary["x_min", "x_max"]
            return [kp.Initial(self.domain, 0.0), kp.Dirichlet(ends, 0.0)]

    solution = solved(Nothing(), 1e-6, errors=False)
    assert solution.status == "converged"
    assert solution(torch.tensor([[0.3, 0.4]], dtype=F)) == 0


class Squared(Warm):
    """The square of the temperature is given at one end."""

    def conditions(self):
        ends = self.domain.boundary
        return [
            kp.Initial(self.domain, self.exact),
            kp.Neumann(ends["x_min"], self.flux),
            kp.Constraint(ends["x_max"], lambda p, u: u.value**2 - self.exact(p) ** 2),
        ]


def test_conditions_that_are_not_linear():
    assert solved(Squared(), 1e-6).errors.l2_relative < 1e-6

    class Without(Squared):
        def exact(self, p):
            return 0 * p.x

    with pytest.raises(kp.InputError, match="does not depend on the solution"):
        solved(Without(), 1e-6)


@pytest.mark.parametrize("time", [0.0, 3.1])
def test_networks_of_single_precision(time):
    class Later(Warm):
        domain = kp.Box(x=(0, 1), t=(time, time + 1))

    network = kp.Windows([2, 1], dtype=torch.float32)
    solution = solved(Later(), 1e-5, network)
    assert solution.status == "converged" and solution.errors.l2_relative < 1e-5
    assert {t.dtype for t in network.state_dict().values() if t.is_floating_point()} == {
        torch.float32
    }


def test_errors_do_not_depend_on_units():
    class Other(Travelling):
        def residual(self, p, u):
            return 1e6 * super().residual(p, u)

    rows = [solved(p, 1e-6, errors=False).history.column("time") for p in (Travelling(), Other())]
    assert rows[0][1:].tolist() == pytest.approx(rows[1][1:].tolist(), rel=1e-6)


def test_intervals_are_fine_where_the_front_is():
    class Steep(Travelling):
        viscosity = 0.01

    solution = solved(Steep(), 1e-6, errors=False)
    (breaks,) = solution.network.breaks()
    widths, middle = breaks.diff(), (breaks[1:] + breaks[:-1]) / 2
    assert -0.1 < middle[widths.argmin()] < 0.3  # where the front has been
    assert widths.max() > 5 * widths.min()


def test_values_and_rates_go_over_from_window_to_window():
    solution = solved(String(), 1e-8, errors=False)
    network = solution.network
    assert network.count > 2
    for end in network.ends[1:-1].tolist():
        points = torch.tensor([[0.3, t] for t in (end / 2, math.nextafter(end / 2, 1))], dtype=F)
        u = solution.surrogate.jet(
            kp.Points(points, ("x", "t")), kp.jets.Channels(("x", "t"), True)
        )
        assert (u.value[0] - u.value[1]).abs() < 1e-11  # new intervals: 1e-3 of the tolerance
        assert (u.gradient[0, 1] - u.gradient[1, 1]).abs() < 1e-10


class Lorenz(kp.Problem):
    """Lorenz' equations up to t = 2."""

    domain = kp.Box(t=(0, 2))
    fields = ("x", "y", "z")

    def residual(self, p, x, y, z):
        a, b, c = x.value, y.value, z.value
        return (
            kp.partial(x, "t") - 10 * (b - a),
            kp.partial(y, "t") - (a * (28 - c) - b),
            kp.partial(z, "t") - (a * b - 8 / 3 * c),
        )

    def conditions(self):
        return [kp.Initial(self.domain, 1.0, field=name) for name in self.fields]


class Robertson(kp.Problem):
    """Robertson's reaction, which is stiff: its rates differ by nine orders of magnitude."""

    domain = kp.Box(t=(0, 1e6))
    fields = ("a", "b", "c")

    def residual(self, p, a, b, c):
        slow, fast, square = 0.04 * a.value, 1e4 * b.value * c.value, 3e7 * b.value**2
        return (
            kp.partial(a, "t") + slow - fast,
            kp.partial(b, "t") - slow + fast + square,
            kp.partial(c, "t") - square,
        )

    def conditions(self):
        start = zip(self.fields, (1.0, 0.0, 0.0), strict=True)
        return [kp.Initial(self.domain, value, field=name) for name, value in start]


@pytest.mark.parametrize(
    ("problem", "rates"),
    [
        (Lorenz(), lambda t, y: [
            10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2],
        ]),
        (Robertson(), lambda t, y: [
            -0.04 * y[0] + 1e4 * y[1] * y[2],
            0.04 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] ** 2,
            3e7 * y[1] ** 2,
        ]),
    ],
    ids=["lorenz", "robertson"],
)  # fmt: skip
def test_ordinary_differential_equations(problem, rates):
    from scipy.integrate import solve_ivp

    solution = solved(problem, 1e-9)
    end = float(problem.domain.bounds[1])
    found = solution(torch.tensor([[end]], dtype=F))[0].numpy()
    start = [1, 1, 1] if isinstance(problem, Lorenz) else [1, 0, 0]
    other = solve_ivp(rates, (0, end), start, method="Radau", rtol=1e-11, atol=1e-14)
    assert abs(found - other.y[:, -1]).max() < 1e-8 * abs(other.y[:, -1]).max()
    early = torch.tensor([[1e-9]], dtype=F)  # resolved in windows from 0 on
    slope = solution(early)[0, 0] - start[0]
    assert abs(float(slope) - rates(0, start)[0] * 1e-9) < 1e-12


def test_it_goes_on_bit_for_bit():
    states = []

    def keep(run: SolverState) -> None:
        states.append(copy.deepcopy(run.state_dict()))

    whole = solved(Travelling(), 1e-4, errors=False, observers=[keep])
    for state in (states[0], states[len(states) // 2]):
        again = solved(Travelling(), 1e-4, errors=False, checkpoint=state)
        one, other = (s.surrogate.network.state_dict() for s in (whole, again))
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_its_state_keeps_the_error_of_intervals_that_have_just_changed():
    states = []

    def keep(run: SolverState) -> None:
        states.append(run.state_dict()["stage"]["state"])

    fine = kp.Windows([2, 1], grid=60)  # far more intervals than are needed
    solved(Warm(), 1e-5, fine, errors=False, observers=[keep])
    moved = [one for one in states if one["errors"] is not None]
    assert moved and all(len(one["errors"]) == len(one["breaks"][0]) - 1 < 60 for one in moved)


def test_progress_is_told_by_the_time_reached(caplog):
    caplog.set_level("INFO")
    solved(Travelling(), 1e-4, errors=False, observers=[Progress(interval=0.0)])
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
    rows = solved(Travelling(), 1e-6).history.rows
    errors = [row["l2_relative"] for row in rows[1:] if "l2_relative" in row]
    assert len(errors) > 3 and max(errors) < 1e-5
    assert rows[0]["l2_relative"] > 0.1  # before the first step all of it counts


def test_windows_of_equal_length_on_the_intervals_of_the_network():
    march = kp.March(windows=5, stages=3)
    settings = {"verified": False, "errors": False}
    solution = kp.solve(Warm(), kp.Windows([2, 1], grid=12), march, **settings)
    assert solution.network.ends.diff().tolist() == pytest.approx([0.4] * 5)
    assert len(solution.network.breaks()[0]) == 13
    assert set(solution.history.column("stages")[1:].tolist()) == {3.0}


def test_a_solution_that_ceases_to_exist():
    class Burning(kp.Problem):
        """u' = u², u = 1 / (1 - t)."""

        domain = kp.Box(t=(0, 2))

        def residual(self, p, u):
            return kp.partial(u, "t") - u.value**2

        def conditions(self):
            return [kp.Initial(self.domain, 1.0)]

    solution = solved(Burning(), 1e-4)
    assert solution.status.startswith("failed: no window from t = 1")
    assert "may cease to exist there" in solution.status
    t = torch.tensor([[0.5], [0.9]], dtype=F)
    assert (solution(t) * (1 - t) - 1).abs().max() < 1e-4
    assert not solution.success


def test_initial_values_that_contradict_the_walls():
    """u = 1 at first, 0 at the walls: a march resolves the layers, in which u is an erf."""

    class Contrary(Warm):
        domain = kp.Box(x=(0, 1), t=(0, 0.1))

        def conditions(self):
            ends = self.domain.boundary["x_min", "x_max"]
            return [kp.Initial(self.domain, 1.0), kp.Dirichlet(ends, 0.0)]

        def exact(self, p):
            width = 2 * (0.1 * p.t).sqrt()  # the images beyond the walls are below 1e-15
            return torch.erf(p.x / width) + torch.erf((1 - p.x) / width) - 1

    with pytest.warns(UserWarning, match="disagree by 1 at .* a march takes short windows"):
        solution = solved(Contrary(), 1e-3, kp.Windows([2, 1], degree=5, grid=6))
    assert solution.status == "converged"
    assert solution.errors.l2_relative < 1e-4
    lengths = solution.network.ends.diff()
    assert lengths[0] < 1e-5 and lengths[-1] > 0.1
    x = torch.linspace(0, 1, 50, dtype=F)
    p = Points(torch.stack([x, torch.full_like(x, 0.1)], dim=1), ("x", "t"))
    assert (solution(p) - Contrary().exact(p)).abs().max() < 1e-3


def test_windows_of_which_too_many_are_left_end_a_march():
    class Burning(kp.Problem):
        """u' = u², u = 1 / (1 - t)."""

        domain = kp.Box(t=(0, 2))

        def residual(self, p, u):
            return kp.partial(u, "t") - u.value**2

        def conditions(self):
            return [kp.Initial(self.domain, 1.0)]

    march = kp.March(1e-6, stages=3, steps=500)
    solution = kp.solve(Burning(), kp.Windows([1, 1]), march, verified=False, errors=False)
    assert solution.status.startswith("failed: near t = 0.99")
    assert "windows have a length of" in solution.status
    assert "may cease to exist there, or have jumps" in solution.status
    assert "are left" in solution.status and "what comes before is kept" in solution.status


def test_windows_left():
    halving = [0.5 - 0.5**k for k in range(1, 62)]  # they end at 1/2 however many there are
    assert windows_left(halving, 100) == pytest.approx(2**11, rel=1e-3)
    assert windows_left(halving[:30], 100) is None  # too few to tell
    growing = [1e-20 * 1.3**k for k in range(61)]
    assert windows_left(growing, 1000) is None
    equal = [1e-4 * k for k in range(61)]
    assert windows_left(equal, 1000) is None
    assert windows_left(equal, 100) == pytest.approx(9940)


@pytest.mark.parametrize("boundary", ["hard", 1, "penalty"])
def test_another_imposition_is_refused(boundary):
    with pytest.raises(kp.InputError, match="boundary must be"):
        solved(Travelling(), 1e-4, boundary=boundary)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"interior": 0.5}, "the weight of interior"),
        ({"boundary": 10}, "the weight of boundary"),
        ({"balance": "ntk"}, "balance"),
        ({"balance": "sizes"}, "balance"),
    ],
)
def test_weights_that_a_march_does_not_use_are_refused(settings, named):
    with pytest.raises(kp.InputError, match=f"{named} must be left out, got .* satisfies both"):
        solved(Travelling(), 1e-4, loss=kp.Loss(**settings))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (kp.KAN([2, 4, 1], degree=4), "march is for networks in time windows"),
        (kp.Windows([2, 2]), "must end with 1 outputs"),
    ],
)
def test_other_networks_are_refused(network, message):
    with pytest.raises(kp.InputError, match=message):
        solved(Travelling(), 1e-4, network)


@pytest.mark.parametrize(
    ("order", "message"), [(2, "march needs initial rates"), (3, "of order 1 or 2")]
)
def test_equations_of_higher_order_than_their_data_are_refused(order, message):
    class Higher(kp.Problem):
        domain = kp.Box(t=(0, 1))
        needs_conditions = False

        def residual(self, p, u):
            return kp.partial(u, *["t"] * order) + u.value

        def conditions(self):
            return [kp.Initial(self.domain, 1.0, None if order == 2 else 0.0)]

    with pytest.raises(kp.InputError, match=message):
        solved(Higher(), 1e-4)


def test_conditions_that_do_not_hold_at_all_times_are_refused():
    class Seen(Travelling):
        def conditions(self):
            seen = kp.Observed(self.domain, [[0.0, 0.1], [0.0, 0.2]], [1.0, 1.0])
            return [*super().conditions(), seen]

    with pytest.raises(kp.InputError, match="cannot be solved in windows of time"):
        solved(Seen(), 1e-4)

    class AtFirst(Travelling):
        def conditions(self):
            ends = kp.Box(x=(-1, 0), t=(0, 0.15)).boundary["x_max"]
            held = kp.Constraint(ends, lambda p, u: u.value - self.exact(p))
            return [*super().conditions(), held]

    with pytest.raises(kp.InputError, match="does not hold at all times"):
        solved(AtFirst(), 1e-4)


def test_tolerances_below_rounding_are_refused():
    with pytest.raises(kp.InputError, match="at least 1e-14"):
        kp.March(1e-16)


class Plane(kp.Problem):
    """u_t = Δu in a square; u = exp(-2π²t) sin πx sin πy."""

    domain = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.1))

    def residual(self, p, u):
        return kp.partial(u, "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y")

    def conditions(self):
        walls = self.domain.boundary["x_min", "x_max", "y_min", "y_max"]
        return [kp.Initial(self.domain, self.exact), kp.Dirichlet(walls, 0.0)]

    def exact(self, p):
        decay = torch.exp(-2 * math.pi**2 * p.t)
        return decay * torch.sin(math.pi * p.x) * torch.sin(math.pi * p.y)


def test_random_functions_of_two_coordinates():
    network = kp.Windows([3, 16, 1], degree=[7, 5], grid=[2, 3])
    solution = solved(Plane(), 1e-5, network)
    assert solution.status == "converged" and solution.errors.l2_relative < 1e-4


def test_periodic_inputs_of_two_coordinates():
    class Around(Plane):
        domain = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.02))

        def conditions(self):
            walls = self.domain.boundary["y_min", "y_max"]
            start, wall = kp.Initial(self.domain, self.exact), kp.Dirichlet(walls, 0.0)
            return [start, wall, kp.Periodic(self.domain, "x")]

        def exact(self, p):
            decay = torch.exp(-5 * math.pi**2 * p.t)
            return decay * torch.sin(2 * math.pi * p.x) * torch.sin(math.pi * p.y)

    solution = solved(Around(), 1e-3, kp.Windows([4, 32, 1], degree=[7, 5], grid=[2, 3]))
    assert solution.status == "converged" and solution.errors.l2_relative < 5e-3


def test_inputs_and_known_functions_of_a_problem_are_refused():
    class Mapped(Warm):
        def inputs(self):
            return lambda p: torch.cat([p.x**3, p.t], dim=1)

    class Enriched(Warm):
        def enrichment(self):
            return [lambda p: (p.x - 0.5).abs()]

    for problem in (Mapped(), Enriched()):
        with pytest.raises(kp.InputError, match="which a network in time windows cannot use"):
            solved(problem, 1e-4)


def test_few_intervals_are_made_more():
    solution = solved(String(), 1e-6, kp.Windows([2, 1], degree=3, grid=1))
    assert solution.status == "converged" and solution.errors.l2_relative < 1e-5


def test_splines_around_a_circle_need_some_intervals():
    with pytest.raises(kp.InputError, match="grid must be at least 10 for periodic splines"):
        solved(Turning(), 1e-4, kp.Windows([2, 2], degree=9, grid=5))
    breaks = torch.linspace(-1, 1, 21, dtype=F)
    assert len(graded_breaks(breaks, torch.full((20,), 1e-30, dtype=F), 9, 1e-4, 100, 10)) == 11


@pytest.mark.parametrize("width", [[2, 1], [2, 4, 1]])
def test_functions_that_do_not_resolve_the_solution(width):
    march = kp.March(1e-4, regrade=False)
    network = kp.Windows(width, degree=5, grid=4)
    solution = kp.solve(Heated(), network, march, verified=False)
    assert solution.status == "converged"

    class Fine(Heated):
        def conditions(self):
            return [kp.Initial(self.domain, lambda p: torch.sin(40 * p.x))]

    solution = kp.solve(Fine(), network, march, verified=False, errors=False)
    assert "in space do not resolve the solution" in solution.status


class Dish(kp.Problem):
    """u_t = Δu + f in a disk with a given flux through its rim."""

    domain = kp.Disk((0, 0), 1.0).over(t=(0, 1))

    def residual(self, p, u):
        diffusion = kp.partial(u, "x", "x") + kp.partial(u, "y", "y")
        return kp.partial(u, "t") - diffusion - self.exact(p) / 4

    def conditions(self):
        rim = self.domain.boundary["circle"]
        return [kp.Initial(self.domain, self.exact), kp.Neumann(rim, self.flux)]

    def exact(self, p):
        return torch.exp(-p.t) * torch.cos(p.x + p.y / 2)

    def flux(self, p):
        slope = -torch.exp(-p.t) * torch.sin(p.x + p.y / 2)
        return slope * (p.normals[:, :1] + p.normals[:, 1:2] / 2)


@pytest.mark.parametrize("units", [6, 9])
def test_fluxes_on_a_disk_and_the_error_in_space(units):
    """The inner functions are affine, so that these are polynomials of a total degree."""
    degree = [1, units - 1]
    network = kp.Windows([3, units, 1], degree=degree, grid=[1, 1])
    solution = kp.solve(Dish(), network, kp.March(1e-8), verified=False, errors=False)
    estimated = solution.history.rows[-1]["estimated_error"]
    assert 0.1 < error_of(solution) / estimated < 10
    assert ("do not resolve" in solution.status) == (units == 6)


def test_too_few_places_at_walls_are_refused():
    points = kp.Collocation(400, 16, "gauss")
    network = kp.Windows([3, 9, 1], degree=[1, 8], grid=[1, 1])
    with pytest.raises(kp.InputError, match="needs more than 4 places at walls"):
        kp.solve(Dish(), network, kp.March(1e-4), points=points)


def test_graded_intervals_have_equal_errors():
    """For errors w⁴ |x|² on intervals of width w the new ones are narrow far from zero."""
    breaks = torch.linspace(-1, 1, 201, dtype=F)
    middle, widths = (breaks[1:] + breaks[:-1]) / 2, breaks.diff()
    new = graded_breaks(breaks, 1e4 * widths**4 * (0.1 + middle**2), 3, 1e-4, 1000)
    middle, widths = (new[1:] + new[:-1]) / 2, new.diff()
    errors = 1e4 * widths**4 * (0.1 + middle**2)
    assert (widths > 0).all() and new[0] == -1 and new[-1] == 1
    assert errors.max() < 3 * errors.min() and 0.2e-4 < errors.mean() < 2e-4


def test_a_finer_march_than_the_finest_has_the_same_tolerance():
    assert kp.March(1e-13).finer().tolerance == 1e-14 == kp.March(1e-14).finer().tolerance


def test_windows_of_equal_length_that_resolve_little_tell_their_error():
    march = kp.March(windows=2, stages=1)
    solution = kp.solve(Travelling(), kp.Windows([2, 1]), march, errors=False, verified=False)
    windows, estimated = (solution.history.column(c)[-1] for c in ("window", "estimated_error"))
    words = f"converged: the errors of {windows:.0f} windows add up to {estimated:.1e}"
    assert solution.status == words and error_of(solution) < 3 * estimated < 1


def test_the_last_words_of_a_march_tell_how_much_its_windows_have_lost():
    words = MarchWords.between("t", 1e-3, 0.0, 1.0)
    assert words.converged(2, 2e-3) == "converged"
    assert words.converged(2, 0.5) == "converged: the errors of 2 windows add up to 5.0e-01"
    assert words.converged(2, 1.5).startswith("stopped: the windows' errors are 1.5e+00")
    assert words.converged(2, 1.5).endswith("nothing is resolved")
