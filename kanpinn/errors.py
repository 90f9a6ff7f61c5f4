"""The exceptions that kanpinn raises on purpose, and the one check that every room needs."""

import operator
from typing import Any


class KanpinnError(Exception):
    """Base of everything that kanpinn raises on purpose."""


class InputError(KanpinnError, ValueError):
    """Bad input: an argument, a file or a key that cannot be used as given (exit code 2)."""


class NumericalError(KanpinnError, ArithmeticError):
    """A computation that broke down on usable input (exit code 1)."""


def integer(name: str, value: Any, least: int = 1) -> int:
    """The value as an int, or an InputError naming the argument unless it is an integer ≥ least.

    Booleans and floats are refused, NumPy integers taken.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise InputError(f"{name} must be an integer of at least {least}, got {value!r}")
    return number
