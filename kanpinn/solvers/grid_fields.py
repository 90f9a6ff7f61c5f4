"""The fields of a solution and the modes of an eigenvalue problem on a regular grid, for files
and figures.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy
import torch
from torch import Tensor

from kanpinn.geometry import Domain, Points
from kanpinn.jets import Channels
from kanpinn.pde.conditions import columns_at
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.solution import Solution

NODES = {1: 401, 2: 129, 3: 33}  # points per axis, by the number of axes; they take a second
CHUNK = 2**13  # points that are evaluated at a time, which bounds the memory
KNOWN = ("exact", "reference")  # names of the solutions that a solution is compared with


@dataclass(frozen=True, eq=False)
class GridFields:
    """Fields on the product grid of `axes`, NaN outside the domain.

    Args:
        axes: the grid points of each coordinate that varies, by name, in order.
        values: arrays with one index per axis, by name. "u" is the field u. "exact" is the exact
            solution; without one there may be "reference" instead. "error" is the approximate minus
            the exact solution. For several fields the names are "exact_u" and "error_u". "residual"
            is the residual; for several equations there are "residual_0", "residual_1" and so on.
            For an unknown field a, "low_a" and "high_a" are the ends of its 95% intervals.
        fixed: the values of the coordinates that do not vary, by name.
        fields: the names of the problem's fields.
    """

    axes: dict[str, numpy.ndarray]
    values: dict[str, numpy.ndarray]
    fixed: dict[str, float]
    fields: tuple[str, ...]

    def of(self, field: str) -> dict[str, numpy.ndarray]:
        """Return the arrays of one field, by the names "solution", "exact" or "reference", "error".

        "error" is the solution minus the array "exact" or "reference". Without an exact solution
        and a reference, the array "solution" is the only one.

        Args:
            field: the name of the field.
        """
        suffix = f"_{field}" if len(self.fields) > 1 else ""
        arrays = {"solution": self.values[field]}
        for name in (*KNOWN, "error"):
            if name + suffix in self.values:
                arrays[name] = self.values[name + suffix]
        return arrays

    @property
    def arrays(self) -> dict[str, numpy.ndarray]:
        """The arrays of `values`, under names that differ from the names of the coordinates.

        If a field has the name of a coordinate, such as x, its array is called "field_x".
        """
        taken = {*self.axes, *self.fixed}
        return {f"field_{k}" if k in taken else k: v for k, v in self.values.items()}

    @property
    def residuals(self) -> dict[str, numpy.ndarray]:
        """The residual of each equation, by name."""
        return {
            k: v
            for k, v in self.values.items()
            if k.startswith("residual") and k not in self.fields
        }

    def ends(self, field: str) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Return the lower and the upper ends of an unknown field's 95% intervals on the grid."""
        return self.values[f"low_{field}"], self.values[f"high_{field}"]


def plane_of(domain: Domain) -> tuple[str, ...]:
    """Return the names of the coordinates that a figure shows, in the domain's order.

    A figure shows all coordinates of a domain with one or two coordinates. With more coordinates, a
    figure shows the first two coordinates in space. But if there are time and more than two
    coordinates in space, a figure shows time and the first coordinate in space.
    """
    names, time = domain.names, domain.time_name
    space = tuple(name for name in names if name != time)
    if len(names) < 3:
        return names
    chosen = space[:2] if time is None or len(names) == 3 else (space[0], time)
    return tuple(name for name in names if name in chosen)


