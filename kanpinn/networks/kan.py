"""Kolmogorov–Arnold networks, their layers of edge functions, and layers of products of splines."""

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from kanpinn._support.distributed import extremes, summed
from kanpinn._support.errors import InputError, integer
from kanpinn.jets import Coordinates, Jet, stack
from kanpinn.networks.basis import BASES, Basis, BSplines
from kanpinn.networks.layer import Layer, derivatives
from kanpinn.networks.network import Network


class ProductLayer(Layer):
    """A layer y_o = Σ_i c_io Π_d B_(i_d)(h_d): sums of products with one B-spline of each input.

    The layer is a KAN whose edge functions are single B-splines of the n_in inputs h_d, and whose
    multiplication nodes compute the products.

    Args:
        bases: the B-splines of each input.
        n_out: the number of outputs.

    Attributes:
        coefficients: c, (1, size, n_out), where `size` is the number of products. In the order of
            the products i, the spline of the last input varies fastest.
        sizes: the number of splines of each input.

    Reference: Liu et al., KAN 2.0: Kolmogorov–Arnold networks meet science (2024), section 2, for
    multiplication nodes.
    """

    resizable = True

    def __init__(self, bases: Sequence[BSplines], n_out: int) -> None:
        super().__init__()
        self._bases = nn.ModuleList(bases)
        self.coefficients = nn.Parameter(bases[0].breaks.new_zeros(1, math.prod(self.sizes), n_out))

    @property
    def bases(self) -> Sequence[BSplines]:
        """The B-splines of each input."""
        return cast(Sequence[BSplines], self._bases)

    @property
    def basis(self) -> BSplines:
        """The splines of the first input."""
        return self.bases[0]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of splines of each input."""
        return tuple(basis.size for basis in self.bases)

    def reset(self, bases: Sequence[BSplines] | None = None, outputs: int | None = None) -> None:
        """Set the coefficients to zero.

        Args:
            bases: new splines of the inputs; None for the present splines.
            outputs: a new number of outputs; None for the present number.
        """
        if bases is not None:
            self._bases = nn.ModuleList(bases)
        shape = 1, math.prod(self.sizes), outputs or self.coefficients.shape[2]
        self.coefficients = nn.Parameter(self.basis.breaks.new_zeros(shape))

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        most = 2**22  # the largest number of entries of intermediate tensors, 32 MiB in float64
        local = math.prod(basis.degree + 1 for basis in self.bases)
        count = max(1, most // (local * max(8, self.coefficients.shape[2])))
        dense = h.dense()
        starts = range(0, len(dense.value), count)
        blocks = [dense.rows(slice(i, i + count)) for i in starts] if len(starts) > 1 else [dense]
        jets = []
        for block in blocks:
            index, functions = self._products(block, living=True)
            near = self.coefficients[0][index]  # (n, local, n_out)
            jets.append(functions.unstacked(torch.bmm(functions.stacked(), near)))
        return jets[0] if len(jets) == 1 else stack(jets)

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        _, functions = self._products(h.dense(), living=False)
        known = functions.stacked()
        return known, known @ coefficients[0]

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        n_out = self.coefficients.shape[2]
        out.view(-1, n_out, len(known)).copy_(torch.einsum("nps,npo->son", known, delta))

    def _products(self, h: Jet, living: bool) -> tuple[Tensor, Jet]:
        """Return the jets (values and derivatives) of products of splines at n points.

        Args:
            h: the jet of the inputs.
            living: whether at each point only the products that do not vanish near the point are
                evaluated, or all products.

        Returns:
            The indices of the k products that are evaluated at each point, (n, k), and their jets
            with k components.
        """
        order = h.channels.derivative_order
        index = torch.zeros_like(h.value[:, :1], dtype=torch.long)
        jets = []
        for number, basis in enumerate(self.bases):
            coordinate = h[number]
            if living:
                near, values = basis.living(coordinate.value, order)
                near = near[:, 0]
            else:
                values = basis.values(coordinate.value, order)
                near = torch.arange(basis.size, device=index.device).expand(len(index), -1)
            repeated = coordinate.map(lambda t, m=near.shape[1]: t.expand(*t.shape[:-1], m))  # type: ignore[misc]
            jets.append(repeated.chain([t[:, 0] for t in values.unbind(1)]))
            index = (index[:, :, None] * basis.size + near[:, None]).flatten(1)
        product, *others = jets
        for other in others:  # the components of `other` vary fastest in the product
            m, n = product.value.shape[-1], other.value.shape[-1]
            left = product.map(lambda t, n=n: t.repeat_interleave(n, dim=-1))  # type: ignore[misc]
            product = left * other.map(lambda t, m=m: t.repeat(*[1] * (t.ndim - 1), m))  # type: ignore[misc]
        return index, product


class KANLayer(Layer):
    """A layer y_o = Σ_i φ_io(h_i) with the edge functions φ_io = Σ_j c_ijo B_j.

    The basis functions B_j of input h_i are on a grid of this input.

    Args:
        basis: the basis functions of n_in inputs; changes of a grid replace the basis.
        n_out: the number of outputs.
        base: "silu" adds a term w·silu(x) to each edge function, with w the last coefficient of the
            edge; None adds no term.

    Attributes:
        coefficients: c, (n_in, n, n_out) with n = basis.size, or one more with a base term.
        kept: a mask (n_in, n_out) of the edges that exist. The function of a removed edge is zero,
            whatever its coefficients are.

    Reference: Liu et al., KAN (2024), eqs. 2.5 and 2.10; the scale w_s is absorbed into c.
    """

    basis: Basis
    kept: Tensor
    resizable = True

    def __init__(self, basis: Basis, n_out: int, base: str | None = None) -> None:
        super().__init__()
        self.basis, self.base = basis, base
        n_in, like = len(basis.breaks), basis.breaks
        self.coefficients = nn.Parameter(
            like.new_zeros(n_in, basis.size + (base is not None), n_out)
        )
        self.register_buffer("kept", like.new_ones(n_in, n_out, dtype=torch.bool))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        missing = [name for name in self.state_dict() if prefix + name not in state_dict]
        if missing:
            raise InputError(
                f"the saved network has no {prefix}{missing[0]}: it is of another version of "
                "kanpinn, or has another basis"
            )
        if state_dict[prefix + "coefficients"].shape[::2] != state_dict[prefix + "kept"].shape:
            raise InputError(f"{prefix}coefficients and {prefix}kept are of different layers")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        n_out, size = self.coefficients.shape[2], self.basis.size
        # In measurements a matrix product with the values of all basis functions was faster here
        # than the evaluation of each edge function.
        wide = n_out > 2 * (self.basis.degree + 1) and size <= 4 * n_out
        if h.channels.derivative_order or not wide:
            return h.sum_of_edges(self.product(h, self.coefficients)[1])
        values = self.basis.values(h.value)[:, 0]
        if self.base is not None:
            values = torch.cat([values, derivatives(self.base, h.value, 0)[0][..., None]], dim=-1)
        coefficients: Tensor = self.coefficients
        if torch.compiler.is_exporting() or not self.kept.all():
            coefficients = coefficients.masked_fill(~self.kept[:, None], 0)
        return Jet(h.channels, values.flatten(1) @ coefficients.flatten(0, 1))

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        return h.value, self.edges(h.value, h.channels.derivative_order, coefficients)

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        return h.sum_of_edges(product)

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        delta = delta if self.kept.all() else delta * self.kept
        weights = delta.permute(1, 2, 3, 0).contiguous()  # points vary fastest, as in `out`
        out = out.view(*self.coefficients.shape, -1)
        self.basis.transposed(known, weights, out[:, : self.basis.size])
        if self.base is not None:
            base = torch.stack([t.T for t in derivatives(self.base, known, len(weights) - 1)])
            out[:, -1] = (base[:, :, None] * weights).sum(dim=0)

    def edges(self, x: Tensor, order: int = 0, coefficients: Tensor | None = None) -> Tensor:
        """Return the values and derivatives of the edge functions.

        Args:
            x: the values of the inputs, (n, n_in).
            order: the order of the highest derivative.
            coefficients: coefficients in place of the layer's; None for the layer's coefficients.

        Returns:
            φ_io^(r)(x_i) for r = 0 … order, (n, order + 1, n_in, n_out).
        """
        coefficients = self.coefficients if coefficients is None else coefficients
        if torch.compiler.is_exporting() or not self.kept.all():
            coefficients = coefficients.masked_fill(~self.kept[:, None], 0)
        values = self.basis.combine(x, coefficients[:, : self.basis.size], order)
        if self.base is None:
            return values
        base = torch.stack(derivatives(self.base, x, order), dim=1)
        return values + base[..., None] * coefficients[:, -1]

    @torch.no_grad()
    def represent(self, basis: Basis) -> float:
        """Replace the basis, and represent the edge functions in the new basis.

        See `Basis.represented`.

        Returns:
            The relative L2 change of the edge functions, 0 if they have not changed.
        """
        known, base = self.coefficients.split([self.basis.size, self.base is not None], dim=1)
        moved, error = self.basis.represented(known, basis)
        changed = torch.cat([moved, base], dim=1)
        self.basis = basis
        if changed.shape == self.coefficients.shape:
            self.coefficients.copy_(changed)  # an optimizer may hold the parameter
        else:
            self.coefficients = nn.Parameter(changed)
        return error

    def widen(self, low: Tensor, high: Tensor, pad: float = 0.02) -> bool:
        """Widen the grids that do not contain the ranges [low, high] of their inputs.

        On the old grids the edge functions do not change.

        Args:
            low, high: the ends of the ranges, (n_in,) each.
            pad: the margin of a widened grid beyond the range, relative to the range's length.

        Returns:
            True if any grid was widened.
        """
        breaks = self.basis.breaks.clone()
        left, right = low < breaks[:, 0], high > breaks[:, -1]
        if not bool((left | right).any()):
            return False
        beyond = pad * (high - low)
        breaks[:, 0] = torch.where(left, low - beyond, breaks[:, 0])
        breaks[:, -1] = torch.where(right, high + beyond, breaks[:, -1])
        self.represent(self.basis.on(breaks))
        return True

    @torch.no_grad()
    def add_constants(self, constants: Tensor) -> None:
        """Add constants, (n_in, n_out), to the edge functions."""
        self.coefficients[:, : self.basis.size] += self.basis.one()[:, None] * constants[:, None]

    @torch.no_grad()
    def randomise(self, generator: torch.Generator, degree: int = 4, decay: float = 2.0) -> None:
        """Set the edge functions to random Chebyshev sums Σ_n a_n T_n(ξ), n = 1 … degree.

        ξ runs from -1 to 1 on the grid of each input, and a_n ~ N(0, n^(-2 decay)). These functions
        are smooth; independent random coefficients of the basis functions would cost three or more
        digits of accuracy on smooth problems.

        Args:
            generator: the CPU random generator.
            degree: the number of terms.
            decay: the rate at which the standard deviation n^(-decay) of a_n decreases.
        """
        low, high = self.basis.breaks[:, 0], self.basis.breaks[:, -1]
        n_in, _, n_out = self.coefficients.shape
        xi = torch.cos(torch.pi * (torch.arange(64).to(low) + 0.5) / 64)
        n = torch.arange(1, degree + 1).to(low)
        a = torch.randn((degree, n_in, n_out), generator=generator, dtype=torch.float64).to(low)
        values = torch.einsum(
            "xp,pio->xio", torch.cos(n * torch.arccos(xi)[:, None]), a / n[:, None, None] ** decay
        )
        x = low + (high - low) * (xi[:, None] + 1) / 2
        self.coefficients.zero_()
        self.coefficients[:, : self.basis.size] = self.basis.fit(x, values)
        self.coefficients.masked_fill_(~self.kept[:, None], 0)

    @torch.no_grad()
    def spread(self, x: Tensor, reach: float) -> None:
        """Shift and scale the edge functions of each output unit, so that outputs fill an interval.

        The edge functions of a unit get equal means, and its output gets the range [-reach, reach]
        over all inputs x. The next layer can undo shifts and scales; they are thus redundant.

        Args:
            x: the inputs, (n, n_in). With several processes (ranks), x holds the inputs of this
                process, and means and ranges are computed over all processes.
            reach: the largest absolute value of the outputs.
        """
        edges = self.edges(x)[:, 0]
        low, high = extremes(edges.sum(dim=1))
        count = edges.new_tensor(float(len(x)), dtype=torch.float64)
        total, count = summed([edges.sum(dim=0), count])
        mean = total / count
        centre = ((low + high) / 2 - mean.sum(dim=0)) / self.kept.sum(dim=0).clamp_min(1)
        self.add_constants(-(mean + centre) * self.kept)
        self.coefficients.mul_(2 * reach / (high - low).clamp_min(1e-300))

    def reset(self, basis: Basis | None = None, outputs: int | None = None) -> None:
        """Set the edge functions to zero.

        Args:
            basis: a new basis; None for the present basis.
            outputs: a new number of outputs; None for the present number.
        """
        self.basis = self.basis if basis is None else basis
        if outputs is not None:
            self.kept = self.kept.new_ones(len(self.kept), outputs)
        n_in, n_out = self.kept.shape
        size = self.basis.size + (self.base is not None)
        self.coefficients = nn.Parameter(self.basis.breaks.new_zeros(n_in, size, n_out))


MARGIN = 0.05  # margin of a hidden layer's grid around the activations, relative to their range


class KAN(Network):
    """A Kolmogorov–Arnold network: sums of learned functions of one variable, layer upon layer.

    The grids start on [-1, 1]; `prepare` places the grids of hidden layers over their activations,
    the inputs of these layers. Edge functions of hidden layers start as random smooth polynomials
    on their grids, so that the activations fill the grids of a network of any depth. Initialization
    factors that preserve the variance of the activations, such as those of Rigas et al., would have
    no effect: the next layer's grid is scaled with the activations.

    Args:
        width: the number of units of each layer, inputs first, such as [2, 64, 1]. If `hidden` is
            given, `width` is left out.
        degree: the degree k ≥ 1 of the edge functions of each layer, or one number for all layers.
        grid: the number of grid intervals G ≥ 1 of each layer, or one number for all layers.
        hidden: the number of units of each hidden layer, such as [64]; a solve then determines the
            numbers of inputs and outputs from the problem.
        basis: "spline" for the G + k B-splines of degree k on G intervals; "chebyshev" for G + k
            Chebyshev polynomials, T_0 … T_(G+k-1), on the whole range.
        base: "silu" adds a term w·silu(x) to every edge function; None adds no term.
        seed: the seed of the random initial coefficients.
        dtype: the dtype of the coefficients.

    Attributes:
        basis_name: the argument `basis`.
        placed: whether `prepare` has placed the grids of hidden layers.

    Raises:
        InputError: for an invalid width, degree, grid, basis or base, or basis functions whose
            coefficients would overflow.

    Reference: Liu et al., KAN: Kolmogorov–Arnold Networks (2024), arXiv 2404.19756; Rigas et al.,
    Initialization schemes for Kolmogorov–Arnold networks (2025), arXiv 2509.03417.

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
        if (width := self._width_of(width, hidden, dtype=dtype, **later)) is None:
            return
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
            ones = torch.ones(n_in, dtype=dtype)
            layers.append(KANLayer(BASES[basis].uniform(-ones, ones, g, k), n_out, base))
        self.layers = cast(Sequence[KANLayer], nn.ModuleList(layers))
        self.placed = False
        # Above three dimensions the extremes of an activation lie at corners of the domain that a
        # sample does not reach. The end intervals of grids are then widened by this fraction of the
        # sampled range. No resolution is lost, and beyond the sampled range an edge function
        # continues as a polynomial and not as a tangent.
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
        # Edge functions without inner knots are smooth polynomials. If all layers have such edge
        # functions, the network is a polynomial whose degree is the product of their degrees.
        with_knots = [x for x in self.layers if x.basis.breaks.shape[1] > 2 or x.base]
        degrees = [layer.basis.degree for layer in with_knots]
        return min([math.prod(layer.basis.piece_degree for layer in self.layers), *degrees])

    @property
    def parameter_count(self) -> int:
        """The number of trainable parameters, without the parameters of removed edges."""
        count = sum(p.numel() for p in self.parameters() if p.requires_grad)
        trained = [layer for layer in self.layers if layer.coefficients.requires_grad]
        return count - sum(int((~x.kept).sum()) * x.coefficients.shape[1] for x in trained)

    @torch.no_grad()
    def prepare(self, x: Tensor) -> None:
        """Place the grid of each input of a hidden layer over the activations, with a margin.

        The grids of a network that has been prepared before, or loaded, are only widened by
        `follow`, which does not change the network's function on the old grids.

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
        """Set the output layer to zero, with a new grid of `intervals` intervals on [-1, 1]."""
        layer = self.layers[-1]
        ones = torch.ones_like(layer.basis.breaks[:, 0])
        layer.reset(self._placed(layer.basis, -ones, ones, intervals))

    def _placed(self, basis: Basis, low: Tensor, high: Tensor, intervals: int) -> Basis:
        """Return a basis on equal intervals of [low, high], with the end intervals widened.

        Args:
            basis: a basis of the same kind and degree.
            low, high: the ranges of the activations, (n_in,) each.
            intervals: the number of intervals.
        """
        even = basis.uniform(low, high, intervals, basis.degree)
        if not self._unseen:
            return even
        breaks = even.breaks.clone()
        breaks[:, [0, -1]] = torch.stack(self._beyond(low, high), dim=1)
        return even.on(breaks)

    def _beyond(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ranges that grids should cover, given the sampled ranges of the activations.

        In more than three dimensions, samples of the domain miss the extremes of the activations: a
        range is widened by 0.3 of its length at each end. Otherwise it is not changed.

        Args:
            low, high: the ends of the sampled ranges, (n_in,) each.

        Returns:
            The ends of the ranges to cover, (n_in,) each.
        """
        unseen = self._unseen * (high - low)
        return low - unseen, high + unseen

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Widen the grids of hidden layers until they contain the activations.

        On the old grids the edge functions do not change. Beyond the end of an old grid an edge
        function was a tangent, with a jump in the second derivative; now the polynomial of the end
        interval continues up to the end of the new grid.

        Args:
            x: the network's inputs, (n, d).
        """
        held = 0  # the grids of all layers up to this one contain their activations
        while held + 1 < len(self.layers):
            for seen in self._ranges(x, len(self.layers) - 1)[held:]:
                held += 1
                if self.layers[held].widen(*self._beyond(*seen)):
                    break  # the activations of later layers have changed

    def _ranges(self, x: Tensor, depth: int) -> list[tuple[Tensor, Tensor]]:
        """Return the least and the greatest inputs, (n_in,) each, of each layer 1 … `depth`.

        Args:
            x: the network's inputs, (n, d), which are evaluated in chunks. With several processes
                (ranks), x holds the inputs of this process, and the results cover all processes.
            depth: the number of the last layer.
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
        """Refine the grids of every layer to `grid` intervals.

        Args:
            grid: the number of intervals of each layer, or one number for all layers.
            x: inputs of the network, (n, d). The grids of hidden layers are first restricted to the
                activations for these inputs, since intervals without activations are useless. None
                for no restriction.

        Returns:
            The largest relative L2 change of a layer's edge functions, 0 if they are unchanged.
        """
        error = 0.0
        for depth, intervals in enumerate(_per_layer("grid", grid, len(self.layers))):
            layer = self.layers[depth]
            breaks = layer.basis.breaks
            if depth == 0 or x is None:
                finer = layer.basis.finer(intervals, breaks[:, 0], breaks[:, -1])
                error = max(error, layer.represent(finer))
                continue
            # The part of the grid within the activations is refined, and its end intervals are then
            # widened by the margin. Above three dimensions, if there are enough intervals, one
            # interval is added at either end instead: the wide margin would extrapolate the
            # polynomial of a fine end interval too far.
            low, high = self._ranges(x, depth)[-1]
            pad = MARGIN * (high - low)
            ends = self._beyond(low - pad, high + pad)
            adds = bool(self._unseen) and intervals > layer.basis.intervals + 2
            finer = layer.basis.finer(intervals - 2 * adds, low, high)
            error = max(error, layer.represent(finer))
            if not adds:
                layer.widen(*ends)
                continue
            breaks = layer.basis.breaks
            least = MARGIN * (breaks[:, -1:] - breaks[:, :1])
            first = torch.minimum(ends[0][:, None], breaks[:, :1] - least)
            last = torch.maximum(ends[1][:, None], breaks[:, -1:] + least)
            wider = layer.basis.on(torch.cat([first, breaks, last], dim=1))
            error = max(error, layer.represent(wider))
        return error

    def remove_unit(self, layer: int, unit: int) -> None:
        """Remove a hidden unit.

        Args:
            layer: the number of the layer, from 0, of which the unit is an output.
            unit: the number of the unit among the outputs of this layer, from 0.
        """
        kept = [i for i in range(self.width[layer + 1]) if i != unit]
        before, after = self.layers[layer], self.layers[layer + 1]
        before.kept = before.kept[:, kept]
        before.coefficients = nn.Parameter(before.coefficients.detach()[:, :, kept].clone())
        after.basis, after.kept = after.basis.of_inputs(kept), after.kept[kept]
        after.coefficients = nn.Parameter(after.coefficients.detach()[kept].clone())


