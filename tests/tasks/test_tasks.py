"""What every task fulfils over every space. A new task or space is one more line of CASES."""

import copy
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from cases import Cubic, Manufactured, ZeroOnWalls, error_of, travelling
from eigen_cases import Membrane
from toy_inverse import Toy

import kanpinn as kp

d = kp.partial
F = torch.float64
SQUARE, ROD = kp.Box(x=(0, 1), y=(0, 1)), kp.Box(x=(0, 1), t=(0, 0.2))


class Case(NamedTuple):
    """A task over a space, with an error that a solve must have and can estimate.

    problem: makes the problem. network: makes a new network. method: the task's settings.
    bound: the largest error. factor: how far the estimated error may be from the true one; None for
    methods without estimate, and for the numbers of inverse problems, which have intervals.
    """

    problem: Callable[[], Any]
    network: Callable[[], kp.networks.Network]
    method: Any
    bound: float
    factor: float | None = None


class Bratu(ZeroOnWalls):
    """u'' + rate·exp(u) = 0 on [0, 1]: u = -2 ln(cosh(θ (x - 1/2)) / cosh(θ/2)) for θ = 2.0376."""

    domain = kp.Box(x=(0, 1))

    def __init__(self) -> None:
        self.rate = 2.5
        self.theta = 2.0
        for _ in range(200):  # θ = √(2 rate) cosh(θ/4) has its smaller root here
            self.theta = math.sqrt(2 * self.rate) * math.cosh(self.theta / 4)

    def residual(self, p, u):
        return kp.laplacian(u) + self.rate * torch.exp(u.value)

    def exact(self, p):
        z = self.theta * (p.x - 0.5) / 2
        return -2 * torch.log(torch.cosh(z) / math.cosh(self.theta / 4))


def absorbed():
    """-Δu + k u = 1000 sin(πx) sin(πy) with data for k = 3, from a start beyond a resonance."""
    return Manufactured(
        SQUARE,
        lambda p, u, k: k.value * u.value - kp.laplacian(u),
        "1000 * sin(pi * x) * sin(pi * y) / (2 * pi**2 + 3)",
        observed=(20, 0.5),
        unknowns={"k": kp.Unknown(-60.0, exact=3.0)},
    )


class Swinging(kp.Problem):
    """u'' + k u + c u' = 0 for c = 0.2, k = 4.01, with noisy data of u."""

    domain = kp.Box(t=(0, 4))

    def __init__(self) -> None:
        self.unknowns = {"k": kp.Unknown(3.0, exact=4.01), "c": kp.Unknown(0.1, exact=0.2)}
        self.at = torch.linspace(0.1, 4, 40, dtype=F)[:, None]
        noise = torch.randn(40, 1, generator=torch.Generator().manual_seed(1), dtype=F)
        self.values = self.exact(kp.Points(self.at, ("t",))) + 1e-2 * noise

    def residual(self, p, u, k, c):
        return d(u, "t", "t") + k.value * u.value + c.value * d(u, "t")

    def conditions(self):
        data = kp.Observed(self.domain, self.at, self.values, 1e-2)
        return [kp.Initial(self.domain, 1.0, -0.1), data]

    def exact(self, p):
        return torch.exp(-0.1 * p.t) * torch.cos(2 * p.t)


def bump():
    """A narrow bump that moves."""
    operator = lambda p, u: d(u, "t") + d(u, "x") - 1e-3 * d(u, "x", "x")  # noqa: E731
    return Manufactured(ROD, operator, "exp(-100 * (x - 0.3 - t / 2)**2)")


def kink():
    """Heat from a kink, which knots follow while it is there."""
    return kp.Heat(ROD, initial="abs(x - 0.4)", boundary={"x_min": 0.4, "x_max": 0.6}, source=0)


def turning():
    """Many turns, in each of which the same is lost."""
    operator = lambda p, x, y: (d(x, "t") + y.value, d(y, "t") - x.value)  # noqa: E731
    time, exact = kp.Box(t=(0, 20)), ("cos(t)", "sin(t)")
    return Manufactured(time, operator, exact, source=False, fields=("x", "y"))


def warm():
    exact = "sin(x + 2 * y - t)"
    walls = {"x_max": "neumann", "y_min": {"robin": [2, 1]}}
    return kp.Heat(kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.2)), exact=exact, boundary=walls)


class Conducting(kp.Problem):
    """-div((1 + x) ∇u) = f by its energy: values on two sides, a flux, and a Robin condition."""

    domain = SQUARE

    def exact(self, p):
        return torch.exp(p.x) * torch.sin(2 * p.y)

    def energy(self, p, u):
        source = (2 + 3 * p.x) * self.exact(p)
        return (1 + p.x) * (kp.grad(u) ** 2).sum(dim=1, keepdim=True) / 2 - source * u.value

    def boundary_energies(self):
        sides = self.domain.boundary
        flux = lambda p, u: 2 * (1 + p.x) * torch.exp(p.x) * u.value  # noqa: E731
        robin = lambda p, u: u.value**2 / 2 - 3 * self.exact(p) * u.value  # noqa: E731
        return [(sides["y_min"], flux), (sides["x_max"], robin)]

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary["x_min", "y_max"], self.exact)]


def peak():
    """A peak in a disk, whose rim cuts cells."""
    disk = kp.Disk((0.5, 0.5), 0.5)
    return kp.Poisson(disk, exact="exp(-50 * ((x - 0.3)**2 + (y - 0.6)**2))")


