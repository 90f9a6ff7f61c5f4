"""Marches with cells in space: errors beside their estimates, moving cells, resuming, refusals."""

import math
from dataclasses import dataclass

import pytest
import torch
from cases import Manufactured, Stated, formulas
from scipy.special import jn_zeros

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.pde.conditions import OnBoundary
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.tree import Tree
from kanpinn.tasks import cell_march
from kanpinn.tasks.cell_march import leaves_of_boxes, on_parts, with_boxes
from kanpinn.tasks.window import solve_window

F = torch.float64
ROD = kp.Box(x=(0, 1), t=(0, 1))
d = kp.partial


def walls_of(domain):
    """The boundary in space, at all times."""
    names = [piece.name for piece in domain.boundary.pieces]
    return domain.boundary[tuple(name for name in names if name not in ("initial", "final"))]


# on a disk with a hole; the solution is a sum of two products
HEAT = kp.Heat(
    (kp.Disk((0, 0), 1.0) - kp.Disk((0.3, 0.2), 0.25, name="hole")).over(t=(0, 0.1)),
    exact="sin(4 * t) * sin(3 * x + y) + exp(-2 * t) * cos(x) * cos(y)",
)


class Notch(kp.Problem):
    """u_t = Δu + f on the L-shape, with a singular solution (1 + sin t) r^(2/3) sin(2 φ / 3)."""

    domain = kp.LShape().over(t=(0, 1))

    def residual(self, p, u):
        source = torch.cos(p.t) * self.singular(p)
        return d(u, "t") - d(u, "x", "x") - d(u, "y", "y") - source

    def conditions(self):
        walls = kp.Dirichlet(walls_of(self.domain), self.exact)
        return [kp.Initial(self.domain, self.exact), walls]

    def singular(self, p):
        turn = 0.2  # the discontinuity of the angle lies outside
        angle = torch.remainder(torch.atan2(p.y, p.x) - math.pi / 2 + turn, 2 * math.pi) - turn
        return (p.x**2 + p.y**2) ** (1 / 3) * torch.sin(2 * angle / 3)

    def exact(self, p):
        return (1 + torch.sin(p.t)) * self.singular(p)


def wave():
    """u_t + u u_x = ν u_xx + f, periodic, with u = 1 + sin π(x - t) / 2; and w = u²."""

    def residual(p, u, w):
        phase = math.pi * (p.x - p.t)
        slope, bend = math.pi / 2 * torch.cos(phase), -(math.pi**2) / 2 * torch.sin(phase)
        source = -slope + (1 + torch.sin(phase) / 2) * slope - 0.05 * bend
        flow = d(u, "t") + u.value * d(u, "x") - 0.05 * d(u, "x", "x")
        return flow - source, w.value - u.value**2

    ring = kp.Box(x=(-1, 1), t=(0, 1))
    start = kp.Initial(ring, "1 + sin(pi * x) / 2", field="u")
    u = "(1 + sin(pi * (x - t)) / 2)"
    exact = formulas([u, f"{u}**2"])
    return Stated(ring, residual, [start, kp.Periodic(ring, "x")], fields=("u", "w"), exact=exact)


def solved(problem, network, tolerance, **settings):
    """The solution."""
    march = kp.March(tolerance=tolerance)
    return kp.solve(problem, network, march, errors=False, verified=False, **settings)


def error_of(solution):
    """The relative errors of all fields, and the estimated one."""
    p = sample(solution.problem.domain, 2000, "sobol")
    wanted = solution.problem.exact(p)
    errors = (solution(p.coords) - wanted).norm(dim=0) / wanted.norm(dim=0)
    return errors, solution.history.rows[-1]["estimated_error"]


@pytest.mark.parametrize(("problem", "tolerance", "degree"), [(HEAT, 1e-4, 5), (Notch(), 1e-2, 4)])
def test_errors_are_those_that_are_estimated(problem, tolerance, degree):
    solution = solved(problem, kp.CellWindows([3, 1], degree, 1), tolerance)
    (error,), estimated = error_of(solution)
    assert solution.status == "converged"
    assert error < tolerance
    assert estimated / 3 < error < 3 * estimated


