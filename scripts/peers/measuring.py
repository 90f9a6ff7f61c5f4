"""What the runs of all peers share: the problem, its errors, timelines, fields of torch."""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TextIO

import numpy as np
import torch

PI = float(np.pi)
QUADRATURE_NODES = 200
INTERIOR_WEIGHT = 0.01
"""Weight of the interior residual in every penalty loss; the boundary's is 1 (the KAN paper's)."""

Field = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""Coordinates (n, 2) to values (n,) and gradients (n, 2), or None where a peer gives none."""


def exact(x, y, xp=np):
    """Return sin(pi x) sin(pi y^2), for arrays of the library `xp` (numpy, torch or jax.numpy)."""
    return xp.sin(PI * x) * xp.sin(PI * y**2)


def exact_gradient(x, y) -> np.ndarray:
    """Return the gradient (n, 2) of the exact solution."""
    u_x = PI * np.cos(PI * x) * np.sin(PI * y**2)
    u_y = 2 * PI * y * np.sin(PI * x) * np.cos(PI * y**2)
    return np.stack([u_x, u_y], axis=1)


def source(x, y, xp=np):
    """Return -pi^2 (1 + 4 y^2) sin(pi x) sin(pi y^2) + 2 pi sin(pi x) cos(pi y^2)."""
    sine = xp.sin(PI * x)
    return sine * (-(PI**2) * (1 + 4 * y**2) * xp.sin(PI * y**2) + 2 * PI * xp.cos(PI * y**2))


def gauss_grid(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return tensor Gauss-Legendre points (nodes^2, 2) of the square and weights of sum 1."""
    line, weights = np.polynomial.legendre.leggauss(nodes)
    x, y = np.meshgrid(line, line, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1), np.outer(weights, weights).ravel() / 4


def boundary_grid(nodes: int) -> np.ndarray:
    """Return Gauss-Legendre points (4 nodes, 2) on the sides of the square."""
    line = np.polynomial.legendre.leggauss(nodes)[0]
    sides = [(np.full(nodes, side), line) for side in (-1.0, 1.0)]
    sides += [(along, across) for across, along in sides]
    return np.concatenate([np.stack(side, axis=1) for side in sides])


@cache
def _reference() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    points, weights = gauss_grid(QUADRATURE_NODES)
    return points, weights, exact(*points.T), exact_gradient(*points.T)


def relative_errors(field: Field) -> dict[str, float | None]:
    """Return the relative L2 and H1 errors of a field, by 200 x 200 Gauss-Legendre points."""
    points, weights, u, du = _reference()
    values, gradient = field(points)
    square, norm = weights @ (values - u) ** 2, weights @ u**2
    errors: dict[str, float | None] = {"l2_relative": float(np.sqrt(square / norm))}
    errors["h1_relative"] = None
    if gradient is not None:
        square = square + weights @ ((gradient - du) ** 2).sum(axis=1)
        norm = norm + weights @ (du**2).sum(axis=1)
        errors["h1_relative"] = float(np.sqrt(square / norm))
    return errors


FIRST_MEASUREMENT = 0.2
MEASUREMENT_GROWTH = 1.12
"""Times of measurement grow by this factor: the figure's axis is logarithmic."""


def options() -> argparse.Namespace:
    """Return the options that all runners share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget", type=float, default=20.0, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--row", default="", help="which of a runner's rows, where it has several")
    return parser.parse_args()


@cache
def _results() -> TextIO:
    """Return standard output, for the results alone; a peer's output goes to standard error."""
    sys.stdout.flush()
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return results


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "source tree"


class Timeline:
    """Times one row, or a series of independent solves of one row (see `restart`)."""

    def __init__(self, row: str, package: str, budget: float, parameters: int | None = None):
        self.row, self.version, self.budget = row, _version(package), budget
        self.parameters = parameters
        self._spent = 0.0
        _results()
        self.restart()

    def restart(self, parameters: int | None = None) -> None:
        """Start the clock of another solve at zero; what was spent of the budget remains spent."""
        self._spent += self.seconds if hasattr(self, "_start") else 0.0
        self.parameters = parameters or self.parameters
        self._measured, self._next = -1.0, FIRST_MEASUREMENT
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    @property
    def exhausted(self) -> bool:
        """Whether the budget of this row is spent."""
        return self._spent + self.seconds >= self.budget

    def allows_another(self, growth: float) -> bool:
        """Whether the budget suffices for a solve that takes `growth` times the last one's time.

        The first solve is always allowed: a peer without any measurement has failed.
        """
        if self._measured < 0:
            return True
        return self._spent + self.seconds + growth * self._measured < self.budget

    @property
    def due(self) -> bool:
        """Whether it is time for another measurement."""
        return self.seconds >= self._next

    def record(self, field: Field) -> float:
        """Measure a field's errors, with the clock stopped, and print them."""
        seconds = self.seconds
        errors = relative_errors(field)
        for name, error in errors.items():
            errors[name] = error if error is not None and math.isfinite(error) else None
        line = {"row": self.row, "seconds": seconds, **errors}
        line |= {"parameters": int(self.parameters or 0) or None, "version": self.version}
        print(json.dumps(line), file=_results())
        self._measured = seconds
        self._next = max(seconds * MEASUREMENT_GROWTH, FIRST_MEASUREMENT)
        self._start = time.perf_counter() - seconds
        return math.inf if errors["l2_relative"] is None else errors["l2_relative"]

    def record_if_due(self, field: Field) -> None:
        if self.due:
            self.record(field)

    def finish(self, field: Field) -> None:
        """Measure the end of a run, unless it has just been measured."""
        if self.seconds > self._measured + 0.01:
            self.record(field)


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
