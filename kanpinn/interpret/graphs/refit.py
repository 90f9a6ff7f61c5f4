"""Fits of a graph's parameters to data by the Levenberg–Marquardt method."""

import math
from functools import partial

from torch import Tensor

from kanpinn.interpret.deadline import NEVER, Deadline
from kanpinn.interpret.graphs.graph import Graph
from kanpinn.linalg.triangle import DampedSteps
from kanpinn.linalg.tsqr import fold
from kanpinn.optimizers.damping import Probes, best_damping

STALLED = 0.03  # a step that reduces the sum of squares by a smaller share counts as idle
IDLE = 3  # consecutive idle steps after which a refit ends


def refit(
    graph: Graph,
    x: Tensor,
    y: Tensor,
    steps: int = 20,
    free: Tensor | None = None,
    deadline: Deadline = NEVER,
) -> Graph:
    """Return the graph with its parameters fitted to data by damped Gauss–Newton steps.

    The fit ends after `steps`, at the deadline, after three consecutive steps that gain little, or
    where no step reduces the loss or the Jacobian is not finite. Splines are extended where their
    arguments leave the grid.

    Args:
        graph: the graph with the initial parameters.
        x: the inputs, (n, d).
        y: the targets, (n, m).
        steps: the largest number of steps.
        free: a mask of the parameters that may change, (parameters,); all by default.
        deadline: the time after which no further step begins.
    """
    start_damping = 1e-3
    graph = covering(graph, x)
    damping, idle = start_damping, 0
    loss = _loss(graph, x, y)
    for _ in range(steps):
        if deadline.over:
            break
        values, jacobian = graph.jacobian(x)
        if not bool(jacobian.isfinite().all()):
            break  # at the end of a function's domain, such as sqrt at 0
        rows = jacobian.flatten(0, 1)
        moves = fold([(rows if free is None else rows[:, free], (values - y).flatten())]).damped()
        moved = partial(_moved, graph, moves, free)
        probes = Probes(lambda d: _loss(moved(d), x, y))  # noqa: B023
        damping, reached = best_damping(probes, damping, loss)
        if not reached < loss:
            break
        graph = covering(moved(damping), x)
        idle = idle + 1 if reached > (1 - STALLED) * loss else 0
        loss = reached
        if idle >= IDLE:
            break
    return graph


def _moved(graph: Graph, moves: DampedSteps, free: Tensor | None, damping: float) -> Graph:
    step = moves.step(damping)
    parameters = graph.parameters
    if free is None:
        return graph.moved(parameters + step)
    parameters[free] += step
    return graph.moved(parameters)


def covering(graph: Graph, x: Tensor) -> Graph:
    """Extend the splines of a graph to cover the arguments that they get at x (n, d)."""
    for layer in range(graph.depth):
        units = graph.units(x, layer)[-1]
        for key, curve in graph.splines().items():
            if key[0] == layer:
                graph = graph.with_edge(key, curve.covering(units[:, key[1]]))
    return graph


def _loss(graph: Graph, x: Tensor, y: Tensor) -> float:
    loss = float((graph(x) - y).square().sum())
    return loss if math.isfinite(loss) else math.inf
