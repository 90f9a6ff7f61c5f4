"""The rows of runs.csv, one for each run."""

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kanpinn._support.errors import UNUSABLE

HAND, AUTO = "hand", "auto"


@dataclass(frozen=True)
class Row:
    """A run; problem, mode and seed tell which it is. None, or an empty text: not known.

    mode: "hand" as the file says, "auto" without its network, points, weights and optimizers, for a
    tolerance and within budget_seconds. error: the relative L2 error, or the largest relative one
    of the eigenvalues that count. parts: the same of a system's fields or of all eigenvalues, and
    unknowns: [value, low, high, truth] of each, as JSON. reference: what errors are against where
    that is no exact solution, reference_error that one's own. estimate, estimate_h1: the errors
    as kanpinn estimates them without either. code, settings: digests of what a run depends on.
    """

    problem: str
    mode: str
    seed: int
    status: str
    error: float | None = None
    h1: float | None = None
    parts: str = "{}"
    unknowns: str = "{}"
    parameters: int | None = None
    seconds: float | None = None
    threads: int | None = None
    reference: str = ""
    reference_error: float | None = None
    estimate: float | None = None
    estimate_h1: float | None = None
    contraction: float | None = None
    tolerance: float | None = None
    budget_seconds: float | None = None
    commit: str = ""
    code: str = ""
    settings: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies the run."""
        return self.problem, self.mode, self.seed

    @property
    def failed(self) -> bool:
        """Whether the run has no result that may be used."""
        return self.status.startswith(UNUSABLE)

    @property
    def part_errors(self) -> dict[str, float]:
        """Errors of single fields or eigenvalues."""
        return json.loads(self.parts)

    @property
    def found(self) -> dict[str, list[float | None]]:
        """The unknowns, each with value, low, high and truth."""
        return json.loads(self.unknowns)


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write all rows at once: a call that is killed leaves the file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    temporary.replace(path)


def read(path: Path) -> list[Row]:
    """Return the rows of earlier calls, none if there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            Row(**{f.name: _parsed(f.type, r[f.name]) for f in fields(Row)})
            for r in csv.DictReader(stream)
        ]


def _parsed(kind: Any, text: str) -> Any:
    if kind is str:
        return text
    if text == "":
        return None
    return int(text) if kind in (int, int | None) else float(text)
