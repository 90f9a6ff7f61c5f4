"""Unions, differences and intersections of domains that are not planar."""

import warnings

from kanpinn._support.errors import InputError
from kanpinn.geometry.box import Box
from kanpinn.geometry.combined.box_cells import as_box
from kanpinn.geometry.combined.combination import KEEP, Combination
from kanpinn.geometry.combined.overlaps import common_bounds, encloses, exact_overlap
from kanpinn.geometry.domain import Domain

NOTHING = 1e-12  # of the first operand's measure: what rounding may leave of an empty result
LOOSE = 1e-3  # the relative error of a measure from which on it is warned of


def combine(kind: str, a: Domain, b: Domain) -> Domain:
    """The union, difference (a without b) or intersection of two domains.

    Boxes with boxes, balls with balls in 3-D, a box and a ball one of which lies in the other, and
    unions of what does not touch have exact measures and Gauss rules. Of others the measure is
    estimated by scrambled Sobol points and its standard error kept in `measure_error`.

    Args:
        kind: "union", "difference" or "intersection".
        a: a domain; its bounding box is finite.
        b: a domain with the same coordinates in the same order.

    Raises:
        InputError: for an unknown kind, different coordinates, or a result without volume.

    Warns:
        UserWarning: where the measure's standard error is above a thousandth of it.
    """
    if kind not in KEEP:
        raise InputError(f"kind must be one of {', '.join(KEEP)}, got {kind!r}")
    if a.names != b.names:
        raise InputError(
            f"a {kind} needs two domains with the same coordinates, got "
            f"({', '.join(a.names)}) and ({', '.join(b.names)})"
        )
    simple = _trivial(kind, a, b)
    if simple is not None:
        return simple
    result = Combination(kind, a, b)
    if not result.measure > NOTHING * a.measure:
        raise InputError(f"the {kind} of {a!r} and {b!r} is empty")
    if result.measure_error > LOOSE * result.measure:
        warnings.warn(
            f"the measure of a {kind} is {result.measure:.4g} with a standard error of "
            f"{result.measure_error:.1e}: its integrals will not be accurate",
            stacklevel=4,  # that of a | b
        )
    return result


def _trivial(kind: str, a: Domain, b: Domain) -> Domain | None:
    """A result that is a single known domain: one of the two, or the box in which boxes meet."""
    if kind == "difference":
        return a if exact_overlap(a, b) == 0 else None
    for inner, outer in ((a, b), (b, a)):
        if inner == outer or encloses(outer, inner):
            return outer if kind == "union" else inner
    low, high = common_bounds(a, b)
    if kind == "intersection" and isinstance(a, Box) and isinstance(b, Box) and (low < high).all():
        return as_box(tuple(zip(low.tolist(), high.tolist(), strict=True)), a.names)
    return None
