"""The terminal: messages and exit codes, tables of plain text, pages in the browser."""

import logging
import os
import shutil
import signal
import sys
import textwrap
import warnings
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from kanpinn._support.errors import InputError, NumericalError
from kanpinn._support.interrupts import INTERRUPTED, handling

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


def note(text: str) -> None:
    """Write a line to standard error; standard output is for results only."""
    sys.stderr.write(f"{text}\n")  # not typer.echo: rich moves a live line for sys.stderr only


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
    """Handler that prints log records as lines without traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        serious = record.levelno >= logging.WARNING
        note(f"{record.levelname.lower()}: {text}" if serious else text)


@contextmanager
def reporting(quiet: bool = False) -> Iterator[None]:
    """Print the block's errors, warnings and log records as single lines on standard error.

    Each text of a warning is printed once. An error ends the command. The exit codes are 1 after a
    numerical failure, 2 for bad input or a file that the system refuses, and 130 after Ctrl-C.

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
        with handling(signal.default_int_handler), warnings.catch_warnings():
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


def show_page(path: Path) -> None:
    """Open a page in the browser, or say in words why it is not opened.

    Without a display no browser is started: one for text would take over the terminal.
    """
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    has_display = sys.platform in ("darwin", "win32") or any(map(os.environ.get, displays))
    if not has_display:
        note(f"there is no display here: open {path} in a browser of another machine")
    elif not webbrowser.open(path.absolute().as_uri()):
        note(f"no browser was found: open {path} in one")
