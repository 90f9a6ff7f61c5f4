"""Reading a network by hand: the user chooses the functions of edges, and the rest is refit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kanpinn._support.errors import InputError, number
from kanpinn.interpret.formula import Formula, formula_of
from kanpinn.interpret.graph import NEVER, Deadline, Graph, Rows, own_graph, refit
from kanpinn.interpret.growth import connected
from kanpinn.interpret.search import Search
from kanpinn.interpret.snapping import Snapping
from kanpinn.interpret.sources import Result, origin_of, rows_of
from kanpinn.interpret.univariate import Univariate, functions
from kanpinn.pde.problem import Problem


@dataclass(frozen=True, eq=False)
class Reading:
    """A KAN that is turned into a formula step by step; each step returns a new reading.

    Args:
        graph: the edges, some of them splines and some formulas.
        rows: the data of a fit, or the values of a solution.
        library: the functions that are suggested for edges.
        problem: the problem of a solution, None for a fit.
        origin: the graph before the first step.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import read
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> reading = read(kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, x**2)))
        >>> list(reading.graph.edges)
        [(0, 0, 0)]
    """

    graph: Graph
    rows: Rows
    library: tuple[Univariate, ...]
    problem: Problem | None
    origin: Graph

    @property
    def error(self) -> float:
        """The relative error ‖graph - data‖ / ‖data - mean‖ on the rows to judge by."""
        return self.rows.error(self.graph)

    def suggest(self, layer: int, i: int, o: int) -> Snapping:
        """Return the fits of the library to the edge from unit i to unit o, the best first.

        Raises:
            InputError: if the graph has no such edge.
        """
        self._check(layer, i, o)
        return self._search().snapping(self.graph, (layer, i, o), self.error)

    def fix(self, layer: int, i: int, o: int, name: str | Univariate) -> "Reading":
        """Return the reading with this function on the edge and all parameters refit.

        Raises:
            InputError: if the edge or the function does not exist, or the function does not fit.
        """
        self._check(layer, i, o)
        found = self._search([name]).snapping(self.graph, (layer, i, o), self.error)
        return self._with(self.graph.with_edge((layer, i, o), found.best.curve))

    def remove(self, layer: int, i: int, o: int) -> "Reading":
        """Return the reading without the edge, with all parameters refit.

        Raises:
            InputError: if the edge does not exist or is the last one into a unit.
        """
        self._check(layer, i, o)
        if sum(key[0::2] == (layer, o) for key in self.graph.edges) == 1:
            what = "output" if layer == self.graph.depth - 1 else "hidden unit"
            raise InputError(
                f"{(layer, i, o)} is the last edge into {what} {o}: remove what leads from the "
                "unit, or fix the edge to the function 0"
            )
        return self._with(connected(self.graph.without((layer, i, o))))

    def exclude(self, *names: str) -> "Reading":
        """Return the reading with these functions removed from the library.

        Raises:
            InputError: if a name is unknown or no function is left.
        """
        out = {f.name for f in functions(names)}
        return replace(self, library=functions([f for f in self.library if f.name not in out]))

    def formula(self, seconds: float | int = 60.0) -> Formula:
        """Return the formula; edges that are still splines are snapped automatically.

        Args:
            seconds: the limit on processor time.

        Raises:
            InputError: if no function fits an edge or the time was too short.
        """
        number("seconds", seconds, above=True)
        search = self._search(deadline=NEVER.within(seconds))
        found = search(self.graph)
        if not found:
            what = "the time was too short" if search.deadline.over else "no function fits"
            raise InputError(f"no formula was found for the edges left: {what}")
        return formula_of(found[0].graph, self.rows, self.problem, self.origin, own_edges=True)

    def _search(
        self, names: Sequence[str | Univariate] | None = None, deadline: Deadline = NEVER
    ) -> Search:
        return Search(self.rows, self.library if names is None else names, deadline=deadline)

    def _with(self, graph: Graph) -> "Reading":
        steps = 40
        return replace(self, graph=refit(graph, self.rows.x, self.rows.y, steps))

    def _check(self, *key: int) -> None:
        if key not in self.graph.edges:
            known = ", ".join(map(str, sorted(self.graph.edges)))
            raise InputError(f"there is no edge {key}: (layer, input, output) is of {known}")


def read(
    result: Result,
    library: Sequence[str | Univariate] | None = None,
    *,
    seed: int = 0,
) -> Reading:
    """Return a `Reading` of a result, with which its edges are turned into formulas one by one.

    Args:
        result: a `Solution`, a `Fitted` with numeric targets, or a `Pruned` of either.
        library: the functions that are suggested for edges; all of `LIBRARY` by default.
        seed: the seed for the choice of rows.

    Raises:
        InputError: if the network is not a KAN of splines and affine maps alone, if the targets
            are classes, or if the surrogate has values that are not finite.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import read
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, x**2))
        >>> reading = read(fitted, ["x^2", "sin"])
        >>> len(reading.library)
        2
    """
    graph = own_graph(result.surrogate)
    if graph is None:
        kind = type(result.surrogate.network).__name__
        raise InputError(
            "only a KAN of splines alone, without exact boundary data or a base term, is read edge "
            f"by edge, this is a {kind}: `interpret` reads its values"
        )
    source = origin_of(result)
    problem = getattr(source, "problem", None)
    return Reading(graph, rows_of(source, seed), functions(library), problem, graph)
