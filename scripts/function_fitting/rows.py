"""The rows of a study: as a table, as CSV, and summarised over seeds."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy
from common.pieces import Row

from kanpinn._support.files import write_text


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as CSV, with a column for each key that any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def values(rows: Sequence[Row], name: str, **wanted: Any) -> list[float]:
    """Return one quantity of the rows that have the wanted values."""
    return [row[name] for row in rows if all(row.get(k) == v for k, v in wanted.items())]


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    return ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]]


def spread(errors: Sequence[float]) -> str:
    """Return the median (least - greatest) as text, a single number by itself."""
    middle = f"{numpy.median(errors):.1e}"
    return middle if len(errors) == 1 else f"{middle} ({min(errors):.0e} - {max(errors):.0e})"


def reach(each: Sequence[Sequence[float]]) -> tuple[list[float], list[list[float]]]:
    """Return medians, and how far the numbers reach below and above them."""
    middle = [float(numpy.median(numbers)) for numbers in each]
    below = [m - min(numbers) for m, numbers in zip(middle, each, strict=True)]
    above = [max(numbers) - m for m, numbers in zip(middle, each, strict=True)]
    return middle, [below, above]
