"""The operators of a domain: `a | b`, `a - b`, `a & b` and `space.over(t=(0, 1))`."""

from collections.abc import Mapping, Sequence

from kanpinn._support.errors import InputError
from kanpinn.geometry.box import Box
from kanpinn.geometry.combined.combination import combine
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.combine2d import combine2d, planar
from kanpinn.geometry.product import Product


def combined(a: Domain, kind: str, b: Domain) -> Domain:
    """The "union", "difference" or "intersection", exact where both are planar.

    Raises:
        InputError: where b is no domain, or the two do not combine.
    """
    if not isinstance(b, Domain):
        raise InputError(f"a domain combines with another domain, got {b!r}")
    exact = planar(a) is not None and planar(b) is not None
    return (combine2d if exact else combine)(kind, a, b)


def over(space: Domain, time: Mapping[str, Sequence[float | int]]) -> Domain:
    """Space × time, the latter as the one interval of its named coordinate."""
    return Product(space, Box(**time))
