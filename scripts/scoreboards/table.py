"""The table of problems: medians over seeds beside their targets and published errors."""

import csv
from collections.abc import Sequence
from pathlib import Path

from scoreboards import files
from scoreboards.judging import holds, verdict
from scoreboards.rows import Row
from scoreboards.summaries import Runs, Spread, Summary, seconds_text

HEAD = ["file", "equation", "coefficients", "error", "relative H1", "seconds", "target", "met"]
HEAD += ["best published KAN", "best published neural code"]
HEAD += ["automatic error", "automatic seconds", "error ratio", "seconds ratio"]
HEAD += ["unknowns", "errors against", "estimated / true L2", "estimated / true H1", "seeds"]


def cells(summaries: Sequence[Summary]) -> list[list[str]]:
    """Return the lines of the table, its head first.

    Fields, and the eigenvalues that count, have lines of their own.
    """
    lines = [HEAD]
    for s in summaries:
        lines.append(_line(s))
        for name in s.hand.part_names[: s.target.eigenvalues]:
            spread, bound = s.hand.part(name), s.target.fields.get(name)
            line = [f"{s.problem}: {name}", "", "", _text(spread), "", "", _bounds(bound, None)]
            line.append(verdict([(spread, bound)], s.hand.failed))
            lines.append([*line, *[""] * (len(HEAD) - len(line))])
    return lines


def _line(s: Summary) -> list[str]:
    runs, first = s.hand, s.hand.rows[0]
    seconds, sizes = runs.spread("seconds"), runs.spread("parameters")
    pairs = [(runs.spread("error"), s.bound), (seconds, s.target.seconds)]
    kan, neural = s.published.kan, s.published.neural
    return [
        s.problem,
        files.equation(s.problem),
        f"{sizes.median:.0f}" if sizes else "",
        _text(runs.spread("error")) or first.status,
        _text(runs.spread("h1")),
        seconds_text(seconds.median) if seconds else "",
        _bounds(s.bound, s.target.seconds),
        verdict(pairs, runs.failed),
        str(kan) if kan else "",
        str(neural) if neural else "",
        *_automatic(s),
        "; ".join(_unknown(runs, name) for name in runs.unknown_names),
        _against(first),
        *(_ratio(runs.effectivity(norm)) for norm in ("l2", "h1")),
        " ".join(str(row.seed) for row in runs.rows),
    ]


def _automatic(s: Summary) -> list[str]:
    if not s.auto.rows:
        return [""] * 4
    error, seconds = s.auto.spread("error"), s.auto.spread("seconds")
    return [
        _text(error) or s.auto.rows[0].status,
        seconds_text(seconds.median) if seconds else "",
        *(f"{ratio:.2g}" if ratio is not None else "" for ratio in (s.auto_error, s.auto_seconds)),
    ]


def _unknown(runs: Runs, name: str) -> str:
    """Return the first seed's value and interval, and how many of all intervals hold the truth."""
    rows = [row for row in runs.rows if name in row.found]
    value, low, high, truth = rows[0].found[name]
    ends = [f"{end:.4g}" if end is not None else "∞" for end in (low, high)]
    text = f"{name} {value:.4g} ({ends[0]} … {ends[1]})"
    if truth is None:
        return text
    count = sum(holds(row, name) is True for row in rows)
    return f"{text}, {count} of {len(rows)} hold {truth:.4g}"


def _text(spread: Spread | None) -> str:
    return str(spread) if spread else ""


def _ratio(spread: Spread | None) -> str:
    return f"{spread.median:.2g} ({spread.low:.2g} … {spread.high:.2g})" if spread else ""


def _bounds(error: float | None, seconds: float | None) -> str:
    parts = [f"≤ {error:.2g}"] if error is not None else []
    parts += [f"{seconds:g} s"] if seconds is not None else []
    return " in ".join(parts)


def _against(row: Row) -> str:
    if row.error is None:
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