@dataclass(frozen=True, eq=False)
class RegularGrid:
    """The product grid of some coordinates, with the other coordinates fixed.

    Args:
        columns: the values of each coordinate, float64, by name; a fixed coordinate has a single
            value.
        free: the names of the coordinates that vary.
        inside: whether each of the n grid points is in the domain, (n,); None if all points are.
    """

    columns: dict[str, Tensor]
    free: Collection[str]
    inside: Tensor | None = None

    @classmethod
    def of(
        cls,
        ranges: Mapping[str, tuple[float, float]],
        free: Collection[str],
        nodes: int | None = None,
        at: Mapping[str, float] | None = None,
    ) -> "RegularGrid":
        """Return an equispaced grid that includes the ends of the ranges.

        Args:
            ranges: the least and the greatest value of each coordinate, by name.
            free: the names of at most three coordinates that vary.
            nodes: points per axis, by default 401, 129 or 33 for one, two or three axes.
            at: values of fixed coordinates, by name; by default the middles of their ranges.
        """
        count, at = NODES[len(free)] if nodes is None else nodes, at or {}
        columns = {
            name: torch.linspace(low, high, count, dtype=torch.float64)
            if name in free
            else torch.tensor([at.get(name, (low + high) / 2)], dtype=torch.float64)
            for name, (low, high) in ranges.items()
        }
        return cls(columns, free)

    @classmethod
    def over(
        cls,
        domain: Domain,
        free: Sequence[str] | None = None,
        nodes: int | None = None,
        at: Mapping[str, float] | None = None,
    ) -> "RegularGrid":
        """Return an equispaced grid over a domain's bounding box, including its ends.

        Args:
            domain: the domain.
            free: the names of at most three coordinates that vary, by default the first three. The
                other coordinates are fixed at the centre of the box. If only one coordinate is
                fixed, and a cut at another of its values has more than twice as many points in the
                domain, the coordinate is fixed at that value.
            nodes: points per axis, by default 401, 129 or 33 for one, two or three axes.
            at: values of fixed coordinates, by name, in place of the centre.
        """
        free = tuple(domain.names[:3]) if free is None else tuple(free)
        grid = cls.of(ranges_of(domain), free, nodes, at)
        if domain.is_box:
            return grid
        others = [name for name in domain.names if name not in free]
        if len(others) == 1 and others[0] not in (at or {}):
            grid.columns[others[0]] = grid._largest_cut(domain, others[0])
        low, high = domain.bounds
        inside = domain.contains(grid.coords, tolerance=1e-12 * float((high - low).max()))
        return replace(grid, inside=inside)

    @property
    def coords(self) -> Tensor:
        """The coordinates of all n points of the grid, (n, d)."""
        return torch.cartesian_prod(*self.columns.values()).reshape(-1, len(self.columns))

    @property
    def points(self) -> Points:
        """The grid points that lie in the domain."""
        coords = self.coords if self.inside is None else self.coords[self.inside]
        return Points(coords, tuple(self.columns))

    def fields(self, values: Mapping[str, Tensor], names: tuple[str, ...]) -> GridFields:
        """Return functions, given by their values at `points`, as arrays on the grid.

        Args:
            values: the values of the functions at `points`, by name.
            names: the names of those functions that are fields of the problem.
        """
        axes = {name: self.columns[name].numpy() for name in self.columns if name in self.free}
        fixed = {name: float(x) for name, x in self.columns.items() if name not in self.free}
        shape = tuple(map(len, axes.values()))
        inside = self.inside
        if inside is None:
            inside = torch.ones(math.prod(shape), dtype=torch.bool)
        grids = {name: with_gaps(x, inside).reshape(shape) for name, x in values.items()}
        return GridFields(axes, grids, fixed, names)

    def _largest_cut(self, domain: Domain, name: str) -> Tensor:
        """Return the value of a coordinate, (1,), for a cut with many points in the domain.

        The cut is through the centre of the bounding box, unless another cut has more than twice as
        many points in the domain. Since a cut may lie along a side of the domain, the points are
        counted in two cuts close to it, one on either side, and the smaller number is taken.

        Args:
            domain: the domain.
            name: the name of the coordinate.
        """
        low, high = ranges_of(domain)[name]
        beside, counts = 1e-4, {}
        for share in (0.5, 0.375, 0.625, 0.25, 0.75):
            sizes = []
            for shift in (-beside, beside):
                at = torch.tensor([low + (share + shift) * (high - low)], dtype=torch.float64)
                cut = replace(self, columns={**self.columns, name: at})
                sizes.append(int(domain.contains(cut.coords).sum()))
            counts[share] = min(sizes)
        best = max(counts, key=counts.__getitem__)
        share = best if counts[best] > 2 * counts[0.5] else 0.5
        return torch.tensor([low + share * (high - low)], dtype=torch.float64)


def with_gaps(values: Tensor, inside: Tensor) -> numpy.ndarray:
    """Put values at the points inside a domain into an array for all n points, (n,).

    Points outside the domain get NaN.

    Args:
        values: the values at the points inside the domain, in order.
        inside: whether each point is inside the domain, (n,).
    """
    whole = torch.full((len(inside),), torch.nan, dtype=torch.float64)
    whole[inside] = values.double().cpu()
    return whole.numpy()


