"""Unknown numbers in cells: derivatives by them, exact and noisy data, and what is refused."""

import math
from typing import ClassVar

import library
import pytest
import torch

import kanpinn as kp
from kanpinn._support.errors import InputError

SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def spots(count, seed=0):
    """Random points in the square."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, generator=generator, dtype=torch.float64)


class Absorbed(kp.Problem):
    """-Δu + k u = 1000 sin(πx) sin(πy), whose solution is 1000 sin(πx) sin(πy) / (2π² + k)."""

    domain = SQUARE

    def __init__(self, noise=None, start=1.0, seed=0, count=20):
        self.unknowns = {"k": kp.Unknown(start, exact=3.0)}
        self.at, self.noise = spots(count, seed), noise
        generator = torch.Generator().manual_seed(seed)
        error = (noise or 0.0) * torch.randn(count, 1, generator=generator, dtype=torch.float64)
        self.values = self.shape(kp.Points(self.at, ("x", "y"))) / (2 * math.pi**2 + 3) + error

    def shape(self, p):
        return 1000 * torch.sin(math.pi * p.x) * torch.sin(math.pi * p.y)

    def residual(self, p, u, k):
        return -kp.laplacian(u) + k.value * u.value - self.shape(p)

    def conditions(self):
        data = kp.Observed(self.domain, self.at, self.values, self.noise)
        return [kp.Dirichlet(self.domain.boundary, 0.0), data]


def solved(problem, degree=8, cells=2, tolerance=1e-6, **settings):
    network = kp.Cells([2, len(problem.fields)], degree, cells)
    return kp.solve(problem, network, kp.AdaptiveLeastSquares(tolerance), **settings)


@pytest.mark.parametrize("start", [1.0, -60.0])
def test_exact_data_give_the_number_within_the_error_of_the_cells(start):
    solution = solved(Absorbed(start=start), tolerance=1e-8)
    found = solution.estimated["k"]
    assert solution.status == "converged"
    assert found.value == pytest.approx(3.0, abs=2e-6)
    assert found.low <= 3.0 <= found.high < 3.0 + 1e-5


def test_the_interval_has_the_width_of_the_cramer_rao_bound():
    problem = Absorbed(noise=0.5)
    solution = solved(problem)
    found, total = solution.estimated["k"], 2 * math.pi**2 + solution.estimated["k"].value
    slopes = problem.shape(kp.Points(problem.at, ("x", "y"))) / total**2  # -∂u/∂k
    wanted = 1.959964 * 0.5 / float(slopes.norm())
    assert (found.high - found.low) / 2 == pytest.approx(wanted, rel=1e-4)
    misfit = float((slopes * (problem.values - slopes * total)).sum())  # zero at the minimum
    assert abs(misfit) < 1e-3 * 0.5 * float(slopes.norm())


def test_a_network_is_saved_with_its_derivatives_by_the_numbers():
    solution = solved(Absorbed(noise=0.5))
    other = kp.Cells([2, 1], 8, 2)
    other.constants = solution.network.constants
    other.load_state_dict(solution.network.state_dict())
    assert torch.equal(other.sensitivities.errors, solution.network.sensitivities.errors)
    before = solution.estimated["k"]
    solution.surrogate.network = other
    vars(solution).pop("estimated"), vars(solution).pop("covariance", None)
    assert solution.estimated["k"] == before


def test_after_another_problem_a_network_is_saved_without_derivatives_by_numbers():
    network = solved(Absorbed(noise=0.5)).network
    kp.solve(kp.Poisson(SQUARE, exact="exp(x) * sin(y)"), network, kp.AdaptiveLeastSquares(1e-6))
    other = kp.Cells([2, 1], 8, 2)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.layer.coefficients, network.layer.coefficients)


def test_where_memory_permits_no_better_solution_none_is_made_for_the_numbers(monkeypatch):
    def solution_of_higher_degree(*_):
        raise AssertionError

    stage = "kanpinn.tasks.adaptive"
    monkeypatch.setattr(f"{stage}.no_comparison", lambda *_, **__: "there is not enough memory")
    monkeypatch.setattr(f"{stage}.better_solution", solution_of_higher_degree)
    solution = solved(Absorbed(noise=0.5), verified=False)
    assert solution.status.startswith("stopped: there is not enough memory")
    assert solution.estimated["k"].low <= 3.0 <= solution.estimated["k"].high


class Kovasznay(kp.Problem):
    """The flow behind a grid with an unknown viscosity 0.1, measured inside."""

    domain = kp.Box(x=(0, 1), y=(-0.5, 0.5))
    fields = ("u", "v", "q")
    free_constant = ("q",)
    unknowns: ClassVar = {"nu": kp.Unknown(5.0, positive=True, exact=0.1)}
    measured = "u"

    def residual(self, p, u, v, q, nu):
        def advected(w):
            return u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")

        return (
            advected(u) + kp.partial(q, "x") - nu.value * kp.laplacian(u),
            advected(v) + kp.partial(q, "y") - nu.value * kp.laplacian(v),
            kp.div(u, v),
        )

    def exact(self, p):
        rate = 5 - math.sqrt(25 + 4 * math.pi**2)
        decay, angle = torch.exp(rate * p.x), 2 * math.pi * p.y
        v = rate / (2 * math.pi) * decay * torch.sin(angle)
        return 1 - decay * torch.cos(angle), v, -(decay**2) / 2

    def conditions(self):
        at = spots(30) - torch.tensor([0.0, 0.5], dtype=torch.float64)
        values = dict(zip(self.fields, self.exact(kp.Points(at, ("x", "y"))), strict=True))
        walls = [
            kp.Dirichlet(self.domain.boundary, lambda p, i=i: self.exact(p)[i], field=name)
            for i, name in enumerate(self.fields[:2])
        ]
        return [*walls, kp.Observed(self.domain, at, values[self.measured], field=self.measured)]


def test_a_viscosity_is_found_from_a_start_that_is_far_away():
    solution = solved(Kovasznay(), 8, 2, 1e-5, verified=False)
    assert solution.status == "converged"
    assert solution.estimated["nu"].value == pytest.approx(0.1, abs=1e-6)


def test_data_of_a_field_with_a_free_constant_are_refused():
    class Pressure(Kovasznay):
        measured = "q"

    with pytest.raises(InputError, match="only up to a constant"):
        solved(Pressure(), 6)


class Inclusion(kp.Problem):
    """-∇·(a ∇u) + k u = f in a disk with a = 2, measured outside, where a = 1 and k = 0."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))
    disk = kp.Disk((0, 0), 0.5)
    unknowns: ClassVar = {"k": kp.Unknown(1.0, exact=30.0)}

    def inside(self, p):
        return (p.x**2 + p.y**2 < 0.25).to(p.coords)

    def exact(self, p):
        return (p.x**2 + p.y**2 - 0.25) / (1 + self.inside(p))

    def residual(self, p, u, k):
        inside = self.inside(p)
        return (
            -(1 + inside) * kp.laplacian(u) + 4 + inside * (k.value * u.value - 30 * self.exact(p))
        )

    def conditions(self):
        at = 2 * spots(30) - 1
        at = at[at.norm(dim=1) > 0.6]
        return [
            kp.Dirichlet(self.domain.boundary, self.exact),
            kp.Interface(self.domain, self.disk.boundary, lambda p: 1 + self.inside(p)),
            kp.Observed(self.domain, at, self.exact(kp.Points(at, ("x", "y")))),
        ]


