"""The operators of a domain: `a | b`, `a - b`, `a & b` and `space.over(t=(0, 1))`."""

import warnings
from collections.abc import Mapping, Sequence

from kanpinn._support.errors import InputError, one_of
from kanpinn.geometry.box import Box
from kanpinn.geometry.combined.combination import Combination
from kanpinn.geometry.domain import BUILDERS, Domain
from kanpinn.geometry.planar.combine2d import combine2d, planar
from kanpinn.geometry.product import Product

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
