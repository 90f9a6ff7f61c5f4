"""Points whose coordinates have names, and batches of points with a cache of values."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
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

    In the conditions of a problem with unknown scalar parameters, `p.k` is the column (n, 1) with
    the present value of the parameter "k".

    Args:
        coords: the coordinates (n, d).
        names: the d names of the columns, in order.
        normals: outward unit normals (n, d) of boundary points; None for other points.
        data: values (n, m) that are given at the points, such as measurements; None for other
            points.

    Raises:
        InputError: if the shapes of the tensors or the number of names do not match.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> p = kp.Points(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), ("x", "y"))
        >>> p.y.flatten(), len(p)
        (tensor([1., 3.]), 2)
    """

    # The types are Tensor, not jaxtyping's Coords, because __post_init__ always checks the shapes.
    coords: Tensor
    names: tuple[str, ...]
    normals: Tensor | None = None
    data: Tensor | None = None
    # The cache of a `Batch`; None for points that are no `Batch`.
    known: dict[Hashable, Any] | None = field(default=None, init=False, repr=False)
    # The values (n, 1) of unknown parameters, by their names.
    numbers: Mapping[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(self.coords.shape)
        if len(shape) != 2 or shape[1] != len(self.names):
            needed = f"(n, {len(self.names)}) for the coordinates {', '.join(self.names)}"
            raise InputError(f"coords must have shape {needed}, got {shape}")
        if self.normals is not None and (given := tuple(self.normals.shape)) != shape:
            raise InputError(f"normals must have the shape {shape} of coords, got {given}")
        if self.data is not None and (self.data.ndim != 2 or len(self.data) != shape[0]):
            given = tuple(self.data.shape)
            raise InputError(f"data must have shape (n, m) with n = {shape[0]}, got {given}")

    def __getattr__(self, name: str) -> Column:
        """Return the column (n, 1) of a coordinate or of an unknown parameter by its name.

        Raises:
            AttributeError: for another name.
        """
        # Read __dict__, because copy and pickle request attributes before the fields exist.
        names, numbers = self.__dict__.get("names", ()), self.__dict__.get("numbers", {})
        if name in numbers:
            return numbers[name]
        if name not in names:
            known = f"their coordinates are {', '.join(names)}"
            if numbers:
                known += f", the unknown parameters {', '.join(numbers)}"
            raise AttributeError(f"points have no coordinate {name!r}; {known}")
        column = names.index(name)
        return self.coords[:, column : column + 1]

    def __len__(self) -> int:
        return self.coords.shape[0]

    def __getitem__(self, index: int | slice | Tensor | Sequence[int]) -> "Points":
        """Return the points at an index, slice, mask or list of indices; an int gives one point."""
        rows = [index] if isinstance(index, int) else index
        return self._each(lambda part: part[rows])

    def to(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> "Points":
        """Return the points in another precision or on another device.

        Args:
            dtype: the new precision; None for the present one.
            device: the new device; None for the present one.
        """
        return self._each(lambda part: part.to(dtype=dtype, device=device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Points":
        """Return the points with a function applied to each of their tensors.

        Args:
            change: the function. The tensors are the coordinates, normals, data and the values of
                unknown parameters.
        """
        extras = (None if part is None else change(part) for part in (self.normals, self.data))
        changed = Points(change(self.coords), self.names, *extras)
        numbers = {name: change(values) for name, values in self.numbers.items()}
        return changed.with_numbers(numbers) if numbers else changed

    def show(self, row: int) -> str:
        """Return the point in row `row` as text, such as "x = 0.5, y = 1"."""
        named = zip(self.names, self.coords[row].tolist(), strict=True)
        return ", ".join(f"{name} = {value:.3g}" for name, value in named)

    @property
    def outward(self) -> Tensor:
        """The normals (n, d).

        Raises:
            InputError: if the points have no normals.
        """
        if self.normals is None:
            raise InputError("points have no normals, such as those of a boundary have")
        return self.normals

    def turned(self) -> "Points":
        """Return the points with reversed normals."""
        turned = replace(self, normals=-self.outward)
        return turned.with_numbers(self.numbers) if self.numbers else turned

    def with_numbers(self, numbers: Mapping[str, Tensor]) -> "Points":
        """Return a copy of the points, without a cache, that has values of unknown parameters.

        Args:
            numbers: the values of the parameters at the points, (n, 1) each, by name.
        """
        found = Points(self.coords, self.names, self.normals, self.data)
        object.__setattr__(found, "numbers", numbers)
        return found

    def on_both_sides(self, bounds: tuple[Tensor, Tensor]) -> "Points":
        """Return 2n points: for each of n boundary points a pair with one point on either side.

        The normal points from the first to the second point of a pair. The distance of the two
        points is above the rounding errors of float64. Data and unknown parameters are left out.

        Args:
            bounds: the lower and the upper corner of the domain's bounding box, (d,) each.
        """
        low, high = bounds
        size, place = float((high - low).max()), float(torch.maximum(low.abs(), high.abs()).max())
        step = max(1e-13 * size, 1e-14 * place) * self.outward
        coords = torch.stack([self.coords - step, self.coords + step], dim=1).flatten(0, 1)
        return Points(coords, self.names, self.outward.repeat_interleave(2, dim=0))

    @staticmethod
    def of(points: "Points | Tensor", names: tuple[str, ...]) -> "Points":
        """Return `Points` unchanged, and a tensor (n, d) as points with the given names.

        Raises:
            InputError: for complex coordinates.
        """
        if isinstance(points, Points):
            return points
        if (coords := torch.as_tensor(points)).is_complex():
            raise InputError(f"points must be real, got {coords.dtype}")
        return Points(coords, names)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `make()`, which depends on the points alone.

        Plain points call it each time; a `Batch` calls it once per key and caches the value. A
        tensor that requires a gradient is not cached: it depends on parameters too, and a backward
        pass frees its graph.

        Args:
            key: the name of the value in the cache.
            make: computes the value.
        """
        if self.known is None:
            return make()
        if key in self.known:
            return self.known[key]
        value = make()
        if not (isinstance(value, Tensor) and value.requires_grad):
            self.known[key] = value
        return value

    @staticmethod
    def cat(parts: Iterable["Points"]) -> "Points":
        """Concatenate points with the same names, either all with or all without normals.

        The `data` of the parts and their unknown parameters are left out.

        Raises:
            InputError: if there is no part, or the parts differ in names or in having normals.
        """
        parts = tuple(parts)
        kinds = {(part.names, part.normals is not None) for part in parts}
        if len(kinds) != 1:
            needed = "the same names, all with or all without normals"
            raise InputError(f"Points.cat takes parts with {needed}, got {sorted(kinds)}")
        normals = [part.normals for part in parts if part.normals is not None]
        coords = torch.cat([part.coords for part in parts])
        return Points(coords, parts[0].names, torch.cat(normals) if normals else None)


@dataclass(frozen=True, eq=False)
class Batch(Points):
    """Points with a cache of values that depend on the points alone.

    An optimizer evaluates the same residual at the same points in every step, while only the
    network changes, so values that depend on the points alone are computed once. Points derived
    from a batch, such as some of its rows, are plain `Points` without a cache.

    Attributes:
        known: the cached values by key. A key is a function, or a function with its arguments.
    """

    known: dict[Hashable, Any] | None = field(default_factory=dict, init=False, repr=False)

    @staticmethod
    def made_of(points: Points) -> "Batch":
        """Return the given points as a batch with an empty cache."""
        return Batch(points.coords, points.names, points.normals, points.data)


_RESERVED = frozenset(dir(Batch)) | {one.name for one in fields(Batch)}


def check_names(names: Sequence[str]) -> None:
    """Check that coordinate names can be read as attributes of Points.

    Raises:
        InputError: if there is no name, or a name is repeated, is not an identifier, or is already
            an attribute of Points.
    """
    if not names or len(set(names)) < len(names):
        raise InputError(f"coordinates must have one or more distinct names, got {tuple(names)}")
    for name in names:
        if not name.isidentifier() or iskeyword(name):
            raise InputError(f"a coordinate's name must be a Python identifier, got {name!r}")
        if name in _RESERVED:
            raise InputError(f"a coordinate cannot be called {name!r}: Points has that attribute")


def morton_order(coords: Tensor) -> Tensor:
    """Return the order (n,) of points (n, d) along a Morton curve through their bounding box.

    Consecutive points in this order are mostly near each other.

    Reference: Morton, A computer oriented geodetic data base (1966).
    """
    low, high = coords.amin(dim=0), coords.amax(dim=0)
    dims = coords.shape[1]
    # The interleaved bits of all coordinates must fit into a 64-bit integer. More than ten bits per
    # coordinate would not change the order for the numbers of points used here.
    bits = min(10, 62 // dims)
    scaled = (coords - low) / (high - low).clamp_min(torch.finfo(coords.dtype).tiny)
    cells = (scaled * (2**bits - 1)).long()
    key = torch.zeros_like(cells[:, 0])
    for bit in reversed(range(bits)):
        for axis in range(dims):
            key = 2 * key + ((cells[:, axis] >> bit) & 1)
    return key.argsort(stable=True)
