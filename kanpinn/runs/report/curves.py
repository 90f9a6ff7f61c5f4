"""The errors of a study as curves: over a varied key, or over what was measured."""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.accuracy.orders import Theory, theoretical_order
from kanpinn.networks import KAN
from kanpinn.plotting.curves import ErrorCurve
from kanpinn.runs.report.dimensions import Dimension, dimensions
from kanpinn.runs.study.table import Row, Study, has_failed

MEASURED = ("parameters", "points", "seconds")


def curves(study: Study, against: str, error: str = "l2_relative") -> list[ErrorCurve]:
    """The errors of a study over a varied key or "parameters", "points", "seconds".

    One curve for each setting of the other keys; seeds are replicates. Runs that failed or have no
    such error have no part in them. An order is fitted in sizes of networks and numbers of points;
    theory speaks of grids. `kanpinn.plotting.plot_curves(axes, curves(...))` draws them.

    Args:
        error: a column, "l2_relative", "h1_squared", ...

    Raises:
        InputError: where the study has no such key, or it is none of numbers.
    """
    found = dimensions(study)
    path = path_of(study, found, against)
    order = path is not None and path.fitted and against != "seconds"
    made = []
    for label, indices in _settings(study, found, path, against, error).items():
        rows = [study.rows[i] for i in indices]
        numbers = [path.numbers[i] for i in indices] if path and path.numbers else [1.0] * len(rows)
        x = [row[against] for row in rows] if against in MEASURED else numbers
        theory = None
        if order and path is not None and against != "points":
            theory = _theory(study, path, rows, error)
        errors = [row[error] for row in rows]
        made.append(ErrorCurve.of(label, numbers, errors, x=x, order=order, theory=theory))
    return made


def usable(row: Row, *columns: str) -> bool:
    """Whether a run has positive numbers in these columns."""
    return not has_failed(row) and all((row[name] or 0) > 0 for name in columns)


def path_of(study: Study, found: Sequence[Dimension], against: str) -> Dimension | None:
    """The dimension whose sizes follow one another along a curve, None where each stands alone."""
    if against in MEASURED:
        for path in sorted(filter(_along, found), key=_rank):
            if any(len(set(column)) > 1 for column in _within(study, found, path, against)):
                return path
        return None
    for path in found:
        if path.key == against and path.numbers is not None:
            return path
    numeric = [d.key for d in found if d.numbers is not None]
    expected = ", ".join([*numeric, *MEASURED])
    raise InputError(f"there is no curve against {against!r}: expected one of {expected}")


def _along(dimension: Dimension) -> bool:
    return dimension.numbers is not None


def _rank(path: Dimension) -> tuple[bool, int]:
    """Sizes first, those with most values before others."""
    return not path.fitted, -len(set(path.labels))


def _within(
    study: Study, found: Sequence[Dimension], path: Dimension, column: str
) -> Iterator[list[Any]]:
    """The values of a column in each setting apart from the path."""
    labels = setting_labels(found, path, len(study.rows))
    for label in dict.fromkeys(labels):
        rows = [r for r, own in zip(study.rows, labels, strict=True) if own == label]
        yield [row[column] for row in rows if usable(row, column)]


def setting_labels(found: Sequence[Dimension], path: Dimension | None, count: int) -> list[str]:
    """For each row what it is besides its place on the path: "degree 3, width [2, 8, 1]"."""
    others = [d for d in found if d is not path and not (path and d.follows(path))]
    for one in others[::-1]:
        if any(one.follows(other) for other in others if other is not one):
            others.remove(one)
    parts = [_labels(d, found, others) for d in others]
    return [", ".join(dict.fromkeys(part[i] for part in parts)) for i in range(count)]


def _labels(
    one: Dimension, found: Sequence[Dimension], others: Sequence[Dimension]
) -> tuple[str, ...]:
    """Values as they are, unless a part of them is elsewhere."""
    alone = all(d in others for d in found if d.key == one.key)
    return one.whole if alone else one.labels


def _settings(
    study: Study, found: Sequence[Dimension], path: Dimension | None, against: str, error: str
) -> dict[str, list[int]]:
    if error not in study.columns:
        raise InputError(f"{error!r} is no column of the study: {', '.join(study.columns)}")
    wanted = (error, against) if against in MEASURED else (error,)
    groups: dict[str, list[int]] = {}
    for i, label in enumerate(setting_labels(found, path, len(study.rows))):
        if usable(study.rows[i], *wanted):
            groups.setdefault(label, []).append(i)
    return groups


def _theory(study: Study, path: Dimension, rows: Sequence[Row], error: str) -> Theory | None:
    """Of a KAN's error over the grid, where one degree goes with all of it."""
    if path.name != "grid" or study.kind == "fit":
        return None
    degrees = {_degree(study, row, path.places) for row in (rows[0], rows[-1])}
    degree = degrees.pop()
    return None if degrees or degree is None else theoretical_order(degree, error)


def _degree(study: Study, row: Row, places: frozenset[int]) -> int | None:
    """The lowest degree of the layers whose grids vary."""
    with contextlib.suppress(InputError, OSError):
        network = study.config(row)["network"]
        if network["type"] == "kan":
            default = inspect.signature(KAN).parameters["degree"].default
            degree = network.get("degree", default)
            if isinstance(degree, int):
                return degree
            own = [degree[i] for i in places if i < len(degree)]
            return min(own if isinstance(network.get("grid"), list) else degree)
    return None
