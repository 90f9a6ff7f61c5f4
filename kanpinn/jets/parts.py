"""The parts of stacked jets: which derivatives they are, with their orders, and zeros."""

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from kanpinn.jets.jet import Channels, Jet


def orders_of_parts(channels: Channels) -> Tensor:
    """The order of the derivative of each part of a stacked jet, (parts,)."""
    return torch.tensor([sum(terms[0][0]) for terms in derivatives_of_parts(channels)])


def largest_of_orders(sizes: Tensor, channels: Channels) -> Tensor:
    """The largest number for a derivative of each order, (..., orders, m).

    Args:
        sizes: a number for each part of a stacked jet, (..., parts, m).
        channels: the derivatives that the jet carries.
    """
    orders = orders_of_parts(channels)
    counted = range(channels.derivative_order + 1)
    return torch.stack([sizes[..., orders == r, :].amax(dim=-2) for r in counted], dim=-2)


def parts_along(channels: Channels, axis: int) -> list[tuple[int, int, float]]:
    """The parts of a stacked jet that are derivatives by one coordinate.

    Returns:
        For each of them its number, its order, and the factor with which it contains the
        derivative of this order by the coordinate. A mixed second derivative counts as one of
        first order.
    """
    found = [(0, 0, 1.0)]
    for part, terms in enumerate(derivatives_of_parts(channels)):
        orders, factor = max(terms, key=lambda term: term[0][axis])
        if orders[axis]:
            found.append((part, orders[axis], factor))
    return found


def coefficients_along(slopes: Tensor, channels: Channels, axis: int, order: int) -> Tensor:
    """The coefficients of the pure derivative of an order by one coordinate, (..., m).

    They are the same for all jets in which an equation may ask for this derivative.

    Args:
        slopes: the coefficients of the parts of a stacked jet, (..., parts, m).
        channels: the derivatives that the jet carries.
        axis: the coordinate.
        order: the order of the derivative.
    """
    pure = tuple(order * (i == axis) for i in range(channels.dim))
    shares = [dict(terms).get(pure, 0.0) for terms in derivatives_of_parts(channels)]
    return torch.einsum("...pm,p->...m", slopes, slopes.new_tensor(shares))


def parts_of_wave(channels: Channels, kappa: Tensor) -> Tensor:
    """The parts of the stacked jet of exp(κ·x) at x = 0, (s, parts); kappa: vectors κ, (s, d)."""
    parts = [torch.ones_like(kappa[:, :1])]
    if channels.gradient:
        parts.append(kappa)
    if channels.second != "none":
        squares = kappa[:, :, None] * kappa[:, None]
        if channels.second != "hessian":
            squares = squares.diagonal(dim1=1, dim2=2)
        if channels.second == "laplacian":
            squares = squares.sum(dim=1, keepdim=True)
        parts.append(squares.flatten(1))
    if channels.directions:
        along = kappa @ torch.tensor(channels.directions).to(kappa).T
        powers = [along**r for r in range(1, channels.order + 1)]
        parts.append(torch.stack(powers, dim=2).flatten(1))
    return torch.cat(parts, dim=1)


@lru_cache(maxsize=100)
def derivatives_of_parts(channels: Channels) -> list[list[tuple[tuple[int, ...], float]]]:
    """The mixed derivatives whose sum each part of a stacked jet is.

    Returns:
        For each part a list of derivatives: the orders by each coordinate, d numbers, and a factor.
    """
    dim = channels.dim
    units = [tuple(int(i == axis) for i in range(dim)) for axis in range(dim)]

    def both(one: int, other: int) -> tuple[int, ...]:
        return tuple(a + b for a, b in zip(units[one], units[other], strict=True))

    found: list[list[tuple[tuple[int, ...], float]]] = [[((0,) * dim, 1.0)]]
    if channels.gradient:
        found += [[(unit, 1.0)] for unit in units]
    if channels.second == "laplacian":
        found.append([(both(i, i), 1.0) for i in range(dim)])
    elif channels.second == "diagonal":
        found += [[(both(i, i), 1.0)] for i in range(dim)]
    elif channels.second == "hessian":
        found += [[(both(i, j), 1.0)] for i in range(dim) for j in range(dim)]
    for direction in channels.directions:
        for order in range(1, channels.order + 1):
            found.append(_along(direction, order))
    return found


def _along(direction: Sequence[float], order: int) -> list[tuple[tuple[int, ...], float]]:
    """The mixed derivatives, with factors, whose sum is the derivative along a direction."""
    found = []
    for orders in itertools.product(range(order + 1), repeat=len(direction)):
        powers = math.prod(v**n for v, n in zip(direction, orders, strict=True))
        if sum(orders) == order and powers:
            count = math.factorial(order) // math.prod(map(math.factorial, orders))
            found.append((orders, count * powers))
    return found


def zero_jet(channels: Channels, like: Tensor, fields: int) -> Jet:
    """The jet of m fields that vanish at n points.

    Args:
        channels: the derivatives that it carries.
        like: a tensor (n, …) with the number of points, the dtype and the device.
        fields: their number m.
    """
    gradient = second = lines = None
    if channels.gradient:
        gradient = like.new_zeros(len(like), channels.dim, fields)
    if channels.second_count:
        second = like.new_zeros(len(like), channels.second_count, fields)
    if channels.directions:
        shape = len(channels.directions), channels.order, fields
        lines = like.new_zeros(len(like), *shape)
    return Jet(channels, like.new_zeros(len(like), fields), gradient, second, lines)


def jet_of_stacked(channels: Channels, rows: Tensor) -> Jet:
    """The jet of m fields at n points whose `stacked` parts are given, (n, parts, m)."""
    return zero_jet(channels, rows, 1).unstacked(rows)
