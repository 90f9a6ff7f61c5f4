"""Kolmogorov-Arnold networks."""

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from kanpinn._support.distributed import extremes
from kanpinn._support.errors import InputError, integer
from kanpinn.networks.basis import BASES, Basis
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.networks.layer import Layers
from kanpinn.networks.network import Network, check_width

MARGIN = 0.05  # margin of a hidden grid around the activations, relative to their range


class KAN(Network):
    """A Kolmogorov–Arnold network: sums of learned functions of one variable, layer upon layer.

    Args:
        width: units per layer, inputs first, [2, 64, 1]; or `hidden` in its place.
        degree: degree k ≥ 1 of the edge functions per layer, or one for all.
        grid: intervals G ≥ 1 per layer, or one number for all.
        basis: "spline" for B-splines of degree k on G intervals; "chebyshev" for as many Chebyshev
            polynomials, T_0 … T_(G+k-1), on the whole range.
        base: "silu" adds a term w·silu(x) to every edge, None does not.
        hidden: units of the hidden layers alone, [64]: a solve takes the numbers of inputs and
            outputs from the problem.
        seed: of the initial coefficients.

    basis_name: the argument `basis`. placed: whether the hidden grids have been placed over their
    activations.

    The grids start on [-1, 1]; `prepare` places the hidden ones over the activations. Hidden edges
    start as random smooth polynomials on their grids, so that the activations fill the grids of a
    network of any depth. Initial factors that preserve the variance of the activations would have
    no effect, as the next layer's grid is scaled with the activations.

    Raises:
        InputError: for an invalid width, degree, grid, basis or base, or basis functions whose
            coefficients would overflow.

    Reference: Liu et al., KAN: Kolmogorov–Arnold Networks (2024), arXiv 2404.19756; Rigas et al.,
    Initialization schemes for Kolmogorov–Arnold networks (2025), arXiv 2509.03417, for the factors.

    Example:
        >>> import kanpinn as kp
        >>> network = kp.KAN([2, 64, 1], degree=9, grid=[4, 10], seed=0)
        >>> network.width, sum(one.numel() for one in network.parameters())
        ((2, 64, 1), 2880)
    """

    layers: Sequence[KANLayer]

    def __init__(
        self,
        width: Sequence[int] | None = None,
        degree: int | Sequence[int] = 3,
        grid: int | Sequence[int] = 5,
        *,
        hidden: Sequence[int] | None = None,
        basis: str = "spline",
        base: str | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        later = {"degree": degree, "grid": grid, "basis": basis, "base": base, "seed": seed}
        if self._waits(width, hidden, dtype=dtype, **later):
            return
        width = check_width(width)
        if base not in (None, "silu"):
            raise InputError(f'base must be "silu" or None, got {base!r}')
        if basis not in BASES:
            known = " or ".join(f'"{name}"' for name in BASES)
            raise InputError(f"basis must be {known}, got {basis!r}")
        degrees = _per_layer("degree", degree, len(width) - 1)
        grids = _per_layer("grid", grid, len(width) - 1)
        self.basis_name = basis
        layers = []
        for n_in, n_out, k, g in zip(width, width[1:], degrees, grids, strict=False):
            one = torch.ones(n_in, dtype=dtype)
            layers.append(KANLayer(BASES[basis].uniform(-one, one, g, k), n_out, base))
        self.layers = cast(Sequence[KANLayer], Layers(layers))
        self.placed = False
        # Above three dimensions the extremes of an activation lie at corners of the domain that a
        # sample does not reach. The end intervals are then widened by this part of the sampled
        # range: no resolution is lost, and an edge continues as its end polynomial, not a tangent.
        self._unseen = 0.3 if width[0] > 3 else 0.0
        generator = torch.Generator().manual_seed(seed)
        for layer in layers[:-1]:
            layer.randomise(generator)
        last = layers[-1].coefficients
        noise = torch.randn(last.shape, generator=generator, dtype=last.dtype)
        with torch.no_grad():
            last.copy_(0.1 * noise / last.shape[0] ** 0.5)

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state, prefix, *args)
        self.placed = True

    @property
    def width(self) -> tuple[int, ...]:
        inputs = [layer.coefficients.shape[0] for layer in self.layers]
        return (*inputs, self.layers[-1].coefficients.shape[2])

    @property
    def max_order(self) -> int:
        # Functions without knots are polynomials: they are smooth, and only the product of their
        # degrees says which derivatives of the network vanish.
        with_knots = [x for x in self.layers if x.basis.breaks.shape[1] > 2 or x.base]
        degrees = [layer.basis.degree for layer in with_knots]
        return min([math.prod(layer.basis.piece_degree for layer in self.layers), *degrees])

    @property
    def parameter_count(self) -> int:
        """The number of trainable parameters; removed edges have none."""
        count = sum(p.numel() for p in self.parameters() if p.requires_grad)
        trained = [layer for layer in self.layers if layer.coefficients.requires_grad]
        return count - sum(int((~x.kept).sum()) * x.coefficients.shape[1] for x in trained)

    @torch.no_grad()
    def prepare(self, x: Tensor) -> None:
        """Place every hidden layer's grid, per input, over its activations, with a margin.

        The grids of a network that has been prepared or loaded are not placed again, but widened by
        `follow`, which does not change its function on them.

        Args:
            x: the network's inputs at the points of the solve, (n, d).
        """
        if self.placed:
            self.follow(x)
            return
        self.placed = True
        for depth, layer in enumerate(self.layers[1:], start=1):
            low, high = self._ranges(x, depth)[-1]
            pad = MARGIN * (high - low).clamp_min(1e-6)
            layer.basis = self._placed(layer.basis, low - pad, high + pad, layer.basis.intervals)

    def reset_output(self, intervals: int) -> None:
        """Set the output layer to zero, on `intervals` grid intervals for inputs in [-1, 1]."""
        layer = self.layers[-1]
        one = torch.ones_like(layer.basis.breaks[:, 0])
        layer.reset(self._placed(layer.basis, -one, one, intervals))

    def _placed(self, basis: Basis, low: Tensor, high: Tensor, intervals: int) -> Basis:
        """The basis on equal intervals of [low, high], (n_in,) each, with the ends widened."""
        even = basis.uniform(low, high, intervals, basis.degree)
        if not self._unseen:
            return even
        breaks = even.breaks.clone()
        breaks[:, [0, -1]] = torch.stack(self._beyond(low, high), dim=1)
        return even.on(breaks)

    def _beyond(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """The sampled range [low, high] of activations, widened where samples miss the extremes."""
        unseen = self._unseen * (high - low)
        return low - unseen, high + unseen

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Widen the hidden grids until they contain the activations.

        The edge functions do not change on the old grids. Outside them they were tangents, with a
        jump in the second derivative; on the new grids the polynomials of the end intervals go on.

        Args:
            x: the network's inputs, (n, d).
        """
        held = 0  # the grids up to this layer contain their activations
        while held + 1 < len(self.layers):
            ranges = self._ranges(x, len(self.layers) - 1)
            for seen in ranges[held:]:
                held += 1
                if self.layers[held].widen(*self._beyond(*seen)):
                    break  # the activations of later layers have changed

    def _ranges(self, x: Tensor, depth: int) -> list[tuple[Tensor, Tensor]]:
        """The least and greatest inputs of the layers 1 … `depth`, (n_in,) each.

        They are evaluated chunk by chunk. With several ranks, each gives its own inputs x of the
        network, and the result is that of all ranks.
        """
        widths = list(self.width[1 : depth + 1])
        seen, chunk = [x.new_empty(0, sum(widths))], 8192
        for start in range(0, len(x), chunk):
            inputs = itertools.islice(self.activations(x[start : start + chunk]), 1, depth + 1)
            seen.append(torch.cat([torch.stack(h.aminmax(dim=0)) for h in inputs], dim=1))
        low, high = extremes(torch.cat(seen))
        return list(zip(low.split(widths), high.split(widths), strict=True))

    @torch.no_grad()
    def refine(self, grid: int | Sequence[int], x: Tensor | None = None) -> float:
        """Refine every layer to `grid` intervals.

        Args:
            grid: the number of intervals per layer, or one number for all.
            x: inputs of the network, (n, d). Hidden grids are first cut down to the activations
                there, as intervals without activations are of no use; None keeps them.

        Returns:
            The largest relative L2 change of a layer's edge functions, 0 if all are unchanged.
        """
        error = 0.0
        for depth, g in enumerate(_per_layer("grid", grid, len(self.layers))):
            if depth == 0 or x is None:
                error = max(error, self.layers[depth].refine(g))
            else:
                low, high = self._ranges(x, depth)[-1]
                error = max(error, self._refine_within(self.layers[depth], g, low, high))
        return error

    def _refine_within(self, layer: KANLayer, intervals: int, low: Tensor, high: Tensor) -> float:
        """Refine a layer's grid on [low, high], then widen it by the margin.

        The end intervals are widened. In higher dimensions, if there are enough intervals, one
        interval is added on either side instead: the polynomial of a fine interval would be
        extrapolated too far.
        """
        pad = MARGIN * (high - low)
        ends = self._beyond(low - pad, high + pad)
        if not self._unseen or intervals <= layer.basis.intervals + 2:
            error = layer.refine(intervals, (low, high))
            layer.widen(*ends)
            return error
        error = layer.refine(intervals - 2, (low, high))
        breaks = layer.basis.breaks
        least = MARGIN * (breaks[:, -1:] - breaks[:, :1])
        first = torch.minimum(ends[0][:, None], breaks[:, :1] - least)
        last = torch.maximum(ends[1][:, None], breaks[:, -1:] + least)
        ends_added = layer.basis.on(torch.cat([first, breaks, last], dim=1))
        return max(error, layer.represent(ends_added))

    def remove_unit(self, layer: int, unit: int) -> None:
        """Remove hidden unit number `unit`, an output of layer number `layer`, counted from 0."""
        kept = [i for i in range(self.width[layer + 1]) if i != unit]
        before, after = self.layers[layer], self.layers[layer + 1]
        before.kept = before.kept[:, kept]
        before.coefficients = nn.Parameter(before.coefficients.detach()[:, :, kept].clone())
        after.basis, after.kept = after.basis.of_inputs(kept), after.kept[kept]
        after.coefficients = nn.Parameter(after.coefficients.detach()[kept].clone())


def _per_layer(name: str, value: int | Sequence[int], layers: int) -> list[int]:
    if isinstance(value, (list, tuple)):
        if len(value) != layers:
            raise InputError(f"{name} must be one number or {layers}, one per layer, got {value!r}")
        return [integer(name, v) for v in value]
    return [integer(name, value)] * layers


@torch.no_grad()
def random_like(
    network: KAN,
    width: Sequence[int],
    seed: int,
    *,
    intervals: int | None = None,
    basis: str | None = None,
    own: bool = False,
) -> KAN:
    """Return a random KAN with at most one hidden layer and the degrees and grids of a network.

    Args:
        network: gives the degrees and grids of its first and its last layer, dtype and device.
        width: units per layer, [inputs, outputs] or [inputs, hidden, outputs].
        seed: of the random functions.
        intervals: of the output layer's grid; by default as many as the network's.
        basis: as for `KAN`; by default that of the network.
        own: whether the first hidden functions are those of the network.
    """
    ends = [network.layers[0], network.layers[-1]][3 - len(width) :]
    degrees, grids = [one.basis.degree for one in ends], [one.basis.intervals for one in ends]
    grids[-1] = grids[-1] if intervals is None else intervals
    made = KAN(width, degrees, grids, basis=basis or network.basis_name, seed=seed)
    if own:
        layer, known = made.layers[0], ends[0].coefficients
        if known.shape[:2] == layer.coefficients.shape[:2]:  # not with a base term
            layer.basis = copy.deepcopy(ends[0].basis).to("cpu", layer.coefficients.dtype)
            layer.randomise(torch.Generator().manual_seed(seed))  # on its knots, where some are new
            layer.coefficients[:, :, : known.shape[2]] = known.to(layer.coefficients)
    like = next(network.parameters())
    return made.to(like.device, like.dtype)
