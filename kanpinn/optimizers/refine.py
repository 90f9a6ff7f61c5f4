"""Transforms that refine a network's grids: everywhere or where the residual is large."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.distributed import summed, together
from kanpinn._support.errors import CONVERGED, InputError, integer
from kanpinn.geometry import Points
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.kan import KAN
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.networks.layer import Layer
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers.method import Change, Transform, require_kan


@dataclass(frozen=True)
class Refine(Transform):
    """Refine the grids of a KAN; the function does not change, except by the projection below.

    Knot insertion is exact: each interval is split into the same number of parts, and the widest
    ones into one part more if the new number is not a multiple of the old one (8 → 10). Hidden
    grids that are wider than the range of their activations are cut down to it. Where this moves
    grid points (those next to the ends, or all of them if there are fewer intervals than before),
    the function is projected in L2; the history has its largest relative change as
    `projection_error`.

    Args:
        grid: the number of grid intervals per layer, or one number for all layers.

    Raises:
        InputError: for a grid that is not a positive integer; during the solve, for a network that
            is not a KAN.

    Reference: Liu et al., KAN (2024), section 2.4; Cohen, Lyche and Riesenfeld (1980) for the exact
    case.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> methods = [kp.LeastSquares(), kp.Refine(8), kp.LeastSquares()]
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5, grid=4), methods)
        >>> [one.numel() for one in solution.network.parameters()]
        [13]
    """

    grid: int | Sequence[int]
    output_layer_only = True

    def __post_init__(self) -> None:
        for g in self.grid if isinstance(self.grid, (list, tuple)) else [self.grid]:
            integer("grid", g)

    def check(self, network: Network) -> None:
        layers = len(require_kan(network, "refine").layers)
        if isinstance(self.grid, (list, tuple)) and len(self.grid) != layers:
            raise InputError(
                f"grid must be one number or {layers}, one per layer, got {list(self.grid)}"
            )

    def apply(self, residuals: Residuals) -> Change:
        surrogate = residuals.surrogate
        network = require_kan(surrogate.network, "refine")
        error = network.refine(self.grid, surrogate.inputs_at(residuals.points))
        words = f"the function has changed by {error:.1e} of its norm" if error else ""
        return Change({"projection_error": error}, words)


NOTHING_TO_SPLIT = "stopped: no interval of some input has enough points in both halves to be split"


@dataclass(frozen=True)
class InsertKnots(Transform):
    """Halve the grid intervals with the largest squared residuals; the function does not change.

    In each layer, separately for each input, new knots are put into the middles of the `count`
    intervals with the largest sums of r² over the collocation points whose activations lie in them.
    An interval without two points in each half is not halved, since the residual does not determine
    the function between points. The new knots give later optimizers more coefficients.

    Measured by scripts/sharp_features.py: for a boundary layer of width 1e-2 the relative L2 error
    is 2e-9 with 12 intervals and six insertions of 6 knots, and 3e-6 with 48 equal intervals. For a
    width of 1e-3, twelve insertions of 3 knots are not enough (error 1.0 with 400 or 4000 points).

    Args:
        count: the number of new knots for each input of a layer. All inputs of a layer get the same
            number, limited by the input with the fewest intervals that may be halved. The history
            has the total over all layers as `inserted`.
        layers: the indices of the layers, negative ones counted from the last; None for all.

    Raises:
        InputError: for values out of range; during the solve, for a network that is not a KAN, and
            for layers that do not exist or are named twice.

    Reference: de Boor, A Practical Guide to Splines (1978), chapter XII, on where knots should be;
    Boehm (1980) for inserting them.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="exp(-200*(x - 0.5)**2)")
        >>> methods = [kp.LeastSquares(), kp.InsertKnots(4), kp.LeastSquares()]
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=5, grid=8), methods)
        >>> [one.numel() for one in solution.network.parameters()]
        [17]
    """

    count: int = 4
    layers: Sequence[int] | None = None

    def __post_init__(self) -> None:
        integer("count", self.count)
        if self.layers is None:
            return
        if not isinstance(self.layers, (list, tuple)) or not self.layers:
            raise InputError(f"layers must be numbers of layers or None, got {self.layers!r}")
        for layer in self.layers:
            integer("layers", layer, least=-1000)

    def check(self, network: Network) -> None:
        require_kan(network, "insert_knots")

    @torch.no_grad()
    def apply(self, residuals: Residuals) -> Change:
        layers = self._chosen(require_kan(residuals.surrogate.network, "insert_knots"))
        error, added = 0.0, 0
        for layer, (squares, points) in zip(layers, _measured(residuals, layers), strict=True):
            before = layer.basis.breaks
            # Without points in its support a basis function is undetermined: ask for two per half.
            breaks = inserted(before, squares, self.count, allowed=points >= 2)
            error = max(error, layer.set_breaks(breaks))
            added += breaks.numel() - before.numel()
        return Change(
            notes={"projection_error": error, "inserted": float(added)},
            words=f"{added} knots inserted",
            finished=CONVERGED if added else NOTHING_TO_SPLIT,
        )

    def _chosen(self, network: KAN) -> list[KANLayer]:
        """Return the layers that get knots, by default all."""
        layers = list(network.layers)
        every = range(len(layers))
        wanted = every if self.layers is None else self.layers
        for number in wanted:
            if not -len(layers) <= number < len(layers):
                raise InputError(
                    f"layers must be numbers of layers from 0 to {len(layers) - 1}, got {number}"
                )
        numbers = [number % len(layers) for number in wanted]
        if len(set(numbers)) < len(numbers):
            raise InputError(f"layers must name each layer once, got {list(wanted)}")
        return [layers[number] for number in numbers]


def _measured(residuals: Residuals, layers: Sequence[KANLayer]) -> list[tuple[Tensor, Tensor]]:
    """Return, for each layer, two tensors (n_in, G) of sums over the grid intervals of its inputs.

    The first has the weighted sums of r², the second the number of points in the half of each
    interval that has fewer. Both are over the points of all ranks.
    """
    halves = [_halved(layer.basis.breaks) for layer in layers]
    sums = [[torch.zeros_like(breaks[:, 1:]) for breaks in halves] for _ in range(2)]
    edges: dict[Layer, tuple[Tensor, Tensor, Tensor]] = {
        layer: (halves[i], sums[0][i], sums[1][i]) for i, layer in enumerate(layers)
    }
    with together():
        for term in residuals.terms:
            if isinstance(term, ResidualTerm) and term.sites == 1:
                for points in residuals.batches(term):
                    _add(residuals.surrogate, term, points, edges)
    found = [total.unflatten(1, (-1, 2)) for total in summed([*sums[0], *sums[1]])]
    squares, counts = found[: len(layers)], found[len(layers) :]
    return [(s.sum(dim=2), n.amin(dim=2)) for s, n in zip(squares, counts, strict=True)]


def _add(
    surrogate: Surrogate,
    term: ResidualTerm,
    points: Points,
    edges: Mapping[Layer, tuple[Tensor, Tensor, Tensor]],
) -> None:
    """Add the weighted r² of each point, and 1, to the half intervals that contain its activations.

    Args:
        surrogate: the present solution.
        term: the term whose residual is evaluated.
        points: some of the term's points.
        edges: for each layer, the ends of its half intervals (n_in, 2G + 1), and the sums of r² and
            of 1 over the points in each, (n_in, 2G), changed in place.
    """
    squares = term.residual(surrogate, points).square().sum(dim=1)
    squares = squares * (term.weight / term.rows)
    network = surrogate.network
    for layer, h in zip(
        network.layers, network.activations(surrogate.inputs_at(points)), strict=True
    ):
        if layer in edges:
            ends, *sums = edges[layer]
            at = torch.searchsorted(ends[:, 1:-1].contiguous(), h.T.contiguous())
            for total, each in zip(sums, (squares, torch.ones_like(squares)), strict=True):
                total.scatter_add_(1, at, each.to(total).expand(len(at), -1))


def _halved(breaks: Tensor) -> Tensor:
    """Insert the middles of all intervals into grid points (n_in, G + 1): (n_in, 2G + 1)."""
    middles = (breaks[:, 1:] + breaks[:, :-1]) / 2
    return torch.cat([breaks, middles], dim=1).sort(dim=1).values


def inserted(breaks: Tensor, share: Tensor, count: int, allowed: Tensor | None = None) -> Tensor:
    """Return a grid with `count` intervals of each row halved, those with the largest shares.

    Args:
        breaks: grid points, (n_in, G + 1).
        share: of each interval in the squared residual, (n_in, G); among equal shares the widest
            interval comes first.
        count: the number of new points in each row.
        allowed: which intervals may be halved, (n_in, G); all by default. All rows get the same
            number of points, limited by the row with the fewest allowed intervals.

    Returns:
        The new grid points, (n_in, G + 1 + count), fewer if `allowed` is the limit.
    """
    widths = breaks.diff(dim=1)
    even = widths / widths.sum(dim=1, keepdim=True)
    # Every interval gets a tenth of the mean share, scaled by its width: intervals without a
    # residual are halved last, the widest first.
    score = share + 0.1 * share.mean(dim=1, keepdim=True) * even
    score = torch.where(score > 0, score, even * torch.finfo(score.dtype).tiny)
    if allowed is not None:
        score = score.masked_fill(~allowed, -1.0)
        count = min(count, int(allowed.sum(dim=1).min()))
    first = score.topk(min(count, share.shape[1]), dim=1).indices
    middles = ((breaks[:, 1:] + breaks[:, :-1]) / 2).gather(1, first)
    return torch.cat([breaks, middles], dim=1).sort(dim=1).values
