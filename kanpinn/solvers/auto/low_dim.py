"""Choices for up to three coordinates: random inner functions, and one solve."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, Beside
from kanpinn.optimizers import LeastSquares
from kanpinn.solvers.auto.choice import Choice
from kanpinn.solvers.auto.traits import Traits


@dataclass(frozen=True)
class LowDim:
    """The choices for a problem with up to three coordinates.

    Degree 11 on few intervals: at equal numbers of coefficients more units are ten times more
    accurate than degree 9 on ten intervals, on four smooth problems in two dimensions.

    Args:
        traits: of the problem.
        degree, inner, outer: of smooth solutions' networks, the intervals of both layers' grids.
        first: random hidden units of the smallest network, for a single field.
        first_before_windows: the same where windows in time come next, should these not do.
        first_by_energy: the same for energies.
        last: the largest network.
        larger: each network has so many times the units of the one before.
        newton_steps: at most; a solution that takes more is not resolved.
        rows: collocation points for each coefficient of a field.
        least_points: collocation points at least.
        around: the boundary's points are so many times as dense as the inside's: every wave must be
            seen there, or it grows unseen.
        line_rows, energy_rows: nodes of an energy for each coefficient, in one dimension and above:
            where its rule misses what a network can do, an energy falls without end.
        data_sizes, data_first, data_points: networks that are fitted to data, the units of the
            first one, and collocation points at least.
    """

    traits: Traits
    degree: int = 11
    inner: int = 4
    outer: int = 4
    first: int = 24
    first_before_windows: int = 16
    first_by_energy: int = 16
    last: int = 480
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

    def smooth(self) -> Iterator[Choice]:
        """More and more units."""
        for units in self._units(self.first_before_windows if self.traits.marches else self.first):
            splines = units * (self.degree + self.outer)
            yield self._solved(units, self.degree, [self.inner, self.outer], splines)

    def fine(self) -> Iterator[Choice]:
        """Finer grids of the outer functions."""
        for units, grid in ((32, 16), (48, 24), (64, 32), (96, 40)):
            yield self._solved(units, [9, 7], [self.inner, grid], units * (7 + grid))

    def _units(self, first: int) -> Iterator[int]:
        units = math.ceil(first / self.traits.fields**0.5)
        while units <= self.last:
            yield units
            units = math.ceil(self.larger * units)

    def _solved(self, units: int, degree: int | list[int], grid: list[int], splines: int) -> Choice:
        """One solve of the output layer, `splines` per field; points to match."""
        count = max(self.least_points, math.ceil(self.rows * splines))
        return Choice(
            KAN,
            {
                "width": [self.traits.inputs, units, self.traits.fields],
                "degree": degree,
                "grid": grid,
            },
            Collocation(count, self._around(count), "gauss"),
            (LeastSquares(steps=self.newton_steps),),
            work=float(self.traits.fields * count * (splines * self.traits.fields) ** 2),
        )

    def _around(self, count: int) -> int:
        """Points on a boundary, denser than `count` points are inside."""
        d = self.traits.dim
        return math.ceil(self.around * 2 * d * count ** ((d - 1) / d))

    def energies(self) -> Iterator[Choice]:
        """More and more units, whose energy many points tell."""
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
        """Small networks for equation and data, with the weights that intervals are right for.

        Coefficient fields have others beside, coarser ones: first sums of functions of one
        coordinate.
        """
        degree, grid = 7, 3
        units = self.data_first
        for size in range(self.data_sizes):
            splines = units * (degree + grid)
            count = max(self.data_points, math.ceil(self.rows * splines))
            like = {"width": [self.traits.inputs, units, 1], "degree": degree, "grid": [grid, grid]}
            kind, arguments = self._beside(like, size)
            yield Choice(
                kind,
                arguments,
                Collocation(
                    count, self._around(count), "gauss" if self.traits.dim < 4 else "sobol"
                ),
                (LeastSquares(steps=30),),
                work=float(self.traits.fields * count * (splines * self.traits.fields) ** 2),
                balanced=False,
            )
            units = math.ceil(self.larger * units)

    def _beside(
        self, like: dict[str, Any], size: int
    ) -> tuple[type[KAN] | type[Beside], dict[str, Any]]:
        """A network like this for the solution's fields, others for coefficients, in order."""
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
