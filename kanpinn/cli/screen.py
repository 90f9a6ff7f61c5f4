"""The output on the terminal: messages and exit codes."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from kanpinn._support.errors import InputError, NumericalError
from kanpinn._support.interrupts import INTERRUPTED, handling, interrupt
from kanpinn._support.shown import printable


def note(text: str) -> None:
    """Write a line to standard error; standard output is for results only."""
    # typer.echo is not used, since rich moves its live line only for sys.stderr.
    sys.stderr.write(f"{printable(text)}\n")


def _fail(error: Exception, code: int) -> None:
    """Print the message of an error, shortened if it is long, and exit with the code."""
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

    Args:
        quiet: whether only errors are printed.
    """
    said: set[str] = set()

    def say(message: Warning | str, *_: Any, **__: Any) -> None:
        """Print a warning, unless it was printed before or the run is quiet."""
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
