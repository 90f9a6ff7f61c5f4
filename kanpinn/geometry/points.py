"""Points whose coordinates have names."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from keyword import iskeyword
from typing import Any, TypeVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Points:
    """n points in d named coordinates: `p.x` is the column (n, 1) of the coordinate "x".

    Args:
        coords: (n, d).
        names: d names, the columns' order.
        normals: (n, d) outward unit normals of boundary points, None elsewhere.
        data: (n, m) values that are known at the points; None where there are none.

    Raises:
        InputError: where shapes or names do not fit each other.
    """

    # Tensors, not jaxtyping's Coords: the shapes are checked here, and in every run.
    coords: Tensor
    names: tuple[str, ...]
    normals: Tensor | None = None
    data: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.coords.shape)
        if len(shape) != 2 or shape[1] != len(self.names):
            raise InputError(
                f"coords must have shape (n, {len(self.names)}) for the coordinates "
                f"{', '.join(self.names)}, got {shape}"
            )
        if self.normals is not None and tuple(self.normals.shape) != shape:
            raise InputError(
                f"normals must have the shape {shape} of coords, got {tuple(self.normals.shape)}"
            )
        if self.data is not None and (self.data.ndim != 2 or len(self.data) != shape[0]):
            raise InputError(
                f"data must have shape (n, m) with n = {shape[0]}, got {tuple(self.data.shape)}"
            )

    def __getattr__(self, name: str) -> Column:
        # __dict__, for copy and pickle ask for attributes before the fields are there.
        names = self.__dict__.get("names", ())
        if name not in names:
            raise AttributeError(
                f"points have no coordinate {name!r}; their coordinates are {', '.join(names)}"
            )
        column = names.index(name)
        return self.coords[:, column : column + 1]

    def __len__(self) -> int:
        return self.coords.shape[0]

    def __getitem__(self, index: int | slice | Tensor | Sequence[int]) -> "Points":
        """The points at an index, slice, mask or list of indices; one index gives one point."""
        rows = [index] if isinstance(index, int) else index
        return self._map(lambda tensor: tensor[rows])

    def to(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> "Points":
        """The same points in another precision or on another device."""
        return self._map(lambda tensor: tensor.to(dtype=dtype, device=device))

    def show(self, row: int) -> str:
        """One of the points in words, such as "x = 0.5, y = 1"."""
        named = zip(self.names, self.coords[row].tolist(), strict=True)
        return ", ".join(f"{name} = {value:.3g}" for name, value in named)

    def turned(self) -> "Points":
        """The same points with their normals the other way.

        Raises:
            InputError: where they have no normals.
        """
        if self.normals is None:
            raise InputError("points have no normals to turn")
        return replace(self, normals=-self.normals)

    @staticmethod
    def of(points: "Points | Tensor", names: tuple[str, ...]) -> "Points":
        """Points as they are, or those of a tensor (n, d) in the order of the names."""
        return points if isinstance(points, Points) else Points(torch.as_tensor(points), names)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` computes of these points; a `Batch` computes it once and keeps it."""
        return make()

    @staticmethod
    def cat(parts: Iterable["Points"]) -> "Points":
        """All points of the parts, in order; all have the same names and all or none normals.

        Their `data` is left out.

        Raises:
            InputError: where there is no part, or they differ in names or in having normals.
        """
        parts = tuple(parts)
        kinds = {(part.names, part.normals is not None) for part in parts}
        if len(kinds) != 1:
            raise InputError(
                "Points.cat needs parts with the same names, all with or all without normals, "
                f"got (names, normals) {sorted(kinds)}"
            )
        normals = [part.normals for part in parts if part.normals is not None]
        coords = torch.cat([part.coords for part in parts])
        return Points(coords, parts[0].names, torch.cat(normals) if normals else None)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Points":
        extras = (None if t is None else change(t) for t in (self.normals, self.data))
        return Points(change(self.coords), self.names, *extras)


@dataclass(frozen=True, eq=False)
class Batch(Points):
    """Points that are visited again and again, together with what has been computed of them.

    An optimizer evaluates the same residual at the same points in every step, while only the
    network changes: whatever depends on the points alone is computed once. Points that are made
    from a batch, such as some of its rows, are plain `Points` and know nothing.

    known: the values by their keys: a function, or a function and its arguments.
    """

    known: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @staticmethod
    def of(points: "Points | Tensor", names: tuple[str, ...]) -> "Points":
        """Points as they are, or those of a tensor (n, d) in the order of the names."""
        return points if isinstance(points, Points) else Points(torch.as_tensor(points), names)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]

    @staticmethod
    def made_of(points: Points) -> "Batch":
        """A batch of the same points, of which nothing is known yet."""
        return Batch(points.coords, points.names, points.normals, points.data)


_RESERVED = frozenset(dir(Batch)) | {one.name for one in fields(Batch)}


def check_names(names: Sequence[str]) -> None:
    """Refuse names that could not be read as attributes of Points.

    Raises:
        InputError: where there is no name, one is repeated, is no identifier, or is an attribute.
    """
    if not names or len(set(names)) < len(names):
        raise InputError(f"coordinates must have one or more distinct names, got {tuple(names)}")
    for name in names:
        if not name.isidentifier() or iskeyword(name):
            raise InputError(f"a coordinate's name must be a Python identifier, got {name!r}")
        if name in _RESERVED:
            raise InputError(f"a coordinate cannot be called {name!r}: Points has that attribute")


def morton_order(coords: Tensor) -> Tensor:
    """The order (n,) of points (n, d) along a Morton curve of the box around them.

    Points that follow each other in it are near each other.

    Reference: Morton, A computer oriented geodetic data base (1966).
    """
    low, high = coords.amin(dim=0), coords.amax(dim=0)
    dims = coords.shape[1]
    # So many bits of each coordinate fit into an integer; more than ten do not change the order
    # of any number of points that is used here.
    bits = min(10, 62 // dims)
    scaled = (coords - low) / (high - low).clamp_min(torch.finfo(coords.dtype).tiny)
    cells = (scaled * (2**bits - 1)).long()
    key = torch.zeros_like(cells[:, 0])
    for bit in reversed(range(bits)):
        for axis in range(dims):
            key = 2 * key + ((cells[:, axis] >> bit) & 1)
    return key.argsort(stable=True)