def test_a_number_inside_an_interface_is_found_from_values_outside():
    found = solved(Inclusion(), 6, 4, 1e-8, verified=False).estimated["k"]
    assert found.value == pytest.approx(30.0, abs=1e-6)


def test_what_cells_cannot_determine_is_refused():
    class Known(Absorbed):
        def residual(self, p, u):
            return -kp.laplacian(u)

    known = Known()
    known.unknowns = {}
    with pytest.raises(InputError, match="measurements: cells take them for problems with unknown"):
        solved(known)

    class Blind(Absorbed):
        def conditions(self):
            return super().conditions()[:1]

    with pytest.raises(InputError, match="need measurements"):
        solved(Blind())

    class Field(Absorbed):
        fields = ("u", "a")

        def residual(self, p, u, a):
            return kp.laplacian(u) * a.value

    field = Field()
    field.unknowns = {"a": kp.Unknown()}
    with pytest.raises(InputError, match="coefficient field"):
        solved(field)


# --- Unknown numbers in conditions: in cells, in one network, in marches, and where they cannot be


class Fin(kp.Problem):
    """Δu = 0, u = a cos(x) at the bottom, ∂u/∂n + h u = 0 at the top, a = 3/2 and h = tanh 2."""

    domain = SQUARE
    unknowns: ClassVar = {"h": kp.Unknown(0.2, exact=math.tanh(2)), "a": kp.Unknown(exact=1.5)}
    tip = "h"

    def exact(self, p):
        return 1.5 * torch.cos(p.x) * torch.cosh(p.y - 3) / math.cosh(3)

    def residual(self, p, u, h, a):
        return kp.laplacian(u)

    def conditions(self):
        walls, at = self.domain.boundary, spots(25)
        return [
            kp.Robin(walls["y_max"], self.tip, 1.0),
            kp.Dirichlet(walls["y_min"], lambda p: p.a * torch.cos(p.x)),
            kp.Dirichlet(walls["x_min", "x_max"], self.exact),
            kp.Observed(self.domain, at, self.exact(kp.Points(at, ("x", "y")))),
        ]


