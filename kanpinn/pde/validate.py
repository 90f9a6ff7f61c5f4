"""What a problem's class declares, checked: refusals name the class and what was expected."""

import inspect
from collections.abc import Callable, Mapping, Sequence

from kanpinn._support.errors import InputError
from kanpinn.pde.conditions import Condition
from kanpinn.pde.unknown import Unknown


def check_residual(name: str, residual: Callable, fields: Sequence[str], n: Sequence[str]) -> None:
    """Refuse a residual that does not take a jet for each of the fields and the numbers `n`."""
    columns = (*fields, *n)
    try:
        inspect.signature(residual).bind(None, *columns)
    except TypeError as error:
        what = "each field and unknown" if n else "each field"
        raise InputError(
            f"{name}.residual must take points and a jet for {what}, "
            f"residual(p, {', '.join(columns)}): {error}"
        ) from None


def check_reference(name: str, reference: Callable) -> None:
    """Refuse a reference that takes points."""
    try:
        inspect.signature(reference).bind()
    except TypeError as error:
        raise InputError(f"{name}.reference takes no points: {error}") from None


def check_conditions(name: str, conditions: object, fields: Sequence[str]) -> None:
    """Refuse what are no conditions, and fields that a problem does not have."""
    if not isinstance(conditions, Sequence):
        raise InputError(f"{name}.conditions() must be a list of conditions, got {conditions!r}")
    for condition in conditions:
        if not isinstance(condition, Condition):
            raise InputError(f"{name}.conditions() must list conditions, got {conditions!r}")
        for field in condition.about:
            if field not in fields:
                raise InputError(
                    f"{name} has no field {field!r}, which a {type(condition).__name__} names: "
                    f"its fields are {', '.join(fields)}"
                )
    _check_noise(name, conditions)


def check_unknowns(
    name: str, unknowns: object, fields: Sequence[str], coordinates: Sequence[str]
) -> None:
    """Refuse what are no unknowns by name, and names that stand for something else."""
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


def check_subset(name: str, key: str, names: object, fields: Sequence[str]) -> None:
    """Refuse what is not a tuple of one or more of the fields, each once; None is not looked at."""
    if names is None:
        return
    listed = isinstance(names, tuple | list) and 0 < len(names) == len(set(names))
    if not (listed and isinstance(names, tuple | list) and set(names) <= set(fields)):
        raise InputError(
            f"{name}.{key} must be a tuple of some of the fields {', '.join(fields)}, got {names!r}"
        )


def _check_noise(name: str, conditions: Sequence[Condition]) -> None:
    """Refuse data of which only some are said to have a noise."""
    noises = [c.noise for c in conditions if c.measurements]
    if None in noises and any(noises):
        raise InputError(
            f"{name}.conditions() has data with noise = None beside some with a "
            f"known one, {noises}: give that of all, or of none"
        )
