"""The operators of a domain: `a | b`, `a - b`, `a & b` and `space.over(t=(0, 1))`."""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from kanpinn._support.errors import InputError, one_of
from kanpinn.geometry.box import Box
from kanpinn.geometry.combination import Combination
from kanpinn.geometry.curves import Curve, Pair, crossings, divided_at, meeting, merged
from kanpinn.geometry.domain import BUILDERS, Domain
from kanpinn.geometry.levels import complement, intersection, union
from kanpinn.geometry.planar import Planar
from kanpinn.geometry.planar_shapes import rectangle
from kanpinn.geometry.product import Product

SIGNS = {"union": "|", "difference": "-", "intersection": "&"}


def planar(domain: Domain) -> Planar | None:
    """Return a planar domain or a two-dimensional box as a `Planar`, None for other domains."""
    if isinstance(domain, Box) and domain.dim == 2:
        return rectangle(domain)
    return domain if isinstance(domain, Planar) else None


@dataclass(frozen=True)
class Part:
    """A part of one operand's boundary that does not cross the other operand's boundary.

    Args:
        curve: the part as a curve.
        inside: True if it lies inside the other operand.
        shared: 0 if it does not lie on the other boundary; otherwise 1 if both run in the same
            direction, -1 if they run in opposite directions.
    """

    curve: Curve
    inside: bool
    shared: int


def combine2d(kind: str, a: Domain, b: Domain) -> Planar:
    """Return the exact union, difference or intersection of planar domains or boxes.

    Pieces keep their names. If a and b have pieces of the same name that are not parts of one line
    or ellipse, the name of those of b gets the suffix "_2" (or the next free number).

    Args:
        kind: "union", "difference" (a without b) or "intersection".
        a: the first domain.
        b: the second domain, with the same coordinates.

    Raises:
        InputError: if a domain is not planar, the coordinates have different names, or the result
            is empty.
    """
    first, second = planar(a), planar(b)
    if first is None or second is None:
        raise InputError(f"only planar domains and boxes combine exactly, got {a!r} and {b!r}")
    if first.names != second.names:
        raise InputError(
            f"domains can be combined in the same coordinates only, got {first.names} and "
            f"{second.names}"
        )
    # Points closer than this, relative to the size of the coordinates, count as equal.
    tolerance = 1e-12 * max(first.scale, second.scale)
    parts = _parts(first, second, tolerance)
    kept = [_kept(kind, part, which) for which in (0, 1) for part in parts[which]]
    half = len(parts[0])
    mine = [curve for curve in kept[:half] if curve is not None]
    other = [curve for curve in kept[half:] if curve is not None]
    curves = merged([*mine, *_renamed(mine, other, tolerance)], tolerance)
    _check_area(kind, a, b, curves)
    # The R-disjunction would vanish on a common inner wall, where the values of both sets are 0.
    wall = kind == "union" and any(part.shared < 0 for part in parts[0])
    form = None
    if first.formula is not None and second.formula is not None and not wall:
        other_side = complement(second.formula) if kind == "difference" else second.formula
        form = (union if kind == "union" else intersection)(first.formula, other_side)
    return Planar(tuple(curves), form, f"({a!r} {SIGNS[kind]} {b!r})")


def _parts(a: Planar, b: Planar, tolerance: float) -> tuple[list[Part], list[Part]]:
    first: list[list[tuple[Curve, list[Pair]]]] = [[] for _ in a.curves]
    second: list[list[tuple[Curve, list[Pair]]]] = [[] for _ in b.curves]
    close = {*meeting(a.curves, b.curves, tolerance)}
    for i, j in meeting(a.curves, b.curves, 4 * tolerance):  # as far as `_shared` looks
        points = crossings(a.curves[i], b.curves[j], tolerance) if (i, j) in close else []
        first[i].append((b.curves[j], points))
        second[j].append((a.curves[i], points))
    return _compared(a, b, first, tolerance), _compared(b, a, second, tolerance)


def _compared(
    mine: Planar, other: Planar, met: list[list[tuple[Curve, list[Pair]]]], tolerance: float
) -> list[Part]:
    """Return the parts of a boundary.

    met: for each curve, those of the other boundary that may meet it, and the points where they do.
    """
    curves, shared = [], []
    for curve, near in zip(mine.curves, met, strict=True):
        points = [point for _, some in near for point in some]
        for part in divided_at(curve, points, tolerance, 4 * tolerance):
            curves.append(part)
            shared.append(_shared(part, [one for one, _ in near], tolerance))
    middle = torch.tensor([0.5], dtype=torch.float64)
    inside = other.encloses(torch.cat([curve.at(middle) for curve in curves])).tolist()
    return [Part(*row) for row in zip(curves, inside, shared, strict=True)]


