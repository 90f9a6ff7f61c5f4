"""Code of all torch peers: points as tensors, the parts of the penalty loss, fields to measure."""

from collections.abc import Callable

import numpy as np
import torch
from peers.poisson import INTERIOR_WEIGHT, boundary_grid, gauss_grid, source

CHUNK = 10_000
"""Points evaluated at a time while measuring: bounds the memory of the peers' dense splines."""

# The first optimizer makes torch import its compiler: imports are not counted, so do it here.
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def collocation(interior: int = 41, boundary: int = 41) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Gauss-Legendre points inside (interior^2, 2) and on the boundary (4 boundary, 2)."""
    return torch.tensor(gauss_grid(interior)[0]), torch.tensor(boundary_grid(boundary))


def laplacian(model: Callable, points: torch.Tensor) -> torch.Tensor:
    """Return u_xx + u_yy (n,) by nested automatic differentiation."""
    points = points.requires_grad_(True)
    gradient = torch.autograd.grad(model(points).sum(), points, create_graph=True)[0]
    second = [
        torch.autograd.grad(gradient[:, axis].sum(), points, create_graph=True)[0][:, axis]
        for axis in range(2)
    ]
    return second[0] + second[1]


def penalty_loss(model: Callable, interior: torch.Tensor, boundary: torch.Tensor) -> torch.Tensor:
    """Return 0.01 mean (Laplacian - f)^2 over the interior + mean u^2 over the boundary."""
    residual = laplacian(model, interior) - source(interior[:, 0], interior[:, 1], xp=torch)
    return INTERIOR_WEIGHT * residual.pow(2).mean() + model(boundary).pow(2).mean()


def torch_field(model: Callable) -> Callable:
    """Return a model (n, 2) -> (n, 1) as a field of numpy values and gradients."""

    def field(coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [_evaluate(model, chunk) for chunk in torch.tensor(coords).split(CHUNK)]
        values, gradients = (np.concatenate(column) for column in zip(*parts, strict=True))
        return values, gradients

    return field


def _evaluate(model: Callable, coords: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    coords.requires_grad_(True)
    with torch.enable_grad():
        values = model(coords)
        gradient = torch.autograd.grad(values.sum(), coords)[0]
    return values.detach().reshape(-1).numpy(), gradient.numpy()
