"""Marches with cells in space: errors beside their estimates, moving cells, resuming, refusals."""

import functools
import math
from dataclasses import dataclass

import pytest
import torch
from cases import Manufactured, Stated, formulas

import kanpinn as kp
from kanpinn.geometry.sampling import sample
from kanpinn.pde.conditions import OnBoundary
from kanpinn.tasks import cell_march
from kanpinn.tasks.window import solve_window

F = torch.float64
ROD = kp.Box(x=(0, 1), t=(0, 1))
d = kp.partial


HOLED = kp.Disk((0, 0), 1.0) - kp.Disk((0.3, 0.2), 0.25, name="hole")
BENT, SQUARE = kp.LShape(), kp.Box(x=(0, 1), y=(0, 1))
NOTCH = kp.Corner(BENT, (0, 0), 1)


def parts(u):
    return d(u, "x", "x") + d(u, "y", "y")


def flow(p, u, v, q):
    """The Navier-Stokes equations with the viscosity 0.01."""

    def moved(w):
        return d(w, "t") + u.value * d(w, "x") + v.value * d(w, "y") - 0.01 * parts(w)

    return moved(u) + d(q, "x"), moved(v) + d(q, "y"), d(u, "x") + d(v, "y")


DECAY = "exp(-0.02 * pi**2 * t)"
VORTICES = Manufactured(  # Taylor and Green's; the pressure is free up to a constant
    SQUARE.over(t=(0, 0.05)),
    flow,
    (
        f"cos(pi * x) * sin(pi * y) * {DECAY}",
        f"-sin(pi * x) * cos(pi * y) * {DECAY}",
        f"-(cos(2 * pi * x) + cos(2 * pi * y)) / 4 * {DECAY}**2",
    ),
    source=False,
    given=("u", "v"),
    fields=("u", "v", "q"),
    error_fields=("u", "v"),
    free_constant=("q",),
)
WAVE = "(1 + sin(pi * (x - t)) / 2)"
ALGEBRAIC = Manufactured(  # Burgers' equation around a circle, and the square of its solution
    kp.Box(x=(-1, 1), t=(0, 1)),
    lambda p, u, w: (
        d(u, "t") + u.value * d(u, "x") - 0.05 * d(u, "x", "x"),
        w.value - u.value**2,
    ),
    (WAVE, f"{WAVE}**2"),
    given=("u",),
    periodic=("x",),
    fields=("u", "w"),
)
# u_t - u_xxt / 10 = u_xx, and the values of u are given on the whole boundary
MIXED = formulas(f"exp(-{math.pi**2 / (1 + math.pi**2 / 10)} * t) * sin(pi * x)")
DISPERSED = Stated(
    ROD,
    lambda p, u: d(u, "t") - d(u, "x", "x", "t") / 10 - d(u, "x", "x"),
    [kp.Initial(ROD, MIXED), kp.Dirichlet(ROD.boundary, MIXED)],
    exact=MIXED,
)


@dataclass(frozen=True)
class Leaving(OnBoundary):
    """∂/∂t + ∂/∂x of both fields have the values of the solution of `COUPLED`."""

    def residual(self, p, u, v):
        first = d(u, "t") + d(u, "x") - torch.cos(2 * p.x - p.t)
        return first, d(v, "t") + d(v, "x") + 3 * torch.sin(p.x + 2 * p.t)


COUPLED = Manufactured(  # two damped fields; waves leave through the end at x = 1
    ROD,
    lambda p, u, v: (
        d(u, "t", "t") + d(u, "t") - d(u, "x", "x") + 0.1 * d(u, "x", "t") + u.value * v.value,
        d(v, "t", "t") - d(v, "x", "x") - u.value,
    ),
    ("sin(2 * x - t)", "cos(x + 2 * t)"),
    {"x_max": "none"},
    rate=True,
    also=[Leaving(ROD.boundary["x_max"])],
    fields=("u", "v"),
)
# A problem, with degree, cells, tolerance, the factor between error and estimate, and the number of
# windows where their lengths are not chosen.
MARCHES = {
    "a domain with a hole": (
        kp.Heat(
            HOLED.over(t=(0, 0.005)),
            exact="sin(4 * t) * sin(3 * x + y) + exp(-2 * t) * cos(x) * cos(y)",
        ),
        *(3, 1, 1e-2, 10, 2),
    ),
    "a corner": (
        Manufactured(
            BENT.over(t=(0, 0.005)),
            lambda p, u: d(u, "t") - parts(u),
            lambda p: (1 + torch.sin(p.t)) * NOTCH(kp.Points(p.coords[:, :2], ("x", "y"))),
        ),
        *(3, 1, 2e-2, 3, 2),
    ),
    "a free pressure": (VORTICES, 5, 1, 3e-2, 10, 2),
    "an algebraic field": (ALGEBRAIC, 6, 4, 1e-4, 10),
    "a mixed derivative": (DISPERSED, 6, 2, 1e-4, None),
    "waves": (
        kp.Wave(SQUARE.over(t=(0, 0.1)), exact="sin(3*x + y + 4*t) + cos(2*y - 3*t) * exp(x / 2)"),
        *(4, 1, 1e-2, 10),
    ),
    "damping, and a condition on the rate": (COUPLED, 6, 2, 1e-4, 10),
}


def solved(problem, degree, grid, tolerance=1e-3, **march):
    network = kp.CellWindows([problem.domain.dim, len(problem.fields)], degree, grid)
    method = kp.March(tolerance, **march)
    return kp.solve(problem, network, method, errors=False, verified=False)