def test_nonlinear_system_with_an_algebraic_field_and_a_period():
    network = kp.CellWindows([2, 2], degree=10, cells=4)
    solution = solved(wave(), network, 1e-7)
    errors, estimated = error_of(solution)
    assert solution.status == "converged"
    assert errors.max() < 1e-7
    assert errors.max() < 3 * estimated
    ends = torch.tensor([[-1.0, 0.3], [1.0, 0.3]], dtype=F)
    first, last = solution(ends)
    assert torch.allclose(first, last, atol=1e-7, rtol=0)


class Swirl(kp.Problem):
    """Decaying Taylor-Green vortices around a hole, a solution of the Navier-Stokes equations."""

    domain = (kp.Box(x=(0, 1), y=(0, 1)) - kp.Disk((0.4, 0.5), 0.2, name="hole")).over(t=(0, 0.2))
    fields, error_fields, free_constant = ("u", "v", "q"), ("u", "v"), ("q",)
    viscosity = 0.01

    def residual(self, p, u, v, q):
        def carried(w):
            advection = u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")
            diffusion = kp.partial(w, "x", "x") + kp.partial(w, "y", "y")
            return kp.partial(w, "t") + advection - self.viscosity * diffusion

        divergence = kp.partial(u, "x") + kp.partial(v, "y")
        return carried(u) + kp.partial(q, "x"), carried(v) + kp.partial(q, "y"), divergence

    def conditions(self):
        walls = walls_of(self.domain)
        parts = {name: lambda p, i=i: self.exact(p)[:, [i]] for i, name in enumerate("uv")}
        first = [kp.Initial(self.domain, parts[name], field=name) for name in "uv"]
        return first + [kp.Dirichlet(walls, parts[name], field=name) for name in "uv"]

    def exact(self, p):
        x, y = math.pi * p.x, math.pi * p.y
        decay = torch.exp(-2 * math.pi**2 * self.viscosity * p.t)
        u, v = torch.cos(x) * torch.sin(y) * decay, -torch.sin(x) * torch.cos(y) * decay
        return torch.cat([u, v, -(decay**2) / 4 * (torch.cos(2 * x) + torch.cos(2 * y))], dim=1)


def test_flow_with_a_pressure_that_is_free_up_to_a_constant():
    solution = solved(Swirl(), kp.CellWindows([3, 3], degree=5, cells=1), 1e-2)
    errors, estimated = error_of(solution)
    assert solution.status == "converged"
    assert errors[:2].max() < 1e-2
    assert errors[:2].max() < 3 * estimated
    p = sample(Swirl.domain.space, 200, "sobol")
    p = Points(
        torch.cat([p.coords, torch.full((len(p), 1), 0.15, dtype=F)], dim=1), ("x", "y", "t")
    )
    change = (solution(p.coords) - Swirl().exact(p))[:, 2]
    assert change.std() < 1e-2


def advected(p, u):
    return d(u, "t") + d(u, "x") - 1e-3 * d(u, "x", "x")


def bump(end):
    """u_t + u_x = u_xx / 1000 + f with a narrow bump, which moves by sixteen widths in a unit."""
    return Manufactured(kp.Box(x=(0, 1), t=(0, end)), advected, "exp(-1000 * (x - 0.2 - t / 2)**2)")


def test_cells_follow_a_bump():
    network = kp.CellWindows([2, 1], degree=8, cells=2)
    solution = solved(bump(0.4), network, 1e-3)
    assert solution.status == "converged"
    assert error_of(solution)[0].max() < 1e-3
    early, late = (one.layer.tree for one in (network.members[0], network.members[-1]))
    first = torch.tensor([[-0.6]], dtype=F)  # where the bump begins, x = 0.2
    widths = [float(tree.widths[tree.locate(first, torch.tensor([0]))]) for tree in (early, late)]
    assert widths[1] >= 4 * widths[0]  # cells behind the bump have become larger again
    assert len(late) <= 1.5 * len(early)


# a narrow peak becomes wide
SPREADING = Manufactured(
    kp.Box(x=(0, 1), t=(0, 0.02)),
    lambda p, u: d(u, "t") - d(u, "x", "x"),
    "exp(-2000 * (x - 0.4)**2 / (1 + 8000 * t)) / (1 + 8000 * t)**0.5",
    source=False,
)


