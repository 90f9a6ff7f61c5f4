"""The table of problems: medians over seeds beside their targets."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from common.verdicts import Figure
from library import solves
from library.solves import Row
from library.targets import DIRICHLET, TARGETS, VARIANT, Target

CLEAR = 10.0  # times a reference's own error: below, errors against it are not true ones


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of the seeds that have a value."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread | None":
        known = [value for value in values if value is not None]
        return cls(median(known), min(known), max(known)) if known else None

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:.1e}"
        return f"{self.median:.1e} ({self.low:.1e} … {self.high:.1e})"


@dataclass(frozen=True)
class Summary:
    """A problem's line of the table; bound: the largest relative L2 error that is allowed."""

    problem: str
    rows: tuple[Row, ...]
    target: Target
    bound: float | None

    def spread(self, name: str) -> Spread | None:
        return Spread.of([getattr(row, name) for row in self.rows])

    def field_spread(self, name: str) -> Spread | None:
        return Spread.of([json.loads(row.field_errors).get(name) for row in self.rows])

    @property
    def field_names(self) -> list[str]:
        return list(json.loads(self.rows[0].field_errors))

    def effectivity(self, norm: str) -> Spread | None:
        """Estimated over true errors, for each seed whose true one is known well enough."""
        return Spread.of([_ratio_of(row, norm) for row in self.rows])

    @property
    def failed(self) -> bool:
        return any(row.l2 is None for row in self.rows)


def _ratio_of(row: Row, norm: str) -> float | None:
    estimate, true = getattr(row, f"estimate_{norm}"), getattr(row, norm)
    blurred = row.l2 is not None and row.l2 < CLEAR * (row.reference_error or 0.0)
    return None if estimate is None or not true or blurred else estimate / true


def summarize(rows: Sequence[Row]) -> list[Summary]:
    """A summary for each problem that has rows, in the order of the targets."""
    base = Spread.of([row.l2 for row in rows if row.problem == DIRICHLET])
    found = []
    for problem, target in TARGETS.items():
        own = tuple(sorted((r for r in rows if r.problem == problem), key=lambda r: r.seed))
        if own:
            variant = VARIANT * base.median if base else None
            bound = variant if target.variant else target.l2
            found.append(Summary(problem, own, target, bound))
    return found


def figures(summaries: Sequence[Summary]) -> dict[str, Figure]:
    """Medians against targets, and the worst seed against the same."""
    found: dict[str, Figure] = {}
    for s in summaries:
        judged = {f"{s.problem}: relative L2": (s.spread("l2"), s.bound)}
        for name in s.field_names:
            target = s.target.fields.get(name)
            judged[f"{s.problem}: relative L2 of {name}"] = (s.field_spread(name), target)
        judged[f"{s.problem}: seconds"] = (s.spread("seconds"), s.target.seconds)
        for name, (spread, bound) in judged.items():
            for which, part in (("median", "median"), ("worst seed", "high")):
                value = getattr(spread, part) if spread else None
                met = _met(value, bound) and not s.failed if bound is not None else None
                found[f"{name}, {which}"] = {"value": value, "target": _said(bound, s), "met": met}
        effect = s.effectivity("l2")
        if effect:
            value = [effect.low, effect.median, effect.high]
            name = f"{s.problem}: estimated over true L2 error, smallest, median, largest"
            found[name] = {"value": value, "target": "told", "met": None}
    return found


def _met(value: float | None, bound: float) -> bool:
    return value is not None and value <= bound


def _said(bound: float | None, s: Summary) -> str:
    if bound is None:
        return "told"
    return f"<= {bound:.2g}" + (f", {VARIANT:g} x {DIRICHLET}'s" if s.target.variant else "")


HEAD = ["file", "equation", "coefficients", "relative L2", "relative H1", "seconds", "target"]
HEAD += ["met", "errors against", "estimated / true L2", "estimated / true H1", "seeds"]


def cells(summaries: Sequence[Summary]) -> list[list[str]]:
    """The table's lines, its head first; fields of systems have lines of their own."""
    lines = [HEAD]
    for s in summaries:
        lines.append(_line(s))
        for name in s.field_names:
            spread, bound = s.field_spread(name), s.target.fields.get(name)
            line = [f"{s.problem}: {name}", "", "", _text(spread), "", "", _bounds(bound, None)]
            lines.append([*line, _verdict([(spread, bound)], s.failed), *[""] * 4])
    return lines


def _line(s: Summary) -> list[str]:
    seconds, sizes = s.spread("seconds"), s.spread("parameters")
    pairs = [(s.spread("l2"), s.bound), (seconds, s.target.seconds)]
    return [
        s.problem,
        solves.equation(s.problem),
        f"{sizes.median:.0f}" if sizes else "",
        _text(s.spread("l2")) or s.rows[0].status,
        _text(s.spread("h1")),
        f"{seconds.median:.2g}" if seconds else "",
        _bounds(s.bound, s.target.seconds),
        _verdict(pairs, s.failed),
        _against(s.rows[0]),
        *(_ratio(s.effectivity(norm)) for norm in ("l2", "h1")),
        " ".join(str(row.seed) for row in s.rows),
    ]


def _text(spread: Spread | None) -> str:
    return str(spread) if spread else ""


def _ratio(spread: Spread | None) -> str:
    return f"{spread.median:.2g} ({spread.low:.2g} … {spread.high:.2g})" if spread else ""


def _bounds(l2: float | None, seconds: float | None) -> str:
    parts = [f"≤ {l2:.2g}"] if l2 is not None else []
    parts += [f"{seconds:g} s"] if seconds is not None else []
    return " in ".join(parts)


def _verdict(pairs: list[tuple[Spread | None, float | None]], failed: bool) -> str:
    judged = [(spread, bound) for spread, bound in pairs if bound is not None]
    if not judged:
        return ""
    if failed or not all(_met(s and s.median, bound) for s, bound in judged):
        return "no"
    return "yes" if all(s.high <= bound for s, bound in judged if s) else "median"


def _against(row: Row) -> str:
    if row.l2 is None:
        return ""
    if not row.reference:
        return "exact"
    own = "is not known" if row.reference_error is None else f"{row.reference_error:.1e}"
    return f"{row.reference}; its own error {own}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    escaped.insert(1, ["---"] * len(HEAD))
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped) + "\n"


def write_csv(path: Path, lines: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)
