"""Error curves of a study over a varied key or a measured column."""

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
    """Return the error curves of a study over a varied key or a measured column.

    There is one curve for each setting of the other keys; runs that differ in their seeds only are
    replicates. Runs that failed or lack this error are left out. A convergence order is fitted over
    sizes of networks and numbers of points; a theoretical order is given over grids only.
    `kanpinn.plotting.plot_curves(axes, curves(...))` draws the curves.

    Args:
        study: the study.
        against: a varied key with numeric values, or "parameters", "points" or "seconds".
        error: a column of the study, such as "l2_relative" or "h1_squared".

    Raises:
        InputError: if the study has no such key or column, or the key's values are not numbers.
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
    """Return True if a run has not failed and has positive numbers in these columns."""
    return not has_failed(row) and all((row[name] or 0) > 0 for name in columns)


def path_of(study: Study, found: Sequence[Dimension], against: str) -> Dimension | None:
    """Return the dimension that varies along a curve, None if no numeric one does.

    Over a measured column it is a dimension along which this column takes different values.

    Raises:
        InputError: if `against` is neither a measured column nor a numeric key.
    """
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
    """Sort key: dimensions with a fitted order first, then those with the most values."""
    return not path.fitted, -len(set(path.labels))


def _within(
    study: Study, found: Sequence[Dimension], path: Dimension, column: str
) -> Iterator[list[Any]]:
    """Yield the values of a column for each setting of the dimensions other than `path`."""
    labels = setting_labels(found, path, len(study.rows))
    for label in dict.fromkeys(labels):
        rows = [r for r, own in zip(study.rows, labels, strict=True) if own == label]
        yield [row[column] for row in rows if usable(row, column)]


def setting_labels(found: Sequence[Dimension], path: Dimension | None, count: int) -> list[str]:
    """Return each row's label from all dimensions but the path: "degree 3, width [2, 8, 1]".

    A dimension that is determined by the path or by another dimension is left out.
    """
    others = [d for d in found if d is not path and not (path and d.follows(path))]
    for one in others[::-1]:
        if any(one.follows(other) for other in others if other is not one):
            others.remove(one)
    parts = [_labels(d, found, others) for d in others]
    return [", ".join(dict.fromkeys(part[i] for part in parts)) for i in range(count)]


def _labels(
    one: Dimension, found: Sequence[Dimension], others: Sequence[Dimension]
) -> tuple[str, ...]:
    """Return labels with the whole value of the key, unless another dimension has a part of it."""
    alone = all(d in others for d in found if d.key == one.key)
    return one.whole if alone else one.labels


def _settings(
    study: Study, found: Sequence[Dimension], path: Dimension | None, against: str, error: str
) -> dict[str, list[int]]:
    if error not in study.columns:
        raise InputError(
            f"{error!r} is not a column of the study: expected one of {', '.join(study.columns)}"
        )
    wanted = (error, against) if against in MEASURED else (error,)
    groups: dict[str, list[int]] = {}
    for i, label in enumerate(setting_labels(found, path, len(study.rows))):
        if usable(study.rows[i], *wanted):
            groups.setdefault(label, []).append(i)
    return groups


def _theory(study: Study, path: Dimension, rows: Sequence[Row], error: str) -> Theory | None:
    """Return the theoretical order of a KAN over its grid; None unless its degree is the same."""
    if path.name != "grid" or study.kind == "fit":
        return None
    degrees = {_degree(study, row, path.places) for row in (rows[0], rows[-1])}
    degree = degrees.pop()
    return None if degrees or degree is None else theoretical_order(degree, error)


def _degree(study: Study, row: Row, places: frozenset[int]) -> int | None:
    """Return the lowest spline degree of the layers whose grids vary; None if it is not a KAN."""
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
