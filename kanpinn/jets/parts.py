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
    first, second = channels.dim * channels.gradient, channels.second_count
    lines = list(range(1, channels.order + 1)) * len(channels.directions)
    return torch.tensor([0] + [1] * first + [2] * second + lines)


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
    d, found = channels.dim, [(0, 0, 1.0)]
    if channels.gradient:
        found.append((1 + axis, 1, 1.0))
    start = 1 + d * channels.gradient
    if channels.second == "laplacian":
        found.append((start, 2, 1.0))
    elif channels.second == "diagonal":
        found.append((start + axis, 2, 1.0))
    elif channels.second == "hessian":
        both = {start + axis * d + i: 1 + (i == axis) for i in range(d)}
        both |= {start + i * d + axis: 1 + (i == axis) for i in range(d)}
        found += [(part, order, 1.0) for part, order in both.items()]
    start += channels.second_count
    for number, direction in enumerate(channels.directions):
        for order in range(1, channels.order + 1):
            part = start + number * channels.order + order - 1
            found.append((part, order, direction[axis] ** order))
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
    shares, orders = slopes.new_zeros(slopes.shape[-2]), orders_of_parts(channels).tolist()
    for part, number, share in parts_along(channels, axis):
        if number == order == orders[part]:  # otherwise it is a mixed derivative
            shares[part] = share
    return torch.einsum("...pm,p->...m", slopes, shares)


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
