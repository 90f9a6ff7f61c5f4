"""The competitors as one writes them in plain torch, without kanpinn's machinery."""

from typing import Any

import torch
from torch import Tensor, nn

from kanpinn.networks import KAN


def plain_mlp(width: int) -> nn.Sequential:
    """Return the MLP [2, width, 1] with tanh units."""
    first, last = nn.Linear(2, width, dtype=torch.float64), nn.Linear(width, 1, dtype=torch.float64)
    return nn.Sequential(first, nn.Tanh(), last)


class PlainKAN(nn.Module):
    """The same function as a KAN by the vectorised Cox-de Boor recursion over the whole grid.

    Autograd differentiates through the recursion. Reference: de Boor (1978), chapter X, (4).
    """

    def __init__(self, network: KAN) -> None:
        super().__init__()
        self.degree = network.layers[0].basis.degree
        self.knots: list[Any] = [layer.basis.knots for layer in network.layers]
        self.coefficients = nn.ParameterList(
            layer.coefficients.detach().clone() for layer in network.layers
        )

    def forward(self, x: Tensor) -> Tensor:
        for knots, coefficients in zip(self.knots, self.coefficients, strict=True):
            splines = cox_de_boor(x, knots, self.degree)
            x = splines.flatten(-2) @ coefficients.flatten(0, 1)
        return x


def cox_de_boor(x: Tensor, knots: Tensor, degree: int) -> Tensor:
    """Return all B-splines at x (..., n_in), (..., n_in, n_splines); zero outside the knots."""
    x = x[..., None]
    splines = ((x >= knots[:, :-1]) & (x < knots[:, 1:])).to(x.dtype)
    for k in range(1, degree + 1):
        rising = (x - knots[:, : -k - 1]) / (knots[:, k:-1] - knots[:, : -k - 1])
        falling = (knots[:, k + 1 :] - x) / (knots[:, k + 1 :] - knots[:, 1:-k])
        splines = rising * splines[..., :-1] + falling * splines[..., 1:]
    return splines