def test_cells_become_larger_where_a_solution_becomes_smooth():
    network = kp.CellWindows([2, 1], degree=6, cells=4)
    solution = solved(SPREADING, network, 1e-3)
    counts = [len(one.layer.tree) for one in network.members]
    assert solution.status == "converged"
    assert error_of(solution)[0].max() < 5e-4
    assert counts[-1] < 0.7 * max(counts)


# a periodic wave that moves and decays slowly
TRANSPORT = Manufactured(
    kp.Box(x=(0, 1), t=(0, 0.4)),
    lambda p, u: d(u, "t") + 5 * d(u, "x") - 0.01 * d(u, "x", "x"),
    "exp(-0.04 * pi**2 * t) * sin(2 * pi * (x - 5 * t))",
    periodic=("x",),
    source=False,
)


def test_windows_that_are_short_beside_the_cells_are_stable():
    march = kp.March(windows=40, stages=3)
    network = kp.CellWindows([2, 1], degree=5, cells=4)
    solution = kp.solve(TRANSPORT, network, march, errors=False, verified=False)
    assert error_of(solution)[0] < 2e-4


@pytest.mark.parametrize(("tolerance", "resolved"), [(5e-4, True), (1e-4, False)])
def test_cells_that_stay_are_judged_by_the_errors_that_are_left_of_all_windows(tolerance, resolved):
    march, network = kp.March(tolerance, regrade=False), kp.CellWindows([2, 1], 4, cells=4)
    solution = kp.solve(TRANSPORT, network, march, errors=False, verified=False)
    (error,), estimated = error_of(solution)
    added = sum(row.get("space_error", 0.0) for row in solution.history.rows)
    assert added > 2 * tolerance  # the equation damps them
    assert (solution.status == "converged") == (error < tolerance) == resolved
    assert estimated / 3 < error < 3 * estimated


def test_a_linearisation_is_for_windows_of_one_length_and_dropped_before_it_fails(monkeypatch):
    tried = []

    def solve(equations, *rest):
        done = solve_window(equations, *rest)
        tried.append((equations.cells, equations.length, done[0].converged))
        return done

    monkeypatch.setattr(cell_march, "solve_window", solve)
    march = kp.March(1e-3, stages=3, regrade=False)
    kp.solve(wave(), kp.CellWindows([2, 2], 4, 4), march, errors=False, verified=False)
    lengths = {}
    for cells, length, converged in tried:
        assert converged
        assert lengths.setdefault(id(cells), length) == length
    assert 1 < len(lengths) < len(tried)


def pulse():
    """u_t = u_xx / 10 - k(t) u, where k is large for a moment only."""

    def exact(p):
        passed = 10 * torch.special.ndtr((p.t - 0.6) / 0.02)
        return torch.exp(-0.1 * math.pi**2 * p.t - passed) * torch.sin(math.pi * p.x)

    def residual(p, u):
        k = torch.exp(-(((p.t - 0.6) / 0.02) ** 2) / 2) / (0.02 * math.sqrt(2 * math.pi))
        return d(u, "t") - 0.1 * d(u, "x", "x") + 10 * k * u.value

    ends = kp.Dirichlet(ROD.boundary["x_min", "x_max"])
    return Stated(ROD, residual, [kp.Initial(ROD, "sin(pi * x)"), ends], exact=exact)


def dispersed():
    """u_t - u_xxt / 10 = u_xx, and the values of u are given on the whole boundary."""
    exact = formulas(f"exp(-{math.pi**2 / (1 + math.pi**2 / 10)} * t) * sin(pi * x)")
    given = [kp.Initial(ROD, exact), kp.Dirichlet(ROD.boundary, exact)]
    residual = lambda p, u: d(u, "t") - d(u, "x", "x", "t") / 10 - d(u, "x", "x")  # noqa: E731
    return Stated(ROD, residual, given, exact=exact)


