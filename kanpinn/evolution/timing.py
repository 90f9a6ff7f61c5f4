"""Operations on the time, which is the last of a network's inputs."""

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
