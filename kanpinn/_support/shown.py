"""How results are shown: tables of plain text, a base class for notebooks, and HTML templates."""

import io
import shutil
import textwrap
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from jinja2 import Template


Row = Sequence[str]


def plain_table(rows: Sequence[Row], left: bool = False, width: int | None = None) -> str:
    """Return rows as a text table: the first column aligned left, the other columns right.

    If the table is wider than a line, long texts in cells are broken into lines of at least 24
    characters. If the table is still too wide, each row becomes a block: the first cell of the row,
    and below it the other cells, each after the head of its column.

    Args:
        rows: the rows, all of one length; the first row has the heads unless `left` is true.
        left: whether all columns are text, aligned left, without heads.
        width: the number of characters of a line; by default the width of the terminal or the value
            of the variable COLUMNS, for pipes no limit.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [[printable(cell) for cell in row] for row in rows]
    limit = width or shutil.get_terminal_size((0, 0)).columns or 10**5
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    needed = -2
    for index, cells in enumerate(zip(*rows, strict=True)):
        breaks, longest = (index > 0) is left, max(map(len, cells))
        least = min(24, longest) if breaks else longest
        justify: Any = "left" if left or index == 0 else "right"
        table.add_column(justify=justify, no_wrap=not breaks, min_width=least)
        needed += least + 2
    if needed <= limit:
        for row in rows:
            table.add_row(*map(Text, row))
        console = Console(width=limit, file=io.StringIO(), color_system=None, force_jupyter=False)
        with console.capture() as shown:
            console.print(table)
        return "\n".join(line.rstrip() for line in shown.get().splitlines())
    heads = [""] * len(rows[0]) if left else rows[0]
    lines = []
    for first, *others in rows if left else rows[1:]:
        inset = " " * (len(first) - len(first.lstrip()))
        lines += textwrap.wrap(first, limit, subsequent_indent=f"{inset}    ")
        for head, cell in zip(heads[1:], others, strict=True):
            told = textwrap.wrap(f"{head} {cell}".strip(), limit - len(inset) - 4)
            lines += [f"{inset}    {line}" for line in told]
    return "\n".join(lines)


def printable(text: str) -> str:
    """Return a text with its control characters written out as escape codes.

    Names from files may have control characters, which a terminal would obey: they can move the
    cursor or hide text.
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


class Shown:
    """Base class of results that notebooks show; results of solves have a method `plot` as well.

    The module that draws a result imports the class of the result, so the class cannot import the
    module. The module is imported by its name when a result is first drawn. Results that are not
    drawn therefore do not wait for the import of Matplotlib.

    Attributes:
        shown_by: the name of the module. The module has a function `card(result)`, which returns a
            `Card`; for results with a method `plot` also a function `plot(result, ...)`; for
            results of runs also a function `figures(result, fields)`.
    """

    shown_by: ClassVar[str]

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        html: str = self._view().card(self).html()
        return html

    def _view(self) -> Any:
        """Return the module with the functions that show the object, imported on first use."""
        return import_module(self.shown_by)


@cache
def template(package: str, name: str) -> "Template":
    """Return a Jinja template that escapes every text.

    Args:
        package: the package whose folder has the file of the template, "kanpinn.runs.report".
        name: the name of the file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only needed when it is shown

    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(name)
