"""Every problem file solved by this checkout and by another, side by side, in one table.

What: runs `kanpinn solve FILE --json --quiet` for each file of problems/, one process at a time,
each with one thread: first with the kanpinn of --against, another checkout with its own problem
files (say, a clone of the last release), then with this one. The table has errors, estimates,
unknowns of inverse problems, statuses and seconds (run.json's total, without imports and figures)
of both. The verdict of a file: it still ends with the same status (converged, stopped, failed), and
no error has grown to more than twice what it was, unless both are below 1e-13. Over all files: the
ratio of the sums of seconds, at most 1.1. Without --against there is one column and no verdict.

How: a result is kept in --output and not made again for the same sources of kanpinn, except with
--again. --only NAME ... and --but NAME ... choose files.

How long: 40 minutes of one core for a checkout, cylinder_shedding (7 minutes) included; --smoke:
some seconds, one file, this checkout against itself.

Writes to --output: freeze.md, freeze.json, and pieces/, the numbers of each run.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import script
from common.pieces import Pieces, package_digest
from common.script import REPOSITORY, NoRecord, recorded

from kanpinn._support.files import write_text

NAME = Path(__file__).stem
GROWTH, SLOWER, ROUNDING = 2.0, 1.1, 1e-13
DEADLINE = 3600.0  # seconds after which a solve is ended


@dataclass(frozen=True)
class Outcome:
    """What one run printed: a status, numbers by name, and seconds; all empty if it failed."""

    status: str
    numbers: Mapping[str, float]
    seconds: float | None

    @property
    def word(self) -> str:
        """The first word of the status, which says how the run ended."""
        return self.status.partition(":")[0].partition(" ")[0]


@dataclass(frozen=True)
class Checkout:
    """A folder with kanpinn/ and problems/, and the place of its kept results."""

    root: Path
    pieces: Path

    def outcome(self, problem: str, again: bool) -> Outcome:
        """Return the outcome of a problem file, kept or measured now."""
        digest = package_digest(self.root / "kanpinn")
        kept = Pieces(self.pieces / f"{self.root.name}-{digest}")
        if again:
            kept.path({"problem": problem}, "json").unlink(missing_ok=True)
        return kept.records(Outcome, {"problem": problem}, lambda: [self._solved(problem)])[0]

    def _solved(self, problem: str) -> Outcome:
        command = ["solve", str(self.root / "problems" / f"{problem}.toml")]
        try:
            with recorded(command, root=self.root, deadline=DEADLINE) as (record, _):
                return outcome_of(record)
        except NoRecord:
            return Outcome("failed", {}, None)


def outcome_of(record: Mapping[str, Any]) -> Outcome:
    """Return the numbers of a run.json by name, such as "error …" and "estimate …"."""
    numbers = dict(_numbers("error", record.get("errors") or {}))
    numbers |= dict(_numbers("estimate", record.get("estimate") or {}))
    numbers |= dict(_numbers("unknown", record.get("estimated") or {}))
    for at, mode in enumerate(record.get("eigenvalues") or ()):
        numbers |= dict(_numbers(f"eigenvalue {at + 1}", mode))
    seconds = (record.get("seconds") or {}).get("total")
    return Outcome(record["status"], numbers, seconds)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield the numbers in nested tables and lists with their paths."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name} {key}", inner)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _numbers(f"{name} {at + 1}", inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def grown(before: Outcome, after: Outcome) -> list[str]:
    """Return the names of relative errors that are more than twice what they were."""
    return [
        name
        for name, old in before.numbers.items()
        if name.startswith("error") and name.endswith("_relative")
        if after.numbers.get(name, float("inf")) > max(GROWTH * old, ROUNDING)
    ]


def main(given: Sequence[str] | None = None) -> None:
    chosen = arguments(given)
    pieces = chosen.output / "pieces"
    here = Checkout(REPOSITORY, pieces)
    there = Checkout(chosen.against.resolve(), pieces) if chosen.against else None
    rows, figures = [], {}
    sums = [0.0, 0.0]
    for problem in chosen.only:
        old = there.outcome(problem, chosen.again) if there else None
        new = here.outcome(problem, chosen.again)
        rows.append(row(problem, old, new))
        print(*rows[-1], sep=" | ", flush=True)
        worse = grown(old, new) if old else []
        kept = not worse and new.word == old.word if old else None
        target = "the same status, errors at most twice what they were"
        figures[problem] = script.verdict(new.numbers.get("error l2_relative"), target, kept)
        if old and old.seconds and new.seconds:
            sums = [sums[0] + old.seconds, sums[1] + new.seconds]
    if there:
        ratio = sums[1] / sums[0] if sums[0] else None
        met = None if chosen.smoke or ratio is None else ratio <= SLOWER
        figures["seconds, ratio of the sums"] = script.verdict(ratio, f"at most {SLOWER}", met)
    write_text(chosen.output / f"{NAME}.md", script.markdown(HEAD, rows))
    script.write_verdicts(chosen.output / f"{NAME}.json", figures)


MEASURES = ("relative L2 error", "relative H1 error", "estimate", "seconds", "status")
HEAD = ["problem", *(word for name in MEASURES for word in (f"{name}, before", "after"))]


def row(problem: str, old: Outcome | None, new: Outcome) -> list[str]:
    """Return a row of the table."""

    def pair(name: str) -> list[str]:
        return [_text(one.numbers.get(name)) if one else "" for one in (old, new)]

    seconds = [_text(one.seconds, ".2f") if one else "" for one in (old, new)]
    states = [one.status if one else "" for one in (old, new)]
    estimate = "estimate l2_relative"
    cells = [*pair("error l2_relative"), *pair("error h1_relative"), *pair(estimate)]
    return [problem, *cells, *seconds, *states]


def _text(value: float | None, form: str = ".2e") -> str:
    return "" if value is None else format(value, form)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    names = sorted(path.stem for path in (REPOSITORY / "problems").glob("*.toml"))
    chosen = script.options(
        NAME,
        __doc__,
        given,
        against=dict(type=Path, metavar="CHECKOUT", help="another checkout"),
        only=dict(nargs="+", choices=names, default=names, metavar="NAME"),
        but=dict(nargs="+", choices=names, default=[], metavar="NAME"),
        again=dict(action="store_true", help="measure anew what is done"),
    )
    if chosen.smoke:
        chosen.only, chosen.against = ["poisson5d"], REPOSITORY
    chosen.only = [name for name in chosen.only if name not in chosen.but]
    return chosen


if __name__ == "__main__":
    main()
