"""Unknown parameters of problems, and checks of what a problem's class declares."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn.geometry import Domain
from kanpinn.jets import Jet


@dataclass(frozen=True)
class Unknown:
    """An unknown of an inverse problem, a number or a coefficient field.

    The unknown is start + c or, where it is positive, start·exp(c). The solve determines c: for a
    number a scalar that starts at zero, for a field an output of the network.

    Args:
        start: the initial value.
        positive: whether the unknown is start·exp(c), which stays positive; its confidence bounds
            are then positive, too.
        exact: the true value of a number where it is known, for comparison only. The true values of
            a field are given by the problem's `exact`.

    Raises:
        InputError: for a start or exact value that is not a finite number, or that is not above 0
            where `positive` is True.

    Example:
        >>> import kanpinn as kp
        >>> viscosity = kp.Unknown(start=1.0, positive=True, exact=0.1)
        >>> viscosity.start, viscosity.positive
        (1.0, True)
    """

    start: float | int = 1.0
    positive: bool = False
    exact: float | int | None = None

    def __post_init__(self) -> None:
        number("start", self.start, least=-float("inf"))
        if self.exact is not None:
            number("exact", self.exact, least=-float("inf"))
        if not isinstance(self.positive, bool):
            raise InputError(f"positive must be True or False, got {self.positive!r}")
        if self.positive and self.start <= 0:
            raise InputError(f"start must be above 0 where positive is True, got {self.start!r}")
        if self.positive and self.exact is not None and self.exact <= 0:
            raise InputError(f"exact must be above 0 where positive is True, got {self.exact!r}")

    def of(self, c: Jet) -> Jet:
        """Return the jet of the unknown from the jet of c."""
        if not self.positive:
            return c + self.start
        return c.chain([self.value(c.value)] * 5)  # exp and its derivatives up to the fourth

    def random_start(self, spread: float, generator: torch.Generator) -> float:
        """Return c for a random multiple of the start value, or of 1 where that is 0.

        The multiple lies between 1 / spread and spread; where the unknown may be negative, every
        fourth one has the other sign.
        """
        u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        exponent = (2 * u - 1) * math.log(spread)
        if self.positive:
            return exponent
        sign = -1.0 if v < 0.25 else 1.0
        return sign * math.exp(exponent) * (self.start or 1.0) - self.start

    def value(self, c: Tensor) -> Tensor:
        """Return the value of the unknown from the value of c, in the same shape."""
        return self.start * torch.exp(c) if self.positive else self.start + c

    def slope(self, c: Tensor) -> Tensor:
        """Return the derivative of the value by c, in the same shape."""
        return self.value(c) if self.positive else torch.ones_like(c)


def check_arguments(what: str, function: Callable, columns: Sequence[str] | None) -> None:
    """Refuse a method of a problem that does not accept the arguments it is called with.

    Args:
        what: the names of the class and the method, "Class.method", for the message.
        function: the method, bound to the problem.
        columns: the names of the fields and unknown numbers whose jets the method takes after the
            points; None for a method without arguments.

    Raises:
        InputError: naming the method and the arguments it has to accept.
    """
    given = () if columns is None else (None, *columns)
    try:
        inspect.signature(function).bind(*given)
    except TypeError as error:
        if columns is None:
            raise InputError(f"{what} takes no points: {error}") from None
        raise InputError(
            f"{what} must take points and a jet for each field and unknown, "
            f"{what.partition('.')[2]}(p, {', '.join(columns)}): {error}"
        ) from None


def check_fields(
    name: str, domain: object, fields: Sequence[str], free_constant: Sequence[str]
) -> None:
    """Refuse a domain or names of fields that are missing or invalid.

    Args:
        name: the name of the problem's class, for the message.
        domain, fields, free_constant: the class's attributes; None for a domain that is missing.

    Raises:
        InputError: naming the class and the attribute.
    """
    if not isinstance(domain, Domain):
        raise InputError(f"{name}.domain must be a kanpinn domain such as Box(x=(-1, 1))")
    if not fields or not all(isinstance(one, str) for one in fields):
        raise InputError(f"{name}.fields must be a tuple of names, got {fields!r}")
    if free_constant:
        check_subset(name, "free_constant", free_constant, fields)


def check_unknowns(
    name: str, unknowns: object, fields: Sequence[str], coordinates: Sequence[str]
) -> None:
    """Refuse `unknowns` that is not a mapping from names to unknowns.

    Refused are also names of coordinates, and exact values of unknowns that are fields.

    Args:
        name: the name of the problem's class, for the message.
        unknowns: the class's attribute.
        fields: the names of the problem's fields.
        coordinates: the names of the domain's coordinates.

    Raises:
        InputError: naming the class and the unknown.
    """
    where = f"{name}.unknowns"
    if not isinstance(unknowns, Mapping):
        raise InputError(
            f'{where} must map names to unknowns, {{"viscosity": kp.Unknown()}}, got {unknowns!r}'
        )
    for key, one in unknowns.items():
        if not isinstance(key, str) or not key.isidentifier() or key in coordinates:
            raise InputError(f"{where}: {key!r} is a coordinate, or no name for an unknown")
        if not isinstance(one, Unknown):
            raise InputError(f"{where}[{key!r}] must be a kanpinn Unknown, got {one!r}")
        if key in fields and one.exact is not None:
            raise InputError(f"{where}[{key!r}] is a field: its exact values are those of exact()")


def check_subset(name: str, key: str, names: Any, fields: Sequence[str]) -> None:
    """Refuse names that are not a tuple or list of distinct fields, at least one.

    Args:
        name: the name of the problem's class, for the message.
        key: the name of the attribute.
        names: the attribute's value.
        fields: the names of the problem's fields.

    Raises:
        InputError: naming the class and the attribute.
    """
    listed = isinstance(names, tuple | list)
    if not listed or not names or len(names) != len({*names}) or not {*names} <= {*fields}:
        raise InputError(
            f"{name}.{key} must be a tuple of some of the fields {', '.join(fields)}, got {names!r}"
        )
