"""Formulas are read off a result: by a search over the edges of graphs, or by hand.

The search snaps edges to functions one by one, with backtracking; after each edge the parameters of
all edges are refit.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.geometry import Points
from kanpinn.interpret.formula import Formula, formula_of
from kanpinn.interpret.graph import NEVER, Deadline, Graph, Key, Rows, misfit, own_graph, refit
from kanpinn.interpret.hypotheses import connected, hypotheses
from kanpinn.interpret.polish import LEAST
from kanpinn.interpret.pruning import Pruned, Result
from kanpinn.interpret.snapping import Candidate, Snapping, snap
from kanpinn.interpret.univariate import Univariate, functions
from kanpinn.pde.problem import Problem
from kanpinn.pde.verify import defects_of
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution

EXACT = 1e-10  # relative error below which a formula is taken for the function itself
PERFECT = 10.0  # a function whose error is below this multiple of the graph's fits perfectly
SAMPLES = 400  # samples of an edge for the fits of the library
BEAM = 4  # functions tried on an edge at most
LIKELY = 8  # functions that an edge keeps from its first fit of the library, for all later ones


def rows_of(result: Solution | Fitted, seed: int) -> Rows:
    """Return at most 2000 random rows; a quarter of them is kept to judge formulas by.

    They are a solution's values at its points, or the data of a fit.

    Raises:
        InputError: if a value is not finite, or the targets of a fit are classes.
    """
    most_rows, judges = 2000, 0.25  # rows that are used, and the share of them to judge by
    if isinstance(result, Solution):
        points = result.residuals.points
        x, y, names = points.coords, result.surrogate(points), points.names
    else:
        table = result.data.train
        if table.classes:
            raise InputError("formulas are for targets that are numbers, these are classes")
        x, y, names = table.inputs, table.targets, tuple(table.names)
    x, y = x.detach().cpu().double(), y.detach().cpu().double()
    if not bool(y.isfinite().all()):
        raise InputError("the result has values that are not finite")
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:most_rows]
    x, y = x[chosen], y[chosen]
    count = max(1, int(judges * len(x)))
    return Rows(x[count:], y[count:], x[:count], y[:count], names)


@dataclass(frozen=True, eq=False)
class Snapped:
    """A graph of formulas and its relative error on the rows kept for judging."""

    graph: Graph
    error: float


@dataclass
class Search:
    """A depth-first search over the edges: the edge that a function fits best is snapped first.

    Args:
        rows: the rows to fit and the rows to judge by.
        names: the functions; the whole library by default.
        accuracy: the relative error of the values y themselves.
        deadline: the time at which the search ends.
        done: returns True for a formula that ends the search.
        snapped: the graphs of formulas so far.
    """

    rows: Rows
    names: Sequence[str | Univariate] | None = None
    accuracy: float = EXACT
    deadline: Deadline = NEVER
    done: Callable[[Snapped], bool] = lambda snapped: snapped.error <= EXACT
    snapped: list[Snapped] = field(default_factory=list)
    _likely: dict[Key, list[Univariate]] = field(default_factory=dict)

    def __call__(self, graph: Graph) -> Snapped | None:
        """Search for formulas of a graph of splines and return the best one, None without any.

        It has the least error, then the least complexity, where errors of at most 1.5 times the
        least one count as equal.
        """
        self.floor = max(self.rows.error(graph), self.accuracy)
        self._likely.clear()
        self._extend(graph)
        near = 1.5 * max([EXACT, *sorted(s.error for s in self.snapped)[:1]])

        def rank(snapped: Snapped) -> tuple[float, float, float]:
            curves = snapped.graph.formulas().values()
            complexity = sum(float(curve.function.complexity) for curve in curves)
            return max(snapped.error, near), complexity, snapped.error

        return min(self.snapped, key=rank, default=None)

    def _extend(self, graph: Graph) -> bool:
        """Snap the remaining splines, one level of the search per edge; True ends the search."""
        snap_steps, final_steps = 10, 100
        allowed = 10.0  # factor by which a snapped edge may raise the error
        hopeless = 0.3  # candidates with a larger 1 - R² are never tried
        if self.deadline.over:
            return True
        if not graph.splines():
            graph = self._refit(graph, final_steps)
            self.snapped.append(Snapped(graph, self.rows.error(graph)))
            return self.done(self.snapped[-1])
        before = max(self.rows.error(graph), self.floor)
        ranked = {
            key: self._candidates(graph, key, before)
            for key in graph.splines()
            if not self.deadline.over
        }
        if not ranked:
            return False
        key = min(ranked, key=lambda k: ranked[k][0].score if ranked[k] else math.inf)
        candidates = ranked[key]
        perfect = [c for c in candidates if c.unexplained <= (PERFECT * before) ** 2]
        others = [c for c in candidates if c.unexplained <= hopeless]
        for candidate in (perfect or others)[:BEAM]:
            trial = self._refit(graph.with_edge(key, candidate.curve), snap_steps)
            if self.rows.error(trial) <= allowed * before and self._extend(trial):
                return True
        return False

    def _refit(self, graph: Graph, steps: int) -> Graph:
        return refit(graph, self.rows.x, self.rows.y, steps, deadline=self.deadline)

    def _candidates(self, graph: Graph, key: Key, error: float) -> tuple[Candidate, ...]:
        """Return the candidates for an edge: from the library at first, then from its best few.

        There are none where the unit before the edge has become constant: nothing can be told of
        the edge's function then.
        """
        if len(self._arguments(graph, key).unique()) < LEAST:
            return ()
        candidates = self.snapping(graph, key, error).candidates
        self._likely.setdefault(key, [candidate.function for candidate in candidates[:LIKELY]])
        return candidates

    def snapping(self, graph: Graph, key: Key, error: float) -> Snapping:
        """Fit functions to one edge of a graph, over the arguments that it gets from the rows.

        Args:
            graph: the graph.
            key: the edge, (layer, input, output).
            error: the relative error of the graph, taken as the accuracy of the edge.
        """
        price = 0.7  # powers of ten that one unit of complexity must take off 1 - R²
        u, names = self._arguments(graph, key), self._likely.get(key) or self.names
        accuracy = min(max(error, 1e-12), 0.1)
        return snap(u, graph.edges[key](u), names, accuracy=accuracy, price=price)

    def _arguments(self, graph: Graph, key: Key) -> Tensor:
        """Return at most `SAMPLES` of the arguments that an edge gets from the rows, sorted."""
        u = graph.arguments(key, self.rows.x)
        at = torch.linspace(0, len(u) - 1, min(SAMPLES, len(u))).round().long()
        return u.sort().values[at]


def interpret(
    result: Result,
    library: Sequence[str | Univariate] | None = None,
    *,
    seconds: float | int = 180.0,
    seed: int = 0,
) -> Formula:
    """Return the best formula found for a result.

    The edges of the result's own network are read first if it is a small KAN of splines. If they
    give no exact formula, smaller KANs are fitted to the data (for a PDE: to the solution's
    values) and read, one after another, until one gives an exact formula: sums of functions of one
    input each, sums of products of such functions, and wide KANs that are fitted with a penalty on
    their edges and then pruned. A solution's formula is also inserted into its equation and its
    conditions (`Formula.defects`).

    Args:
        result: a `Solution`, a `Fitted` with numeric targets, or a `Pruned` of either; it is not
            changed.
        library: the functions that edges may be; all of `LIBRARY` by default.
        seconds: the limit on processor time; a fit that has begun is finished.
        seed: the seed for the choice of rows and for the random starts of the fits.

    Returns:
        The formula with the smallest error, where one that solves the problem to rounding comes
        first and equal errors are decided by the number of operations.

    Raises:
        InputError: if the targets are classes, the surrogate has values that are not finite, or no
            formula was found.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import interpret
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, torch.sin(3 * x)))
        >>> interpret(fitted, ["sin", "x^2"]).expressions
        (sin(3*x0),)
    """
    number("seconds", seconds, above=True)
    source, rows, problem = _origin(result, seed)
    share = 0.15  # share of the remaining time that the search on one graph may take
    # Estimates of the relative error of the values, and of the noise in them: a solution has no
    # noise, and an error of at most its largest relative defect.
    accuracy, noise, chosen = EXACT, 0.0, functions(library)
    if isinstance(source, Solution):
        defects = defects_of(source.problem, source.surrogate.jet)
        accuracy = min(max([EXACT, *(defect.relative for defect in defects)]), 1e-2)
    else:
        low = source.surrogate.low
        points = Points(rows.xv, rows.names).to(low.dtype, low.device)
        noise = misfit(source.surrogate(points), rows.yv)
    hopeful = math.inf if problem is not None else max(noise, EXACT)
    formulas: list[Formula] = []
    deadline = NEVER.within(seconds)
    for graph, is_own in hypotheses(result.surrogate, rows, noise, seed, deadline):
        # Cached because it takes seconds and is needed twice: by `done` and for the result.
        formula = cache(lambda f: formula_of(f.graph, rows, problem, graph, is_own))  # noqa: B023
        search = Search(
            *(rows, chosen, accuracy if is_own else EXACT),
            deadline=deadline.within(share * deadline.left),
            done=lambda f: f.error <= hopeful and _is_it(formula(f), noise),  # noqa: B023
        )
        if (snapped := search(graph)) is not None:
            formulas.append(formula(snapped))
            formulas.sort(key=_rank)
        if formulas and _is_it(formulas[0], noise):
            break
    if formulas:
        return formulas[0]
    if deadline.over:
        raise InputError(
            f"no formula was found in {seconds:g} s of processor time: more time may help"
        )
    raise InputError(
        "no formula was found: no function of the library fits the edges; a longer library, more "
        "rows or more accurate values may help"
    )


def _origin(result: Result, seed: int) -> tuple[Solution | Fitted, Rows, Problem | None]:
    """Return the solve or the fit from which a result came, its rows, and its problem if any."""
    integer("seed", seed, least=0)
    while isinstance(result, Pruned):
        result = result.original
    return result, rows_of(result, seed), getattr(result, "problem", None)


def _is_it(formula: Formula, noise: float) -> bool:
    """True if a formula cannot be improved: it is exact, or its error is that of the noise."""
    if formula.is_identity or formula.error <= EXACT:
        return True
    noisy = 0.05  # the largest relative error at which a formula of noisy data ends the search
    return formula.exact_constants and formula.error <= min(noise, noisy)


def _rank(formula: Formula) -> tuple[bool, float, int]:
    return not formula.is_identity, max(formula.error, EXACT), formula.complexity


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
        search = Search(self.rows, self.library)
        return search.snapping(self.graph, (layer, i, o), self.error)

    def fix(self, layer: int, i: int, o: int, name: str | Univariate) -> "Reading":
        """Return the reading with this function on the edge and all parameters refit.

        Raises:
            InputError: if the edge or the function does not exist, or the function does not fit.
        """
        best = replace(self, library=functions([name])).suggest(layer, i, o).best
        return self._with(self.graph.with_edge((layer, i, o), best.curve))

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

    def formula(self, seconds: float | int = 60.0) -> Formula:
        """Return the formula; edges that are still splines are snapped automatically.

        Args:
            seconds: the limit on processor time.

        Raises:
            InputError: if no function fits an edge or the time was too short.
        """
        number("seconds", seconds, above=True)
        search = Search(self.rows, self.library, deadline=NEVER.within(seconds))
        snapped = search(self.graph)
        if snapped is None:
            what = "the time was too short" if search.deadline.over else "no function fits"
            raise InputError(f"no formula was found for the edges left: {what}")
        return formula_of(snapped.graph, self.rows, self.problem, self.origin, own_edges=True)

    def _check(self, *key: int) -> None:
        if key not in self.graph.edges:
            known = ", ".join(map(str, sorted(self.graph.edges)))
            raise InputError(f"there is no edge {key}: (layer, input, output) is of {known}")

    def _with(self, graph: Graph) -> "Reading":
        return replace(self, graph=refit(graph, self.rows.x, self.rows.y, steps=40))


def read(
    result: Result, library: Sequence[str | Univariate] | None = None, *, seed: int = 0
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
    _, rows, problem = _origin(result, seed)
    return Reading(graph, rows, functions(library), problem, graph)
