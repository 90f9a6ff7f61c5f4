"""Whether a stationary point of an energy is a minimum, from the curvature of the density there."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from kanpinn._support.status import CONVERGED
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet
from kanpinn.pde.evaluate import find_channels, jets_of_fields
from kanpinn.pde.problem import Problem
from kanpinn.pde.stationary import Density, Integrand


@dataclass(frozen=True)
class Curvature:
    """The signs of the curvature of an energy's density at a solution.

    Where the density is convex in values and gradients at all points, the second variation of the
    energy is at least zero. For a minimum only convexity in gradients of rank one is necessary
    (Legendre and Hadamard).

    Args:
        convex: whether the densities are convex at all points.
        where: a point at which the necessary condition fails; None if there is none.
    """

    convex: bool
    where: str | None

    @classmethod
    def at(
        cls, problem: Problem, evaluate: Callable[[Points, Channels], Jet], count: int = 512
    ) -> "Curvature":
        """The curvature at points in the domain and on the boundary.

        Args:
            problem: has the energy.
            evaluate: gives the jet of the fields at points.
            count: the number of points in the domain.
        """
        rounding = 1e-9
        p, what = sample(problem.domain, count, "sobol"), f"{type(problem).__name__}.energy"
        found, order = _hessian(problem.energy, p, evaluate, what)
        size = found.abs().amax(dim=(1, 2)) + torch.finfo(found.dtype).tiny
        convex = bool((torch.linalg.eigvalsh(found)[:, 0] >= -rounding * size).all())
        where = None
        if order == 1:
            concave = _least_along(found, len(p.names), len(problem.fields)) < -rounding * size
            where = p.show(int(concave.to(torch.uint8).argmax())) if bool(concave.any()) else None
        for part, density in problem.boundary_energies():
            q = sample(part, 64, "uniform")
            wall, _ = _hessian(density, q, evaluate, what)
            convex &= bool((torch.linalg.eigvalsh(wall)[:, 0] >= -rounding).all())
        return cls(convex, where)


def _hessian(
    density: Density, p: Points, evaluate: Callable[[Points, Channels], Jet], what: str
) -> tuple[Tensor, int]:
    """The second derivatives of a density by values and derivatives of the fields, and its order.

    Returns:
        (n, q, q) for q = m + d m + …: the values of m fields, then all first derivatives of one
        field after the other, then the second ones.
    """
    with torch.enable_grad():
        _, at = find_channels(
            lambda c: Integrand.at(density, p, jets_of_fields(evaluate(p, c)), what), p.names
        )
        rows = [_flat(at, column) for column in _flat(at, at.density).unbind(dim=1)]
    return torch.stack(rows, dim=1).detach(), at.order


def _flat(at: Integrand, of: Tensor) -> Tensor:
    _, by_levels = at.slopes(of.view(-1, 1))
    return torch.cat([slope for level in by_levels for slope in level], dim=1)


def _least_along(hessian: Tensor, d: int, m: int) -> Tensor:
    """The least curvature for gradients a ⊗ ξ with unit vectors ξ and a at each point, (n,).

    hessian: see `_hessian`, of order 1.
    """
    block = hessian[:, m:, m:].unflatten(2, (m, d)).unflatten(1, (m, d))
    if m == 1:
        return torch.linalg.eigvalsh(block[:, 0, :, 0])[:, 0]
    draws = torch.randn(128, d, generator=Generator().manual_seed(0), dtype=hessian.dtype)
    directions = draws / draws.norm(dim=1, keepdim=True)
    acoustic = torch.einsum("niajb,ra,rb->nrij", block, directions, directions)
    return torch.linalg.eigvalsh(acoustic)[..., 0].amin(dim=1)


def judged_by_curvature(
    status: str, problem: Problem, evaluate: Callable[[Points, Channels], Jet]
) -> str:
    """Return the status of a solve by the equation of an energy, which finds stationary points.

    A warning says where the solution has not been shown to be a minimum.

    Args:
        status: the status so far.
        problem: the problem.
        evaluate: gives the jet of the solution at points.
    """
    if not status.startswith(CONVERGED) or not problem.is_from_energy or problem.numbers:
        return status
    found = Curvature.at(problem, evaluate)
    if found.where is not None:
        return (
            "stopped: the solution is a stationary point of the energy but no minimum: the density "
            f"is concave in the gradient at {found.where}"
        )
    if not found.convex:
        warnings.warn(
            f"{type(problem).__name__}.energy is not convex at the solution, which is a stationary "
            "point: it is not known whether it is a minimum",
            stacklevel=4,
        )
    return status
