"""The parts of a cell's sides that are faces, and the traces of its functions on them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from kanpinn.cells.legendre import legendre_at
from kanpinn.cells.polynomials import LocalPolynomials


class CellSide(ABC):
    """A part of a cell's side that is a face of the cell.

    axis: the coordinate that is constant. upper: whether it is at its upper end.
    """

    axis: int
    upper: bool

    @abstractmethod
    def traces(self, polynomials: LocalPolynomials, orders: int) -> list[Tensor]:
        """The derivatives across of a cell's functions, of the orders 0 to `orders` - 1.

        They are given by orthonormal functions on the face, (L, face functions) for each order:
        the first ones of these span the polynomials of lower degrees. The derivatives are those by
        the cell's own coordinate.
        """


@dataclass(frozen=True)
class SidePart(CellSide):
    """A rectangular part of a cell's side, in the cell's own coordinates.

    Args:
        axis: the coordinate that is constant.
        upper: whether it is 1 there, otherwise -1.
        low, high: the corners of the part in the other coordinates.
    """

    axis: int
    upper: bool
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def whole(cls, axis: int, upper: bool, dim: int) -> "SidePart":
        """A whole side of a cell of d coordinates."""
        return cls(axis, upper, (-1.0,) * (dim - 1), (1.0,) * (dim - 1))

    def points(self, nodes: Tensor) -> Tensor:
        """The points on this part, (q, d); nodes: of a rule on [-1, 1]^(d-1), (q, d - 1)."""
        low, high = nodes.new_tensor(self.low), nodes.new_tensor(self.high)
        along = low + (nodes + 1) / 2 * (high - low)
        at = nodes.new_full((len(nodes), 1), 1.0 if self.upper else -1.0)
        return torch.cat([along[:, : self.axis], at, along[:, self.axis :]], dim=1)

    def traces(self, polynomials: LocalPolynomials, orders: int) -> list[Tensor]:
        onto = restriction(polynomials.on_face, self.low, self.high)
        own = onto[_along(polynomials, self.axis)]
        return [own * one for one in _across(polynomials, self.axis, self.upper, orders)]

    def area(self, widths: Tensor) -> Tensor:
        """The area of the part over that of [-1, 1]^(d-1), (c,); widths: of the frames, (c, d)."""
        others = torch.cat([widths[:, : self.axis], widths[:, self.axis + 1 :]], dim=1)
        parts = (others.new_tensor(self.high) - others.new_tensor(self.low)) / 2
        return (others * parts / 2).prod(dim=1)


@lru_cache(maxsize=20_000)
def restriction(
    polynomials: LocalPolynomials, low: tuple[float, ...], high: tuple[float, ...]
) -> Tensor:
    """The coefficients of all polynomials on a part of their box, (L, L), one in each row.

    Args:
        polynomials: the polynomials.
        low, high: the corners of the part, (d,).
    """
    found = torch.ones(polynomials.size, polynomials.size, dtype=torch.float64)
    for own, *ends in zip(polynomials.powers.T, low, high, strict=True):
        found = found * _restriction(polynomials.degree, *ends)[own[:, None], own]
    return found


@lru_cache(maxsize=20_000)
def _restriction(degree: int, low: float, high: float) -> Tensor:
    """The coefficients of Legendre polynomials on a part of [-1, 1], (k + 1, k + 1)."""
    nodes, values = _at_nodes(degree)
    inner = (low + high) / 2 + nodes * ((high - low) / 2)
    return legendre_at(inner, degree, 0)[0] @ values


@lru_cache(maxsize=100)
def _at_nodes(degree: int) -> tuple[Tensor, Tensor]:
    """Gauss nodes of [-1, 1], (q,), and Legendre polynomials there times weights, (q, k + 1)."""
    nodes, weights = LocalPolynomials(degree, 1).rule()
    return nodes[:, 0], (legendre_at(nodes[:, 0], degree, 0)[0] * weights).T


@lru_cache(maxsize=1000)
def _across(polynomials: LocalPolynomials, axis: int, upper: bool, orders: int) -> list[Tensor]:
    """The derivatives across a side of the factor of each polynomial in that coordinate, (L, 1)."""
    end = torch.tensor([1.0 if upper else -1.0], dtype=torch.float64)
    powers = polynomials.powers[:, axis]
    return [one[powers] for one in legendre_at(end, polynomials.degree, orders)[:orders]]


def derivatives_across(
    polynomials: LocalPolynomials, axis: int, local: Tensor, orders: int, onto: Tensor
) -> list[Tensor]:
    """The derivatives of a cell's functions across a side, by functions on the face.

    Args:
        polynomials: the functions of the cell.
        axis: the coordinate that is constant on the side.
        local: q ≥ 1 points on it in the cell's own coordinates, (q, d), or on several sides,
            (s, q, d).
        orders: the number of orders, from 0.
        onto: the functions on the face at the points, times weights, (q, face functions), or on
            several faces, (s, q, face functions).

    Returns:
        (L, face functions) for each order, or (s, L, face functions).
    """
    face = polynomials.on_face
    others = [i for i in range(polynomials.dim) if i != axis]
    along = face.values(local[..., others].flatten(0, -2)).unflatten(0, local.shape[:-1])
    matrices = (along.mT @ onto)[..., _along(polynomials, axis), :]
    # Each polynomial is a product of one along the side and one across it, where x is constant.
    across = legendre_at(local[..., 0, axis].flatten(), polynomials.degree, orders)
    factors = [one[polynomials.powers[:, axis]].T for one in across[:orders]]
    return [one.view(*matrices.shape[:-1], 1) * matrices for one in factors]


@lru_cache(maxsize=100)
def _along(polynomials: LocalPolynomials, axis: int) -> Tensor:
    """The number of the polynomial along a side that each of a cell's polynomials contains, (L,).

    axis: the coordinate that is constant on the side.
    """
    numbers = {power: i for i, power in enumerate(map(tuple, polynomials.on_face.powers.tolist()))}
    powers = polynomials.powers.tolist()
    return torch.tensor([numbers[tuple(one[:axis] + one[axis + 1 :])] for one in powers])
