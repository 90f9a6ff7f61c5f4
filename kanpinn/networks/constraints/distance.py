"""Smooth functions that vanish on some pieces of a boundary and are positive elsewhere."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column, Coords
from kanpinn.geometry import Domain, Piece

OfCoords = Callable[[Coords], Tensor]  # of points (n, d)

NODES, ON_PIECE = 8, 64  # Gauss nodes per axis in the domain; points of a piece
ZERO = 1e-9  # a value so small, relative to the largest, is 0


class NotExact(InputError):
    """Dirichlet data that cannot be built into a surrogate; the message says why."""


@dataclass(frozen=True)
class Distance:
    """D = Π f_i / size_i with a line, ellipse, plane or sphere f_i = 0 through each of the pieces.

    D is smooth everywhere, 0 to first order on the pieces, and > 0 elsewhere in the domain, where
    its largest value is about 1.
    """

    factors: tuple[OfCoords, ...]
    sizes: tuple[float, ...]

    def __call__(self, coords: Coords) -> Column:
        parts = (f(coords) / size for f, size in zip(self.factors, self.sizes, strict=True))
        return math.prod(parts, start=torch.ones_like(coords[:, :1]))


def distance(domain: Domain, pieces: Sequence[Piece]) -> Distance:
    """The distance from some pieces of a domain's boundary.

    Raises:
        NotExact: where a piece lies on no line, ellipse, plane or sphere, or on one that meets the
            rest of the domain, as at a corner that points inward.
    """
    inside = domain.quadrature(NODES)[0].coords
    others = [one for one in domain.boundary.pieces if not any(_same(one, p) for p in pieces)]
    apart = torch.cat([inside, *(piece.gauss(ON_PIECE).coords for piece in others)])
    # Where pieces touch, the function of one is 0 on the other.
    ends = torch.cat([inside[:0], *(piece.rim.coords for piece in domain.boundary.pieces)])
    factors: list[OfCoords] = []
    sizes: list[float] = []
    for piece in pieces:
        on = piece.gauss(ON_PIECE).coords
        if any(_vanishes(f, size, on) for f, size in zip(factors, sizes, strict=True)):
            continue  # it goes on with one before it
        carrier = piece.level
        if carrier is None:
            raise NotExact(f"there is no smooth distance from the piece {piece.name}")
        values = carrier(apart)
        if values[0] < 0:
            carrier, values = partial(_negative, carrier), -values
        size = float(values.max())
        if values.min() < ZERO * size or bool((carrier(ends) < -ZERO * size).any()):
            raise NotExact(
                f"the line or surface that the piece {piece.name} is on meets the rest of the "
                "domain, so no smooth distance vanishes on that piece only"
            )
        factors.append(carrier)
        sizes.append(size)
    largest = float(Distance(tuple(factors), tuple(sizes))(inside).max())
    return Distance(tuple(factors), (sizes[0] * largest, *sizes[1:]))


def _same(a: Piece, b: Piece) -> bool:
    if a == b or a.name != b.name or type(a) is not type(b):
        return a == b
    p, q = a.gauss(ON_PIECE).coords, b.gauss(ON_PIECE).coords
    return p.shape == q.shape and torch.allclose(p, q)


def _vanishes(factor: OfCoords, size: float, coords: Coords) -> bool:
    return bool(factor(coords).abs().max() < ZERO * size)


def _negative(function: OfCoords, coords: Coords) -> Tensor:
    return -function(coords)
