"""Checks of the attributes and methods of a problem's class."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.geometry import Domain
from kanpinn.pde.unknown import Unknown


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
