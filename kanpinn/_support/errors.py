"""The exceptions that kanpinn raises on purpose, common checks of arguments, and texts of messages
and statuses.
"""

import difflib
import json
import math
import operator
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from numbers import Real
from typing import Any


class KanpinnError(Exception):
    """Base class of all exceptions that kanpinn raises on purpose.

    Example:
        >>> import kanpinn as kp
        >>> issubclass(kp.InputError, KanpinnError), issubclass(kp.NumericalError, KanpinnError)
        (True, True)
    """


class InputError(KanpinnError, ValueError):
    """Bad input: an argument, a file or a key that cannot be used as given (exit code 2).

    Example:
        >>> import kanpinn as kp
        >>> try:
        ...     kp.Box(x=(1, 0))
        ... except kp.InputError as error:
        ...     print(error)
        x must be finite numbers low < high, got (1, 0)
    """


class NumericalError(KanpinnError, ArithmeticError):
    """A computation that broke down on usable input (exit code 1).

    Example:
        >>> import kanpinn as kp
        >>> try:
        ...     raise kp.NumericalError("the matrix has no finite entries")
        ... except kp.NumericalError as error:
        ...     print(error)
        the matrix has no finite entries
    """


class Outcome(StrEnum):
    """How a solve has ended: the first word of its status, and the meaning of the word.

    Example:
        >>> import kanpinn as kp
        >>> outcome = kp.Outcome("stopped: limit of 5 steps; more steps may help")
        >>> outcome is kp.Outcome.STOPPED, str(outcome)
        (True, 'stopped')
    """

    CONVERGED = "converged"
    STOPPED = "stopped"
    OVERFITTED = "overfitted"
    FAILED = "failed"
    MEASURED = "measured"

    @classmethod
    def _missing_(cls, value: object) -> "Outcome | None":
        """Return the outcome whose value is the first word of a text, such as a run's status."""
        word = re.split(r"\W", str(value), maxsplit=1)[0]
        return next((one for one in cls if one.value == word), None)

    @property
    def sentence(self) -> str:
        """The meaning of the outcome in a sentence."""
        return {
            Outcome.CONVERGED: "The methods have converged, to the tolerance if there is one.",
            Outcome.STOPPED: "A limit has ended the solve; the solution is usable.",
            Outcome.OVERFITTED: "The residual is small at the points of the solve alone.",
            Outcome.FAILED: "There is no usable solution.",
            Outcome.MEASURED: "The error is known; no tolerance was given to judge it by.",
        }[self]


class Ended:
    """Base class of results that have a status in words.

    Attributes:
        status: "converged", "stopped: ...", "overfitted: ..." or "failed: ...", with the reason;
            for a field that was verified without a tolerance "measured: ...".
    """

    status: str

    @property
    def outcome(self) -> Outcome:
        """How the solve or the fit has ended; `status` has the reason."""
        return Outcome(self.status)

    @property
    def success(self) -> bool:
        """True if the outcome is "converged"."""
        return self.outcome is Outcome.CONVERGED


@contextmanager
def expecting(what: Any) -> Iterator[None]:
    """Turn the errors of a block that reads a file written by kanpinn into an InputError.

    Args:
        what: the file, for the message.

    Raises:
        InputError: if the file lacks an entry, or an entry has a wrong type or shape.
    """
    try:
        yield
    except KanpinnError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
        reason = f"{type(e).__name__}: {str(e).partition(chr(10))[0][:200]}"
        raise InputError(f"{what} does not hold what kanpinn writes to it ({reason})") from e


@contextmanager
def calling(what: str, given: str) -> Iterator[None]:
    """Turn an exception of a function that a user wrote into an InputError that names the function.

    The error has the traceback of the exception, with the line of the user's file.

    Args:
        what: the name of the function, such as "Heat.exact".
        given: the argument with its shape in words, such as "points of the shape (64, 2)".

    Raises:
        InputError: if the block raises an exception that is no `KanpinnError`.
    """
    try:
        yield
    except KanpinnError:
        raise
    except Exception as error:  # the user's own function may raise any exception
        words = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}".rstrip(": ")
        message = InputError(f"{what} raises an exception for {given}, {words}")
        raise message.with_traceback(error.__traceback__) from error


def instance(name: str, value: Any, kind: type) -> None:
    """Refuse an argument that is not an instance of a class of kanpinn.

    Raises:
        InputError: if the value is refused; the message has the argument, its value and the class.
    """
    if not isinstance(value, kind):
        raise InputError(f"{name} must be an instance of kanpinn's {kind.__name__}, got {value!r}")


def one_of(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse an argument that is not among the known texts.

    Raises:
        InputError: if the value is refused; the message has the known texts.
    """
    known = list(known)
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def integer(name: str, value: Any, least: int = 1) -> int:
    """Return the value as an int; NumPy integers are accepted, booleans and floats are refused.

    Args:
        name: the name of the argument, for the message.
        value: the value to check.
        least: the smallest accepted value.

    Raises:
        InputError: unless the value is an integer of at least `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or type(value) is bool or number < least:
        raise InputError(f"{name} must be an integer of at least {least}, got {value!r}")
    return number


def number(name: str, value: Any, least: float = 0.0, *, above: bool = False) -> None:
    """Refuse an argument that is not a finite number of at least `least`.

    Args:
        name: the name of the argument, for the message.
        value: the value to check.
        least: the smallest accepted value; -inf for any finite number.
        above: whether `least` itself is refused as well.

    Raises:
        InputError: if the value is refused; the message has the argument and its value.
    """
    real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not real or value < least or (above and value == least):
        bound = f" {'above' if above else 'of at least'} {least:g}" if least > -math.inf else ""
        raise InputError(f"{name} must be a finite number{bound}, got {value!r}")


CONVERGED = "converged"
FAILED = "failed"
OVERFITTED = "overfitted"  # the residual of the solution is small at the points of the solve only
STOPPED_BY_USER = "stopped: interrupted"  # by Ctrl-C or an observer
OUT_OF_TIME = "stopped: the budget"
# The beginning of the reason why a solve in cells has not compared its solution with a better one.
UNCOMPARED = "the comparison with a solution of degree"
# The reason why an error is larger than comparisons show.
UNDETERMINED = "the data hardly determine the solution, such as the place of a layer"
UNUSABLE = (FAILED, OVERFITTED)  # results that are not to be used


def nearest(word: Any, choices: Iterable[Any]) -> str:
    """Return the clause '; did you mean "..."?', or "" if no choice is similar to the word."""
    names = [str(c) for c in choices]
    lowered = {n.lower(): n for n in names}
    close = difflib.get_close_matches(str(word).lower(), lowered, n=1)
    return f"; did you mean {show(lowered[close[0]])}?" if close else ""


def show(value: Any) -> str:
    """Return the text of a value for messages, as in a problem file, cut to 60 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    text = text.replace("NaN", "nan").replace("Infinity", "inf")
    return text if len(text) <= 60 else f"{text[:57]}..."


def of_class(value: Any) -> str:
    """Return the name of a value's class with its article, such as "an Interface"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
