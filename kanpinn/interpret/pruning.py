"""Scores of the edges and units of a KAN, and smaller KANs without unimportant edges and units."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.geometry import Points
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.sparsity import SparsityTerm
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import LevenbergMarquardt, Method
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Losses, SolverState, as_methods

CHUNK = 2048


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """Scores of the edges and units of a KAN, which say how much they contribute to the outputs.

    E_e is the standard deviation of the values of edge e on the data. The score of an edge e from
    unit i to unit o is B_e = A_o E_e / √(Σ E²), with the sum over all edges into o. The score of
    unit i is A_i = Σ B, with the sum over all edges out of i; an output has the score 1. The scores
    are computed for each output of the network; `edges` and `units` have the largest score over the
    outputs.

    Args:
        means: the mean values of each layer's edges, (n_in, n_out).
        deviations: the standard deviations E of each layer's edges, (n_in, n_out).
        by_output: the scores B of each layer's edges for each of the m outputs, (m, n_in, n_out).

    Reference: Liu et al., KAN 2.0 (2024), arXiv 2408.10205, section 4.1, which divides by the
    standard deviation of the unit o in place of the root. The root equals this deviation if the
    edges into o are uncorrelated; the deviation vanishes if the edges cancel.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import score_edges
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="x * y")
        >>> solution = kp.solve(problem, kp.KAN([2, 3, 1]))
        >>> scores = score_edges(solution.surrogate, solution.residuals.terms[0].points)
        >>> [tuple(one.shape) for one in scores.edges]
        [(2, 3), (3, 1)]
    """

    means: tuple[Tensor, ...]
    deviations: tuple[Tensor, ...]
    by_output: tuple[Tensor, ...]

    @property
    def edges(self) -> list[Tensor]:
        """The scores of the edges of each layer, (n_in, n_out) each."""
        return [scores.amax(dim=0) for scores in self.by_output]

    @property
    def units(self) -> list[Tensor]:
        """The scores of the inputs, then of the hidden units of each layer, (n_in,) each."""
        return [scores.sum(dim=2).amax(dim=0) for scores in self.by_output]


def score_edges(surrogate: Surrogate, points: Points) -> EdgeScores:
    """Return the scores of a KAN's edges on points.

    Args:
        surrogate: the surrogate whose network is the KAN.
        points: the points on which deviations are computed, in chunks.

    Raises:
        InputError: if the network is not a KAN, or there are no points.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import score_edges
        >>> x = torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> fitted = kp.fit(kp.KAN([2, 1]), kp.Table(x, x[:, :1] ** 2))
        >>> scores = score_edges(fitted.surrogate, fitted.residuals.terms[0].points)
        >>> float(scores.edges[0][0, 0]) > 0.99
        True
    """
    network = kan_of(surrogate)
    if not len(points):
        raise InputError("scores need points, got none")
    shifts, sums, squares = [], [], []  # for each layer's edges; shifts avoid cancellation
    with torch.no_grad():
        for start in range(0, len(points), CHUNK):
            part = points[start : start + CHUNK].to(surrogate.low.dtype, surrogate.low.device)
            (inputs,) = surrogate.activations(part)
            for k, (layer, h) in enumerate(zip(network.layers, inputs, strict=True)):
                values = layer.edges(h)[:, 0]
                if not start:
                    shifts.append(values.mean(dim=0))
                    sums.append(torch.zeros_like(shifts[k]))
                    squares.append(torch.zeros_like(shifts[k]))
                gaps = values - shifts[k]
                sums[k] += gaps.sum(dim=0)
                squares[k] += gaps.square().sum(dim=0)
    n, layers = len(points), list(zip(shifts, sums, squares, strict=True))
    means = tuple(shift + total / n for shift, total, _ in layers)
    variances = (square / n - (total / n).square() for _, total, square in layers)
    deviations = tuple(variance.clamp_min(0).sqrt() for variance in variances)
    units = torch.eye(network.width[-1]).to(deviations[-1])
    scores: list[Tensor] = []  # of each layer's edges for each output, (m, n_in, n_out)
    for e in reversed(deviations):
        share = e / e.norm(dim=0).clamp_min(torch.finfo(e.dtype).tiny)
        scores.insert(0, units[:, None] * share)
        units = scores[0].sum(dim=2)
    return EdgeScores(means, deviations, tuple(scores))


def kan_of(surrogate: Surrogate) -> KAN:
    """Return the network of a surrogate.

    Raises:
        InputError: if the network is not a KAN.
    """
    network = surrogate.network
    if not isinstance(network, KAN):
        kind = type(network).__name__
        raise InputError(f"a KAN was expected, got {kind}, which has no edge functions")
    return network


def copy_of(surrogate: Surrogate) -> Surrogate:
    """Return a surrogate with a copy of the network; domain, maps and known terms are shared."""
    shared: list[object] = [surrogate.domain, surrogate.output, surrogate.inputs]
    if surrogate.network.enrichment is not None:
        shared.append(surrogate.network.enrichment.known)
    return copy.deepcopy(surrogate, {id(part): part for part in shared})


def kept_edges(network: KAN, scores: EdgeScores, chosen: Sequence[Tensor]) -> list[Tensor]:
    """Return masks of the edges to keep, (n_in, n_out) for each layer.

    A unit without a kept edge out of it is idle, and no edge into an idle unit is kept. For every
    other unit, the incoming edge with the largest deviation is kept even if it is not chosen.

    Args:
        network: the KAN.
        scores: the scores of the KAN's edges.
        chosen: masks of the edges that should be kept, (n_in, n_out) for each layer.
    """
    masks: list[Tensor] = []
    busy = torch.ones_like(chosen[-1][0])
    layers = list(zip(network.layers, scores.deviations, chosen, strict=True))
    for layer, e, choice in reversed(layers):
        strongest = torch.zeros_like(choice)
        strongest[_strongest(layer.kept, e), torch.arange(e.shape[1], device=e.device)] = True
        keep = layer.kept & (choice | strongest) & busy
        masks.insert(0, keep)
        busy = keep.any(dim=1)
    return masks


def _strongest(kept: Tensor, deviations: Tensor) -> Tensor:
    """Return, for each unit, the input of its kept edge with the largest deviation, (n_out,)."""
    return deviations.masked_fill(~kept, -1).argmax(dim=0)


class Cutter:
    """A copy of a surrogate, in which edges of its KAN are removed.

    `edges` and `units` are the removed edges and units, with their numbers in the original network.
    """

    def __init__(self, surrogate: Surrogate) -> None:
        self.surrogate = copy_of(surrogate)
        self.levels = [list(range(n)) for n in self.network.width]  # the units' original numbers
        self.edges: list[tuple[int, int, int]] = []
        self.units: list[tuple[int, int]] = []

    @property
    def network(self) -> KAN:
        """The copy's network."""
        return kan_of(self.surrogate)

    @torch.no_grad()
    def cut(self, scores: EdgeScores, keep: Sequence[Tensor]) -> None:
        """Remove edges, and then the hidden units that no edge leaves.

        The mean value of a removed edge is added to the kept edge into the same unit whose values
        vary most.

        Args:
            scores: the scores of the edges.
            keep: the masks of the edges that are kept, from `kept_edges`.
        """
        for at, (layer, stay) in enumerate(zip(self.network.layers, keep, strict=True)):
            gone = layer.kept & ~stay
            constants = (scores.means[at] * gone).sum(dim=0)
            carriers = _strongest(stay, scores.deviations[at])
            outputs = torch.arange(len(carriers), device=carriers.device)
            added = torch.zeros_like(scores.means[at])
            added[carriers, outputs] = constants
            layer.add_constants(added)
            layer.kept = stay
            layer.coefficients.masked_fill_(~stay[:, None], 0)
            sources, targets = self.levels[at : at + 2]
            self.edges += [(at, sources[i], targets[o]) for i, o in gone.nonzero().tolist()]
        for level in range(len(self.network.layers) - 1, 0, -1):
            idle = (~self.network.layers[level].kept.any(dim=1)).nonzero().flatten().tolist()
            for unit in reversed(idle):
                self.network.remove_unit(level - 1, unit)
                self.units.append((level, self.levels[level].pop(unit)))

    def copy(self) -> "Cutter":
        """Return an independent copy of this cutter in its present state."""
        other = Cutter(self.surrogate)
        other.levels = [list(level) for level in self.levels]
        other.edges, other.units = list(self.edges), list(self.units)
        return other


