"""The results of the runs behind Figure 3: their errors at the end of each grid, summarised."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy
from poster.paper import edges

from kanpinn.accuracy import fit_order
from kanpinn.accuracy.orders import Fit
from kanpinn.runs.results.record import PARTIAL, RECORD, read_record

STUDIES = {
    "kan": "poster",
    "mlp": "poster",
    "fair-kan": "fair",
    "fair-mlp": "fair",
    "fit": "fit",
    "structure": "structure",
}
ERRORS = ("l2_squared", "h1_squared")


class Series(NamedTuple):
    """What all runs of one curve have in common; protocol is a value of STUDIES."""

    protocol: str
    network: str  # "KAN" or "MLP"
    boundary: str  # "exact" or "penalty"
    degree: int  # 0: an MLP


@dataclass(frozen=True)
class Point:
    """The state of a run at the end of a grid; grid 0 is the end of an MLP's run.

    loss: the loss that was minimised. edges: their number, which the paper's N counts (times the
    grid). steps and seconds: from the start of the run.
    """

    series: Series
    width: tuple[int, ...]
    seed: int
    grid: int
    edges: int
    parameters: int
    l2_squared: float
    h1_squared: float
    loss: float
    steps: int
    seconds: float

    @property
    def n(self) -> int:
        """The paper's N: edges times grid, an MLP's weights."""
        return self.edges * max(self.grid, 1)


@dataclass(frozen=True)
class History:
    """Squared errors against steps of one run."""

    series: Series
    width: tuple[int, ...]
    seed: int
    step: numpy.ndarray
    l2_squared: numpy.ndarray
    h1_squared: numpy.ndarray


@dataclass(frozen=True)
class Runs:
    """All runs that were found in an output folder."""

    points: list[Point]
    histories: list[History]
    failed: list[str]
    unfinished: int

    def of(self, series: Series, width: Sequence[int] | None = None) -> list[Point]:
        """Return the points of one curve, or of one of its networks."""
        width = None if width is None else tuple(width)
        return [p for p in self.points if p.series == series and width in (None, p.width)]

    def history(self, series: Series, width: Sequence[int]) -> list[History]:
        """Return the histories of a network's seeds."""
        return [h for h in self.histories if h.series == series and h.width == tuple(width)]


def read(output: Path) -> Runs:
    """Read all finished runs of the studies, whichever call of the script made them."""
    runs = Runs([], [], [], 0)
    unfinished = 0
    for folder in _folders(output):
        if folder.name.endswith(PARTIAL):
            unfinished += 1
            continue
        record = read_record(folder)
        if record["status"].startswith("failed"):
            runs.failed.append(f"{folder.name}: {record['status']}")
            continue
        protocol = STUDIES[folder.parents[1].name.rpartition("-")[0]]
        points, history = _read_run(folder, record, protocol)
        runs.points.extend(points)
        runs.histories.append(history)
    return Runs(runs.points, runs.histories, runs.failed, unfinished)


def _folders(output: Path) -> Iterator[Path]:
    for study in STUDIES:
        for folder in sorted(output.glob(f"{study}-????????/runs/*")):
            if (folder / RECORD).is_file():
                yield folder


def _read_run(folder: Path, record: dict[str, Any], protocol: str) -> tuple[list[Point], History]:
    config, width = record["config"], tuple(record["width"])
    with h5py.File(folder / "result.h5") as file:
        names = ("step", "stage", "loss", "seconds", *ERRORS)
        columns = {name: file["history"][name][()] for name in names}
    series = _series(config["network"], protocol)
    points = [
        Point(
            series,
            width,
            config["run"]["seed"],
            grid,
            edges(width),
            _parameters(config["network"], width, grid, record["parameters"]),
            *(columns[name][row].item() for name in (*ERRORS, "loss", "step", "seconds")),
        )
        for grid, row in _ends(config, columns["stage"], columns["l2_squared"]).items()
    ]
    return points, _history(config, columns, points[0])


def _series(network: dict[str, Any], protocol: str) -> Series:
    kan = network["type"] == "kan"
    name, degree = ("KAN", _last(network["degree"])) if kan else ("MLP", 0)
    return Series(protocol, name, network["boundary"], degree)


def _parameters(network: dict[str, Any], width: tuple[int, ...], grid: int, final: int) -> int:
    """Return the number of parameters trained on a grid.

    A network with several degrees keeps its grids, and its number does not change.
    """
    if network["type"] == "mlp" or isinstance(network["degree"], list):
        return final
    return edges(width) * (grid + network["degree"] + ("base" in network))


def _last(value: int | list[int]) -> int:
    return value[-1] if isinstance(value, list) else value


def _history(config: dict[str, Any], columns: dict[str, numpy.ndarray], point: Point) -> History:
    """Return the rows with errors; refinements do not count as steps, as in the paper."""
    refines = numpy.array([o["type"] == "refine" for o in config["optimizer"]])
    stage = columns["stage"]
    kept = numpy.isfinite(columns["l2_squared"]) & ~refines[stage]
    step = (columns["step"] - numpy.cumsum(refines)[stage])[kept]
    l2, h1 = (columns[key][kept] for key in ERRORS)
    return History(point.series, point.width, point.seed, step, l2, h1)


def _ends(config: dict[str, Any], stage: numpy.ndarray, errors: numpy.ndarray) -> dict[int, int]:
    """Return the history's last row on each grid of a run; an MLP has grid 0."""
    grid = _last(config["network"].get("grid", 0))
    ends: dict[int, int] = {}
    for number, optimizer in enumerate(config["optimizer"]):
        grid = optimizer.get("grid", grid)
        rows = numpy.flatnonzero((stage == number) & numpy.isfinite(errors))
        if len(rows):
            ends[grid] = int(rows[-1])
    return ends


class Range(NamedTuple):
    """Median, least and greatest over some seeds."""

    median: float
    low: float
    high: float
    seeds: int

    @staticmethod
    def of(values: Sequence[float]) -> "Range":
        return Range(float(numpy.median(values)), min(values), max(values), len(values))


@dataclass(frozen=True)
class Summary:
    """Median and range over seeds at one network and grid."""

    width: tuple[int, ...]
    grid: int
    n: int
    parameters: int
    l2_squared: Range
    h1_squared: Range
    loss: Range


def summarise(points: Iterable[Point]) -> list[Summary]:
    """Return one summary for each network and grid, small ones first."""

    def key(p: Point) -> tuple:
        return len(p.width), p.width, p.grid

    groups = itertools.groupby(sorted(points, key=key), key)
    return [_summary(list(group)) for _, group in groups]


def _summary(points: list[Point]) -> Summary:
    names = (*ERRORS, "loss")
    ranges = [Range.of([getattr(p, name) for p in points]) for name in names]
    first = points[0]
    return Summary(first.width, first.grid, first.n, first.parameters, *ranges)


def slope(points: Sequence[Point], error: str) -> Fit | None:
    """Return the order of an error in the grid over all seeds, None for fewer than three grids."""
    if len({p.grid for p in points}) < 3:
        return None
    return fit_order([p.grid for p in points], [getattr(p, error) for p in points])
