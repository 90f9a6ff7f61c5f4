"""Functions of space of which few do not vanish on each element, or a single element with all."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.evolution.space.separable import SeparableKAN
from kanpinn.evolution.space.trial_space import TrialSpace
from kanpinn.evolution.time.in_time import powers_in_time
from kanpinn.geometry import Points
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.jets import Channels, Jet
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class ElementSpace(TrialSpace):
    """A trial space by elements, on each of which the same few functions do not vanish.

    A spline space has an element for each interval; functions that vanish nowhere have one element.
    There are E elements with q places each.

    Args:
        parts: the parts of the jets of the functions, (E, q, …, m or 1, local) each.
        index: the numbers of the functions of each element, (E, local).
        spread: for each coefficient of a network's output layer the number of its function, or, for
            functions that vanish nowhere, the matrix (coefficients, n) that gives them.
        intervals: whether each element is an interval of splines.
    """

    parts: tuple[Tensor, ...]
    index: Tensor
    spread: Tensor
    intervals: bool = False

    @cached_property
    def tests(self) -> Tensor:
        """The values of the functions times the weights, (E, q, m or 1, local)."""
        return self.parts[0] * self.weights[..., None, None]

    @cached_property
    def _joined(self) -> Tensor:
        """All parts of the jets, (E, q, parts, m or 1, local)."""
        flat = [part.flatten(2, -3) if part.ndim > 4 else part[:, :, None] for part in self.parts]
        return torch.cat(flat, dim=2)

    def jet(self, y: Tensor) -> Jet:
        found = self._combined(self._joined, y)
        parts, start = [], 0
        for part in self.parts:
            count = math.prod(shape := part.shape[2:-2])
            parts.append(found[:, start : start + count].unflatten(1, shape or (1,)))
            start += count
        parts[0] = parts[0][:, 0]
        return self.like.with_parts(parts)

    def values(self, y: Tensor) -> Tensor:
        return self._combined(self.parts[0][:, :, None], y)[:, 0]

    def _combined(self, functions: Tensor, y: Tensor) -> Tensor:
        """Σ_i y_i ψ_i, (places, parts, b·m), of functions (E, q, parts, m or 1, local)."""
        elements, q, rows, own, local = functions.shape
        if elements * own == 1:
            flat = y[:, self.index[0]].movedim(1, 0).flatten(1)  # (local, b·m)
            return (functions.reshape(q * rows, local) @ flat).view(q, rows, -1)
        near = y[:, self.index].permute(1, 3, 2, 0)  # (E, m, local, b)
        if own == 1:  # one set of functions for all fields
            flat = functions.reshape(elements, q * rows, local)
            found = torch.bmm(flat, near.permute(0, 2, 3, 1).reshape(elements, local, -1))
        else:
            flat = functions.permute(0, 3, 1, 2, 4).reshape(elements * own, q * rows, local)
            found = torch.bmm(flat, near.reshape(elements * own, local, -1))
            found = found.view(elements, own, q * rows, -1).permute(0, 2, 3, 1)
        return found.reshape(elements * q, rows, -1)

    def coefficients(self, y: Tensor) -> Tensor:
        return y[..., self.spread, :] if self.spread.ndim == 1 else self.spread @ y

    def by_functions(self, linearised: Tensor) -> list[Tensor]:
        """The linearised residuals of the functions, for derivatives of order r = 0, 1, 2 in time.

        linearised: see `TermInSpace.linearised`.

        Returns:
            For each r (equations, E, q, m, local), the derivatives by that of each coefficient.
        """
        fields = linearised.shape[-1]
        powers = [one.expand(-1, -1, -1, fields, -1) for one in self._powers]
        return [torch.einsum("geqpf,eqpfl->geqfl", linearised, one) for one in powers]

    @cached_property
    def _powers(self) -> list[Tensor]:
        """For r = 0, 1, 2 the jets of t^r / r! ψ at t = 0, (E, q, parts, m or 1, local)."""
        own = self.parts[0].shape[-2]
        flat = self.like.with_parts([part.flatten(-2).flatten(0, 1) for part in self.parts])
        jets = powers_in_time(flat, 2)
        found = [jet.stacked().unflatten(0, self.shape) for jet in jets]
        return [parts.unflatten(-1, (own, -1)) for parts in found]


@torch.no_grad()
def spline_space(
    surrogate: Surrogate, member: SeparableKAN, channels: Channels, periodic: bool
) -> ElementSpace:
    """The space of the splines of a KAN of one coordinate without hidden layers.

    Each interval has as many Gauss places as make the rule exact for the splines' degree, and all
    together have half as many again as there are functions: otherwise no error could be seen.

    Args:
        surrogate: gives the coordinates and the data that are built in.
        member: the network of a window, whose knots the space has.
        channels: the derivatives that are needed.
        periodic: whether the first splines go on as the last ones.
    """
    basis = member.layers[0].basis
    breaks, count, degree = basis.breaks[0], basis.intervals, basis.degree
    q = math.ceil(max((degree + 1) / 2, 1.5 * (1 + degree / count)))
    nodes, weights = (t.to(breaks) for t in gauss_legendre(q))
    widths = breaks.diff()
    xi = breaks[:-1, None] + widths[:, None] * nodes
    low, high = (corner.to(breaks) for corner in surrogate.domain.bounds)
    x = low[0] + (xi.flatten() + 1) / 2 * (high[0] - low[0])
    coords = torch.stack([x, torch.full_like(x, float(low[1]))], dim=1)
    weighted = widths[:, None] * weights * (high[0] - low[0]) / 2
    spread = torch.arange(basis.size)
    if periodic:
        spread = _folded(count)[spread % count]
    first = torch.arange(count)[:, None] + torch.arange(degree + 1)
    points = Points(coords, surrogate.domain.names)
    jets = _with_data(surrogate, points, _functions(surrogate, member, points, channels)[1])
    return replace(_space(points, weighted, jets, spread[first], spread), intervals=True)


def _folded(count: int) -> Tensor:
    """New numbers for functions around a circle, in which neighbours are at most two apart."""
    order = torch.stack([torch.arange(count), count - 1 - torch.arange(count)], dim=1).flatten()
    numbers = torch.empty(count, dtype=torch.long)
    numbers[order[:count]] = torch.arange(count)
    return numbers


@torch.no_grad()
def global_space(
    surrogate: Surrogate, member: SeparableKAN, points: Points, weights: Tensor, channels: Channels
) -> ElementSpace:
    """The space of a KAN whose functions vanish nowhere, such as that of random inner functions.

    Combinations of the functions that are orthonormal over the places are its basis; those that
    rounding cannot tell from zero are left out.

    Args:
        surrogate, member, channels: as for `spline_space`.
        points, weights: a quadrature rule in space, (P,).
    """
    small = 1e-12  # relative to the largest singular value
    _, functions = _functions(surrogate, member, points, channels)
    weighted = weights.sqrt()[:, None] * functions.value
    _, sizes, v = torch.linalg.svd(weighted, full_matrices=False)
    rank = int((sizes > small * sizes[0]).sum())
    spread = (v[:rank] / sizes[:rank, None]).T
    jets = _with_data(surrogate, points, functions.map(lambda t: t @ spread))
    return _space(points, weights[None], jets, torch.arange(rank)[None], spread)


@torch.no_grad()
def at_places(
    surrogate: Surrogate, member: SeparableKAN, points: Points, channels: Channels, spread: Tensor
) -> ElementSpace:
    """The functions of a space at single places, each of them an element.

    Args:
        surrogate, member, channels: as for `spline_space`.
        points: the places.
        spread: that of the space.
    """
    index, functions = _functions(surrogate, member, points, channels)
    if spread.ndim == 1:
        index = spread[index]
    else:
        functions = functions.map(lambda t: t @ spread)
        index = torch.arange(spread.shape[1]).expand(len(points), -1)
    jets = _with_data(surrogate, points, functions)
    return _space(points, torch.ones_like(points.coords[:, :1]), jets, index, spread)


@torch.no_grad()
def moment_space(surrogate: Surrogate, member: SeparableKAN, channels: Channels) -> ElementSpace:
    """The space without space: one place and the constant function, for equations in time alone."""
    low = surrogate.domain.bounds[0].to(surrogate.low)
    points = Points(low[None], surrogate.domain.names)
    _, jet = _functions(surrogate, member, points, channels)
    one = jet.map(lambda t: t.sum(dim=-1, keepdim=True))
    zero = torch.zeros(1, 1, dtype=torch.long)
    spread = torch.zeros(member.layers[0].basis.size, dtype=torch.long)
    jets = _with_data(surrogate, points, one)
    return _space(points, torch.ones_like(low[:1, None]), jets, zero, spread)


def _functions(
    surrogate: Surrogate, member: SeparableKAN, points: Points, channels: Channels
) -> tuple[Tensor, Jet]:
    """The functions of the output layer that do not vanish near each of n points.

    Behind hidden layers these are all functions.

    Returns:
        Their indices among the coefficients, (n, local), and their jets with `local` components.
    """
    h = member.places(surrogate.coordinates(points, channels))
    for layer in member.layers[:-1]:
        h = layer(h)
    basis, order = member.layers[-1].basis, max(1, channels.derivative_order)
    if member.width[0] == 1 and len(member.layers) == 1:
        index, values = basis.living(h.value, order)
    else:
        values = basis.values(h.value, order)
        index = torch.arange(basis.size).expand(*h.value.shape, -1)
    local = index.shape[-1]
    offset = torch.arange(index.shape[1])[:, None] * basis.size
    repeated = h.map(lambda t: t.repeat_interleave(local, dim=-1))
    jets = repeated.chain([t.flatten(1) for t in values.unbind(1)])
    return (index + offset).flatten(1), jets


def _with_data(surrogate: Surrogate, points: Points, functions: Jet) -> list[Jet]:
    """The jets of the functions times the factor D of each field, of one field if all have one."""
    if surrogate.output is None:
        return [functions]
    fields = surrogate.network.width[-1]
    zero = functions.map(lambda t: torch.zeros_like(t[..., :1].expand(*t.shape[:-1], fields)))
    one = zero + 1.0
    data = surrogate.output.apply(points, zero)
    factor = surrogate.output.apply(points, one) - data
    same = all(bool((t == t[..., :1]).all()) for t in factor.parts())
    return [factor[f] * functions for f in range(1 if same else fields)]


def _space(
    points: Points, weights: Tensor, jets: list[Jet], index: Tensor, spread: Tensor
) -> ElementSpace:
    shape = weights.shape
    both = zip(*(jet.parts() for jet in jets), strict=True)
    parts = tuple(torch.stack(same, dim=-2).unflatten(0, shape) for same in both)
    like = jets[0].map(lambda t: t[..., :1])
    size = int(spread.max()) + 1 if spread.ndim == 1 else spread.shape[1]
    return ElementSpace(points, weights, like, size, parts, index, spread)
