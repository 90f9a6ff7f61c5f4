"""The formulas as a page and a table, and the verdicts."""

import csv
import io
import math
from collections.abc import Sequence

from common.verdicts import Figure
from interpretation.runs import Row, recovered_by_most

HEADS = ("run", "seed", "is", "found", "error", "residual", "recovered", "seconds")


def page(rows: Sequence[Row]) -> str:
    """Return all rows in Markdown."""
    lines = ["# Formulas read off networks", ""]
    lines += [_line(HEADS), _line(["---"] * len(HEADS))]
    lines += [_line(_cells(row)) for row in rows]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row]) -> str:
    """Return all rows as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0].as_dict()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.as_dict() for row in rows)
    return file.getvalue()


def judge(rows: Sequence[Row], complete: bool) -> dict[str, Figure]:
    """Return the measured values beside their targets; without verdicts if runs are missing."""
    functions = [row for row in rows if row.kind == "function"]
    poster = [row for row in rows if row.kind == "poster"]
    drawn = [row for row in rows if row.kind == "drawn"]
    count = len(recovered_by_most(functions))
    return {
        "functions whose formula most seeds recover exactly": {
            "value": count,
            "target": "at least 8 of 10",
            "met": count >= 8 if complete else None,
        },
        "runs of the poster's problem that give sin(πx) sin(πy²) as an identity": _share(
            poster, complete
        ),
        "drawn problems whose solution is recovered as an identity": _share(drawn, complete),
    }


def _share(rows: Sequence[Row], complete: bool) -> Figure:
    count = sum(row.recovered for row in rows)
    target = f"all {len(rows)}"
    return {"value": count, "target": target, "met": count == len(rows) if complete else None}


def _cells(row: Row) -> list[str]:
    error, residual = (f"{v:.1e}" if math.isfinite(v) else "–" for v in (row.error, row.residual))
    found = row.found if len(row.found) < 80 else row.found[:77] + "…"
    name = f"{row.kind}: {row.name}"
    verdict = "yes" if row.recovered else "no"
    return [
        *(name, str(row.seed), f"`{row.expected}`", f"`{found}`"),
        *(error, residual, verdict, f"{row.seconds:.0f}"),
    ]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
