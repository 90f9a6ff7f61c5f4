"""Where a result is drawn: over coordinates, or along a cut, with the others held fixed."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn.geometry import Domain, Points
from kanpinn.solvers.regular_grid import NODES, GridFields, plane_of, ranges_of, with_gaps

DISTANCE = "distance"  # the name of the axis along a cut
Ends = tuple[Sequence[float | int], Sequence[float | int]]


@dataclass(frozen=True, eq=False)
class Place:
    """A part of a domain with one or two dimensions.

    Args:
        domain: the domain.
        along: the names of the one or two coordinates that vary; empty for a cut.
        cut: the ends of a straight cut, in the coordinates that are not fixed; None without one.
        at: the values of the fixed coordinates, by name. Those of the others are chosen by
            `on_grid`.
    """

    domain: Domain
    along: tuple[str, ...]
    cut: Ends | None
    at: Mapping[str, float | int]

    @classmethod
    def of(
        cls,
        domain: Domain,
        along: str | Sequence[str] | None = None,
        cut: Ends | None = None,
        at: Mapping[str, float | int] | None = None,
    ) -> "Place":
        """Check what a user has chosen, and choose the rest.

        Raises:
            InputError: for names that are no coordinates, values outside the domain's box, or a cut
                whose ends have not one number for each coordinate that is not fixed.
        """
        at = fixed_values(ranges_of(domain), at or {})
        free = tuple(name for name in domain.names if name not in at)
        if cut is not None and along is not None:
            raise InputError(f"cut and along exclude each other, got along = {along!r} as well")
        if cut is not None:
            return cls(domain, (), _ends(cut, free), at)
        if along is None:
            shown = [name for name in plane_of(domain) if name in free]
            more = [name for name in free if name not in shown]
            along = [*shown, *more][:2] if len(free) > 2 else free
        return cls(domain, varying_names(free, along), None, at)

    @property
    def dim(self) -> int:
        """One for lines, two for maps."""
        return 1 if self.cut is not None else len(self.along)

    @property
    def label(self) -> str | None:
        """The label of the horizontal axis of a cut; None where it is that of a coordinate."""
        if self.cut is None:
            return None
        start, end = (f"({', '.join(f'{x:.4g}' for x in one)})" for one in self.cut)
        return f"distance from {start} to {end}"

    def on_cut(
        self,
        evaluate: Callable[[Points], Mapping[str, Tensor]],
        fields: tuple[str, ...],
        nodes: int | None,
    ) -> GridFields:
        """Evaluate functions at equidistant points of the cut; NaN outside the domain."""
        assert self.cut is not None
        start, end = (torch.tensor(one, dtype=torch.float64) for one in self.cut)
        share = torch.linspace(0, 1, NODES[1] if nodes is None else nodes, dtype=torch.float64)
        moving = iter((start + share[:, None] * (end - start)).unbind(1))
        columns = [
            torch.full_like(share, self.at[name]) if name in self.at else next(moving)
            for name in self.domain.names
        ]
        coords = torch.stack(columns, dim=1)
        inside = self.domain.contains(coords, tolerance=1e-12 * float(coords.abs().max()))
        if not bool(inside.any()):
            raise InputError(f"cut must meet the domain {self.domain!r}, got {self.cut!r}")
        values = evaluate(Points(coords[inside], self.domain.names))
        grids = {name: with_gaps(column, inside) for name, column in values.items()}
        distances: numpy.ndarray = (share * math.dist(*self.cut)).numpy()
        return GridFields({DISTANCE: distances}, grids, dict(self.at), fields)


def fixed_values(
    ranges: Mapping[str, tuple[float, float]], at: Mapping[str, float | int]
) -> dict[str, float]:
    """Return the checked values of fixed coordinates.

    Args:
        ranges: the least and the greatest value of each coordinate, by name.
        at: the values to check, by name.

    Raises:
        InputError: for another name, or a value outside the range.
    """
    for name, value in at.items():
        if name not in ranges:
            raise InputError(f"at must name some of {', '.join(ranges)}, got {name!r}")
        low, high = ranges[name]
        number(f"at[{name!r}]", value, -math.inf)
        margin = 1e-12 * (high - low)
        if not low - margin <= value <= high + margin:
            raise InputError(f"{name} must lie between {low:g} and {high:g}, got {value:g}")
    return {name: float(value) for name, value in at.items()}


def _ends(cut: Ends, free: Sequence[str]) -> Ends:
    """Return the checked ends of a cut."""
    try:
        start, end = (tuple(map(float, one)) for one in cut)
    except (TypeError, ValueError):
        raise InputError(f"cut must be two points, ((0, 0), (1, 1)), got {cut!r}") from None
    if not len(start) == len(end) == len(free) or start == end:
        names = ", ".join(free)
        raise InputError(f"cut must be two different points of ({names}), got {cut!r}")
    return start, end


def varying_names(free: Sequence[str], along: str | Iterable[str]) -> tuple[str, ...]:
    """Return the checked names of coordinates that vary, in the order of `free`.

    Args:
        free: the names of all coordinates that are not fixed.
        along: the name of one coordinate, or the names of one or two.

    Raises:
        InputError: for other names, or another number of them.
    """
    if not free:
        raise InputError("time and at leave no coordinate to draw over")
    names = (along,) if isinstance(along, str) else tuple(along)
    if not set(names) <= set(free) or len(set(names)) != len(names) or len(names) not in (1, 2):
        raise InputError(f"along must be one or two of {', '.join(free)}, got {along!r}")
    return tuple(name for name in free if name in names)