def _per_layer(name: str, value: int | Sequence[int], layers: int) -> list[int]:
    """Return a setting as a list with one number for each layer.

    Args:
        name: the name of the setting, for messages.
        value: a number for all layers, or a number for each layer.
        layers: the number of layers.

    Raises:
        InputError: for anything else.
    """
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
    """Return a random KAN with at most one hidden layer, and degrees and grids of another KAN.

    Args:
        network: the other KAN. The degrees and grids of its first and last layer, its dtype and its
            device are used.
        width: the number of units of each layer, [inputs, outputs] or [inputs, hidden, outputs].
        seed: the seed of the random edge functions.
        intervals: the number of grid intervals of the output layer; None for the number of
            intervals in the output layer of `network`.
        basis: the name of the basis, see `KAN`; None for the basis of `network`.
        own: whether the first hidden units have the edge functions and grids of the first hidden
            units of `network`. This has no effect if `network` has a base term.
    """
    ends = [network.layers[0], network.layers[-1]][3 - len(width) :]
    degrees, grids = [one.basis.degree for one in ends], [one.basis.intervals for one in ends]
    grids[-1] = grids[-1] if intervals is None else intervals
    made = KAN(width, degrees, grids, basis=basis or network.basis_name, seed=seed)
    if own:
        layer, known = made.layers[0], ends[0].coefficients
        if known.shape[:2] == layer.coefficients.shape[:2]:  # False if there is a base term
            layer.basis = copy.deepcopy(ends[0].basis).to("cpu", layer.coefficients.dtype)
            layer.randomise(torch.Generator().manual_seed(seed))  # for the further hidden units
            layer.coefficients[:, :, : known.shape[2]] = known.to(layer.coefficients)
    like = next(network.parameters())
    return made.to(like.device, like.dtype)