@pytest.mark.parametrize(
    ("problem", "degree", "tolerance"),
    [(pulse(), 7, 1e-3), (dispersed(), 6, 1e-4)],
    ids=["a pulse in a coefficient", "a mixed derivative, and a condition on the whole boundary"],
)
def test_errors_are_within_the_tolerance(problem, degree, tolerance):
    solution = solved(problem, kp.CellWindows([2, 1], degree=degree, cells=2), tolerance)
    assert solution.status == "converged"
    assert error_of(solution)[0] < tolerance


def test_a_march_ends_where_cells_would_be_too_many():
    march = kp.March(tolerance=1e-5, cells=6)
    solution = kp.solve(bump(1), kp.CellWindows([2, 1], degree=4, cells=4), march, errors=False)
    assert solution.status.startswith("failed: from t = 0 on the solution is not resolved")
    assert "would be more than cells = 6" in solution.status


def stated(residual=advected, weight=1.0, **more):
    """A march from zero with a residual, and a weight of the condition at the ends."""
    ends = kp.Dirichlet(ROD.boundary["x_min", "x_max"], 0.0, weight=weight)
    return Stated(ROD, residual, [kp.Initial(ROD, "sin(pi * x)"), ends], **more)


@pytest.mark.parametrize(
    ("problem", "march", "said"),
    [
        (stated(lambda p, u: d(u, "t") + d(u, "x", "x")), {}, "ill-posed forward in t"),
        (stated(weight=2.0), {}, "weight of conditions.* must be left out"),
        (
            stated(lambda p, u, a: d(u, "t") - a * d(u, "x", "x"), unknowns={"a": kp.Unknown(1.0)}),
            {},
            "without unknowns",
        ),
        (stated(), {"scheme": "gauss"}, "odd number of stages"),
        (stated(), {"stages": 4}, "odd number of stages"),
    ],
)
def test_refusals(problem, march, said):
    with pytest.raises(kp.InputError, match=said):
        kp.solve(problem, kp.CellWindows([2, 1]), kp.March(**march))


@pytest.mark.parametrize(
    ("width", "said"), [([1, 1], "at least 2 inputs"), ([3, 4, 1], "no hidden layers")]
)
def test_widths_that_cells_in_space_cannot_have_are_refused(width, said):
    with pytest.raises(kp.InputError, match=said):
        kp.CellWindows(width)


# --- Marches with cells in space of equations of second order in time


def solved_with_errors(problem, network, tolerance):
    """The solution, its relative error in each field, and the estimated one."""
    march = kp.March(tolerance=tolerance)
    solution = kp.solve(problem, network, march, errors=False, verified=False)
    p = sample(problem.domain, 2000, "sobol")
    wanted = problem.exact(p)
    errors = (solution(p.coords) - wanted).norm(dim=0) / wanted.norm(dim=0)
    return solution, errors, solution.history.rows[-1]["estimated_error"]


HOLE = (kp.Disk((0, 0), 1.0) - kp.Disk((0.3, 0.2), 0.25)).over(t=(0, 0.2))
MOVING = "sin(3*x + y + 4*t) + cos(2*y - 3*t) * exp(x / 2)"


def test_waves_around_a_hole_have_the_errors_that_are_estimated():
    problem = kp.Wave(HOLE, exact=MOVING)
    solution, (error,), estimated = solved_with_errors(problem, kp.CellWindows([3, 1], 5, 1), 1e-3)
    assert solution.status == "converged"
    assert error < 1e-3
    assert estimated / 10 < error < 3 * estimated


class Drum(kp.Problem):
    """u_tt = Δu in a disk: the lowest mode J₀(k r) cos(k t), over one period."""

    number = float(jn_zeros(0, 1)[0])
    domain = kp.Disk((0, 0), 1.0).over(t=(0, 2 * math.pi / number))

    def residual(self, p, u):
        return kp.partial(u, "t", "t") - kp.partial(u, "x", "x") - kp.partial(u, "y", "y")

    def conditions(self):
        start = kp.Initial(self.domain, self.exact, rate=0.0)
        return [start, kp.Dirichlet(self.domain.boundary["circle"])]

    def exact(self, p):
        shape = torch.special.bessel_j0(self.number * (p.x**2 + p.y**2).sqrt())
        return shape * torch.cos(self.number * p.t)


