"""The operators of a domain: `a | b`, `a - b`, `a & b` and `space.over(t=(0, 1))`."""

from collections.abc import Mapping, Sequence

from kanpinn._support.errors import InputError
from kanpinn.geometry.box import Box
from kanpinn.geometry.combined.combination import combine
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.combine2d import combine2d, planar
from kanpinn.geometry.product import Product


def combined(a: Domain, kind: str, b: Domain) -> Domain:
    """Return the union, difference or intersection of a and b; exact if both are planar.

    Args:
        a: the first domain.
        kind: "union", "difference" (a without b) or "intersection".
        b: the second domain.

    Raises:
        InputError: if b is not a domain, or the two domains cannot be combined.
    """
    if not isinstance(b, Domain):
        raise InputError(f"a domain combines with another domain, got {b!r}")
    exact = planar(a) is not None and planar(b) is not None
    return (combine2d if exact else combine)(kind, a, b)


def over(space: Domain, time: Mapping[str, Sequence[float | int]]) -> Domain:
    """Return the product of a space and a time interval, given as {name: (low, high)}."""
    return Product(space, Box(**time))
