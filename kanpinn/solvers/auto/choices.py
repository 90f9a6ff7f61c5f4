"""The choices of network, points and optimizers that are tried, in families from small to large."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch

from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, Beside, Network
from kanpinn.networks.combined import SEEDS
from kanpinn.optimizers import LeastSquares, Method, Optimizer, VariableProjection
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.traits import Traits
from kanpinn.solvers.discretization import Loss, SolveSettings
from kanpinn.spaces.cell_windows import CellWindows
from kanpinn.spaces.cells.cells import Cells
from kanpinn.spaces.windows import Windows
from kanpinn.tasks.adaptive import AdaptiveLeastSquares
from kanpinn.tasks.march import March
from kanpinn.tasks.parameters import Shooting

SIZES = Loss(balance="sizes")
FEW_POINTS = Collocation(1681, 164, "gauss")  # for methods that place their points themselves


@dataclass(frozen=True)
class Choice:
    """A network's class and arguments, collocation points and optimizers of one trial.

    Args:
        kind: the network's class.
        arguments: of this class, as in a problem file; for `Beside` a list "of" with a table for
            each network.
        points: the collocation points.
        optimizers: run in order.
        work: the number of operations up to a factor, from which the times of trials are forecast.
        loss: its form, and whether residuals are divided by their sizes.
    """

    kind: type[Network]
    arguments: Mapping[str, Any]
    points: Collocation
    optimizers: tuple[Method, ...]
    work: float
    loss: Loss = SIZES

    def network(self, seed: int, dtype: torch.dtype, device: torch.device | str) -> Network:
        """A new network of this choice."""
        made: Network
        if issubclass(self.kind, Beside):
            tables = [_without_type(table) for table in self.arguments["of"]]
            made = Beside([KAN(**table, seed=seed + SEEDS * i) for i, table in enumerate(tables)])
        else:
            random = "seed" in inspect.signature(self.kind).parameters
            made = self.kind(**self.arguments, **{"seed": seed} if random else {})
        return made.to(device=device, dtype=dtype)

    def settings(self, boundary: str) -> SolveSettings:
        """The settings of a solve with this choice; boundary: as for `solve`."""
        return SolveSettings(points=self.points, boundary=boundary, loss=self.loss)

    def smaller(self, part: float) -> "Choice":
        """The choice with a part (0 to 1) of the hidden units and of the points."""
        assert self.kind is KAN
        inputs, units, outputs = self.arguments["width"]
        arguments = {**self.arguments, "width": [inputs, math.floor(part * units), outputs]}
        return replace(self._with_points(part, part), arguments=arguments, work=self.work * part**3)

    def with_more_points(self, factor: float, only_boundary: bool = False) -> "Choice":
        """The choice with `factor` times as many points, or as many on the boundary."""
        made = self._with_points(1.0 if only_boundary else factor, factor)
        counts = [one.points.interior + one.points.boundary for one in (made, self)]
        return replace(made, work=self.work * counts[0] / counts[1])

    def _with_points(self, inside: float, around: float) -> "Choice":
        interior = math.ceil(inside * self.points.interior)
        boundary = math.ceil(around * self.points.boundary)
        return replace(self, points=replace(self.points, interior=interior, boundary=boundary))

    def with_other_points(self) -> "Choice | None":
        """The choice with twice as many points by another sampler, or None.

        There is none for energies, whose points are a rule, and for marches and cells, which
        place them.
        """
        if self.kind is not KAN or self.loss.form == "energy":
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
        if self.kind is Beside:
            network = " beside ".join(f"KAN with {_listed(one)}" for one in self.arguments["of"])
        else:
            network = f"{self.kind.__name__} with {_listed(self.arguments)}"
        stages = ", ".join(optimizer.title.lower() for optimizer in self.optimizers)
        kind = "" if self.points.sampler == "gauss" else f" {self.points.sampler}"
        return f"{network}, {self.points.interior} + {self.points.boundary}{kind} points, {stages}"


def _without_type(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != "type"}


def _listed(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in _without_type(table).items())


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
    """The choice of the first trial for a problem."""
    return next(families(Traits.of(problem))).choices[0]


def families(traits: Traits, tolerance: float = 1e-9) -> Iterator[Family]:
    """Yield the families that suit a problem, the cheapest first; tolerance: of the solve.

    A problem with an energy defines its solution as the minimum, which may be too rough for the
    strong form; then the residual is no measure of the error. So the energy is minimised first, and
    solutions of the strong form, which is far more accurate where it converges, are compared with
    its minimum.
    """
    if traits.observed:
        if traits.marches and traits.numbers:
            yield Family("marches fitted to data", _windows(traits, Shooting))
        yield Family("random inner functions, by equation and data", tuple(_informed(traits)))
        return
    if traits.dim > 3:
        yield Family("sums of functions of one coordinate", tuple(_additive(traits)))
        yield Family("random directions", tuple(_directions(traits)))
        yield Family("inner functions by variable projection", tuple(_projected(traits)))
        return
    if traits.energetic:
        yield Family("random inner functions, by the energy", tuple(_energies(traits)))
    if traits.marches:
        yield Family("windows in time", _windows(traits, March))
    if traits.marches_in_cells:
        # On three such evolutions no other network was as accurate in four minutes.
        marches = _cell_windows(traits, tolerance)
        yield Family("windows in time, cells in space", marches, part=0.6)
    if traits.dim == 1 and traits.boxed:
        grids = [16 * 2**i for i in range(11)]
        yield Family("splines", tuple(_splines(traits, grids)))
    steep = traits.steepness.is_steep and not traits.marches
    cells = [Family("cells", tuple(_cells(traits, tolerance)))] if traits.takes_cells else []
    early = traits.dim == 1 or steep or traits.kinked or traits.reentrant or traits.small_holes
    yield from cells if early else []
    patience, smooth = 1.0 if cells else 2.0, smooth_choices(traits)
    # In space the next network would take longer than the first solve in cells does.
    few = 3 if cells and traits.dim == 3 and not early else len(smooth)
    yield Family("random inner functions", smooth[:few], patience)
    yield from [] if early else cells
    if few < len(smooth):
        yield Family("random inner functions, more units", smooth[few:])
    yield Family("random inner functions, finer grids", fine_choices(traits))
    if traits.dim > 1 and traits.boxed:
        yield Family("sums of functions of one coordinate", tuple(_splines(traits, [8, 32])))


def _cells(traits: Traits, wanted: float) -> Iterator[Choice]:
    """Yield networks in cells with smaller and smaller tolerances, each from the cells before.

    The last one is half of the wanted tolerance, as errors were up to 1.1 times their estimates.
    Before a very small one none is tried that is nearly as small: its solve would not be corrected
    for rounding, which an estimate does not see.
    """
    degree, count, waves = {1: 14, 2: 12, 3: 7}[traits.dim], 4, traits.steepness.mean_waves
    if traits.dim == 2 and waves > degree:
        # Measured: waves are resolved where the degree is above their phase over a cell by 10.
        most = 14
        largest = 64  # cells along each coordinate, above which a first solve takes too long
        count = min(largest, max(count, 2 ** math.ceil(math.log2(waves / most))))
        degree = min(Cells.highest, max(degree, math.ceil(waves / count) + 10))
    for tolerance in (*(one for one in (1e-4, 1e-7) if one > wanted), 0.5 * wanted):
        work = tolerance ** (-1.5 * traits.dim / (degree + 1))
        yield _placing(
            Cells, traits, AdaptiveLeastSquares(tolerance), work, degree=degree, cells=count
        )


def _cell_windows(traits: Traits, wanted: float) -> tuple[Choice, ...]:
    """Marches with cells in space, the last of them to half of the wanted tolerance."""
    degree, rough, least = 8, 1e-4, 1e-14  # the least tolerance of a march
    return tuple(
        _placing(CellWindows, traits, March(one), one ** (-3 / (degree + 1)), degree=8, cells=2)
        for one in [rough] * (rough > wanted) + [max(least, 0.5 * wanted)]
    )


def _windows(traits: Traits, kind: Callable[[float], Optimizer]) -> tuple[Choice, ...]:
    """Marches with smaller and smaller tolerances."""
    degree, rate = (9, 1) if traits.dim < 3 else (7, 2)
    return tuple(
        _placing(Windows, traits, kind(one), one ** (-rate / (degree + 1)), degree=degree, grid=10)
        for one in (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
    )


def _placing(
    kind: type[Network], traits: Traits, method: Method, work: float, **arguments: Any
) -> Choice:
    """A choice whose method places its points and weighs the equation against conditions itself."""
    arguments = {"width": [traits.dim, traits.fields], **arguments}
    return Choice(kind, arguments, FEW_POINTS, (method,), work, Loss())


def smooth_choices(traits: Traits) -> tuple[Choice, ...]:
    """Networks for smooth solutions, with more and more hidden units.

    They have degree 11 on few intervals: on four smooth problems in two dimensions they were ten
    times more accurate than fewer units of degree 9 on ten intervals with the same number of
    coefficients.
    """
    units = _growing(traits, first=24)
    return tuple(_solved(traits, count, 11, [4, 4], count * (11 + 4)) for count in units)


def fine_choices(traits: Traits) -> tuple[Choice, ...]:
    """Networks with finer and finer grids of the outer functions."""
    sizes = ((32, 16), (48, 24), (64, 32), (96, 40), (128, 56), (192, 72), (256, 96))
    return tuple(
        _solved(traits, units, [9, 7], [4, grid], units * (7 + grid)) for units, grid in sizes
    )


def _growing(traits: Traits, first: int) -> Iterator[int]:
    """Yield numbers of hidden units up to 2000; first: the least one for a single field."""
    units = math.ceil(first / traits.fields**0.5)
    while units <= 2000:
        yield units
        units = math.ceil(1.6 * units)


def _solved(
    traits: Traits, units: int, degree: int | list[int], grid: list[int], splines: int
) -> Choice:
    """A least-squares choice with `splines` output coefficients per field.

    A solution that takes more than 8 Newton steps is not resolved.
    """
    return _dense(
        traits,
        {"width": [traits.inputs, units, traits.fields], "degree": degree, "grid": grid},
        _points(traits, max(1024, math.ceil(1.5 * splines))),
        LeastSquares(steps=8),
        splines,
    )


def _dense(
    traits: Traits,
    arguments: Mapping[str, Any],
    points: Collocation,
    method: Method,
    splines: int,
    kind: type[Network] = KAN,
    **settings: Any,
) -> Choice:
    """A choice with a dense Jacobian of `splines` columns per field; settings: of `Choice`."""
    work = float(traits.fields * points.interior * (splines * traits.fields) ** 2)
    return Choice(kind, arguments, points, (method,), work, **settings)


def _points(traits: Traits, count: int, sampler: str = "", around: int = 0) -> Collocation:
    """Collocation points, `count` of them in the interior.

    The density on the boundary is 1.5 times that of the interior: with too few, an oscillation
    between the points of the boundary is not penalised.

    Args:
        traits: of the problem.
        count: the number of interior points.
        sampler: by default that of the problem.
        around: the number of interior points with whose density the boundary is covered, by default
            `count`.
    """
    d = traits.dim
    boundary = math.ceil(1.5 * 2 * d * (around or count) ** ((d - 1) / d))
    return Collocation(count, boundary, sampler or traits.sampler)


def _splines(traits: Traits, grids: Sequence[int]) -> Iterator[Choice]:
    """Yield networks without a hidden layer, with finer and finer grids.

    In one dimension they are splines, in more they suit sums of functions of one coordinate.
    """
    for grid in grids:
        unknowns = traits.inputs * traits.fields * (9 + grid)
        yield Choice(
            KAN,
            {"width": [traits.inputs, traits.fields], "degree": 9, "grid": grid},
            _points(traits, max(256, math.ceil(1.5 * (9 + grid)))),
            (LeastSquares(steps=8),),
            # The Jacobian is sparse, but its triangular factor is not. Measured: n³ for the dense
            # factor, n² for the rows, and as much as n = 1000 anyway.
            work=1e9 + 2e3 * unknowns**2 + unknowns**3,
        )


def _energies(traits: Traits) -> Iterator[Choice]:
    """Yield networks for the energy, with more and more units and many quadrature points.

    With fewer than 7 points per coefficient in one dimension, and 50 in more, the discrete energy
    has no lower bound.
    """
    for units in _growing(traits, first=16):
        splines = units * (7 + 8)
        count = (7 if traits.dim == 1 else 50) * splines
        arguments = {"width": [traits.inputs, units, traits.fields], "degree": 7, "grid": [4, 8]}
        points = _points(traits, count, "gauss", around=splines)
        method = LeastSquares()
        yield _dense(traits, arguments, points, method, splines, loss=Loss(form="energy"))


def _informed(traits: Traits) -> Iterator[Choice]:
    """Yield small networks for an equation with data.

    The loss weights are one, for which the confidence intervals are right. Unknown coefficient
    fields have coarser networks of their own, at first sums of functions of one coordinate. In
    one dimension the networks have no hidden layer, and finer and finer grids.
    """
    degree, grid, units, line = 7, 3, 10, traits.inputs == 1
    for size in range(6):
        splines = degree + units if line else units * (degree + grid)
        count = max(400 // (2 if line else 1), math.ceil(1.5 * splines))
        like: dict[str, Any] = {"width": [traits.inputs, units, 1], "grid": [grid, grid]}
        if line:
            like = {"width": [1, 1], "grid": units}
        kind, arguments = _beside(traits, {**like, "degree": degree}, size)
        method = LeastSquares(steps=30, starts=2)
        points = _points(traits, count)
        yield _dense(traits, arguments, points, method, splines, kind, loss=Loss())
        units = math.ceil((2 if line else 1.6) * units)


def _beside(
    traits: Traits, like: dict[str, Any], size: int
) -> tuple[type[KAN] | type[Beside], dict[str, Any]]:
    """Class and arguments: networks like `like` for known fields, others for unknown ones.

    size: the number of the trial, with which the networks of unknown fields grow.
    """
    coarse: dict[str, Any] = {"width": [traits.inputs, 1], "degree": 5, "grid": 2 + 2 * size}
    if size >= 2:
        coarse |= {"width": [traits.inputs, 2 + size, 1], "grid": [2, 2]}
    tables: list[dict[str, Any]] = []
    for unknown, group in groupby(traits.unknown):
        table = coarse if unknown else like
        width = [*table["width"][:-1], len(list(group))]
        tables.append({"type": "kan", **table, "width": width})
    return (Beside, {"of": tables}) if len(tables) > 1 else (KAN, _without_type(tables[0]))


def _additive(traits: Traits) -> Iterator[Choice]:
    """Yield networks without a hidden layer: sums of functions of one coordinate."""
    for degree, grid in ((4, 1), (9, 2), (11, 8)):
        splines = traits.inputs * (degree + grid)
        yield _scattered(traits, [traits.inputs, traits.fields], degree, grid, splines)


def _directions(traits: Traits) -> Iterator[Choice]:
    """Yield networks with linear inner functions.

    They suit products of coordinates, which are sums of powers of linear functions. There are at
    most 4000 output coefficients, since the time of a solve grows with their cube.
    """
    pairs = traits.inputs * (traits.inputs + 1) // 2
    for factor, degree in ((1.2, 3), (1.2, 5), (2.4, 7)):
        units = math.ceil(factor * pairs)
        splines = units * (degree + 1)
        if splines > 4000:
            return
        width = [traits.inputs, units, traits.fields]
        yield _scattered(traits, width, [1, degree], 1, splines)


def _scattered(
    traits: Traits, width: list[int], degree: int | list[int], grid: int, splines: int
) -> Choice:
    """A least-squares choice at scattered points, as product grids are too large."""
    arguments = {"width": width, "degree": degree, "grid": grid}
    points = _sobol(max(1024, math.ceil(1.5 * splines)))
    return _dense(traits, arguments, points, LeastSquares(), splines)


def _sobol(count: int) -> Collocation:
    return Collocation(count, math.ceil(count / 2), "sobol")


def _projected(traits: Traits) -> Iterator[Choice]:
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
            _sobol(count),
            (VariableProjection(rounds=rounds, starts=starts, coarse=grid[1]),),
            work=100.0 * traits.fields * count * unknowns**2,
        )
