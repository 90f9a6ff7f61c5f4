"""All parameters of a graph by Levenberg–Marquardt on data."""

import math
from functools import partial

from torch import Tensor

from kanpinn.interpret.deadline import NEVER, Deadline
from kanpinn.interpret.graphs.graph import Graph
from kanpinn.linalg.triangle import DampedSteps, fold
from kanpinn.optimizers.damping import Probes, best_damping

STALLED = 0.03  # a step that lowers the sum of squares by less than this part was idle
IDLE = 3


def refit(
    graph: Graph,
    x: Tensor,
    y: Tensor,
    steps: int = 20,
    free: Tensor | None = None,
    deadline: Deadline = NEVER,
) -> Graph:
    """The graph with the parameters that fit y (n, m) at x (n, d) best, by damped Gauss–Newton.

    It ends after `steps`, at a deadline, or where three steps in a row gain little. free: which
    parameters may move, (parameters,); all by default.
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
            break  # at the end of a domain, where sqrt is steep
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
    """The same functions with splines that reach over the arguments they get at x."""
    for layer in range(graph.depth):
        units = graph.units(x)[layer]
        for key, curve in graph.splines().items():
            if key[0] == layer:
                graph = graph.with_edge(key, curve.covering(units[:, key[1]]))
    return graph


def _loss(graph: Graph, x: Tensor, y: Tensor) -> float:
    loss = float((graph(x) - y).square().sum())
    return loss if math.isfinite(loss) else math.inf
