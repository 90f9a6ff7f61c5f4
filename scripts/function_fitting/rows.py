"""The rows of a study, a JSON file each: what has been measured is not measured again."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy

from kanpinn._support.files import write_text

Row = dict[str, Any]


def kept(folder: Path, key: Row, measure: Callable[[], list[Row]]) -> list[Row]:
    """The rows that `measure` gives, each with its key: from the folder where they are there."""
    text = json.dumps(key, sort_keys=True)
    words = re.sub(r"[^a-z0-9]+", "-", " ".join(str(v) for v in key.values()).lower()).strip("-")
    path = folder / f"{words}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rows = [key | row for row in measure()]
        write_text(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return json.loads(path.read_text(encoding="utf-8"))


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """A table of the rows, a column for each key that any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def values(rows: Sequence[Row], name: str, **wanted: Any) -> list[float]:
    """One quantity of the rows that have the wanted values."""
    return [row[name] for row in rows if all(row.get(k) == v for k, v in wanted.items())]


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown."""
    return ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]]


def spread(errors: Sequence[float]) -> str:
    """The median (least - greatest), of one number itself."""
    middle = f"{numpy.median(errors):.1e}"
    return middle if len(errors) == 1 else f"{middle} ({min(errors):.0e} - {max(errors):.0e})"


def reach(each: Sequence[Sequence[float]]) -> tuple[list[float], list[list[float]]]:
    """Medians, and how far below and above them the numbers go."""
    middle = [float(numpy.median(numbers)) for numbers in each]
    below = [m - min(numbers) for m, numbers in zip(middle, each, strict=True)]
    above = [max(numbers) - m for m, numbers in zip(middle, each, strict=True)]
    return middle, [below, above]
