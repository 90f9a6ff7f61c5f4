"""The search for formulas: edge after edge is snapped, all others refit, with backtracking."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from kanpinn.interpret.deadline import NEVER, Deadline
from kanpinn.interpret.graphs.curves import Symbolic
from kanpinn.interpret.graphs.graph import Graph, Key
from kanpinn.interpret.graphs.refit import refit
from kanpinn.interpret.graphs.rows import Rows
from kanpinn.interpret.univariate.candidates import Candidate, Snapping
from kanpinn.interpret.univariate.library import Univariate
from kanpinn.interpret.univariate.snapping import snap

EXACT = 1e-10  # relative error below which a formula is taken for the function itself
PERFECT = 10.0  # times the error of the graph: as well as a function can fit an edge
SAMPLES = 400  # of an edge, for the fits of the library


@dataclass(frozen=True, eq=False)
class Found:
    """A graph of formulas and its relative error on data that it was not fitted to."""

    graph: Graph
    error: float

    @property
    def complexity(self) -> float:
        """The sum of the functions' complexities."""
        return sum(float(c.function.complexity) for c in self.graph.formulas().values())


@dataclass
class Search:
    """Depth first over the edges, the clearest one first, the best few functions for each.

    rows: the data to fit and to judge by. allowed: {edge: functions} of a user who knows better;
    names: the library otherwise. beam: functions tried on an edge, of the
    `likely` ones that fit it best before any other edge was snapped. accuracy: the relative error
    of y itself.
    done: whether a formula ends the search.
    """

    rows: Rows
    names: Sequence[str | Univariate] | None = None
    allowed: dict[Key, Sequence[str | Univariate]] = field(default_factory=dict)
    beam: int = 4
    likely: int = 8
    accuracy: float = EXACT
    deadline: Deadline = NEVER
    done: Callable[[Found], bool] = lambda found: found.error <= EXACT
    found: list[Found] = field(default_factory=list)
    _likely: dict[Key, list[Univariate]] = field(default_factory=dict)

    def __call__(self, graph: Graph) -> list[Found]:
        """All formulas that were found, the best first; one that is exact ends the search."""
        self.floor = max(self.error(graph), self.accuracy)
        self._likely.clear()
        self._extend(graph)
        return self.ranked

    @property
    def ranked(self) -> list[Found]:
        """By error, where errors that differ by less than half count as equal, then complexity."""
        least = min((f.error for f in self.found), default=0.0)
        near = 1.5 * max(least, EXACT)
        return sorted(self.found, key=lambda f: (max(f.error, near), f.complexity, f.error))

    def error(self, graph: Graph) -> float:
        """The relative error on the data to judge by."""
        return self.rows.error(graph)

    def _extend(self, graph: Graph) -> bool:
        """Snap what is left of splines; whether the search is over."""
        snap_steps, final_steps = 10, 100
        allowed = 10.0  # by how much a snapped edge may raise the error
        if self.deadline.over:
            return True
        if not graph.splines():
            graph = self._refit(graph, final_steps)
            self.found.append(Found(graph, self.error(graph)))
            return self.done(self.found[-1])
        before = max(self.error(graph), self.floor)
        key, candidates = self._clearest(graph, before)
        for candidate in self._promising(candidates, before):
            curve = Symbolic(candidate.function, *candidate.parameters)
            trial = self._refit(graph.with_edge(key, curve), snap_steps)
            error = self.error(trial)
            if error <= allowed * before and self._extend(trial):
                return True
        return False

    def _refit(self, graph: Graph, steps: int) -> Graph:
        return refit(graph, self.rows.x, self.rows.y, steps, deadline=self.deadline)

    def _promising(self, candidates: Sequence[Candidate], error: float) -> list[Candidate]:
        """What to try on an edge: where functions fit perfectly, no others."""
        hopeless = 0.3  # 1 - R² of candidates that are not even tried
        perfect = [c for c in candidates if c.unexplained <= (PERFECT * error) ** 2]
        others = [c for c in candidates if c.unexplained <= hopeless]
        return (perfect or others)[: self.beam]

    def _clearest(self, graph: Graph, error: float) -> tuple[Key, tuple[Candidate, ...]]:
        """The spline that a function fits best, and what fits it."""
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
        """What fits an edge: of the whole library at first, later of what came near then."""
        found = self.snapping(graph, key, error, self._likely.get(key)).candidates
        if key not in self._likely:
            self._likely[key] = [candidate.function for candidate in found[: self.likely]]
        return found

    def snapping(
        self, graph: Graph, key: Key, error: float, names: Sequence[Univariate] | None = None
    ) -> Snapping:
        """The library's fits, or those of some functions, of an edge of a graph with this error."""
        price = 0.7  # powers of ten in 1 - R² that a unit of complexity has to be worth
        u = graph.units(self.rows.x)[key[0]][:, key[1]]
        at = torch.linspace(0, len(u) - 1, min(SAMPLES, len(u))).round().long()
        u = u.sort().values[at]
        chosen = names or self.allowed.get(key, self.names)
        accuracy = min(max(error, 1e-12), 0.1)
        return snap(u, graph.edges[key](u), chosen, accuracy=accuracy, price=price)