@dataclass(frozen=True, eq=False)
class Pruned:
    """The result of pruning: a smaller copy of a KAN; the original is not changed.

    Args:
        original: the result that was pruned.
        residuals: the loss of the copy, without a sparsity term.
        edges: the removed edges, (layer, input, output), with layers from 0 and the numbers of the
            units in the original.
        units: the removed hidden units, (level, unit), with 1 for the first hidden level.
        parameters_before, loss_before: the number of parameters and the loss before pruning.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import prune
        >>> x = torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> pruned = prune(kp.fit(kp.KAN([2, 1]), kp.Table(x, x[:, :1] ** 2)))
        >>> pruned.edges, pruned.parameters[1] < pruned.parameters[0]
        (((0, 1, 0),), True)
    """

    original: "Result"
    residuals: Residuals
    edges: tuple[tuple[int, int, int], ...]
    units: tuple[tuple[int, int], ...]
    parameters_before: int
    loss_before: float

    @property
    def surrogate(self) -> Surrogate:
        """The surrogate with the smaller network."""
        return self.residuals.surrogate

    @property
    def network(self) -> KAN:
        """The network inside the surrogate."""
        return kan_of(self.surrogate)

    @property
    def parameters(self) -> tuple[int, int]:
        """The numbers of parameters before and after pruning."""
        return self.parameters_before, self.network.parameter_count

    @cached_property
    def losses(self) -> tuple[float, float]:
        """The losses before and after pruning."""
        return self.loss_before, self.residuals.loss()

    @cached_property
    def change(self) -> float:
        """‖copy - original‖ / ‖original‖ over the points of the loss."""
        size, gap = 0.0, 0.0
        for i in range(0, len(self.residuals.points), CHUNK):
            points = self.residuals.points[i : i + CHUNK]
            values = self.original.surrogate(points)
            size += float(values.square().sum())
            gap += float((self.surrogate(points) - values).square().sum())
        return (gap / size) ** 0.5

    def trained(
        self, optimizers: Method | Sequence[Method] | None = None, *, seed: int = 0
    ) -> "Pruned":
        """Return a copy that is trained further, by default with Levenberg–Marquardt.

        The grids are not moved before training, so that training starts from the pruned function.

        Args:
            optimizers: the method, or the methods to run one after another.
            seed: the seed of the training.
        """
        surrogate = copy_of(self.surrogate)
        residuals = Residuals(surrogate, self.residuals.terms)
        chosen = LevenbergMarquardt() if optimizers is None else optimizers
        stages = as_methods(chosen, surrogate.network, 0)
        run_stages(SolverState(Losses(lambda _: residuals), stages), seed=seed)
        return replace(self, residuals=residuals)

    @property
    def words(self) -> str:
        """One line of text: the removed edges and units, and how loss and function changed."""
        counts = {"edge": len(self.edges), "unit": len(self.units)}
        gone = " and ".join(f"{n} {name}{'s' * (n != 1)}" for name, n in counts.items())
        (many, few), (before, after) = self.parameters, self.losses
        sizes = f"parameters {many} → {few}, loss {before:.2e} → {after:.2e}"
        change = f"relative change of the function {self.change:.1e}"
        return f"{gone} removed, {list(self.network.width)} is left; {sizes}, {change}"


