"""Points whose coordinates have names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from keyword import iskeyword

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Column


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
        extras = (None if t is None else t[rows] for t in (self.normals, self.data))
        return Points(self.coords[rows], self.names, *extras)

    def to(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> "Points":
        """The same points in another precision or on another device."""
        extras = (
            None if t is None else t.to(dtype=dtype, device=device)
            for t in (self.normals, self.data)
        )
        return Points(self.coords.to(dtype=dtype, device=device), self.names, *extras)

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


_RESERVED = frozenset(dir(Points)) | {field.name for field in fields(Points)}


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