def test_a_mode_of_a_drum_comes_back_after_a_period():
    solution, (error,), _ = solved_with_errors(Drum(), kp.CellWindows([3, 1], 7, 1), 1e-3)
    assert solution.status == "converged"
    assert error < 1e-3
    ends = torch.tensor([[0.3, 0.4, 0.0], [0.3, 0.4, float(Drum.domain.bounds[1][-1])]]).double()
    first, last = solution(ends)
    assert last == pytest.approx(float(first), abs=1e-3)


class Coupled(kp.Problem):
    """Two damped fields that act on each other; waves leave through the end at x = 1."""

    domain = kp.Box(x=(0, 1), t=(0, 1))
    fields = ("u", "v")

    def residual(self, p, u, v):
        mixed = 0.1 * kp.partial(u, "x", "t")
        first = kp.partial(u, "t", "t") + kp.partial(u, "t") - kp.partial(u, "x", "x") + mixed
        second = kp.partial(v, "t", "t") - kp.partial(v, "x", "x") - u.value
        return first + u.value * v.value - self.first(p), second - self.second(p)

    def exact(self, p):
        return torch.cat([torch.sin(2 * p.x - p.t), torch.cos(p.x + 2 * p.t)], dim=1)

    def first(self, p):
        u, v = self.exact(p).split(1, dim=1)
        return 3.2 * u - torch.cos(2 * p.x - p.t) + u * v

    def second(self, p):
        u, v = self.exact(p).split(1, dim=1)
        return -3 * v - u

    def rates(self, p):
        return torch.cat([-torch.cos(2 * p.x - p.t), -2 * torch.sin(p.x + 2 * p.t)], dim=1)

    def conditions(self):
        x_min, x_max = (self.domain.boundary[name] for name in ("x_min", "x_max"))
        return [
            kp.Initial(self.domain, self.exact, self.rates),
            kp.Dirichlet(x_min, self.exact),
            Leaving(x_max),
        ]


@dataclass(frozen=True)
class Leaving(OnBoundary):
    """∂/∂t + ∂/∂x of both fields have the values of the solution of `Coupled`."""

    def residual(self, p, u, v):
        first = kp.partial(u, "t") + kp.partial(u, "x") - torch.cos(2 * p.x - p.t)
        return first, kp.partial(v, "t") + kp.partial(v, "x") + 3 * torch.sin(p.x + 2 * p.t)


def test_nonlinear_system_with_damping_and_a_condition_on_the_rate():
    solution, errors, estimated = solved_with_errors(Coupled(), kp.CellWindows([2, 2], 8, 2), 1e-6)
    assert solution.status == "converged"
    assert errors.max() < min(1e-6, 10 * estimated)


# --- Families of cells that give way to larger ones: which they are, and the functions in these


def test_the_parts_of_a_polynomial_give_it_back():
    polynomials = LocalPolynomials(4, 3)
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(polynomials.size, 2, generator=generator, dtype=torch.float64)
    parts = on_parts(polynomials)
    each = parts @ whole
    assert torch.allclose(each.square().sum(dim=(0, 1)), 8 * whole.square().sum(dim=0))
    assert torch.allclose(torch.einsum("plk,plm->km", parts, each) / 8, whole)


def test_a_halved_box_comes_back_unless_a_part_is_missing_or_halved():
    tree = Tree.uniform([2, 1])
    halved, _ = tree.split(tree.everywhere(torch.tensor([True, True])))
    smaller, _ = halved.split(halved.everywhere(torch.arange(8) == 5))
    whole = torch.ones(len(smaller), dtype=torch.bool)
    found = leaves_of_boxes(smaller, whole)
    assert len(found) == 2  # that of the other root, and the smallest leaves
    larger, kept = with_boxes(smaller, found)
    assert len(larger) == 5 and len(kept) == len(smaller) - 8
    again, _ = larger.split(larger.everywhere(torch.arange(5) >= 3))
    ordered = [sorted(map(tuple, one.boxes.flatten(1).tolist())) for one in (again, smaller)]
    assert ordered[0] == ordered[1]
    whole[found[0, 0]] = False
    assert len(leaves_of_boxes(smaller, whole)) == 1