Result = Solution | Fitted | Pruned


def report(result: Result, cutter: Cutter) -> Pruned:
    """Return the pruned copy of a KAN as a `Pruned`, with grids adapted to the activations.

    Args:
        result: the result that was pruned.
        cutter: the copy from which edges were removed.
    """
    before = loss_of(result.residuals)
    cutter.surrogate.follow(before.points)
    return Pruned(
        original=result,
        residuals=Residuals(cutter.surrogate, before.terms),
        edges=tuple(cutter.edges),
        units=tuple(cutter.units),
        parameters_before=result.surrogate.network.parameter_count,
        loss_before=before.loss(),
    )


def loss_of(residuals: Residuals) -> Residuals:
    """Return the loss without sparsity terms."""
    terms = [term for term in residuals.terms if not isinstance(term, SparsityTerm)]
    return Residuals(residuals.surrogate, terms)


def prune(result: Result, threshold: float | int = 1e-2) -> Pruned:
    """Return a copy of a KAN without edges whose score is below a threshold and without idle units.

    An idle unit is a hidden unit without an edge out of it. Of the edges into a unit, the edge
    whose values vary most is kept as long as the unit is, so that every output keeps an edge. The
    mean values of removed edges into the unit are added to this edge.

    Args:
        result: a `Solution` or a `Fitted` of a KAN; the scores are computed on its points.
        threshold: the least score (`EdgeScores.edges`) of an edge that is kept, above 0 and at
            most 1.

    Raises:
        InputError: if the threshold is out of range, if the network is not a KAN or is constant, or
            if every edge would be removed.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import prune
        >>> x = torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> fitted = kp.fit(kp.KAN([2, 1]), kp.Table(x, x[:, :1] ** 2))
        >>> prune(fitted, threshold=0.01).edges
        ((0, 1, 0),)
    """
    number("threshold", threshold, above=True)
    if threshold > 1:
        raise InputError(f"threshold must be at most 1, got {threshold!r}")
    cutter = Cutter(result.surrogate)
    scores = score_edges(result.surrogate, loss_of(result.residuals).points)
    _check(scores, threshold)
    chosen = [edges >= threshold for edges in scores.edges]
    cutter.cut(scores, kept_edges(cutter.network, scores, chosen))
    return report(result, cutter)


