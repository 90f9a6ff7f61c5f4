"""Fits of formulas to two classes: the formula's value is the log odds of the second class."""

import math

import torch
from torch import Tensor

from kanpinn.interpret import Graph
from kanpinn.interpret.graph import covering
from kanpinn.linalg import fold
from kanpinn.optimizers.output_layer import Probes, best_damping

MIXED = 1e-2  # of the class itself in the curvature: a row that is quite wrong must not drown all
STALLED, IDLE = 1e-3, 3
RIDGE = 1e-6

Rows = tuple[Tensor, Tensor]  # inputs (n, d) and classes (n,)


def row_losses(odds: Tensor, y: Tensor) -> Tensor:
    """Return log(1 + exp(∓ odds)) of each row; y (n,) is 0 or 1."""
    return torch.nn.functional.softplus(torch.where(y > 0.5, -odds, odds))


def cross_entropy(odds: Tensor, y: Tensor) -> float:
    """Return the mean of `row_losses`, infinity if it is not finite."""
    loss = float(row_losses(odds, y).mean())
    return loss if math.isfinite(loss) else math.inf


def accuracy(odds: Tensor, y: Tensor) -> float:
    """Return the share of rows that are classified rightly."""
    return float(((odds > 0) == (y > 0.5)).double().mean())


def _rows(odds: Tensor, y: Tensor, jacobian: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Gauss–Newton rows of the cross entropy and their right-hand sides."""
    p = odds.sigmoid()
    q = (p + MIXED * y) / (1 + MIXED)
    root = (q * (1 - q)).clamp_min(1e-12).sqrt()
    return jacobian * root[:, None], (p - y) / root


def refit(graph: Graph, x: Tensor, y: Tensor, steps: int = 30) -> Graph:
    """Minimise the cross entropy over the parameters of a graph with one output, locally."""
    graph = covering(graph, x)
    damping, idle = 1e-3, 0
    loss = cross_entropy(graph(x)[:, 0], y)
    for _ in range(steps):
        values, jacobian = graph.jacobian(x)
        if not (math.isfinite(loss) and jacobian.isfinite().all()):
            break
        triangle = fold([_rows(values[:, 0], y, jacobian[:, 0])])
        start, moves = graph.parameters, triangle.damped()
        probes = Probes(lambda d: cross_entropy(graph.moved(start + moves.step(d))(x)[:, 0], y))  # noqa: B023
        damping, reached = best_damping(probes, damping, loss)
        if not reached < loss:
            break
        graph = covering(graph.moved(start + moves.step(damping)), x)
        idle = idle + 1 if reached > (1 - STALLED) * loss else 0
        loss = reached
        if idle >= IDLE:
            break
    return graph


def regress(columns: Tensor, y: Tensor, steps: int = 60) -> tuple[Tensor, float]:
    """Return the coefficients of columns (n, k) with the least cross entropy, and its value.

    They are found by Newton's method from zero.
    """
    scale = columns.abs().amax(dim=0)
    a, w = columns / scale, columns.new_zeros(columns.shape[1])
    loss = cross_entropy(a @ w, y)
    for _ in range(steps):
        p = (a @ w).sigmoid()
        hessian = a.T @ (a * (p * (1 - p))[:, None])
        hessian.diagonal().mul_(1 + RIDGE).add_(1e-9)
        step, length = torch.linalg.solve(hessian, a.T @ (y - p)), 1.0
        while (reached := cross_entropy(a @ (w + length * step), y)) > loss and length > RIDGE:
            length /= 2
        if not reached < (1 - RIDGE) * loss:
            break
        w, loss = w + length * step, reached
    return w / scale, loss
