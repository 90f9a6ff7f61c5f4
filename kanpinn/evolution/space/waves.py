"""The errors of splines as waves: their size by the residual, and how long they last."""

import math

import torch
from torch import Tensor

from kanpinn.evolution.space.multi_indices import MultiIndex, parts_from
from kanpinn.jets import Channels


def errors_of_waves(
    channels: Channels, linearised: Tensor, axis: int, wave: Tensor, rate: float, sizes: Tensor
) -> Tensor:
    """The sizes of waves e^(ω x) e^(rate t) along one coordinate with given residuals.

    Args:
        channels: of the jets, with time as the last coordinate.
        linearised: the derivatives of the residuals by the parts of the fields' jets, in the mean
            over each of G intervals, (equations, G, parts, m).
        axis: the number of the coordinate.
        wave: ω in each interval, imaginary, (G,).
        rate: of the change in time.
        sizes: the root mean square residuals, (k, G, equations).

    Returns:
        The root mean squares of the waves, of all fields together, (k, G).
    """
    symbols = _symbols(channels, linearised, axis, wave, rate)
    if not bool(symbols.isfinite().all()):
        return torch.full_like(sizes[..., 0], math.inf)
    inverse = torch.linalg.pinv(symbols).abs()
    return torch.einsum("emg,keg->kem", inverse, sizes).norm(dim=2)


def lifetimes_of_waves(channels: Channels, linearised: Tensor, axis: int, wave: Tensor) -> Tensor:
    """The times after which waves e^(ω x) have lost most of their square, (G,).

    The equation is of first order in time. The wave that is damped least counts; the time is
    infinite if it is not damped. The arguments are those of `errors_of_waves`.
    """
    small = 1e-12  # of a rate, which rounding makes
    still, moving = (_symbols(channels, linearised, axis, wave, rate) for rate in (0.0, 1.0))
    if not bool(still.isfinite().all() & moving.isfinite().all()):
        return torch.full_like(wave.real, math.inf)
    rates = torch.linalg.eigvals(torch.linalg.pinv(moving - still) @ still)
    damping = rates.real.amin(dim=1)
    damped = damping > small * rates.abs().amax(dim=1)
    return torch.where(damped, 1 / (2 * damping), math.inf)


def _symbols(
    channels: Channels, linearised: Tensor, axis: int, wave: Tensor, rate: float
) -> Tensor:
    """The linearised residuals of the waves, (G, equations, m)."""

    def derivative(index: MultiIndex) -> Tensor:
        *space, time = index
        mixed = sum(space) > space[axis]
        return (0 * wave if mixed else wave ** space[axis] * rate**time)[:, None]

    parts = [part.flatten(1) for part in parts_from(channels, derivative)]
    return torch.einsum("gepf,ep->egf", linearised.to(wave), torch.cat(parts, dim=1))