def prune_greedily(
    result: Result, factor: float | int = 2.0, *, steps: int = 10, enough: float = 0.0
) -> Pruned:
    """Return a copy of a KAN from which edges and units are removed one by one, the weakest first.

    Each removal is followed by a few Levenberg–Marquardt steps. If the loss is still too high, the
    removal is undone, and this edge or unit is not tried again.

    Args:
        result: a `Solution` or a `Fitted` of a KAN.
        factor: the factor by which all removals together may raise the loss, at least 1.
        steps: the largest number of Levenberg–Marquardt steps after each removal.
        enough: the loss up to which a removal is accepted in any case.

    Raises:
        InputError: if the network is not a KAN or is constant.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import prune_greedily
        >>> x = torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> fitted = kp.fit(kp.KAN([2, 1]), kp.Table(x, x[:, :1] ** 2))
        >>> prune_greedily(fitted, factor=2.0).edges
        ((0, 1, 0),)
    """
    number("factor", factor, 1.0)
    integer("steps", steps)
    number("enough", enough)
    cutter, residuals = Cutter(result.surrogate), loss_of(result.residuals)
    _check(score_edges(cutter.surrogate, residuals.points), 0)
    allowed = max(factor * residuals.loss(), enough)
    needed: set[tuple[int, ...]] = set()
    while True:
        scores, layers = score_edges(cutter.surrogate, residuals.points), cutter.network.layers
        removals: list[tuple[float, tuple[int, ...], list[Tensor]]] = []  # score, name, kept edges
        whole = [layer.kept for layer in layers]
        for depth, (kept, edges) in enumerate(zip(whole, scores.edges, strict=True)):
            sources, targets = cutter.levels[depth : depth + 2]
            units: list[Any] = [(i, None) for i in range(len(kept)) if depth]
            for i, o in units + kept.nonzero().tolist():
                score = scores.units[depth][i] if o is None else edges[i, o]
                name = (depth, sources[i], *(() if o is None else [targets[o]]))
                left = kept.clone()
                left[i if o is None else (i, o)] = False
                chosen = [*whole[:depth], left, *whole[depth + 1 :]]
                removals.append((float(score), name, chosen))
        removals.sort(key=lambda removal: removal[0])
        for _, name, chosen in removals:  # find the next removal to try
            keep = kept_edges(cutter.network, scores, chosen)
            fewer = [bool((m.kept & ~k).any()) for m, k in zip(layers, keep, strict=True)]
            if name not in needed and any(fewer):
                break
        else:
            return report(result, cutter)
        trial = cutter.copy()
        trial.cut(scores, keep)
        now = Residuals(trial.surrogate, residuals.terms)
        loss, stage = now.loss(), LevenbergMarquardt(steps=steps).start(now, 0)
        for _ in range(steps if loss > allowed else 0):
            step = stage.step()
            loss = step.loss
            if loss <= allowed or step.finished is not None:
                break
        if loss <= allowed:
            cutter = trial
        else:
            needed.add(name)


def _check(scores: EdgeScores, threshold: float | int) -> None:
    """Refuse a threshold that would remove all edges into the outputs, and a constant network."""
    strongest = float(scores.edges[-1].max())
    if strongest == 0:
        raise InputError("the network is constant on the points: there is nothing to keep")
    if strongest < threshold:
        greatest = f"the greatest score of one into an output is {strongest:.3g}"
        raise InputError(f"threshold = {threshold:g} would remove every edge: {greatest}")
