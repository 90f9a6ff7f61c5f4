"""The output on the terminal: messages, exit codes, and tables of plain text."""

import io
import logging
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from kanpinn._support.errors import InputError, NumericalError
from kanpinn._support.interrupts import INTERRUPTED, handling, interrupt

Row = Sequence[str]


def plain_table(rows: Sequence[Row], left: bool = False, width: int | None = None) -> str:
    """Return rows as a text table: the first column aligned left, the other columns right.

    If the table is wider than a line, long texts in cells are broken into lines of at least 24
    characters. If it is still too wide, each row becomes a block: its first cell, and below it the
    other cells, each after the head of its column.

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
    """The text with its control characters written out, as names from files may have them.

    A terminal would obey them: an escape sequence can move the cursor, or hide text.
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def note(text: str) -> None:
    """Write a line to standard error; standard output is for results only."""
    sys.stderr.write(
        f"{printable(text)}\n"
    )  # not typer.echo: rich moves a live line for sys.stderr only


def _fail(error: Exception, code: int) -> None:
    most, longest, written = 1400, 300, 0  # characters of the message and of a line
    lines = str(error).splitlines()
    for number, line in enumerate(lines):
        if written > most:
            note(f"error: … and {len(lines) - number} lines more")
            break
        text = line if len(line) <= longest else f"{line[:200]} … {line[-80:]}"
        note(f"error: {text}")
        written += len(text)
    raise typer.Exit(code) from None


class _Lines(logging.Handler):
    """Logging handler that prints each record as one line, without traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        serious = record.levelno >= logging.WARNING
        note(f"{record.levelname.lower()}: {text}" if serious else text)


@contextmanager
def reporting(quiet: bool = False) -> Iterator[None]:
    """Print the block's errors, warnings and log records as single lines on standard error.

    Equal warnings are printed once. An error ends the command, with the exit code 1 after a
    numerical failure, 2 for bad input or a file that cannot be read or written, and 130 after
    Ctrl-C.

    quiet: whether only errors are printed.
    """
    said: set[str] = set()

    def say(message: Warning | str, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        if text not in said and not quiet:
            said.add(text)
            note(f"warning: {text}")

    log, handler = logging.getLogger("kanpinn"), _Lines()
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.ERROR if quiet else logging.INFO)
    log.propagate = False
    try:
        with handling(interrupt), warnings.catch_warnings():
            # Deprecation warnings are for developers, not for users of the command line.
            warnings.simplefilter("ignore")
            for category in (UserWarning, RuntimeWarning):
                warnings.simplefilter("always", category)
            warnings.showwarning = say
            yield
    except InputError as error:
        _fail(error, 2)
    except NumericalError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # typer ends quietly where the reader of the output has gone
        raise
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(InputError(f"{place}{error.strerror or error}"), 2)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
