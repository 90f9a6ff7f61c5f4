"""The parts of jets from partial derivatives that are named by multi-indices."""

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from kanpinn.jets import Channels

MultiIndex = tuple[int, ...]  # the order of the derivative in each coordinate


def multi_indices(dim: int, order: int) -> Iterator[MultiIndex]:
    """Yield the multi-indices of all partial derivatives of a total order."""
    for one in itertools.product(range(order + 1), repeat=dim):
        if sum(one) == order:
            yield one


def parts_from(channels: Channels, derivative: Callable[[MultiIndex], Tensor]) -> list[Tensor]:
    """The parts of the jet of a function with given partial derivatives.

    Args:
        channels: those of the jet.
        derivative: gives the partial derivatives, (n, m) each.
    """
    dim = channels.dim

    def at(*axes: int) -> Tensor:
        return derivative(tuple(axes.count(axis) for axis in range(dim)))

    found = [at()]
    if channels.gradient:
        found.append(torch.stack([at(i) for i in range(dim)], dim=1))
    if channels.second in ("laplacian", "diagonal"):
        second = torch.stack([at(i, i) for i in range(dim)], dim=1)
        whole = channels.second == "laplacian"
        found.append(second.sum(dim=1, keepdim=True) if whole else second)
    elif channels.second == "hessian":
        found.append(torch.stack([at(i, j) for i in range(dim) for j in range(dim)], dim=1))
    if channels.directions:
        lines = [
            torch.stack(
                [_along(direction, order, derivative) for order in range(1, channels.order + 1)],
                dim=1,
            )
            for direction in channels.directions
        ]
        found.append(torch.stack(lines, dim=1))
    return found


def unit_parts(channels: Channels, index: MultiIndex) -> Tensor:
    """The parts of the jet of a function of which one partial derivative is 1 and all others 0.

    Returns:
        All parts, one after the other.
    """
    parts = parts_from(channels, lambda one: torch.full((1, 1), float(one == index)).double())
    return torch.cat([part.flatten() for part in parts])


def _along(
    direction: tuple[float, ...], order: int, derivative: Callable[[MultiIndex], Tensor]
) -> Tensor:
    """The derivative of an order along a direction."""
    terms = []
    for index in multi_indices(len(direction), order):
        factor = math.prod(v**r for v, r in zip(direction, index, strict=True))
        if factor:
            count = math.factorial(order) / math.prod(math.factorial(r) for r in index)
            terms.append(count * factor * derivative(index))
    return torch.stack(terms).sum(dim=0)
