"""Reading a classifying KAN as a formula: edges are snapped one by one, by the cross entropy."""

import math

import torch
from anderson_localization.logistic import Rows, cross_entropy, refit
from torch import Tensor

from kanpinn.interpret import Graph, snap
from kanpinn.interpret.graph import Key
from kanpinn.interpret.snapping import Candidate

FUNCTIONS = ("0", "x", "x^2", "x^3", "1/x", "sqrt", "exp", "log", "abs", "sin", "tanh", "cosh")
BEAM, SAMPLES = 4, 200
ACCURACY, PRICE = 0.03, 0.3  # of an edge that classes determine; of a unit of complexity


def read(graph: Graph, train: Rows, choose: Rows) -> Graph:
    """Replace all splines by functions of the library, layer by layer.

    For each edge the functions that fit its curve best are tried, and all other parameters are
    fitted again to the classes of `train`. The function with the least 2n·(cross entropy) +
    complexity·ln n on `choose` stays: far from the mobility edge the classes do not determine a
    curve, so that its shape alone is no sufficient criterion.
    """
    for key in sorted(graph.edges):
        candidates = _candidates(graph, key, train[0])[:BEAM]
        trials = [_with(graph, key, candidate, train) for candidate in candidates]
        costs = [
            _cost(trial, choose, candidate.function.complexity)
            for trial, candidate in zip(trials, candidates, strict=True)
        ]
        graph = trials[costs.index(min(costs))]
    return refit(graph, *train, steps=60)


def _with(graph: Graph, key: Key, candidate: Candidate, train: Rows) -> Graph:
    return refit(graph.with_edge(key, candidate.curve), *train, steps=15)


def _cost(graph: Graph, rows: Rows, complexity: float) -> float:
    x, y = rows
    return 2 * len(y) * cross_entropy(graph(x)[:, 0], y) + complexity * math.log(len(y))


def _candidates(graph: Graph, key: Key, x: Tensor) -> tuple[Candidate, ...]:
    """Return the functions that fit an edge's curve near the mobility edge, the best first."""
    p = graph(x)[:, 0].sigmoid()
    u = graph.units(x)[key[0]][:, key[1]]
    at = torch.linspace(0, len(x) - 1, min(SAMPLES, len(x))).round().long()
    rows = u.sort().indices[at]
    weights = (p * (1 - p) + 1e-3)[rows]
    curve = graph.edges[key](u[rows])
    return snap(
        u[rows], curve, FUNCTIONS, weights=weights, accuracy=ACCURACY, price=PRICE
    ).candidates
