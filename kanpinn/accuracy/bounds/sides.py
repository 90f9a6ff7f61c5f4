"""The sides of a problem's domain: where values and fluxes are prescribed, and where nothing is."""

import math
from dataclasses import dataclass
from functools import partial

import torch

from kanpinn.accuracy.bounds.coefficients import Unbounded, read_coefficients
from kanpinn.accuracy.bounds.operator import Operator
from kanpinn.accuracy.references.reference import Approximation
from kanpinn.geometry import Piece
from kanpinn.pde.conditions import Condition
from kanpinn.pde.evaluate import ResidualFunction, find_channels
from kanpinn.pde.problem import Problem


@dataclass(frozen=True, eq=False)
class NaturalPiece:
    """A piece with a flux condition κ (A∂u/∂n + α u) = h, as is a Neumann or Robin condition.

    Args:
        piece: the piece of the boundary.
        equation: the residual of the condition, ± the misfit times κ.
        scale: the least |κ|.
        alpha: the least value of α + b·n/2.
        largest: the largest value of it.
    """

    piece: Piece
    equation: ResidualFunction
    scale: float
    alpha: float
    largest: float

    def misfit(self, jet: Approximation, nodes: int) -> float:
        """The norm of h/κ - (A∂v/∂n + α v) on the piece, by a rule with so many nodes an axis."""
        p, weights = self.piece.quadrature(nodes)
        _, values = find_channels(lambda c: self.equation(p, jet(p, c)), p.names)
        return math.sqrt(float(weights @ values[:, 0].square())) / self.scale


@dataclass(frozen=True, eq=False)
class FixedPiece:
    """A piece with prescribed values.

    Args:
        piece: the piece of the boundary.
        number: the index of its condition in `conditions()`.
    """

    piece: Piece
    number: int


@dataclass(frozen=True, eq=False)
class Sides:
    """The pieces of a domain's boundary by what is prescribed on them.

    Args:
        fixed: those with prescribed values.
        natural: those with prescribed fluxes.
    """

    fixed: tuple[FixedPiece, ...]
    natural: tuple[NaturalPiece, ...]


def sides_of(problem: Problem, operator: Operator) -> Sides:
    """Sort the pieces of the boundary by the conditions that hold there.

    Raises:
        Unbounded: for a condition of another kind, two conditions on one piece, a piece without
            condition that is no outflow, and a Robin condition with a negative α + b·n/2.
    """
    conditions, fixed, natural = problem.conditions(), [], []
    own = problem.domain.boundary.pieces
    for condition in conditions:
        if not condition.pieces or any(piece not in own for piece in condition.pieces):
            raise Unbounded(f"{type(condition).__name__} does not hold on a side of the domain")
    for piece in own:
        held = [i for i, one in enumerate(conditions) if piece in one.pieces]
        if len(held) > 1:
            raise Unbounded(f"there are several conditions on {piece.name}")
        if not held:
            _check_outflow(piece, operator)
            continue
        data = conditions[held[0]].prescribed(problem.fields)
        if not data:
            natural.append(_natural(problem, operator, piece, conditions[held[0]]))
        elif any(one.rate is not None for one in data):
            raise Unbounded(f"a rate is prescribed on {piece.name}")
        else:
            fixed.append(FixedPiece(piece, held[0]))
    return Sides(tuple(fixed), tuple(natural))


def _check_outflow(piece: Piece, operator: Operator) -> None:
    """Raise `Unbounded` unless A n = 0 and b·n ≥ 0, as at the end of time."""
    p = piece.gauss(32)
    found = operator.at(p)
    assert p.normals is not None
    conormal = torch.einsum("nab,nb->na", found.second, p.normals)
    if bool(conormal.abs().max() > 0) or operator.least_outflow(p, found) < 0:
        raise Unbounded(f"there is no condition on {piece.name}")


def _natural(
    problem: Problem, operator: Operator, piece: Piece, condition: Condition
) -> NaturalPiece:
    """Return the flux condition on a piece.

    Raises:
        Unbounded: where it is none, or α + b·n/2 is negative.
    """
    what = f"the condition on {piece.name}"
    equation = partial(condition.stacked_residual, problem.fields, what)
    p = piece.gauss(32)
    read, found = read_coefficients(equation, p, what), operator.at(p)
    assert p.normals is not None
    flux = -torch.einsum("nab,nb->na", found.second, p.normals)  # A n
    size = flux.square().sum(dim=1)
    if bool(read.second.abs().max() > 0) or not bool(size.min() > 0):
        raise Unbounded(f"{what} prescribes neither a value nor a flux")
    kappa = (read.first * flux).sum(dim=1) / size
    rest = (read.first - kappa[:, None] * flux).abs().max()
    if not bool(kappa.abs().min() > 0) or bool(rest > 1e-9 * read.first.abs().max()):
        raise Unbounded(f"{what} prescribes neither a value nor a flux")
    alpha = read.zeroth / kappa
    outflow = operator.least_outflow(p, found) / 2
    least, largest = float(alpha.min()) + outflow, float(alpha.max()) + operator.convection / 2
    if least < -1e-12 * abs(largest):
        raise Unbounded(f"{what} is not coercive: α + b·n/2 is {least:.3g}")
    return NaturalPiece(piece, equation, float(kappa.abs().min()), max(least, 0.0), largest)
