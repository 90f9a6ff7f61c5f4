"""Tables of plain text that fit into the terminal."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence

Row = Sequence[str]
GAP = "  "


def screen_width() -> int | None:
    """Return the columns of the terminal, or of COLUMNS if that is set; None for a pipe or file."""
    return shutil.get_terminal_size((0, 0)).columns or None


def plain_table(rows: Sequence[Row], left: bool = False, width: int | None = None) -> str:
    """Return rows as a text table: the first column aligned left, the others right.

    A table that is wider than the terminal has its widest column broken into lines if that is text
    and 24 characters remain for it. Otherwise each row becomes a block: its first cell, and below
    it the others, each after its head.

    Args:
        rows: the rows, all of one length; the first one has the heads unless `left` is true.
        left: whether all columns are text, aligned left, without heads.
        width: the characters of a line, by default those of the terminal; for pipes no limit.
    """
    limit = screen_width() if width is None else width
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    surplus = 0 if limit is None else sum(widths) + len(GAP) * (len(widths) - 1) - limit
    if surplus <= 0:
        return "\n".join(_line(row, widths, left) for row in rows)
    assert limit is not None
    widest = widths.index(max(widths))
    room = widths[widest] - surplus
    if room >= 24 and (left or widest == 0):
        widths[widest] = room
        return "\n".join(_line(one, widths, left) for row in rows for one in _broken(row, widths))
    blocks = rows if left else rows[1:]
    return "\n".join(
        line for row in blocks for line in _block(row, None if left else rows[0], limit)
    )


def _line(row: Row, widths: Sequence[int], left: bool) -> str:
    cells = (
        cell.ljust(width) if left or column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return GAP.join(cells).rstrip()


def _broken(row: Row, widths: Sequence[int]) -> Iterator[Row]:
    """Yield the lines of a row; cells that are longer than their column continue on the next."""
    parts = [
        [cell]
        if len(cell) <= width
        else textwrap.wrap(cell, width, subsequent_indent=_indent(cell))
        for cell, width in zip(row, widths, strict=True)
    ]
    for index in range(max(map(len, parts))):
        yield [lines[index] if index < len(lines) else "" for lines in parts]


def _block(row: Row, heads: Row | None, limit: int) -> Iterator[str]:
    """Yield the first cell, and the others as "head cell" on lines that are indented further."""
    first, *others = row
    indent = _indent(first)
    inset = f"{indent}    "
    yield from textwrap.wrap(first.strip(), limit, initial_indent=indent, subsequent_indent=inset)
    named = (
        others if heads is None else [f"{h} {c}" for h, c in zip(heads[1:], others, strict=True)]
    )
    lines: list[str] = []
    for cell in (cell.strip() for cell in named if cell.strip()):
        if lines and len(inset) + len(lines[-1]) + len(GAP) + len(cell) <= limit:
            lines[-1] += GAP + cell
        else:
            lines.append(cell)
    for line in lines:
        yield from textwrap.wrap(line, limit, initial_indent=inset, subsequent_indent=inset)


def _indent(cell: str) -> str:
    return " " * (len(cell) - len(cell.lstrip()))
