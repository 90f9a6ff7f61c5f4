"""Sensitivities of the inverse problems' exact solutions, and the Cramér–Rao bound.

The sensitivity ∂u/∂θ solves the equation linearised about the exact solution, with fixed boundary
values. This linear problem is solved to many digits by a network of its own; nothing of the inverse
problem's network or Jacobian enters.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import kanpinn as kp
from kanpinn.jets import jet_of

WIDTHS, DEGREE, GRID = (24, 32), 9, (4, 4)
SMOKE = (6, 8)
Function = Callable[[Tensor], Tensor]


def jet_at(function: Function, p: kp.Points) -> kp.Jet:
    """Return a function's jet at points."""
    return jet_of(function, p.coords, kp.Channels(p.names, second="laplacian"))


class DiffusionSensitivity(kp.Problem):
    """-div(a ∇w) = div(b ∇u) on the domain of a diffusion problem, w = 0 on the boundary.

    w is the change of u with the coefficient a in the direction b.
    """

    def __init__(self, of: Any, direction: Function) -> None:
        self.of, self.direction, self.domain = of, direction, of.domain

    def residual(self, p, w):
        u, a = self._exact(p, 0), self._exact(p, 1)
        b = jet_at(self.direction, p)
        return -_diffused(a, w) - _diffused(b, u)

    def _exact(self, p, field):
        return jet_at(lambda x: self.of.exact(kp.Points(x, p.names))[field], p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


def _diffused(a: kp.Jet, u: kp.Jet) -> Tensor:
    """Return div(a ∇u), (n, 1)."""
    return a.value * kp.laplacian(u) + (kp.grad(a) * kp.grad(u)).sum(dim=1, keepdim=True)


class FlowSensitivity(kp.Problem):
    """The Navier–Stokes equations linearised about a flow, forced by its Laplacian.

    The solution is the change of the flow with the viscosity.
    """

    fields = ("u", "v", "q")
    free_constant = ("q",)

    def __init__(self, of: Any) -> None:
        self.of, self.domain = of, of.domain

    def residual(self, p, u, v, q):
        known = (self._exact(p, 0), self._exact(p, 1))
        lines = []
        for w, w0, axis in ((u, known[0], "x"), (v, known[1], "y")):
            moved = _advected(w, *known) + _advected(w0, u, v)
            drag = self.of.viscosity * kp.laplacian(w) + kp.laplacian(w0)
            lines.append(moved + kp.partial(q, axis) - drag)
        return (*lines, kp.div(u, v))

    def _exact(self, p, field):
        return jet_at(lambda x: self.of.exact(kp.Points(x, p.names))[field], p)

    def conditions(self):
        boundary = self.domain.boundary
        walls = [kp.Dirichlet(boundary, 0.0, field=name) for name in ("u", "v")]
        return [*walls, kp.Integral(self.domain, 0.0, field="q")]


def _advected(w, u, v):
    return u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")


def solved(
    problem: kp.Problem, at: Tensor, widths: tuple[int, int] = WIDTHS
) -> tuple[Tensor, float]:
    """Return a sensitivity at points, (n, fields), and its distance to a smaller network's."""
    found = []
    for width in widths:
        network = kp.KAN([2, width, len(problem.fields)], DEGREE, GRID)
        points = kp.Collocation(25 * width, 100)
        # Two widths are compared, and no status is read.
        solution = kp.solve(problem, network, points=points, boundary="exact", verified=False)
        found.append(solution(at))
    coarse, fine = found
    return fine, float((coarse - fine).norm() / fine.norm())


def cramer_rao(sensitivities: Tensor, noise: float, gradients: Tensor) -> Tensor:
    """The least standard deviation (q,) of an unbiased estimate of quantities.

    Args:
        sensitivities: of the n data to the parameters, (n, P).
        noise: standard deviation of the data.
        gradients: of the quantities with respect to the parameters, (q, P).

    Parameters that no data tell apart are left out, as far as the quantities do not see them.
    """
    _, s, vh = torch.linalg.svd(sensitivities / noise, full_matrices=False)
    kept = s > 1e-9 * s[0]
    return torch.linalg.vector_norm((gradients @ vh[kept].T) / s[kept], dim=1)
