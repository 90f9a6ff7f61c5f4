"""Pruning: edges and units that contribute little are removed from a copy of a KAN."""

from collections.abc import Iterator

from torch import Tensor

from kanpinn._support.errors import InputError, integer, number
from kanpinn.interpret.pruning.pruned import Pruned, loss_of, report
from kanpinn.interpret.pruning.removal import Cutter, kept_edges
from kanpinn.interpret.pruning.scores import EdgeScores, score_edges
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers import LevenbergMarquardt
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution


def prune(result: Solution | Fitted | Pruned, threshold: float | int = 1e-2) -> Pruned:
    """Return a copy without the edges whose score is below the threshold, and without idle units.

    The mean value of a removed edge is added to the strongest edge into the same unit. This edge
    is kept as long as the unit is, so that every output keeps an edge.

    Args:
        result: a `Solution` or a `Fitted` of a KAN; the scores are computed at its points.
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
    wanted = [edges >= threshold for edges in scores.edges]
    cutter.cut(scores, kept_edges(cutter.network, scores, wanted))
    return report(result, cutter)


def prune_greedily(
    result: Solution | Fitted | Pruned,
    factor: float | int = 2.0,
    *,
    steps: int = 10,
    enough: float = 0.0,
) -> Pruned:
    """Return a copy from which edges and units are removed one by one, the weakest first.

    Each removal is followed by a few Levenberg–Marquardt steps. If the loss is still too high, the
    removal is undone, and this edge or unit is not tried again.

    Args:
        result: a `Solution` or a `Fitted` of a KAN.
        factor: the factor by which all removals together may raise the loss, at least 1.
        steps: the largest number of Levenberg–Marquardt steps after each removal.
        enough: a loss that is accepted in any case.

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
    while (removal := _weakest(cutter, residuals, needed)) is not None:
        name, scores, keep = removal
        trial = cutter.copy()
        trial.cut(scores, keep)
        loss = _polish(Residuals(trial.surrogate, residuals.terms), steps, allowed)
        if loss <= allowed:
            cutter = trial
        else:
            needed.add(name)
    return report(result, cutter)


Removal = tuple[tuple[int, ...], EdgeScores, list[Tensor]]


def _weakest(cutter: Cutter, residuals: Residuals, needed: set[tuple[int, ...]]) -> Removal | None:
    """Return the next removal to try, or None if every edge and unit is needed."""
    scores = score_edges(cutter.surrogate, residuals.points)
    for _, name, wanted in sorted(_removals(cutter, scores), key=lambda found: found[0]):
        keep = kept_edges(cutter.network, scores, wanted)
        fewer = any(
            bool((layer.kept & ~k).any())
            for layer, k in zip(cutter.network.layers, keep, strict=True)
        )
        if name not in needed and fewer:
            return name, scores, keep
    return None


def _removals(
    cutter: Cutter, scores: EdgeScores
) -> Iterator[tuple[float, tuple[int, ...], list[Tensor]]]:
    """Yield the score, the name and the edges left without it, for each hidden unit and edge."""
    whole = [layer.kept for layer in cutter.network.layers]
    for depth, (kept, edges) in enumerate(zip(whole, scores.edges, strict=True)):
        sources, targets = cutter.levels[depth : depth + 2]
        for i in range(len(kept)) if depth else []:
            without = kept.clone()
            without[i] = False
            score = float(scores.units[depth][i])
            yield score, (depth, sources[i]), [*whole[:depth], without, *whole[depth + 1 :]]
        for i, o in kept.nonzero().tolist():
            without = kept.clone()
            without[i, o] = False
            name = (depth, sources[i], targets[o])
            yield float(edges[i, o]), name, [*whole[:depth], without, *whole[depth + 1 :]]


def _polish(residuals: Residuals, steps: int, allowed: float) -> float:
    """Take Levenberg–Marquardt steps until the loss is allowed, and return the last loss."""
    loss = residuals.loss()
    stage = LevenbergMarquardt(steps=steps).start(residuals, 0)
    for _ in range(steps):
        if loss <= allowed:
            break
        step = stage.step()
        loss = step.loss
        if step.finished is not None:
            break
    return loss


def _check(scores: EdgeScores, threshold: float | int) -> None:
    strongest = float(scores.edges[-1].max())
    if strongest == 0:
        raise InputError("the network is constant on the points: there is nothing to keep")
    if strongest < threshold:
        raise InputError(
            f"threshold = {threshold:g} would remove every edge: the greatest score of one into an "
            f"output is {strongest:.3g}"
        )
