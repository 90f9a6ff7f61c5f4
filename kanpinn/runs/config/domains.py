"""Domains as the tables of a problem file describe them."""

import functools
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.geometry import (
    Annulus,
    Ball,
    Box,
    Disk,
    Domain,
    Ellipse,
    LShape,
    Polygon,
    Sector,
    Surface,
    Triangle,
)
from kanpinn.runs.config.forms import Form, Key, construct
from kanpinn.runs.config.schema import TYPE

TIME = Key("time", tuple[float, float], None)  # of a coordinate t
OF = Key("of", list[dict[str, Any]])
EXAMPLE = '{ type = "box", x = [0, 1], y = [0, 1] }'


def interval(**ranges: Any) -> Domain:
    """A box in one dimension."""
    if len(ranges) != 1:
        raise InputError(f"an interval has one coordinate such as x = [0, 1], got {len(ranges)}")
    return Box(**ranges)


def surface(file: str, name: str = "surface", sharp: float | int | None = None) -> Domain:
    """The solid inside the triangles of an STL file."""
    return Surface.read(file, name=name, sharp=sharp)


SHAPES: dict[str, Callable[..., Domain]] = {
    "interval": interval,
    "box": Box,
    "disk": Disk,
    "ellipse": Ellipse,
    "annulus": Annulus,
    "sector": Sector,
    "triangle": Triangle,
    "polygon": Polygon,
    "lshape": LShape,
    "ball": Ball,
    "surface": surface,
}
COMBINATIONS: dict[str, Callable[[Domain, Domain], Domain]] = {
    "union": operator.or_,
    "difference": operator.sub,
    "intersection": operator.and_,
}


def build_domain(path: str, table: Any, directory: Path) -> Domain:
    """The domain of a table: a shape and its arguments, or shapes combined; over a time.

    directory: where a file is looked for.

    Raises:
        InputError: naming the key that does not fit.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{path} = {show(table)}: expected a table such as {EXAMPLE}")
    kind = table.get("type")
    if kind not in (*SHAPES, *COMBINATIONS):
        given = f" = {show(kind)}" if "type" in table else " is missing"
        known = (*SHAPES, *COMBINATIONS)
        hint = nearest(kind, known)
        raise InputError(f"{path}.type{given}: expected one of {', '.join(known)}{hint}")
    space = {key: value for key, value in table.items() if key != "time"}
    found = (_combined if kind in COMBINATIONS else _shape)(path, space, directory)
    return _over(path, found, table["time"]) if "time" in table else found


def _over(path: str, space: Domain, time: Any) -> Domain:
    """Space and time; a box has time as one more coordinate, for its data can be built in."""
    low, high = TIME.read(f"{path}.time", time)
    try:
        if isinstance(space, Box) and "t" not in space.names:
            ranges = {name: (start, end) for name, start, end in space.ranges}
            return Box(**ranges, t=(low, high))
        return space.over(t=(low, high))
    except InputError as error:
        raise InputError(f"{path}.time: {error}") from None


def _shape(path: str, table: Mapping[str, Any], directory: Path) -> Domain:
    if table["type"] == "surface" and isinstance(table.get("file"), str):
        table = dict(table) | {"file": str(directory / table["file"])}
    return construct(path, SHAPES[table["type"]], dict(table), apart=(TYPE,))


def _combined(path: str, table: Mapping[str, Any], directory: Path) -> Domain:
    operands = Form({"type": TYPE, "of": OF}).read(path, dict(table))["of"]
    if len(operands) < 2:
        raise InputError(f"{path}.of = {show(operands)}: expected a list of two or more domains")
    domains = [build_domain(f"{path}.of[{i}]", one, directory) for i, one in enumerate(operands)]
    try:
        return functools.reduce(COMBINATIONS[table["type"]], domains)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
