"""Tables of plain text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kanpinn.norms import Errors
    from kanpinn.solution import Solution


def table(rows: Sequence[Sequence[str]], left: bool = False) -> str:
    """Columns side by side: the first aligned left, the others right unless all are `left`."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if left or column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def errors_table(errors: "Errors") -> str:
    """L2 and H1 errors, absolute, relative and squared; those of each field below."""
    rows = [["error", "absolute", "relative", "squared"], *_rows(errors, "")]
    for name, one in errors.fields.items():
        rows += _rows(one, f" of {name}")
    return table(rows)


def _rows(e: "Errors", what: str) -> list[list[str]]:
    norms = {"L2": (e.l2, e.l2_relative, e.l2_squared), "H1": (e.h1, e.h1_relative, e.h1_squared)}
    return [[name + what, *(f"{v:.2e}" for v in values)] for name, values in norms.items()]


def summary(solution: "Solution") -> str:
    """The status, the steps, the seconds and the size in one line."""
    steps = solution.history.steps
    counted = "1 step" if steps == 1 else f"{steps} steps"
    return (
        f"{solution.status} ({counted}, {solution.seconds:.2f} s, {solution.parameters} parameters)"
    )
