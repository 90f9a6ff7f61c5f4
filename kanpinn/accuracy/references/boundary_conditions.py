"""The boundary conditions of a planar problem, assigned to curves, as values or fluxes."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from kanpinn._support.errors import InputError
from kanpinn._support.wording import of_class
from kanpinn.accuracy.references.coefficients import Coefficients, coefficients_of
from kanpinn.geometry import Boundary, Curve, Domain, Piece, Planar, Points
from kanpinn.pde.conditions import Condition, Constraint, Integral
from kanpinn.pde.conditions.condition import OnBoundary
from kanpinn.pde.problem import Problem


@dataclass(frozen=True)
class BoundaryConditions:
    """The conditions of a problem on the boundary of a planar domain.

    which: for each curve, the index of its condition in `problem.conditions()`. essential: for each
    curve, True if this condition prescribes values, False if it prescribes the flux. mean: the
    condition that fixes a constant, or None.
    """

    problem: Problem
    domain: Planar
    which: tuple[int, ...]
    essential: tuple[bool, ...]
    mean: Integral | None

    def coefficients(self, number: int, t: np.ndarray) -> Coefficients:
        """Return the coefficients of the condition on a curve at the parameters t, (n,)."""
        index = self.which[number]
        points = on_curve(self.domain.curves[number], t)
        condition, what = self.problem.conditions()[index], f"conditions()[{index}]"
        equation = partial(condition.stacked_residual, self.problem.fields, what)
        return coefficients_of(equation, points, what)

    def values(self, number: int, t: np.ndarray) -> np.ndarray:
        """Return the values (n,) that an essential condition prescribes at the parameters t."""
        found = self.coefficients(number, t)
        return (found.right / found.zeroth).numpy()

    def flux(self, number: int, t: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return α and g, (n,) each, of the condition a ∇u · n + α u = g.

        Args:
            number: the index of the curve.
            t: parameters on the curve, (n,).
            second: the coefficient a of the equation there, (n, 2, 2).

        Raises:
            InputError: if the condition has another derivative than the conormal a ∇u · n.
        """
        found = self.coefficients(number, t)
        normals = on_curve(self.domain.curves[number], t).normals
        assert normals is not None
        conormal = torch.einsum("nij,nj->ni", torch.from_numpy(second), normals)
        factor = (found.first * conormal).sum(dim=1) / conormal.square().sum(dim=1)
        gap = (found.first - factor[:, None] * conormal).norm(dim=1)
        if not bool((gap <= 1e-9 * found.first.norm(dim=1)).all()):
            raise InputError(
                f"conditions()[{self.which[number]}]: finite elements need the flux through the "
                "boundary, which belongs to the equation, got another derivative"
            )
        return (found.zeroth / factor).numpy(), (found.right / factor).numpy()


def fem_conditions(problem: Problem, domain: Planar) -> BoundaryConditions:
    """Return the conditions of a problem, assigned to the curves that bound its domain.

    Raises:
        InputError: if the finite element method does not support a condition, or if a curve does
            not have exactly one.
    """
    which: list[int | None] = [None] * len(domain.curves)
    mean = None
    for index, condition in enumerate(problem.conditions()):
        pieces = _pieces(condition)
        if isinstance(condition, Integral) and pieces == ():
            mean = condition
        if pieces is None:
            raise InputError(
                f"conditions()[{index}]: finite elements do not take {of_class(condition)}"
            )
        for piece in pieces:
            for number in _numbers(piece, domain):
                if which[number] is not None:
                    raise InputError(f"two conditions hold on {piece.name!r}, which has one")
                which[number] = index
    numbers = [index for index in which if index is not None]
    if len(numbers) < len(which):
        free = domain.curves[which.index(None)].name
        raise InputError(f"no condition holds on {free!r}: finite elements need one on each piece")
    found = BoundaryConditions(problem, domain, tuple(numbers), (), mean)
    kinds = tuple(_is_essential(found, number) for number in range(len(numbers)))
    return replace(found, essential=kinds)


def on_curve(curve: Curve, t: np.ndarray) -> Points:
    """Return the points of a curve at the parameters t, (n,), with unit outward normals."""
    at = torch.from_numpy(np.ascontiguousarray(t))
    along = curve.velocity(at)
    across = torch.stack([along[:, 1], -along[:, 0]], dim=1)
    return Points(curve.at(at), curve.names, across / along.norm(dim=1, keepdim=True))


def _pieces(condition: Condition) -> tuple[Piece, ...] | None:
    """Return the pieces of the boundary on which a condition holds; None if it is unsupported.

    A mean over the domain holds on no piece, so the result is empty.
    """
    match condition:
        case OnBoundary():
            return condition.boundary.pieces
        case Constraint(on=Boundary() as boundary):
            return boundary.pieces
        case Constraint(on=Piece() as piece):
            return (piece,)
        case Integral(over=Domain(), density=None):
            return ()
        case _:
            return None


def _numbers(piece: Piece, domain: Planar) -> list[int]:
    """Return the indices of the curves that equal a piece or, for a box's face, have its name."""
    same = [i for i, curve in enumerate(domain.curves) if curve == piece]
    if not same and not isinstance(piece, Curve):
        same = [i for i, curve in enumerate(domain.curves) if curve.name == piece.name]
    if not same:
        raise InputError(f"a condition holds on {piece.name!r}, which is no piece of the boundary")
    return same


def _is_essential(found: BoundaryConditions, number: int) -> bool:
    """Return True if the condition on a curve prescribes values, tested at 16 of its points."""
    here = found.coefficients(number, (np.arange(16) + 0.5) / 16)
    flux = here.first.norm(dim=1) > 0
    if bool(flux.all()):
        return False
    if bool(flux.any()) or bool((here.zeroth == 0).any()) or bool((here.second != 0).any()):
        raise InputError(
            f"conditions()[{found.which[number]}]: finite elements need either the values or the "
            "flux on the whole of a piece"
        )
    return True
