"""The search for formulas: edges are snapped to functions one by one, with backtracking.

After each edge the parameters of all edges are refit.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn.interpret.graph import NEVER, Deadline, Graph, Key, Rows, refit
from kanpinn.interpret.polish import LEAST
from kanpinn.interpret.snapping import Candidate, Snapping, snap
from kanpinn.interpret.univariate import Univariate

EXACT = 1e-10  # relative error below which a formula is taken for the function itself
PERFECT = 10.0  # a function whose error is below this multiple of the graph's fits perfectly
SAMPLES = 400  # samples of an edge for the fits of the library
BEAM = 4  # functions tried on an edge at most
LIKELY = 8  # functions that an edge keeps from its first fit of the library, for all later ones


@dataclass(frozen=True, eq=False)
class Found:
    """A graph of formulas and its relative error on the rows kept for judging."""

    graph: Graph
    error: float

    @property
    def complexity(self) -> float:
        """The sum of the functions' complexities."""
        return sum(float(c.function.complexity) for c in self.graph.formulas().values())


@dataclass
class Search:
    """A depth-first search over the edges: the edge that a function fits best is snapped first.

    Args:
        rows: the rows to fit and the rows to judge by.
        names: the functions; the whole library by default.
        accuracy: the relative error of the values y themselves.
        deadline: the time at which the search ends.
        done: returns True for a formula that ends the search.
        found: the formulas found so far.
    """

    rows: Rows
    names: Sequence[str | Univariate] | None = None
    accuracy: float = EXACT
    deadline: Deadline = NEVER
    done: Callable[[Found], bool] = lambda found: found.error <= EXACT
    found: list[Found] = field(default_factory=list)
    _likely: dict[Key, list[Univariate]] = field(default_factory=dict)

    def __call__(self, graph: Graph) -> list[Found]:
        """Search for formulas of a graph of splines and return all that were found, best first."""
        self.floor = max(self.rows.error(graph), self.accuracy)
        self._likely.clear()
        self._extend(graph)
        return self.ranked

    @property
    def ranked(self) -> list[Found]:
        """The formulas found, sorted by error, then by complexity.

        Errors of at most 1.5 times the least error count as equal.
        """
        least = min((f.error for f in self.found), default=0.0)
        near = 1.5 * max(least, EXACT)
        return sorted(self.found, key=lambda f: (max(f.error, near), f.complexity, f.error))

    def _extend(self, graph: Graph) -> bool:
        """Snap the remaining splines, one level of the search per edge; True ends the search."""
        snap_steps, final_steps = 10, 100
        allowed = 10.0  # factor by which a snapped edge may raise the error
        hopeless = 0.3  # candidates with a larger 1 - R² are never tried
        if self.deadline.over:
            return True
        if not graph.splines():
            graph = self._refit(graph, final_steps)
            self.found.append(Found(graph, self.rows.error(graph)))
            return self.done(self.found[-1])
        before = max(self.rows.error(graph), self.floor)
        key, candidates = self._clearest(graph, before)
        perfect = [c for c in candidates if c.unexplained <= (PERFECT * before) ** 2]
        others = [c for c in candidates if c.unexplained <= hopeless]
        for candidate in (perfect or others)[:BEAM]:
            trial = self._refit(graph.with_edge(key, candidate.curve), snap_steps)
            if self.rows.error(trial) <= allowed * before and self._extend(trial):
                return True
        return False

    def _refit(self, graph: Graph, steps: int) -> Graph:
        return refit(graph, self.rows.x, self.rows.y, steps, deadline=self.deadline)

    def _clearest(self, graph: Graph, error: float) -> tuple[Key, tuple[Candidate, ...]]:
        """Return the spline edge with the best-scoring candidate, and its candidates."""
        ranked = {
            key: self._candidates(graph, key, error)
            for key in graph.splines()
            if not self.deadline.over
        }
        if not ranked:
            return next(iter(graph.edges)), ()
        key = min(ranked, key=lambda k: ranked[k][0].score if ranked[k] else math.inf)
        return key, ranked[key]

    def _candidates(self, graph: Graph, key: Key, error: float) -> tuple[Candidate, ...]:
        """Return the candidates for an edge: from the library at first, then from its best few.

        There are none where the unit before the edge has become constant: nothing can be told of
        the edge's function then.
        """
        if len(self._arguments(graph, key).unique()) < LEAST:
            return ()
        candidates = self.snapping(graph, key, error, self._likely.get(key)).candidates
        self._likely.setdefault(key, [candidate.function for candidate in candidates[:LIKELY]])
        return candidates

    def snapping(
        self, graph: Graph, key: Key, error: float, names: Sequence[Univariate] | None = None
    ) -> Snapping:
        """Fit functions to one edge of a graph, over the arguments that it gets from the rows.

        Args:
            graph: the graph.
            key: the edge, (layer, input, output).
            error: the relative error of the graph, taken as the accuracy of the edge.
            names: the functions; by default those of the search.
        """
        price = 0.7  # powers of ten that one unit of complexity must take off 1 - R²
        u = self._arguments(graph, key)
        accuracy = min(max(error, 1e-12), 0.1)
        return snap(u, graph.edges[key](u), names or self.names, accuracy=accuracy, price=price)

    def _arguments(self, graph: Graph, key: Key) -> Tensor:
        """Return at most `SAMPLES` of the arguments that an edge gets from the rows, sorted."""
        u = graph.arguments(key, self.rows.x)
        at = torch.linspace(0, len(u) - 1, min(SAMPLES, len(u))).round().long()
        return u.sort().values[at]