def _shared(part: Curve, others: Sequence[Curve], tolerance: float) -> int:
    """Return 1 if a part runs along one of the other curves, -1 if against one, otherwise 0."""
    # Three common inner points suffice: curves of degree two that do not cross there coincide.
    probes = torch.tensor([0.5, 0.29, 0.73], dtype=torch.float64)
    points = [(x, y) for x, y in part.at(probes).tolist()]
    along = part.velocity(probes[:1])[0]
    for other in others:
        found = [other.locate(point, 4 * tolerance) for point in points]
        if all(t is not None for t in found):
            way = other.velocity(torch.tensor(found[:1], dtype=torch.float64))[0]
            return 1 if along @ way > 0 else -1
    return 0


def _kept(kind: str, part: Part, which: int) -> Curve | None:
    """Return the part as a piece of the result's boundary, or None if it does not bound the result.

    Args:
        kind: the kind of combination.
        part: a part of an operand's boundary.
        which: 0 for the first operand, 1 for the second one.
    """
    if part.shared:
        way = -1 if kind == "difference" else 1
        return part.curve if which == 0 and part.shared == way else None
    if kind == "difference" and which:
        return part.curve.part(1.0, 0.0) if part.inside else None
    return part.curve if part.inside == (kind == "intersection") else None


def _renamed(mine: Sequence[Curve], other: Sequence[Curve], tolerance: float) -> list[Curve]:
    taken = {curve.name for curve in (*mine, *other)}
    names: dict[str, str] = {}
    for name in {curve.name: None for curve in other}:
        rivals = [curve for curve in mine if curve.name == name]
        theirs = [curve for curve in other if curve.name == name]
        if not rivals or all(
            any(rival.same_carrier(curve, 4 * tolerance) for rival in rivals) for curve in theirs
        ):
            names[name] = name
            continue
        free = (f"{name}_{k}" for k in itertools.count(2))
        names[name] = next(tag for tag in free if tag not in taken)
        taken.add(names[name])
    return [curve.named(names[curve.name]) for curve in other]


def _check_area(kind: str, a: Domain, b: Domain, curves: Sequence[Curve]) -> None:
    origin = curves[0].start if curves else (0.0, 0.0)
    area = sum(curve.moment(origin) for curve in curves)
    # Rounding errors may give an empty result an area of this size.
    if not area > 1e-12 * min(a.measure, b.measure):
        raise InputError(f"the {kind} of {a!r} and {b!r} is empty")


KINDS = ("union", "difference", "intersection")


def combine(kind: str, a: Domain, b: Domain) -> Domain:
    """Return the union, difference or intersection of a and b; exact if both are planar.

    Combinations of boxes in any dimension, and of boxes and balls in three dimensions, have a
    measure that is exact to rounding and Gauss rules that converge geometrically. The measure of
    other combinations is estimated by scrambled Sobol points, with the standard error
    `measure_error`.

    Args:
        kind: "union", "difference" (a without b) or "intersection".
        a: the first domain, with a finite bounding box.
        b: the second domain, with the same coordinates in the same order.

    Returns:
        The combination, or an equal simpler domain: one of the two domains or a box.

    Raises:
        InputError: if the kind is unknown, b is not a domain, the coordinates differ, or the result
            has no volume.

    Warns:
        UserWarning: if the standard error of the measure is above a thousandth of the measure.
    """
    one_of("kind", kind, KINDS)
    if not isinstance(b, Domain):
        raise InputError(f"a domain combines with another domain, got {b!r}")
    if planar(a) is not None and planar(b) is not None:
        return combine2d(kind, a, b)
    if a.names != b.names:
        raise InputError(
            f"a {kind} needs two domains with the same coordinates, got "
            f"({', '.join(a.names)}) and ({', '.join(b.names)})"
        )
    result = Combination(kind, a, b).simplified
    if result is None:
        raise InputError(f"the {kind} of {a!r} and {b!r} is empty")
    if result.measure_error > 1e-3 * result.measure:
        warnings.warn(
            f"the measure of a {kind} is {result.measure:.4g} with a standard error of "
            f"{result.measure_error:.1e}: its integrals will not be accurate",
            stacklevel=3,  # the caller's line with a | b
        )
    return result


def over(space: Domain, time: Mapping[str, Sequence[float | int]]) -> Domain:
    """Return the product of a space and a time interval, given as {name: (low, high)}."""
    return Product(space, Box(**time))


BUILDERS.update(combine=combine, over=over)
