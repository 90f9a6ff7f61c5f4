"""From errors to orders: the fits, the grids that they use, and the orders by theory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from poster.table1_approximation import Measured
from poster.table1_studies import BEST_H1, BEST_L2, BUILT, RANDOM, REFINED

import kanpinn as kp
from kanpinn.accuracy import fit_order
from kanpinn.accuracy.orders import Fit, before_level

FROM = 12  # grids before are not yet in the range of the order
FLAT = 0.05  # an order below is none
STARTS = {BUILT: 4, REFINED: 2, RANDOM: 2}  # other firsts: these resolve more
NORMS = {"L2": "l2_squared", "H1": "h1_squared"}


@dataclass(frozen=True)
class Series:
    """The errors of one setting; each grid occurs once for each seed.

    theory: the order of the best splines. start: the first grid of the fit.
    """

    study: str
    setting: str
    degree: int
    norm: str
    theory: int
    grids: tuple[int, ...]
    errors: tuple[float, ...]
    start: int = FROM

    @property
    def fitted(self) -> tuple[int, int] | None:
        """The first and last grid of the fit, which ends before the errors level off."""
        kept = [(g, e) for g, e in zip(self.grids, self.errors, strict=True) if g >= self.start]
        if len({g for g, _ in kept}) < 2:
            return None
        grids = before_level(*zip(*kept, strict=True))
        return int(grids[0]), int(grids[-1])

    @property
    def fit(self) -> Fit | None:
        """The fit error ≈ constant · G^-order on these grids, None for fewer than two."""
        if self.fitted is None:
            return None
        low, high = self.fitted
        kept = [(g, e) for g, e in zip(self.grids, self.errors, strict=True) if low <= g <= high]
        return fit_order(*zip(*kept, strict=True))

    @property
    def order(self) -> str:
        """The order as text, with its confidence interval."""
        if self.fit is None:
            return ""
        return str(self.fit) if abs(self.fit.order) >= FLAT else "0"

    def at(self, grid: int) -> list[float]:
        """Return the errors on a grid."""
        return [e for g, e in zip(self.grids, self.errors, strict=True) if g == grid]


def approximation(rows: Iterable[Measured], start: int = FROM) -> list[Series]:
    """Return a series for each function, degree and m."""
    groups: dict[tuple[str, int, int], list[Measured]] = {}
    for row in rows:
        groups.setdefault((row.function, row.degree, row.m), []).append(row)
    return [
        Series(
            *("approximation", name, degree, f"C{m}", degree + 1 - m),
            *(tuple(r.grid for r in own), tuple(r.error for r in own), start),
        )
        for (name, degree, m), own in groups.items()
    ]


@dataclass(frozen=True)
class _Run:
    grid: int
    errors: dict[str, float]

    @staticmethod
    def of(grid: int, row: Mapping[str, Any]) -> "_Run":
        return _Run(grid, {norm: row[squared] ** 0.5 for norm, squared in NORMS.items()})


def poisson(studies: Mapping[str, kp.Study]) -> list[Series]:
    """Return a series for each study, setting, degree and norm, of runs that did not fail."""
    groups: dict[tuple[str, str, int], list[_Run]] = {}
    for name, study in studies.items():
        for row in study.rows:
            if row["l2_squared"] is not None:
                key = (name, row.get("method", ""), row["degree"])
                groups.setdefault(key, []).extend(_runs(study, row))
    return [
        Series(
            *(name, setting, degree, norm, degree + (norm == "L2")),
            tuple(run.grid for run in own),
            tuple(run.errors[norm] for run in own),
            STARTS.get(name, FROM),
        )
        for (name, setting, degree), own in sorted(groups.items())
        for norm in NORMS
    ]


def _runs(study: kp.Study, row: dict[str, Any]) -> Iterator[_Run]:
    """Return a row for each grid of a run; on the last one the errors are those of its end.

    The history's errors are by a rule of 24 x 24 points, which has errors up to some 10% in H1.
    """
    if "grid" in row:
        yield _Run.of(row["grid"], row)
        return
    stages = study.config(row)["optimizer"]
    grids = [study.config(row)["network"]["grid"], *(s["grid"] for s in stages if "grid" in s)]
    descents = [i for i, stage in enumerate(stages) if stage["type"] == "levenberg_marquardt"]
    history = kp.load(study.run(row)).history.rows
    for grid, stage in list(zip(grids, descents, strict=True))[:-1]:
        yield _Run.of(grid, [step for step in history if step["stage"] == stage][-1])
    yield _Run.of(grids[-1], row)


def find(series: Sequence[Series], **wanted: object) -> list[Series]:
    """Return the series with these attributes."""
    return [s for s in series if all(getattr(s, key) == value for key, value in wanted.items())]


def one(series: Sequence[Series], **wanted: object) -> Series:
    """Return the one series with these attributes."""
    found = find(series, **wanted)
    assert len(found) == 1, (wanted, len(found))
    return found[0]


def excess(series: Sequence[Series], own: Series) -> float:
    """Return a series' error over the best approximation's on the finest grid, in the median."""
    best = BEST_L2 if own.norm == "L2" else BEST_H1
    reference = one(series, study="structured", setting=best, degree=own.degree, norm=own.norm)
    grid = max(own.grids)
    return float(numpy.median(own.at(grid)) / reference.at(grid)[0])
