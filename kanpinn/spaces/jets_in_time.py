"""Jets of functions of space and time: products of polynomials in time with functions of space,
and the window of each point.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kanpinn.jets import Channels, Coordinates, Jet
from kanpinn.jets.jet import total

Inputs = Jet | Coordinates


def in_window(inputs: Inputs, start: float, end: float) -> Inputs:
    """Return the inputs with the time mapped affinely from [start, end] to [-1, 1]."""
    stretch = 2 / (end - start)
    return _timed(inputs, stretch, -stretch * start - 1)


def at_time(inputs: Inputs, at: float) -> Inputs:
    """Return the inputs with the time of all points set to a constant."""
    return _timed(inputs, 0.0, at)


def _timed(inputs: Inputs, factor: float, shift: float) -> Inputs:
    """Return the inputs with the time t replaced by factor · t + shift."""
    factors = inputs.value.new_ones(inputs.value.shape[1])
    shifts = torch.zeros_like(factors)
    factors[-1], shifts[-1] = factor, shift
    return inputs.affine(factors, shifts)


def time_of(inputs: Inputs) -> Jet:
    """Return the time as a scalar jet."""
    return inputs.dense()[inputs.value.shape[1] - 1]


def by_windows(inputs: Inputs, ends: Sequence[float], of: Callable[[int, Inputs], Jet]) -> Jet:
    """Return the jets at inputs in windows of time.

    Args:
        inputs: the inputs of n points.
        ends: the ends of the windows, the first moment first. After the last window the time is
            constant.
        of: gives the jets for the number of a window and the inputs of points in it, with the
            window's own time in [-1, 1].
    """
    times, found, rows = inputs.value[:, -1].contiguous(), [], []
    which = torch.bucketize(times, inputs.value.new_tensor(ends[1:]))
    for number in which.unique().tolist():
        here = (which == number).nonzero()[:, 0]
        own = inputs if len(here) == len(which) else inputs.rows(here)
        last = min(number, len(ends) - 2)
        own = in_window(at_time(own, ends[-1]) if number > last else own, *ends[last:][:2])
        found.append(of(last, own))
        rows.append(here)
    if not found:
        return of(0, inputs)
    if len(found) == 1:
        return found[0]
    back = torch.cat(rows).argsort()
    parts = zip(*(jet.parts() for jet in found), strict=True)
    return found[0].with_parts([torch.cat(same)[back] for same in parts])


def in_time(space: Jet, rates: Sequence[Tensor], fields: int) -> Jet:
    """The jets of Σ_b T_b(t) φ_b(x) at all of P places and k times, times first.

    Args:
        space: the jets of the φ_b, constant in time, with b·m components, the fields of one b after
            the other; time is the last coordinate.
        rates: the values of the T_b and their derivatives in time, (k, b) each, up to the order of
            the jets.
        fields: the number m.

    Returns:
        The jets at k·P points with m components.
    """
    dim, channels = space.channels.dim, space.channels

    def combined(part: Tensor, order: int) -> Tensor:
        split = part.unflatten(-1, (-1, fields)).movedim(-2, 0)
        found = rates[order] @ split.flatten(1)
        return found.view(len(found), *split.shape[1:]).flatten(0, 1)

    gradient = second = lines = None
    if space.gradient is not None:
        slope = combined(space.value, 1)
        gradient = torch.cat([combined(space.gradient[:, :-1], 0), slope[:, None]], dim=1)
    if space.second is not None and space.gradient is not None:
        curved = combined(space.value, 2)
        if channels.second == "laplacian":
            second = combined(space.second, 0) + curved[:, None]
        elif channels.second == "diagonal":
            second = torch.cat([combined(space.second[:, :-1], 0), curved[:, None]], dim=1)
        else:
            second = combined(space.second, 0).unflatten(1, (dim, dim)).clone()
            mixed = combined(space.gradient[:, :-1], 1)
            second[:, -1, :-1] = second[:, :-1, -1] = mixed
            second[:, -1, -1] = curved
            second = second.flatten(1, 2)
    if space.lines is not None:
        lines = torch.stack([_line(space, combined, i) for i in range(space.lines.shape[1])], dim=1)
    return Jet(channels, combined(space.value, 0), gradient, second, lines)


def _line(space: Jet, combined: Callable[[Tensor, int], Tensor], number: int) -> Tensor:
    """The derivatives of all orders along one direction, (k·P, order, m)."""
    assert space.lines is not None
    along = [space.value, *space.lines[:, number].unbind(1)]
    step = space.channels.directions[number][-1]
    found = []
    for order in range(1, len(along)):
        terms = [
            math.comb(order, r) * step**r * combined(along[order - r], r)
            for r in range(order + 1)
            if r == 0 or step
        ]
        found.append(total(terms))
    return torch.stack(found, dim=1)


def powers_in_time(space: Jet, order: int) -> list[Jet]:
    """The jets of t^r / r! φ(x) at t = 0 for r = 0 … order, from the jets of φ.

    By them a linearised residual is taken apart by the order of its derivatives in time.
    """
    count = space.value.shape[-1]
    highest = max(order, space.channels.derivative_order)
    jets = []
    for r in range(order + 1):
        rates = [space.value.new_full((1, 1), float(k == r)) for k in range(highest + 1)]
        jets.append(in_time(space, rates, count))
    return jets


def rates_of_parts(channels: Channels) -> list[tuple[int, float]]:
    """The parts of the jets of functions of time alone: derivatives times a factor.

    Returns:
        For each part, in the order of `jet_of_parts`, the order of the derivative and its factor.
    """
    found = [(0, 1.0)]
    found += [(1, 1.0)] * channels.gradient + [(2, 1.0)] * channels.second_count
    for (step,) in channels.directions:
        found += [(r, step**r) for r in range(1, channels.order + 1)]
    return found


def jet_of_parts(channels: Channels, parts: Tensor) -> Jet:
    """The jet of one function of time alone at k moments, from its parts (parts, k)."""
    gradient = second = lines = None
    value, *rest = parts[:, :, None, None].unbind(0)
    if channels.gradient:
        gradient = rest.pop(0)
    if channels.second_count:
        second = rest.pop(0)
    if channels.directions:
        lines = torch.cat(rest, dim=1).unflatten(1, (-1, channels.order))
    return Jet(channels, value[:, 0], gradient, second, lines)
