"""Operations on the time, which is the last of a network's inputs."""

from collections.abc import Callable, Sequence

import torch

from kanpinn.jets import Coordinates, Jet

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