def ranges_of(domain: Domain) -> dict[str, tuple[float, float]]:
    """Return the ends of a domain's bounding box, by the names of the coordinates."""
    corners = (map(float, corner) for corner in domain.bounds)
    return dict(zip(domain.names, zip(*corners, strict=True), strict=True))


@torch.no_grad()
def on_grid(
    solution: Solution,
    free: Sequence[str] | None = None,
    nodes: int | None = None,
    *,
    at: Mapping[str, float] | None = None,
    residuals: bool = True,
    compared: bool = True,
) -> GridFields:
    """Return the fields of a solution on an equispaced grid over the domain's bounding box.

    Args:
        solution: a solution in any dimension.
        free, nodes, at: as for `RegularGrid.over`.
        residuals: whether to evaluate the residuals, which takes most of the time.
        compared: whether to evaluate the exact solution or the reference, and the errors.
    """
    grid = RegularGrid.over(solution.problem.domain, free, nodes, at)
    values = fields_at_points(solution, grid.points, residuals, compared)
    return grid.fields(values, tuple(solution.problem.fields))


def modes_on_grid(
    solution: Eigensolution,
    free: Sequence[str] | None = None,
    nodes: int | None = None,
    *,
    at: Mapping[str, float] | None = None,
) -> GridFields:
    """Return the modes u_1, u_2, … of an eigenvalue problem on an equispaced grid.

    A complex mode is two fields, such as "u_1_real" and "u_1_imaginary".

    Args:
        solution: the modes.
        free, nodes, at: as for `RegularGrid.over`.
    """
    names = [f"{name}_{j + 1}" for j in range(solution.count) for name in solution.fields]
    if is_complex := solution.values.is_complex():
        names = [f"{name}_{part}" for name in names for part in ("real", "imaginary")]
    grid, parts = RegularGrid.over(solution.problem.domain, free, nodes, at), []
    points = grid.points
    for start in range(0, len(points), CHUNK):
        modes = solution(points[start : start + CHUNK])
        modes = modes[:, None] if modes.ndim == 2 else modes
        modes = modes.transpose(1, 2)
        modes = torch.view_as_real(modes) if is_complex else modes
        parts.append(modes.flatten(1).double().cpu())
    values = dict(zip(names, torch.cat(parts).unbind(1), strict=True))
    return grid.fields(values, tuple(names))


@torch.no_grad()
def fields_at_points(
    solution: Solution, points: Points, residuals: bool = False, compared: bool = True
) -> dict[str, Tensor]:
    """Return a solution's fields at n points, (n,) each, under the names of `GridFields.values`.

    Args:
        solution: the solution.
        points: the points.
        residuals: whether to evaluate the residuals, too.
        compared: whether to evaluate the exact solution or the reference, and the errors.
    """
    problem, reference, like = solution.problem, solution.reference, solution.surrogate.low
    chunk = min(CHUNK, max(256, 2**22 // max(solution.network.width)))
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, len(points), chunk):
        some = points[start : start + chunk].to(like.dtype, like.device)
        approximate = solution(some)
        named = {field: approximate[:, i] for i, field in enumerate(problem.fields)}
        exact = None
        if compared and problem.exact is not None:
            exact = columns_at(problem.exact, some, "exact")
        elif compared and reference is not None and reference.points is None:  # known everywhere
            value = reference.jet(some.to(torch.float64), Channels(some.names)).value
            exact = value.to(some.coords)
        if exact is not None:
            for i, field in enumerate(problem.fields):
                suffix = f"_{field}" if len(problem.fields) > 1 else ""
                named[KNOWN[problem.exact is None] + suffix] = exact[:, i]
                named["error" + suffix] = approximate[:, i] - exact[:, i]
        residual = solution.residual(some) if residuals else approximate[:, :0]
        for i in range(residual.shape[1]):
            named["residual" if residual.shape[1] == 1 else f"residual_{i}"] = residual[:, i]
        for name, column in named.items():
            parts.setdefault(name, []).append(column.detach().double().cpu())
    values = {name: torch.cat(columns) for name, columns in parts.items()}
    for name in problem.fields:
        if name in problem.unknowns:
            low, high = solution.interval(points, name)
            values |= {f"low_{name}": low.double().cpu(), f"high_{name}": high.double().cpu()}
    return values
