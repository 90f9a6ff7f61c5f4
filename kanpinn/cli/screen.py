"""What the commands say on standard error, and the exit codes."""

import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from kanpinn._support.errors import InputError, NumericalError
from kanpinn._support.interrupts import INTERRUPTED, handling


def note(text: str) -> None:
    """A line on standard error, which leaves standard output to results."""
    sys.stderr.write(f"{text}\n")  # not typer's own stream: a live progress line gives way to it


@contextmanager
def reporting(quiet: bool = False) -> Iterator[None]:
    """Errors, warnings and log records as single lines; an error ends the command with its code.

    The exit codes are 1 after a numerical failure, 2 for bad input and 130 after Ctrl-C.
    quiet: errors only.
    """
    with handling(signal.default_int_handler), _single_lines(quiet):
        try:
            yield
        except InputError as error:
            _fail(error, 2)
        except NumericalError as error:
            _fail(error, 1)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _fail(error: Exception, code: int) -> None:
    for line in str(error).splitlines():
        note(f"error: {line}")
    raise typer.Exit(code) from None


class _Lines(logging.Handler):
    """Log records as lines without traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        serious = record.levelno >= logging.WARNING
        note(f"{record.levelname.lower()}: {text}" if serious else text)


@contextmanager
def _single_lines(quiet: bool) -> Iterator[None]:
    """Warnings, each once, and records of the package's log as lines on standard error."""
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
        with warnings.catch_warnings():
            # Deprecations are for developers, not for those who solve equations.
            warnings.simplefilter("ignore")
            for category in (UserWarning, RuntimeWarning):
                warnings.simplefilter("always", category)
            warnings.showwarning = say
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
