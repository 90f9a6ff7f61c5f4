"""The choices of network, points and optimizers that are tried, in families from small to
large.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import torch

from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, Beside, Network
from kanpinn.networks.combined import SEEDS
from kanpinn.optimizers import LeastSquares, Method, Optimizer, VariableProjection
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.traits import Traits
from kanpinn.solvers.discretize import SolveSettings
from kanpinn.spaces.cell_windows import CellWindows
from kanpinn.spaces.cells.cells import Cells
from kanpinn.spaces.windows import Windows
from kanpinn.tasks.adaptive import Dissection
from kanpinn.tasks.march import March
from kanpinn.tasks.parameters import Shooting


def even() -> dict[str, float]:
    """Return weights of one for all loss terms."""
    return {"interior": 1.0, "boundary": 1.0}


@dataclass(frozen=True)
class Choice:
    """A network's class and arguments, collocation points and optimizers of one trial.

    Args:
        kind: the network's class.
        arguments: of this class; for `Beside` a list "of" with a table for each network.
        points: the collocation points.
        optimizers: run in order.
        work: the number of operations up to a factor, from which the times of trials are forecast.
        form: of the loss, "strong" or "energy".
        weights: of the loss terms, by name.
        balanced: whether residuals are divided by their sizes, see `kanpinn.solve`.
    """

    kind: type[Network]
    arguments: Mapping[str, Any]
    points: Collocation
    optimizers: tuple[Method, ...]
    work: float
    form: str = "strong"
    weights: Mapping[str, float] = field(default_factory=even)
    balanced: bool = True

    def network(self, seed: int, dtype: torch.dtype, device: torch.device | str) -> Network:
        """Return a new network of this choice."""
        return self._made(seed).to(device=device, dtype=dtype)

    def settings(self, boundary: str) -> SolveSettings:
        """Return the settings of a solve with this choice; boundary: as for `solve`."""
        return SolveSettings(
            points=self.points,
            boundary=boundary,
            weights=self.weights,
            balance=self.balance,
            form=self.form,
        )

    @property
    def balance(self) -> str | None:
        """The argument `balance` of a solve."""
        return "sizes" if self.balanced else None

    def _made(self, seed: int) -> Network:
        if not issubclass(self.kind, Beside):
            random = "seed" in inspect.signature(self.kind).parameters
            return self.kind(**self.arguments, **{"seed": seed} if random else {})
        tables = [_without_type(table) for table in self.arguments["of"]]
        return Beside([KAN(**table, seed=seed + SEEDS * i) for i, table in enumerate(tables)])

    def smaller(self, part: float) -> "Choice":
        """Return a choice with a part (0 to 1) of the hidden units and of the points."""
        assert self.kind is KAN
        inputs, units, outputs = self.arguments["width"]
        p = self.points
        interior, boundary = math.ceil(part * p.interior), math.ceil(part * p.boundary)
        return replace(
            self,
            arguments={**self.arguments, "width": [inputs, math.floor(part * units), outputs]},
            points=replace(p, interior=interior, boundary=boundary),
            work=self.work * part**3,
        )

    def with_more_points(self, factor: float, only_boundary: bool = False) -> "Choice":
        """Return the choice with `factor` times as many points, or as many on the boundary."""
        p, inside = self.points, 1.0 if only_boundary else factor
        interior, boundary = math.ceil(inside * p.interior), math.ceil(factor * p.boundary)
        more = replace(p, interior=interior, boundary=boundary)
        work = self.work * (interior + boundary) / (p.interior + p.boundary)
        return replace(self, points=more, work=work)

    def with_other_points(self) -> "Choice | None":
        """Return the choice with twice as many points by another sampler, or None.

        There is none for energies, whose points are a rule, and for marches and cells, which
        place them.
        """
        if self.kind is not KAN or self.form == "energy":
            return None
        sampler = "sobol" if self.points.sampler == "gauss" else "gauss"
        if self.arguments["width"][0] > 3:
            sampler = "halton"  # product rules would be too large
        more = self.with_more_points(2.0)
        return replace(more, points=replace(more.points, sampler=sampler))

    @property
    def units(self) -> int:
        """The number of hidden units; 0 if the network is not a KAN with one hidden layer."""
        width: list[int] = self.arguments["width"] if self.kind is KAN else []
        return width[1] if len(width) == 3 else 0

    def __str__(self) -> str:
        stages = ", ".join(optimizer.title.lower() for optimizer in self.optimizers)
        kind = "" if self.points.sampler == "gauss" else f" {self.points.sampler}"
        points = f"{self.points.interior} + {self.points.boundary}{kind} points"
        return f"{self._network}, {points}, {stages}"

    @property
    def _network(self) -> str:
        if self.kind is Beside:
            return " beside ".join(f"KAN with {_listed(table)}" for table in self.arguments["of"])
        return f"{self.kind.__name__} with {_listed(self.arguments)}"


def _without_type(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != "type"}


def _listed(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in _without_type(table).items())


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
            unknowns = self.traits.inputs * self.traits.fields * (self.spline_degree + grid)
            width = [self.traits.inputs, self.traits.fields]
            yield Choice(
                KAN,
                {"width": width, "degree": self.spline_degree, "grid": grid},
                Collocation(count, self._around(count), self.traits.sampler),
                (LeastSquares(steps=self.newton_steps),),
                # The Jacobian is sparse, but its triangular factor is not. Measured: n³ for the
                # dense factor, n² for the rows, and as much as n = 1000 anyway.
                work=1e9 + 2e3 * unknowns**2 + unknowns**3,
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


def additive(traits: Traits) -> Iterator[Choice]:
    """Yield networks without a hidden layer: sums of functions of one coordinate."""
    for degree, grid in ((4, 1), (9, 2), (11, 8)):
        splines = traits.inputs * (degree + grid)
        yield _solved(traits, [traits.inputs, traits.fields], degree, grid, splines)


def directions(traits: Traits, most_splines: int = 4000) -> Iterator[Choice]:
    """Yield networks with linear inner functions.

    They suit products of coordinates, which are sums of powers of linear functions. There are at
    most `most_splines` output coefficients, since the time of a solve grows with their cube.
    """
    pairs = traits.inputs * (traits.inputs + 1) // 2
    for factor, degree in ((1.2, 3), (1.2, 5), (2.4, 7)):
        units = math.ceil(factor * pairs)
        splines = units * (degree + 1)
        if splines > most_splines:
            return
        yield _solved(traits, [traits.inputs, units, traits.fields], [1, degree], 1, splines)


def projected(traits: Traits) -> Iterator[Choice]:
    """Yield networks with few hidden units whose inner functions are optimised too."""
    for units, degree, grid, rounds, starts in (
        (2, [9, 2], [1, 1], 10, 20),
        (3, [5, 7], [1, 2], 6, 20),
        (12, [2, 9], [1, 4], 3, 10),
    ):
        width = [traits.inputs, units, traits.fields]
        unknowns = KAN(width, degree, grid).parameter_count
        count = max(1000, 8 * unknowns)
        yield Choice(
            KAN,
            {"width": width, "degree": degree, "grid": grid},
            _scattered(count),
            (VariableProjection(rounds=rounds, starts=starts, coarse=grid[1]),),
            work=100.0 * traits.fields * count * unknowns**2,
        )


def _solved(
    traits: Traits, width: list[int], degree: int | list[int], grid: int, splines: int
) -> Choice:
    count = max(1024, math.ceil(1.5 * splines))
    return Choice(
        KAN,
        {"width": width, "degree": degree, "grid": grid},
        _scattered(count),
        (LeastSquares(),),
        work=float(traits.fields * count * (splines * traits.fields) ** 2),
    )


def _scattered(count: int) -> Collocation:
    return Collocation(count, math.ceil(count / 2), "sobol")


@dataclass(frozen=True)
class Family:
    """Choices of one kind, from small to large, such as networks with random inner functions.

    Args:
        name: of the family, for the log.
        choices: from small to large.
        patience: the number of trials in a row that lower the residual little, after which another
            family is tried.
        part: of the time left that a trial may take while networks of another class are to come.
    """

    name: str
    choices: tuple[Choice, ...]
    patience: float = 2.0
    part: float = 0.25


def first_choice(problem: Problem) -> Choice:
    """Return the choice of the first trial for a problem."""
    return next(families(Traits.of(problem))).choices[0]


def families(traits: Traits, tolerance: float = 1e-9) -> Iterator[Family]:
    """Yield the families that suit a problem, the cheapest first; tolerance: the wanted one.

    A problem with an energy defines its solution as the minimum, which may be too rough for the
    strong form; then the residual is no measure of the error. So the energy is minimised first, and
    solutions of the strong form, which is far more accurate where it converges, are compared with
    its minimum.
    """
    low_dim = LowDim(traits)
    if traits.observed:
        if traits.marches and traits.numbers:
            yield Family("marches fitted to data", tuple(_windows(traits, Shooting)))
        yield Family("random inner functions, by equation and data", tuple(low_dim.informed()))
        return
    if traits.dim > 3:
        yield Family("sums of functions of one coordinate", tuple(additive(traits)))
        yield Family("random directions", tuple(directions(traits)))
        yield Family("inner functions by variable projection", tuple(projected(traits)))
        return
    if traits.energetic:
        yield Family("random inner functions, by the energy", tuple(low_dim.energies()))
    if traits.marches:
        yield Family("windows in time", tuple(_windows(traits, March)))
    if traits.marches_in_cells:
        marches = tuple(_cell_windows(traits, tolerance))
        # On three such evolutions no other network was as accurate in four minutes.
        yield Family("windows in time, cells in space", marches, part=0.6)
    if traits.dim == 1 and traits.boxed:
        yield Family("splines", tuple(low_dim.splines()))
    steep = traits.steepness.is_steep and not traits.marches
    cells = [Family("cells", tuple(_cells(traits, tolerance)))] if traits.takes_cells else []
    early = traits.dim == 1 or steep or traits.kinked or traits.notched or traits.pierced
    yield from cells if early else []
    patience, smooth = 1.0 if cells else 2.0, tuple(low_dim.smooth())
    # In space the next network would take longer than the first solve in cells does.
    few = 3 if cells and traits.dim == 3 and not early else len(smooth)
    yield Family("random inner functions", smooth[:few], patience)
    yield from [] if early else cells
    if few < len(smooth):
        yield Family("random inner functions, more units", smooth[few:])
    yield Family("random inner functions, finer grids", tuple(low_dim.fine()))
    if traits.dim > 1 and traits.boxed:
        yield Family("sums of functions of one coordinate", tuple(low_dim.splines()))


def _cells(traits: Traits, wanted: float) -> Iterator[Choice]:
    """Yield networks in cells with smaller and smaller tolerances, each from the cells before.

    The last one is half of the wanted tolerance, as errors were up to 1.1 times their estimates.
    Before a very small one none is tried that is nearly as small: its solve would not be corrected
    for rounding, which an estimate does not see.
    """
    least = 0.5 * wanted
    degree, count, waves = {1: 14, 2: 12, 3: 7}[traits.dim], 4, traits.steepness.mean_waves
    if traits.dim == 2 and waves > degree:
        # Measured: waves are resolved where the degree is above their phase over a cell by 10.
        most = 14
        largest = 64  # cells along each coordinate, above which a first solve takes too long
        count = min(largest, max(count, 2 ** math.ceil(math.log2(waves / most))))
        degree = min(Cells.highest, max(degree, math.ceil(waves / count) + 10))
    for tolerance in (*(one for one in (1e-4, 1e-7) if one > wanted), least):
        yield Choice(
            Cells,
            {"width": [traits.dim, traits.fields], "degree": degree, "cells": count},
            Collocation(1681, 164, "gauss"),
            (Dissection(tolerance),),
            work=tolerance ** (-1.5 * traits.dim / (degree + 1)),
            balanced=False,  # cells weigh the equation against their jumps themselves
        )


def _cell_windows(traits: Traits, wanted: float) -> Iterator[Choice]:
    """Yield marches with cells in space, at the last to half of the wanted tolerance."""
    degree, cells, rough, least = 8, 2, 1e-4, 1e-14  # the least that a march takes
    for tolerance in [rough] * (rough > wanted) + [max(least, 0.5 * wanted)]:
        yield Choice(
            CellWindows,
            {"width": [traits.dim, traits.fields], "degree": degree, "cells": cells},
            Collocation(1681, 164, "gauss"),
            (March(tolerance),),
            work=tolerance ** (-3 / (degree + 1)),
            balanced=False,  # cells weigh the equation against their jumps themselves
        )


def _windows(traits: Traits, kind: Callable[[float], Optimizer]) -> Iterator[Choice]:
    """Yield marches with smaller and smaller tolerances."""
    degree, plane = (9, False) if traits.dim < 3 else (7, True)
    for tolerance in (1e-4, 1e-6, 1e-8, 1e-10, 1e-12):
        yield Choice(
            Windows,
            {"width": [traits.dim, traits.fields], "degree": degree, "grid": 10},
            Collocation(1681, 164, "gauss"),
            (kind(tolerance),),
            work=tolerance ** (-(1 + plane) / (degree + 1)),
            balanced=False,  # a march has no weights
        )
