"""The pieces of a boundary, and boundaries made of them."""

import difflib
from abc import abstractmethod
from dataclasses import dataclass

import torch

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Weights
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import Region


class Piece(Region):
    """A smooth piece of a boundary, with a name; its points carry the outward unit normals."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What `boundary[name]` selects it by."""


@dataclass(frozen=True)
class Derived(Piece):
    """A piece made of another piece: under the same name, and the same but for what is overridden.

    Args:
        piece: the other one.
    """

    piece: Piece

    @property
    def name(self) -> str:
        return self.piece.name

    @property
    def names(self) -> tuple[str, ...]:
        return self.piece.names

    @property
    def dim(self) -> int:
        return self.piece.dim

    @property
    def measure(self) -> float:
        return self.piece.measure

    @property
    def measure_error(self) -> float:
        return self.piece.measure_error


@dataclass(frozen=True)
class Boundary:
    """Pieces that overlap in sets of measure zero: a whole boundary, or a part of one.

    `boundary["x_min"]` and `boundary["x_min", "x_max"]` are parts.

    Raises:
        InputError: where there is no piece.
    """

    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        if not self.pieces:
            raise InputError("a boundary must have at least one piece, got none")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pieces."""
        return tuple(piece.name for piece in self.pieces)

    @property
    def measure(self) -> float:
        """The sum over the pieces."""
        return sum(piece.measure for piece in self.pieces)

    def __getitem__(self, names: str | tuple[str, ...]) -> "Boundary":
        """The part with these names.

        Raises:
            InputError: where no piece has one of the names.
        """
        wanted = (names,) if isinstance(names, str) else names
        for name in wanted:
            if name not in self.names:
                close = difflib.get_close_matches(name, self.names, n=1)
                raise InputError(
                    f"the boundary has no piece {name!r}; its pieces are {', '.join(self.names)}"
                    + (f"; did you mean {close[0]!r}?" if close else "")
                )
        return Boundary(tuple(piece for piece in self.pieces if piece.name in wanted))

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """The pieces' Gauss points and weights (n,), one piece after the other."""
        rules = [piece.quadrature(nodes) for piece in self.pieces]
        return Points.cat(points for points, _ in rules), torch.cat([w for _, w in rules])
