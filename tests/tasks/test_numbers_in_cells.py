"""Unknown parameters in cells: derivatives by them, exact and noisy data, and what is refused."""

import copy
import functools
import math
from typing import ClassVar

import library
import pytest
import torch
from cases import Manufactured, Stated

import kanpinn as kp

SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def spots(count, seed=0):
    """Random points in the square."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, generator=generator, dtype=torch.float64)


SHAPE = "1000 * sin(pi * x) * sin(pi * y)"


def shape(p):
    return 1000 * torch.sin(math.pi * p.x) * torch.sin(math.pi * p.y)


def absorbed(noise=None, start=1.0, count=20, **settings):
    """-Δu + k u = 1000 sin(πx) sin(πy), whose solution is 1000 sin(πx) sin(πy) / (2π² + k)."""
    return Manufactured(
        SQUARE,
        lambda p, u, k: k.value * u.value - kp.laplacian(u),
        f"{SHAPE} / (2 * pi**2 + 3)",
        observed=(count, noise),
        **{"unknowns": {"k": kp.Unknown(start, exact=3.0)}} | settings,
    )


def solved(problem, degree=8, cells=2, tolerance=1e-6, **settings):
    network = kp.Cells([2, len(problem.fields)], degree, cells)
    return kp.solve(problem, network, kp.AdaptiveLeastSquares(tolerance), **settings)


@functools.cache
def noisy():
    """A solve with noisy data that several tests look at."""
    return solved(absorbed(noise=0.5), verified=False, errors=False)


def test_the_interval_has_the_width_of_the_cramer_rao_bound():
    solution = noisy()
    found, total = solution.estimated["k"], 2 * math.pi**2 + solution.estimated["k"].value
    data = solution.problem.conditions()[-1]
    slopes = shape(kp.Points(data.at, ("x", "y"))) / total**2  # -∂u/∂k
    wanted = 1.959964 * 0.5 / float(slopes.norm())
    assert (found.high - found.low) / 2 == pytest.approx(wanted, rel=1e-4)
    misfit = float((slopes * (data.values - slopes * total)).sum())  # zero at the minimum
    assert abs(misfit) < 1e-3 * 0.5 * float(slopes.norm())


def test_a_network_is_saved_with_its_derivatives_by_the_numbers():
    solution = noisy()
    other = kp.Cells([2, 1], 8, 2)
    other.constants = solution.network.constants
    other.load_state_dict(solution.network.state_dict())
    assert torch.equal(other.sensitivities.errors, solution.network.sensitivities.errors)
    before = solution.estimated["k"]
    own, solution.surrogate.network = solution.network, other
    vars(solution).pop("estimated"), vars(solution).pop("covariance", None)
    assert solution.estimated["k"] == before
    solution.surrogate.network = own


def test_after_another_problem_a_network_is_saved_without_derivatives_by_numbers():
    network = copy.deepcopy(noisy().network)
    kp.solve(kp.Poisson(SQUARE, exact="exp(x) * sin(y)"), network, kp.AdaptiveLeastSquares(1e-6))
    other = kp.Cells([2, 1], 8, 2)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.layer.coefficients, network.layer.coefficients)


def test_where_memory_permits_no_better_solution_none_is_made_for_the_numbers(monkeypatch):
    def solution_of_higher_degree(*_):
        raise AssertionError

    monkeypatch.setattr(
        "kanpinn.tasks.adaptive.no_comparison", lambda *_, **__: "there is not enough memory"
    )
    monkeypatch.setattr("kanpinn.tasks.cell_errors.better_solution", solution_of_higher_degree)
    solution = solved(absorbed(noise=0.5), verified=False, errors=False)
    assert solution.status.startswith("stopped: there is not enough memory")
    assert solution.estimated["k"].low <= 3.0 <= solution.estimated["k"].high


# --- Numbers of equations, conditions, interfaces and energies


WIDE, DISK = kp.Box(x=(-1, 1), y=(-1, 1)), kp.Disk((0, 0), 0.5)


def inside(p):
    return (p.x**2 + p.y**2 < 0.25).to(p.coords)


def kovasznay(**settings):
    """The flow behind a grid with an unknown viscosity 0.1, measured inside."""

    def residual(p, u, v, q, nu):
        moved = lambda w: u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")  # noqa: E731
        return (
            moved(u) + kp.partial(q, "x") - nu.value * kp.laplacian(u),
            moved(v) + kp.partial(q, "y") - nu.value * kp.laplacian(v),
            kp.div(u, v),
        )

    rate = 5 - math.sqrt(25 + 4 * math.pi**2)
    decay = f"exp({rate} * x)"
    exact = f"1 - {decay} * cos(2 * pi * y)", f"{rate} / (2 * pi) * {decay} * sin(2 * pi * y)"
    return Manufactured(
        kp.Box(x=(0, 1), y=(-0.5, 0.5)),
        residual,
        (*exact, f"-({decay}**2) / 2"),
        source=False,
        fields=("u", "v", "q"),
        unknowns={"nu": kp.Unknown(5.0, positive=True, exact=0.1)},
        **{"given": ("u", "v"), "free_constant": ("q",), "observed": (30, None)} | settings,
    )


def inclusion():
    """-∇·(a ∇u) + k u = f in a disk with a = 2, measured outside, where a = 1 and k = 0."""
    exact = lambda p: (p.x**2 + p.y**2 - 0.25) / (1 + inside(p))  # noqa: E731
    at = 2 * spots(30) - 1
    at = at[at.norm(dim=1) > 0.6]

    def residual(p, u, k):
        rest = inside(p) * (k.value * u.value - 30 * exact(p))
        return -(1 + inside(p)) * kp.laplacian(u) + 4 + rest

    given = [
        kp.Dirichlet(WIDE.boundary, exact),
        kp.Interface(WIDE, DISK.boundary, lambda p: 1 + inside(p)),
        kp.Observed(WIDE, at, exact(kp.Points(at, ("x", "y")))),
    ]
    return Stated(WIDE, residual, given, unknowns={"k": kp.Unknown(1.0, exact=30.0)})


def conducting():
    """A disk with the unknown conductivity 5 in a uniform flow of heat."""
    return Manufactured(
        WIDE,
        lambda p, u, k: kp.laplacian(u),
        "where(x**2 + y**2 < 0.25, x / 3, x - x / (x**2 + y**2) / 6)",
        source=False,
        also=[kp.Interface(WIDE, DISK.boundary, "where(x**2 + y**2 < 0.25, k, 1)")],
        observed=(25, None),
        unknowns={"k": kp.Unknown(1.0, positive=True, exact=5.0)},
    )


def fin(tip="h", **settings):
    """Δu = 0, u = a cos(x) at the bottom, ∂u/∂n + h u = 0 at the top, a = 3/2 and h = tanh 2."""
    walls = SQUARE.boundary
    at_ends = [
        kp.Robin(walls["y_max"], tip, 1.0),
        kp.Dirichlet(walls["y_min"], lambda p: p.a * torch.cos(p.x)),
        *settings.pop("also", ()),
    ]
    return Manufactured(
        SQUARE,
        lambda p, u, h, a: kp.laplacian(u),
        f"1.5 * cos(x) * (exp(y - 3) + exp(3 - y)) / {2 * math.cosh(3)}",
        {"y_max": "none", "y_min": "none"},
        source=False,
        also=at_ends,
        observed=(25, None),
        unknowns={"h": kp.Unknown(0.2, exact=math.tanh(2)), "a": kp.Unknown(exact=1.5)},
    )


class Membrane(kp.Problem):
    """The minimum of ∫ k |∇u|²/2 - f u + ∮ h u²/2 - g u for u = sin(2x + y), k = 3 and h = 2."""

    domain = SQUARE
    unknowns: ClassVar = {"k": kp.Unknown(1.0, exact=3.0), "h": kp.Unknown(1.0, exact=2.0)}

    def exact(self, p):
        return torch.sin(2 * p.x + p.y)

    def energy(self, p, u, k, h):
        squares = kp.grad(u).square().sum(dim=1, keepdim=True)
        return k.value * squares / 2 - 15 * self.exact(p) * u.value

    def boundary_energies(self):
        def density(p, u, k, h):
            given = 3 * torch.cos(2 * p.x + p.y) + 2 * self.exact(p)
            return h.value * u.value**2 / 2 - given * u.value

        return [(self.domain.boundary["y_max"], density)]

    def conditions(self):
        walls, at = self.domain.boundary["x_min", "x_max", "y_min"], spots(25)
        data = kp.Observed(self.domain, at, self.exact(kp.Points(at, ("x", "y"))))
        return [kp.Dirichlet(walls, self.exact), data]


def cooling(start="sin(2*x)"):
    """A rod u_t = u_xx with u = exp(-4t) sin(2x), ∂u/∂n + h u = 0 at its right end."""
    rod, at = kp.Box(x=(0, 1), t=(0, 1)), spots(25)
    exact = lambda p: torch.exp(-4 * p.t) * torch.sin(2 * p.x)  # noqa: E731
    given = [
        kp.Robin(rod.boundary["x_max"], "h", 1.0),
        kp.Dirichlet(rod.boundary["x_min"]),
        kp.Initial(rod, start),
        kp.Observed(rod, at, exact(kp.Points(at, ("x", "t")))),
    ]
    residual = lambda p, u, h: kp.partial(u, "t") - kp.partial(u, "x", "x")  # noqa: E731
    return Stated(rod, residual, given, unknowns={"h": kp.Unknown(0.3, exact=-2 / math.tan(2))})


def in_cells(degree, cells, tolerance):
    return lambda m: (kp.Cells([2, m], degree, cells), kp.AdaptiveLeastSquares(tolerance))


FOUND = {  # a problem, its network and method, and the largest error of its numbers
    "viscosity from far away": (kovasznay, in_cells(6, 2, 1e-3), 1e-3),
    "inside an interface": (inclusion, in_cells(6, 4, 1e-5), 1e-4),
    "a coefficient of an interface": (conducting, in_cells(6, 2, 1e-3), 1e-2),
    "conditions, cells": (fin, in_cells(8, 2, 1e-6), 1e-5),
    "conditions, one network": (
        fin,
        lambda m: (kp.KAN([2, 20, 1], degree=6, seed=0), kp.LeastSquares(steps=10)),
        1e-5,
    ),
    "an energy": (Membrane, in_cells(8, 2, 1e-5), 1e-5),
    "a wall of a march": (cooling, lambda m: (kp.Windows([2, 1]), kp.Shooting(1e-5)), 1e-4),
}


@pytest.mark.parametrize("name", FOUND)
def test_numbers_are_found_from_data(name):
    make, solver, bound = FOUND[name]
    problem = make()
    solution = kp.solve(problem, *solver(len(problem.fields)), verified=False, errors=False)
    assert solution.status.startswith("converged")
    for number, unknown in problem.unknowns.items():
        found = solution.estimated[number]
        assert found.value == pytest.approx(unknown.exact, abs=bound)
        rounding = 1e-13 * abs(unknown.exact)
        assert found.low - rounding <= unknown.exact <= found.high + rounding


# --- Unknown coefficient fields in cells: exact and noisy data, files, and what is refused


def cells(degree=8, **changes):
    coefficient = kp.KAN([2, 1], degree=3, grid=1)
    return kp.Cells(
        **{"width": [2, 2], "degree": degree, "cells": 2, "coefficient": coefficient} | changes
    )


class Ground(kp.Problem):
    """-div(a ∇u) = f with the flux a ∂u/∂n on the right, u = sin(2x + y), a = 1 + x²/2 + y/3."""

    domain = SQUARE
    fields = ("u", "a")

    def __init__(self, positive=False):
        self.unknowns = {"a": kp.Unknown(1.0, positive=positive)}
        self.positive = positive

    def exact(self, p):
        shape = p.x**2 / 2 + p.y / 3
        return torch.sin(2 * p.x + p.y), torch.exp(shape) if self.positive else 1 + shape

    def residual(self, p, u, a):
        slopes = (kp.grad(a) * kp.grad(u)).sum(dim=1, keepdim=True)
        return -a.value * kp.laplacian(u) - slopes - self.given(p)

    def given(self, p):
        u, a = self.exact(p)
        slope = torch.cos(2 * p.x + p.y)
        factor = a if self.positive else 1.0
        return 5 * a * u - factor * (2 * p.x + 1 / 3) * slope

    def conditions(self):
        walls, at = self.domain.boundary, spots(60)

        def flux(p, u, a):
            slope = 2 * torch.cos(2 * p.x + p.y)
            return a.value * kp.normal_derivative(u, p) - self.exact(p)[1] * slope

        return [
            kp.Constraint(walls["x_max"], flux),
            kp.Dirichlet(walls["x_min", "y_min", "y_max"], lambda p: self.exact(p)[0], field="u"),
            kp.Observed(SQUARE, at, self.exact(kp.Points(at, ("x", "y")))[0], field="u"),
        ]


@pytest.mark.parametrize("positive", [False, True])
def test_exact_data_give_the_coefficient(positive):
    problem = Ground(positive)
    solution = kp.solve(problem, cells(), kp.AdaptiveLeastSquares(1e-8), errors=False)
    assert solution.status == "converged"
    p = kp.Points(spots(200, seed=1), ("x", "y"))
    found, exact = solution.covariance.field(p, 1), problem.exact(p)[1][:, 0]
    assert (found.value - exact).abs().max() < 1e-6
    assert ((found.low <= exact) & (exact <= found.high)).double().mean() > 0.9
    estimate = kp.estimate_error(solution)
    assert estimate.errors is None
    assert "not the network of the coefficient a" in estimate.reason


def test_intervals_from_noisy_data_hold_the_coefficient():
    held = []
    for seed in range(2):
        problem = library.class_of("inverse_diffusion", "InverseDiffusion")(seed=seed)
        network = cells(8, coefficient=kp.KAN([2, 1], degree=5, grid=2))
        method = kp.AdaptiveLeastSquares(1e-4)
        solution = kp.solve(problem, network, method, verified=False, errors=False)
        p = kp.Points(spots(400, seed=5), ("x", "y"))
        found, exact = solution.covariance.field(p, 1), problem.exact(p)[1][:, 0]
        assert (found.value - exact).norm() < 0.03 * exact.norm()
        held.append(((found.low <= exact) & (exact <= found.high)).double().mean())
    assert 0.85 < sum(held) / 2 <= 1


def test_the_status_says_that_the_network_of_the_coefficient_is_too_coarse():
    """The misfit of nearly exact data by one cubic each is smooth, and beside noise not seen."""
    for noise, visible in ((1e-5, True), (1e-2, False)):
        problem = library.class_of("inverse_diffusion", "InverseDiffusion")(noise=noise)
        method = kp.AdaptiveLeastSquares(1e-4)
        solution = kp.solve(problem, cells(), method, verified=False, errors=False)
        words = "intervals leave out the error of the coefficient's network, which is visible"
        assert solution.success and (words in solution.status) == visible


def test_a_network_is_saved_with_its_coefficient():
    method = kp.AdaptiveLeastSquares(1e-6, steps=1)
    solution = kp.solve(Ground(), cells(), method, verified=False, errors=False)
    other = cells()
    other.load_state_dict(solution.network.state_dict())
    x = 2 * spots(20) - 1
    assert torch.equal(other(x), solution.network(x))


PRESSURES = spots(9) * 0.4, spots(9)[:, 0]
ADAPTIVE = kp.AdaptiveLeastSquares(1e-6)
BOTH = Stated(
    SQUARE,
    lambda p, u, v: (kp.laplacian(u) + math.pi, kp.laplacian(v)),
    [kp.Dirichlet(SQUARE.boundary)],
    fields=("u", "v"),
)


def with_conditions(problem, change):
    """A problem with conditions changed by a function of their list."""
    given = problem.conditions()
    problem.conditions = lambda: change(given)
    return problem


def without_data(problem):
    return with_conditions(problem, lambda given: given[:-1])


def on_coefficient():
    known = kp.Dirichlet(SQUARE.boundary["x_min"], 1.0, field="a")
    return with_conditions(Ground(), lambda given: [*given, known])


def mean():
    return kp.Integral(SQUARE, 1.0, lambda p, u: p.h * u.value)


def coefficient_field():
    product = lambda p, u, a: kp.laplacian(u) * a.value  # noqa: E731
    given = absorbed().conditions()
    return Stated(SQUARE, product, given, fields=("u", "a"), unknowns={"a": kp.Unknown()})


def with_data():
    return Manufactured(SQUARE, lambda p, u: kp.laplacian(u), "x * y", observed=(20, None))


REFUSED = {
    "measurements: cells take several measurements only": lambda: solved(with_data()),
    "no data from which the unknown parameter k": lambda: solved(without_data(absorbed())),
    "coefficient field": lambda: solved(coefficient_field()),
    "only up to a constant": lambda: solved(
        kovasznay(observed=(0, None), also=[kp.Observed(kovasznay().domain, *PRESSURES, field="q")])
    ),
    "unknown name k": lambda: solved(fin("k")),
    "are x, y, the unknown parameters h, a": lambda: solved(fin(lambda p: p.k * p.x)),
    "an Integral, depends on unknown parameters": lambda: solved(fin(also=[mean()])),
    "Initial, has initial values that depend on unknown": lambda: kp.solve(
        cooling("h * sin(2*x)"), kp.Windows([2, 1]), kp.Shooting(1e-5)
    ),
    "no measurements from which the unknown field a": lambda: kp.solve(
        without_data(Ground()), cells(), ADAPTIVE
    ),
    "is about the unknown coefficient a": lambda: kp.solve(on_coefficient(), cells(), ADAPTIVE),
    "have a network of their own": lambda: kp.solve(Ground(), cells(coefficient=None), ADAPTIVE),
    "expected Cells": lambda: kp.solve(
        Ground(), kp.Beside([kp.Cells([2, 1]), kp.KAN([2, 1])]), ADAPTIVE
    ),
    "the coefficient fields of Stated are none": lambda: kp.solve(BOTH, cells(), ADAPTIVE),
    "coefficient must have 2 inputs": lambda: cells(coefficient=kp.KAN([1, 1])),
    "fewer than the 2 outputs": lambda: cells(coefficient=kp.KAN([2, 2])),
    "must be a network such as KAN.*, got Cells$": lambda: cells(coefficient=kp.Cells([2, 1])),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_determined_is_refused(words):
    with pytest.raises((kp.InputError, AttributeError), match=words):
        REFUSED[words]()
