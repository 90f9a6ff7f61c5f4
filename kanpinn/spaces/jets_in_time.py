"""Jets of functions of space and time: sums of polynomials in time times functions of space.

A jet holds values and derivatives at points. The polynomials are those of one window, a span of
time that is solved at once, or of several windows.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import Coordinates, Jet, stack, total

Inputs = Jet | Coordinates


def at_times(places: Points, times: Tensor) -> Batch:
    """The points (x, t) for given points x in space and each of k times, (k·places), time by time.

    Args:
        places: the points in space, given as points in space and time; their times are replaced.
        times: the times, (k,).
    """
    k, coords = len(times), places.coords.repeat(len(times), 1)
    coords[:, -1] = times.repeat_interleave(len(places))
    normals = None if places.normals is None else places.normals.repeat(k, 1)
    return Batch(coords, places.names, normals)


def by_windows(inputs: Inputs, ends: Sequence[float], of: Callable[[int, Inputs], Jet]) -> Jet:
    """Evaluate a function that is defined window by window in time, with derivatives.

    A window is a span of time with a function of its own. Returns the jet at all n points.

    Args:
        inputs: the jet of the inputs of n points; the scaled time is the last input.
        ends: the start of the first window and the ends of all windows. After the last window the
            function is constant in time.
        of: a function that gives the jets in one window. Its arguments are the index of the window,
            and the inputs of points in the window with the time scaled to [-1, 1].
    """
    times, jets, rows = inputs.value[:, -1].contiguous(), list[Jet](), list[Tensor]()
    which = torch.bucketize(times, inputs.value.new_tensor(ends[1:]))
    for number in which.unique().tolist():
        here = (which == number).nonzero()[:, 0]
        window = min(number, len(ends) - 2)
        stretch = 2 / (ends[window + 1] - ends[window])
        factors = inputs.value.new_ones(inputs.value.shape[1])
        shifts = torch.zeros_like(factors)
        factors[-1], shifts[-1] = stretch, -stretch * ends[window] - 1
        if number > window:
            factors[-1], shifts[-1] = 0, 1
        inside = inputs if len(here) == len(which) else inputs.rows(here)
        jets.append(of(window, inside.affine(factors, shifts)))
        rows.append(here)
    if len(jets) < 2:
        return jets[0] if jets else of(0, inputs)
    return stack(jets).rows(torch.cat(rows).argsort())


def in_time(space: Jet, rates: Sequence[Tensor], fields: int) -> Jet:
    """The values and derivatives of Σ_b T_b(t) φ_b(x) at P points in space and k times.

    Args:
        space: the jets of the φ_b at the P points, constant in time, with b·m components: the m
            fields of the first φ_b, then those of the second, and so on; time is the last
            coordinate.
        rates: the values of the T_b and their derivatives in time, (k, b) each, up to the order of
            the jets.
        fields: the number m of fields.

    Returns:
        The jets at k·P points, time by time, with m components.
    """
    dim, channels = space.channels.dim, space.channels

    def combined(part: Tensor, order: int) -> Tensor:
        """Combine one tensor of the jets of the φ_b, (P, …, b·m), with derivatives of the T_b.

        Args:
            part: the tensor, such as the values or the gradients.
            order: the order of the derivatives of the T_b in time.

        Returns:
            The sums over b at all points and times, (k·P, …, m).
        """
        split = part.unflatten(-1, (-1, fields)).movedim(-2, 0)
        sums = rates[order] @ split.flatten(1)
        return sums.view(len(sums), *split.shape[1:]).flatten(0, 1)

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
            second[:, -1, :-1] = second[:, :-1, -1] = combined(space.gradient[:, :-1], 1)
            second[:, -1, -1] = curved
            second = second.flatten(1, 2)
    if space.lines is not None:
        each = []
        for (*_, step), line in zip(channels.directions, space.lines.unbind(1), strict=True):
            along = [space.value, *line.unbind(1)]
            each += [
                total(
                    math.comb(order, r) * step**r * combined(along[order - r], r)
                    for r in range(order + 1)
                    if r == 0 or step
                )
                for order in range(1, len(along))
            ]
        lines = torch.stack(each, dim=1).unflatten(1, (-1, channels.order))
    return Jet(channels, combined(space.value, 0), gradient, second, lines)


def powers_in_time(space: Jet, order: int) -> list[Jet]:
    """The values and derivatives of t^r / r! φ(x) at t = 0, for r = 0 … order.

    Applied to them, a linearised residual gives its terms with derivatives of order r in time.

    Args:
        space: the jets of φ, constant in time.
        order: the highest power of the time.
    """
    count = space.value.shape[-1]
    highest = max(order, space.channels.derivative_order)
    jets = []
    for r in range(order + 1):
        rates = [space.value.new_full((1, 1), float(k == r)) for k in range(highest + 1)]
        jets.append(in_time(space, rates, count))
    return jets