NETWORKS = {
    "cells": lambda: (kp.Cells([2, 1], degree=8, cells=2), kp.AdaptiveLeastSquares(1e-6)),
    "one network": lambda: (kp.KAN([2, 20, 1], degree=6, seed=0), kp.LeastSquares(steps=10)),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_numbers_of_conditions_are_found_from_data(network):
    solution = kp.solve(Fin(), *NETWORKS[network]())
    assert solution.status == "converged"
    for name, unknown in Fin.unknowns.items():
        found = solution.estimated[name]
        assert found.value == pytest.approx(unknown.exact, abs=1e-5)
        assert found.low <= unknown.exact <= found.high


class ConductingDisk(kp.Problem):
    """A disk with the unknown conductivity 5 in a uniform flow of heat."""

    domain, disk = kp.Box(x=(-1, 1), y=(-1, 1)), kp.Disk((0, 0), 0.5)
    unknowns: ClassVar = {"k": kp.Unknown(1.0, positive=True, exact=5.0)}

    def exact(self, p):
        squares = p.x**2 + p.y**2
        return torch.where(squares < 0.25, p.x / 3, p.x - p.x / squares / 6)

    def residual(self, p, u, k):
        return kp.laplacian(u)

    def conditions(self):
        at = 2 * spots(25) - 1
        return [
            kp.Dirichlet(self.domain.boundary, self.exact),
            kp.Interface(self.domain, self.disk.boundary, "where(x**2 + y**2 < 0.25, k, 1)"),
            kp.Observed(self.domain, at, self.exact(kp.Points(at, ("x", "y")))),
        ]


def test_a_coefficient_inside_an_interface_is_found():
    solution = kp.solve(
        ConductingDisk(), kp.Cells([2, 1], degree=8, cells=2), kp.AdaptiveLeastSquares(1e-5)
    )
    found = solution.estimated["k"]
    assert found.value == pytest.approx(5.0, abs=1e-4)
    assert found.low <= 5.0 <= found.high


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


def test_numbers_of_an_energy_are_found():
    solution = kp.solve(
        Membrane(), kp.Cells([2, 1], degree=9, cells=2), kp.AdaptiveLeastSquares(1e-6)
    )
    assert solution.status == "converged"
    for name, unknown in Membrane.unknowns.items():
        assert solution.estimated[name].value == pytest.approx(unknown.exact, abs=1e-6)


class Cooling(kp.Problem):
    """A rod u_t = u_xx with u = exp(-4t) sin(2x), ∂u/∂n + h u = 0 at its right end."""

    domain = kp.Box(x=(0, 1), t=(0, 1))
    unknowns: ClassVar = {"h": kp.Unknown(0.3, exact=-2 / math.tan(2))}
    start = "sin(2*x)"

    def exact(self, p):
        return torch.exp(-4 * p.t) * torch.sin(2 * p.x)

    def residual(self, p, u, h):
        return kp.partial(u, "t") - kp.partial(u, "x", "x")

    def conditions(self):
        walls, at = self.domain.boundary, spots(25)
        return [
            kp.Robin(walls["x_max"], "h", 1.0),
            kp.Dirichlet(walls["x_min"]),
            kp.Initial(self.domain, self.start),
            kp.Observed(self.domain, at, self.exact(kp.Points(at, ("x", "t")))),
        ]


def test_a_march_takes_unknown_numbers_at_walls():
    solution = kp.solve(Cooling(), kp.Windows([2, 1]), kp.Shooting(1e-5))
    assert solution.estimated["h"].value == pytest.approx(-2 / math.tan(2), abs=1e-4)


def test_initial_values_of_a_march_do_not_depend_on_unknown_numbers():
    class Other(Cooling):
        start = "h * sin(2*x)"

    with pytest.raises(kp.InputError, match="Initial, has initial values that depend on unknown"):
        kp.solve(Other(), kp.Windows([2, 1]), kp.Shooting(1e-5))


def test_integrals_in_cells_do_not_depend_on_unknown_numbers():
    class Mean(Fin):
        def conditions(self):
            density = lambda p, u: p.h * u.value  # noqa: E731
            return [*super().conditions(), kp.Integral(self.domain, 1.0, density)]

    with pytest.raises(kp.InputError, match="an Integral, depends on unknown numbers"):
        kp.solve(Mean(), *NETWORKS["cells"]())


def test_a_name_that_is_no_unknown_number_is_refused():
    class Wrong(Fin):
        tip = "k"

    with pytest.raises(kp.InputError, match="unknown name k"):
        kp.solve(Wrong(), *NETWORKS["cells"]())


def test_a_column_that_is_no_unknown_number_is_refused_with_the_names_of_those_there_are():
    class Wrong(Fin):
        tip = staticmethod(lambda p: p.k * p.x)

    with pytest.raises(AttributeError, match="are x, y, the unknown numbers h, a"):
        kp.solve(Wrong(), *NETWORKS["cells"]())


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
    solution = kp.solve(problem, cells(), kp.AdaptiveLeastSquares(1e-8))
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
    for seed in range(3):
        problem = library.class_of("inverse_diffusion", "InverseDiffusion")(seed=seed)
        network = cells(10, coefficient=kp.KAN([2, 1], degree=5, grid=2))
        solution = kp.solve(problem, network, kp.AdaptiveLeastSquares(1e-4), verified=False)
        p = kp.Points(spots(400, seed=5), ("x", "y"))
        found, exact = solution.covariance.field(p, 1), problem.exact(p)[1][:, 0]
        assert (found.value - exact).norm() < 0.03 * exact.norm()
        held.append(((found.low <= exact) & (exact <= found.high)).double().mean())
    assert 0.88 < sum(held) / 3 <= 1


def test_the_status_says_that_the_network_of_the_coefficient_is_too_coarse():
    """The misfit of nearly exact data by one cubic each is smooth, and beside noise not seen."""
    for noise, visible in ((1e-5, True), (1e-2, False)):
        problem = library.class_of("inverse_diffusion", "InverseDiffusion")(noise=noise)
        solution = kp.solve(problem, cells(), kp.AdaptiveLeastSquares(1e-4), verified=False)
        words = "intervals leave out the error of the coefficient's network, which is visible"
        assert solution.success and (words in solution.status) == visible


def test_an_unknown_field_needs_measurements():
    class Unmeasured(Ground):
        def conditions(self):
            return super().conditions()[:-1]

    with pytest.raises(kp.InputError, match="no measurements from which the unknown field a"):
        kp.solve(Unmeasured(), cells(), kp.AdaptiveLeastSquares(1e-6))


def test_a_network_is_saved_with_its_coefficient():
    solution = kp.solve(Ground(), cells(), kp.AdaptiveLeastSquares(1e-6), verified=False)
    other = cells()
    other.load_state_dict(solution.network.state_dict())
    x = 2 * spots(20) - 1
    assert torch.equal(other(x), solution.network(x))


def test_a_condition_on_the_boundary_does_not_prescribe_the_coefficient():
    class Known(Ground):
        def conditions(self):
            return [*super().conditions(), kp.Dirichlet(SQUARE.boundary["x_min"], 1.0, field="a")]

    with pytest.raises(kp.InputError, match="is about the unknown coefficient a"):
        kp.solve(Known(), cells(), kp.AdaptiveLeastSquares(1e-6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficient": kp.KAN([1, 1])}, "coefficient must have 2 inputs"),
        ({"coefficient": kp.KAN([2, 2])}, "fewer than the 2 outputs"),
        ({"coefficient": kp.Cells([2, 1])}, "must be a network such as KAN.*, got Cells$"),
    ],
)
def test_networks_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(kp.InputError, match=message):
        cells(**changes)


def test_a_coefficient_needs_a_network_of_its_own():
    with pytest.raises(kp.InputError, match="have a network of their own"):
        kp.solve(Ground(), cells(coefficient=None), kp.AdaptiveLeastSquares(1e-6))
    beside = kp.Beside([kp.Cells([2, 1]), kp.KAN([2, 1])])
    with pytest.raises(kp.InputError, match="expected Cells"):
        kp.solve(Ground(), beside, kp.AdaptiveLeastSquares(1e-6))


def test_fields_that_are_known_have_no_network_of_their_own():
    class Both(kp.Problem):
        domain, fields = SQUARE, ("u", "v")

        def residual(self, p, u, v):
            return kp.laplacian(u) + math.pi, kp.laplacian(v)

        def conditions(self):
            return [kp.Dirichlet(SQUARE.boundary)]

    with pytest.raises(kp.InputError, match="the coefficient fields of Both are none"):
        kp.solve(Both(), cells(), kp.AdaptiveLeastSquares(1e-6))
