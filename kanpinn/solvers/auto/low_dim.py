"""Choices for up to three coordinates: random inner functions, least squares for the outer."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from kanpinn.evolution import Equidistribute
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, Beside
from kanpinn.optimizers import LeastSquares, Method
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.traits import Traits


@dataclass(frozen=True)
class LowDim:
    """The choices for a problem with up to three coordinates.

    Networks for smooth solutions have degree 11 on few intervals: on four smooth problems in two
    dimensions they were ten times more accurate than fewer units of degree 9 on ten intervals with
    the same number of coefficients.

    Args:
        traits: of the problem.
        degree, inner, outer: the degree of networks for smooth solutions, and the numbers of grid
            intervals of the inner and the outer layer.
        first: the number of hidden units of the smallest network, for a single field.
        first_by_energy: the same, for energies.
        last: the largest number of hidden units.
        spline_degree: the degree of networks without a hidden layer.
        stretched_rows: the number of collocation points per coefficient in stretched coordinates.
        larger: the number of units relative to that of the network before.
        newton_steps: the most Newton steps; a solution that takes more is not resolved.
        rows: the number of collocation points per coefficient of a field.
        least_points: the least number of collocation points.
        around: the density of boundary points relative to that of interior points; with too few,
            an oscillation between the points of the boundary is not penalised.
        line_rows, energy_rows: the number of quadrature points of an energy per coefficient, in one
            and in more dimensions; with too few, the discrete energy has no lower bound.
        data_sizes, data_first, data_points: for networks fitted to data, their number, the hidden
            units of the first one, and the least number of collocation points.
        data_starts: the number of other starts of each of them; the next one tries as many again.
    """

    traits: Traits
    degree: int = 11
    inner: int = 4
    outer: int = 4
    first: int = 24
    first_by_energy: int = 16
    last: int = 2000
    spline_degree: int = 9
    stretched_rows: float = 3.0
    larger: float = 1.6
    newton_steps: int = 8
    rows: float = 1.5
    least_points: int = 1024
    around: float = 1.5
    line_rows: int = 7
    energy_rows: int = 50
    data_sizes: int = 6
    data_first: int = 10
    data_points: int = 400
    data_starts: int = 2

    def smooth(self) -> Iterator[Choice]:
        """Yield networks for smooth solutions, with more and more hidden units."""
        for units in self._units(self.first):
            splines = units * (self.degree + self.outer)
            yield self._solved(units, self.degree, [self.inner, self.outer], splines)

    def splines(self) -> Iterator[Choice]:
        """Yield networks without a hidden layer, with finer and finer grids.

        In one dimension they are splines, in more they suit sums of functions of one coordinate.
        """
        grids = [16 * 2**i for i in range(11)] if self.traits.dim == 1 else [8, 32]
        for grid in grids:
            count = max(self.least_points // 4, math.ceil(self.rows * (self.spline_degree + grid)))
            steps = LeastSquares(steps=self.newton_steps)
            yield self._without_hidden(grid, count, steps, 1)

    def stretched(self) -> Iterator[Choice]:
        """Yield splines in coordinates that the solution stretches, for layers and peaks."""
        for grid in (64, 256, 1024, 2048, 4096, 8192, 16384):
            count = math.ceil(self.stretched_rows * (self.spline_degree + grid))
            yield self._without_hidden(grid, count, Equidistribute(steps=6), 6, stretch=True)

    def _without_hidden(
        self, grid: int, count: int, method: Method, effort: float, **arguments: Any
    ) -> Choice:
        """Return a choice whose Jacobian is sparse, but whose triangular factor is not.

        effort: the time of the method relative to that of a linear solve.
        """
        degree, fields = self.spline_degree, self.traits.fields
        unknowns = self.traits.inputs * fields * (degree + grid)
        width = [self.traits.inputs, fields]
        return Choice(
            KAN,
            {"width": width, "degree": degree, "grid": grid, **arguments},
            Collocation(count, self._around(count), self.traits.sampler),
            (method,),
            # Measured: n³ for the dense factor, n² for the rows, and as much as n = 1000 anyway.
            work=effort * (1e9 + 2e3 * unknowns**2 + unknowns**3),
        )

    def fine(self) -> Iterator[Choice]:
        """Yield networks with finer and finer grids of the outer functions."""
        sizes = ((32, 16), (48, 24), (64, 32), (96, 40), (128, 56), (192, 72), (256, 96))
        for units, grid in sizes:
            yield self._solved(units, [9, 7], [self.inner, grid], units * (7 + grid))

    def _units(self, first: int) -> Iterator[int]:
        units = math.ceil(first / self.traits.fields**0.5)
        while units <= self.last:
            yield units
            units = math.ceil(self.larger * units)

    def _solved(self, units: int, degree: int | list[int], grid: list[int], splines: int) -> Choice:
        """Return a least-squares choice with `splines` output coefficients per field."""
        count = max(self.least_points, math.ceil(self.rows * splines))
        return Choice(
            KAN,
            {
                "width": [self.traits.inputs, units, self.traits.fields],
                "degree": degree,
                "grid": grid,
            },
            Collocation(count, self._around(count), self.traits.sampler),
            (LeastSquares(steps=self.newton_steps),),
            work=float(self.traits.fields * count * (splines * self.traits.fields) ** 2),
        )

    def _around(self, count: int) -> int:
        """Return the number of boundary points for `count` interior points."""
        d = self.traits.dim
        return math.ceil(self.around * 2 * d * count ** ((d - 1) / d))

    def energies(self) -> Iterator[Choice]:
        """Yield networks for the energy, with more and more units and many quadrature points."""
        degree, grid = 7, 8
        for units in self._units(self.first_by_energy):
            splines = units * (degree + grid)
            count = (self.line_rows if self.traits.dim == 1 else self.energy_rows) * splines
            width = [self.traits.inputs, units, self.traits.fields]
            yield Choice(
                KAN,
                {"width": width, "degree": degree, "grid": [self.inner, grid]},
                Collocation(count, self._around(splines), "gauss"),
                (LeastSquares(),),
                work=float(self.traits.fields * count * (splines * self.traits.fields) ** 2),
                form="energy",
                balanced=False,
            )

    def informed(self) -> Iterator[Choice]:
        """Yield small networks for an equation with data.

        The loss weights are one, for which the confidence intervals are right. Unknown coefficient
        fields have coarser networks of their own, at first sums of functions of one coordinate. In
        one dimension the networks have no hidden layer, and finer and finer grids.
        """
        degree, grid = 7, 3
        units, line = self.data_first, self.traits.inputs == 1
        for size in range(self.data_sizes):
            splines = degree + units if line else units * (degree + grid)
            count = max(self.data_points // (2 if line else 1), math.ceil(self.rows * splines))
            like: dict[str, Any] = {"width": [self.traits.inputs, units, 1], "grid": [grid, grid]}
            if line:
                like = {"width": [1, 1], "grid": units}
            like["degree"] = degree
            kind, arguments = self._beside(like, size)
            yield Choice(
                kind,
                arguments,
                Collocation(
                    count,
                    self._around(count),
                    self.traits.sampler,
                ),
                (LeastSquares(steps=30, starts=self.data_starts),),
                work=float(self.traits.fields * count * (splines * self.traits.fields) ** 2),
                balanced=False,
            )
            units = math.ceil((2 if line else self.larger) * units)

    def _beside(
        self, like: dict[str, Any], size: int
    ) -> tuple[type[KAN] | type[Beside], dict[str, Any]]:
        """Return class and arguments: networks like `like` for known fields, others for unknown."""
        tables = []
        for unknown, group in groupby(self.traits.unknown):
            fields = len(list(group))
            table = self._coefficient(size) if unknown else like
            tables.append({"type": "kan", **table, "width": [*table["width"][:-1], fields]})
        if len(tables) > 1:
            return Beside, {"of": tables}
        return KAN, {name: value for name, value in tables[0].items() if name != "type"}

    def _coefficient(self, size: int) -> dict[str, Any]:
        if size < 2:
            return {"width": [self.traits.inputs, 1], "degree": 5, "grid": 2 + 2 * size}
        return {"width": [self.traits.inputs, 2 + size, 1], "degree": 5, "grid": [2, 2]}
