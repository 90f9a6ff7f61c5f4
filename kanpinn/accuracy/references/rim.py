"""Which condition holds on which curve, and what it says there."""

from dataclasses import dataclass

import numpy as np
import torch

from kanpinn._support.errors import InputError
from kanpinn.accuracy.references.coefficients import Coefficients, coefficients_of
from kanpinn.geometry import Boundary, Curve, Domain, Piece, Planar, Points
from kanpinn.pde.conditions import Constraint, Dirichlet, Integral, Neumann, Robin
from kanpinn.pde.problem import Problem

PROBES = 16  # points of a curve at which it is looked what kind of condition holds
PARALLEL = 1e-9  # relative: an oblique derivative is no flux


@dataclass(frozen=True)
class Rim:
    """The conditions of a problem on the boundary of a planar domain.

    which: for each curve the number of its condition; essential: whether that prescribes values;
    mean: the condition that fixes a constant, or None.
    """

    problem: Problem
    domain: Planar
    which: tuple[int, ...]
    essential: tuple[bool, ...]
    mean: Integral | None

    def coefficients(self, number: int, t: np.ndarray) -> Coefficients:
        """What the condition on a curve says at the parameters t, (n,)."""
        index = self.which[number]
        points = on_curve(self.domain.curves[number], t)
        return coefficients_of(
            self.problem.condition_equation(index), points, f"conditions()[{index}]"
        )

    def values(self, number: int, t: np.ndarray) -> np.ndarray:
        """The values that an essential condition prescribes, (n,)."""
        found = self.coefficients(number, t)
        return (found.right / found.zeroth).numpy()

    def flux(self, number: int, t: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(α, g), (n,) each, with a ∇u · n + α u = g; second: a, (n, 2, 2).

        Raises:
            InputError: where the condition is about another derivative.
        """
        found, normals = (
            self.coefficients(number, t),
            on_curve(self.domain.curves[number], t).normals,
        )
        assert normals is not None
        conormal = torch.einsum("nij,nj->ni", torch.from_numpy(second), normals)
        factor = (found.first * conormal).sum(dim=1) / conormal.square().sum(dim=1)
        gap = (found.first - factor[:, None] * conormal).norm(dim=1)
        if not bool((gap <= PARALLEL * found.first.norm(dim=1)).all()):
            raise InputError(
                f"conditions()[{self.which[number]}]: finite elements need the flux through the "
                "boundary, which belongs to the equation, got another derivative"
            )
        return (found.zeroth / factor).numpy(), (found.right / factor).numpy()


def rim_of(problem: Problem, domain: Planar) -> Rim:
    """The conditions sorted by curves.

    Raises:
        InputError: for a condition that finite elements do not take, or where a curve has not
            exactly one.
    """
    which: list[int | None] = [None] * len(domain.curves)
    mean = None
    for index, condition in enumerate(problem.conditions()):
        if isinstance(condition, Integral) and _is_mean(condition):
            mean = condition
            continue
        for piece in _pieces(condition, index):
            for number in _numbers(piece, domain):
                if which[number] is not None:
                    raise InputError(f"two conditions hold on {piece.name!r}, which has one")
                which[number] = index
    numbers = [index for index in which if index is not None]
    if len(numbers) < len(which):
        free = domain.curves[which.index(None)].name
        raise InputError(f"no condition holds on {free!r}: finite elements need one on each piece")
    rim = Rim(problem, domain, tuple(numbers), (), mean)
    kinds = tuple(_is_essential(rim, number) for number in range(len(numbers)))
    return Rim(problem, domain, tuple(numbers), kinds, mean)


def on_curve(curve: Curve, t: np.ndarray) -> Points:
    """Points of a curve at the parameters t, with normals."""
    at = torch.from_numpy(np.ascontiguousarray(t))
    along = curve.velocity(at)
    across = torch.stack([along[:, 1], -along[:, 0]], dim=1)
    return Points(curve.at(at), curve.names, across / along.norm(dim=1, keepdim=True))


def _is_mean(condition: Integral) -> bool:
    return isinstance(condition.over, Domain) and condition.density is None


def _pieces(condition: object, index: int) -> tuple[Piece, ...]:
    if isinstance(condition, Dirichlet | Neumann | Robin):
        return condition.boundary.pieces
    if isinstance(condition, Constraint) and isinstance(condition.on, Boundary):
        return condition.on.pieces
    if isinstance(condition, Constraint) and isinstance(condition.on, Piece):
        return (condition.on,)
    raise InputError(
        f"conditions()[{index}]: finite elements do not take a {type(condition).__name__}"
    )


def _numbers(piece: Piece, domain: Planar) -> list[int]:
    """The curves that a piece of the boundary stands for: itself or, for boxes, its namesake."""
    same = [i for i, curve in enumerate(domain.curves) if curve == piece]
    if not same and not isinstance(piece, Curve):
        same = [i for i, curve in enumerate(domain.curves) if curve.name == piece.name]
    if not same:
        raise InputError(f"a condition holds on {piece.name!r}, which is no piece of the boundary")
    return same


def _is_essential(rim: Rim, number: int) -> bool:
    found = rim.coefficients(number, (np.arange(PROBES) + 0.5) / PROBES)
    flux = found.first.norm(dim=1) > 0
    if bool(flux.all()):
        return False
    if bool(flux.any()) or bool((found.zeroth == 0).any()) or bool((found.second != 0).any()):
        raise InputError(
            f"conditions()[{rim.which[number]}]: finite elements need either the values or the "
            "flux on the whole of a piece"
        )
    return True