def error_of(solution):
    """The largest relative error of a field, and the estimated one."""
    problem, p = solution.problem, sample(solution.problem.domain, 2000, "sobol")
    columns = [problem.fields.index(name) for name in problem.error_fields or problem.fields]
    known = problem.exact(p)[:, columns]
    errors = (solution(p.coords)[:, columns] - known).norm(dim=0) / known.norm(dim=0)
    return float(errors.max()), solution.history.rows[-1]["estimated_error"]


@functools.cache
def marched(name):
    problem, degree, cells, tolerance, _, *windows = MARCHES[name]
    return solved(problem, degree, cells, tolerance, windows=next(iter(windows), None))


@pytest.mark.parametrize("name", MARCHES)
def test_errors_are_those_that_are_estimated(name):
    solution, (tolerance, factor) = marched(name), MARCHES[name][3:5]
    error, estimated = error_of(solution)
    assert solution.status == "converged" and error < tolerance
    if factor:
        assert estimated / 10 < error < factor * estimated


def test_a_pressure_is_found_up_to_a_constant():
    solution, p = marched("a free pressure"), sample(VORTICES.domain.space, 200, "sobol")
    at = torch.cat([p.coords, torch.full((len(p), 1), 0.04, dtype=F)], dim=1)
    change = (solution(at) - VORTICES.exact(kp.Points(at, ("x", "y", "t"))))[:, 2]
    assert change.std() < 3e-2


def test_both_ends_of_a_circle_have_one_value():
    first, last = marched("an algebraic field")(torch.tensor([[-1.0, 0.3], [1.0, 0.3]], dtype=F))
    assert torch.allclose(first, last, atol=1e-4, rtol=0)


def advected(p, u):
    return d(u, "t") + d(u, "x") - 1e-3 * d(u, "x", "x")


def bump(end):
    """u_t + u_x = u_xx / 1000 + f with a narrow bump, which moves by sixteen widths in a unit."""
    return Manufactured(kp.Box(x=(0, 1), t=(0, end)), advected, "exp(-1000 * (x - 0.2 - t / 2)**2)")


def test_cells_follow_a_bump():
    solution = solved(bump(0.3), 8, 2, 1e-2)
    network = solution.network
    assert solution.status == "converged" and error_of(solution)[0] < 1e-2
    early, late = (one.layer.tree for one in (network.members[0], network.members[-1]))
    first = torch.tensor([[-0.6]], dtype=F)  # where the bump begins, x = 0.2
    widths = [float(tree.widths[tree.locate(first, torch.tensor([0]))]) for tree in (early, late)]
    assert widths[1] >= 2 * widths[0]  # cells behind the bump have become larger again
    assert len(late) <= 1.5 * len(early)


# a periodic wave that moves and decays slowly
TRANSPORT = Manufactured(
    kp.Box(x=(0, 1), t=(0, 0.2)),
    lambda p, u: d(u, "t") + 5 * d(u, "x") - 0.01 * d(u, "x", "x"),
    "exp(-0.04 * pi**2 * t) * sin(2 * pi * (x - 5 * t))",
    periodic=("x",),
    source=False,
)


def test_windows_that_are_short_beside_the_cells_are_stable():
    assert error_of(solved(TRANSPORT, 5, 4, windows=20, stages=3))[0] < 2e-4


@pytest.mark.parametrize(("tolerance", "resolved"), [(5e-4, True), (1e-4, False)])
def test_cells_that_stay_are_judged_by_the_errors_that_are_left_of_all_windows(tolerance, resolved):
    solution = solved(TRANSPORT, 4, 4, tolerance, regrade=False)
    error, estimated = error_of(solution)
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
    solved(ALGEBRAIC, 4, 4, stages=3, regrade=False)
    lengths = {}
    for cells, length, converged in tried:
        assert converged
        assert lengths.setdefault(id(cells), length) == length
    assert 1 < len(lengths) < len(tried)


def test_a_march_ends_where_cells_would_be_too_many():
    solution = solved(bump(1), 4, 4, 1e-5, cells=6)
    assert solution.status.startswith("failed: from t = 0 on the solution is not resolved")
    assert "would be more than cells = 6" in solution.status


def test_on_a_slow_machine_the_degree_is_lowered_for_the_budget(monkeypatch):
    """A first window of degree 8 would take 50 s by its forecast, and the budget is 30 s."""
    monkeypatch.setattr(cell_march, "operations_per_second", lambda: 5e6)
    network, method = kp.CellWindows([2, 1], 8, 4), kp.March(1e-3)
    solution = kp.solve(TRANSPORT, network, method, errors=False, verified=False, budget=30)
    assert {one.layer.polynomials.degree for one in solution.network.members} == {3}
    error, estimated = error_of(solution)
    assert error < 3 * estimated


def stated(residual=advected, weight=1.0, **more):
    ends = kp.Dirichlet(ROD.boundary["x_min", "x_max"], 0.0, weight=weight)
    return Stated(ROD, residual, [kp.Initial(ROD, "sin(pi * x)"), ends], **more)


REFUSED = {
    "ill-posed forward in t": (stated(lambda p, u: d(u, "t") + d(u, "x", "x")), {}),
    "weight of conditions.* must be left out": (stated(weight=2.0), {}),
    "without unknowns": (
        stated(lambda p, u, a: d(u, "t") - a * d(u, "x", "x"), unknowns={"a": kp.Unknown(1.0)}),
        {},
    ),
    "an odd number of stages|odd number": (stated(), {"stages": 4}),
    "odd number of stages": (stated(), {"scheme": "gauss"}),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cells_in_space_cannot_march_is_refused(words):
    problem, march = REFUSED[words]
    with pytest.raises(kp.InputError, match=words):
        solved(problem, 4, 4, **march)
