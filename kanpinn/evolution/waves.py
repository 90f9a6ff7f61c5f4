"""The errors of splines as waves, which the linearised equation relates to the residual."""

import torch
from torch import Tensor

from kanpinn.evolution.multi_indices import MultiIndex, parts_from
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

    def derivative(index: MultiIndex) -> Tensor:
        *space, time = index
        mixed = sum(space) > space[axis]
        return (0 * wave if mixed else wave ** space[axis] * rate**time)[:, None]

    parts = [part.flatten(1) for part in parts_from(channels, derivative)]
    symbols = torch.einsum("gepf,ep->egf", linearised.to(wave), torch.cat(parts, dim=1))
    inverse = torch.linalg.pinv(symbols).abs()  # (G, m, equations)
    return torch.einsum("emg,keg->kem", inverse, sizes).norm(dim=2)
