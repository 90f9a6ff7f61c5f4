"""Unknown numbers in conditions: in cells, in one network, in marches, and where they cannot be."""

import math
from typing import ClassVar

import pytest
import torch

import kanpinn as kp

SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def spots(count=25):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 2, generator=generator, dtype=torch.float64)


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
        walls, at = self.domain.boundary, spots()
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


class Inclusion(kp.Problem):
    """A disk with the unknown conductivity 5 in a uniform flow of heat."""

    domain, disk = kp.Box(x=(-1, 1), y=(-1, 1)), kp.Disk((0, 0), 0.5)
    unknowns: ClassVar = {"k": kp.Unknown(1.0, positive=True, exact=5.0)}

    def exact(self, p):
        squares = p.x**2 + p.y**2
        return torch.where(squares < 0.25, p.x / 3, p.x - p.x / squares / 6)

    def residual(self, p, u, k):
        return kp.laplacian(u)

    def conditions(self):
        at = 2 * spots() - 1
        return [
            kp.Dirichlet(self.domain.boundary, self.exact),
            kp.Interface(self.domain, self.disk.boundary, "where(x**2 + y**2 < 0.25, k, 1)"),
            kp.Observed(self.domain, at, self.exact(kp.Points(at, ("x", "y")))),
        ]


def test_a_coefficient_inside_an_interface_is_found():
    solution = kp.solve(
        Inclusion(), kp.Cells([2, 1], degree=8, cells=2), kp.AdaptiveLeastSquares(1e-5)
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
        walls, at = self.domain.boundary["x_min", "x_max", "y_min"], spots()
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
        walls, at = self.domain.boundary, spots()
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