CASES = {
    "steady, output layer": Case(
        Cubic, lambda: kp.KAN([1, 1], degree=7, grid=8), kp.LeastSquares(), 1e-5
    ),
    "steady, cells": Case(
        peak, lambda: kp.Cells([2, 1], 6, 4), kp.AdaptiveLeastSquares(1e-3), 1e-3, 5
    ),
    "steady, energy in cells": Case(
        Conducting, lambda: kp.Cells([2, 1], 8, 1), kp.tasks.Ritz(1e-5), 1e-5, 3
    ),
    "march, splines": Case(travelling, lambda: kp.Windows([2, 1]), kp.March(1e-4), 1e-4, 10),
    "march, kink": Case(kink, lambda: kp.Windows([2, 1]), kp.March(1e-3), 1e-3),
    "march, products": Case(
        warm, lambda: kp.Windows([3, 1], degree=7, grid=4), kp.March(1e-4), 3e-4, 10
    ),
    "march, cells": Case(bump, lambda: kp.CellWindows([2, 1], 6, 4), kp.March(1e-2), 1e-2, 10),
    "march, time alone": Case(turning, lambda: kp.Windows([1, 2]), kp.March(1e-5), 1e-4, 10),
    "eigenvalues, output layer": Case(
        Membrane, lambda: kp.KAN([2, 14, 1], degree=9, grid=[4, 8], seed=0), None, 1e-6, 20
    ),
    "eigenvalues, cells": Case(
        Membrane, lambda: kp.Cells([2, 1], 6, 2), kp.AdaptiveLeastSquares(1e-8), 1e-8, 3
    ),
    "parameters, output layer": Case(
        lambda: Toy(start=-1.0), lambda: kp.KAN([1, 1], 5, 4), kp.LeastSquares(12), 0.02
    ),
    "parameters, cells": Case(
        absorbed, lambda: kp.Cells([2, 1], 8, 2), kp.AdaptiveLeastSquares(1e-6), 0.02
    ),
    "parameters, marches": Case(
        Swinging, lambda: kp.Windows([1, 1], 1, 1), kp.Shooting(1e-4), 0.02
    ),
    "continuation, output layer": Case(
        Bratu, lambda: kp.KAN([1, 1], 6, 20), kp.Continuation("rate", 1.0), 1e-6
    ),
    "continuation, cells": Case(
        Bratu, lambda: kp.Cells([1, 1], 8, 4), kp.Continuation("rate", 1.0), 1e-6
    ),
}


def solve(name, **settings):
    """The result of a case; `settings` are those that all tasks have."""
    case = CASES[name]
    problem, network = case.problem(), case.network()
    if name.startswith("eigen"):
        return kp.eigen(problem, network, 3, optimizers=case.method, **settings)
    return kp.solve(problem, network, case.method, errors=False, verified=False, **settings)


@functools.cache
def whole(name):
    """A run of a case, its steps as an observer sees them, and the states after these."""
    steps, states = [], []

    def keep(run):
        steps.append(run.progress.step)
        states.append(copy.deepcopy(run.state_dict()))

    return solve(name, observers=[keep]), steps, states


@pytest.fixture(params=CASES)
def name(request):
    return request.param


def errors(name, solution):
    """The true error, and the estimated one."""
    if name.startswith("eigen"):
        true = (solution.values - solution.exact).abs()
        worst = int((true / solution.exact.abs()).argmax())
        estimates = solution.estimates / solution.exact.abs()
        return float(true[worst] / solution.exact[worst].abs()), float(estimates[worst])
    rows = solution.history.rows
    return error_of(solution), rows[-1].get("estimated_error", math.nan)


def test_it_reaches_its_tolerance_and_knows_its_error(name):
    (solution, _, _), case = whole(name), CASES[name]
    assert solution.status.startswith("converged") and solution.success
    if not hasattr(solution, "values") and getattr(solution.problem, "exact", None) is None:
        return
    true, estimated = errors(name, solution)
    assert true < case.bound
    if case.factor is not None:
        assert true < case.factor * estimated + 1e-13 and estimated < 100 * case.bound
    if name.startswith("parameters"):
        for found in solution.estimated.values():
            assert found.low < found.exact < found.high < found.exact + 1


def test_observers_see_every_step_once(name):
    solution, steps, _ = whole(name)
    assert steps == list(range(1, solution.history.steps + 1))


def test_a_run_goes_on_from_a_checkpoint_with_the_same_digits(name):
    solution, _, states = whole(name)
    again = solve(name, checkpoint=states[len(states) // 2])
    assert again.status == solution.status and again.history.steps == solution.history.steps
    one, other = (s.network.state_dict() for s in (solution, again))
    assert one.keys() == other.keys()
    for key in one:
        if (
            name == "parameters, marches"
        ):  # windows are chosen anew, not followed from the last step
            torch.testing.assert_close(one[key], other[key], rtol=1e-9, atol=1e-9)
        else:
            assert torch.equal(one[key], other[key]), key


def test_it_keeps_to_its_budget_and_can_be_interrupted(name):
    solution, _, _ = whole(name)
    hasty = solve(name, budget=1e-6)
    assert hasty.history.steps <= 1
    interrupted = solve(name, observers=[lambda run: setattr(run, "interrupted", True)])
    assert interrupted.history.steps == 1
    if solution.history.steps > 1:
        assert "budget" in hasty.status and not hasty.success
        assert interrupted.status == "stopped: interrupted"


def test_what_is_no_checkpoint_is_refused(name):
    with pytest.raises(kp.InputError, match="checkpoint"):
        solve(name, checkpoint={"step": 3})
