"""A network's inputs with their last one, the time, taken apart."""

from dataclasses import replace

import torch
from torch import Tensor

from kanpinn.jets import Coordinates, Jet

Inputs = Jet | Coordinates


def rows_of(inputs: Inputs, rows: Tensor) -> Inputs:
    """Some of the points."""
    if isinstance(inputs, Coordinates):
        return replace(inputs, value=inputs.value[rows])
    return inputs.map(lambda t: t[rows])


def dense(inputs: Inputs) -> Jet:
    """As an ordinary jet."""
    return inputs.dense() if isinstance(inputs, Coordinates) else inputs


def in_window(inputs: Inputs, start: float, end: float) -> Inputs:
    """The time as the window's own in [-1, 1]."""
    stretch = 2 / (end - start)
    scale = inputs.value.new_ones(inputs.value.shape[1])
    scale[-1] = stretch
    shift = inputs.value.new_zeros(len(scale))
    shift[-1] = -stretch * start - 1
    value = inputs.value * scale + shift
    if isinstance(inputs, Coordinates):
        return replace(inputs, value=value, scale=inputs.scale * scale)
    return replace(inputs.map(lambda t: t * scale), value=value)


def frozen(inputs: Inputs, at: float) -> Inputs:
    """The time held at one moment."""
    moving = inputs.value.new_ones(inputs.value.shape[1])
    moving[-1] = 0
    value = torch.cat([inputs.value[:, :-1], torch.full_like(inputs.value[:, -1:], at)], dim=1)
    if isinstance(inputs, Coordinates):
        return replace(inputs, value=value, scale=inputs.scale * moving)
    return replace(inputs.map(lambda t: t * moving), value=value)


def time_of(inputs: Inputs) -> Jet:
    """The time as a scalar jet."""
    return dense(inputs)[inputs.value.shape[1] - 1]


def places(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Rows that stand for all others but for the time, and which of these stands for each row.

    Rules that are products have each place at many times.
    """
    parts = [inputs.value] if isinstance(inputs, Coordinates) else inputs.parts()
    key = torch.cat([t.detach()[..., :-1].flatten(1) for t in parts], dim=1)
    if key.shape[1] == 1:
        _, which = torch.unique(key[:, 0], return_inverse=True)
    else:
        _, which = torch.unique(key, dim=0, return_inverse=True)
    rows = torch.arange(len(which), device=which.device)
    first = which.new_full((int(which.max()) + 1 if len(which) else 0,), len(which))
    return first.scatter_reduce(0, which, rows, "amin"), which
