"""B-splines on separate knots for each input, evaluated as piecewise polynomials.

A knot array has shape (n_in, n + k + 1), one non-decreasing row t for each input, for n splines of
degree k. The grid of an input is the interval [t_k, t_n], and the breaks are the knots in this
interval, `knots[:, k:-k]`.

Pieces of a piecewise polynomial are numbered from left to right. The first and the last piece lie
outside the grid, and each other piece lies between two breaks. A table (n_in, pieces, degree + 1,
m) holds m functions of each input as coefficients of powers of x - centre, with the centre of each
piece (see `centres`). An evaluation gathers the coefficients of the piece that contains x and uses
Horner's rule, so that work and memory do not depend on the number of pieces.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.networks.basis.basis import Basis


def uniform_knots(low: Tensor, high: Tensor, intervals: int, degree: int) -> Tensor:
    """Return equally spaced knots with `intervals` grid intervals on [low, high].

    Args:
        low, high: the ends of the grid of each input, (n_in,) each.
        intervals: the number of intervals G.
        degree: the degree k.

    Returns:
        The knots, (n_in, G + 2 k + 1).
    """
    index = torch.arange(-degree, intervals + degree + 1, dtype=low.dtype, device=low.device)
    return low[:, None] + ((high - low) / intervals)[:, None] * index


def knots_from_breaks(breaks: Tensor, degree: int) -> Tensor:
    """Return knots with given breaks, continued outside the grid with the spacing at its ends.

    Args:
        breaks: the breaks, (n_in, G + 1).
        degree: the degree k.

    Returns:
        The knots, (n_in, G + 2 k + 1).
    """
    steps = torch.arange(1, degree + 1, dtype=breaks.dtype, device=breaks.device)
    first, last = breaks[:, 1] - breaks[:, 0], breaks[:, -1] - breaks[:, -2]
    left = breaks[:, :1] - first[:, None] * steps.flip(0)
    return torch.cat([left, breaks, breaks[:, -1:] + last[:, None] * steps], dim=1)


def refined_breaks(breaks: Tensor, low: Tensor, high: Tensor, intervals: int) -> Tensor:
    """Return breaks of `intervals` intervals on the part of one input's grid in [low, high].

    Old breaks in the range [low, high] are kept, unless their distance from an end of the range is
    less than a quarter of an interval. Each interval between kept breaks is split into the same
    number of equal parts; if the division has a remainder, the widest intervals get one part more.
    If there are fewer new intervals than intervals between kept breaks, no old break is kept, and
    all new intervals have equal width. If the range has the length zero, the whole grid is used.

    Args:
        breaks: the old breaks, (G + 1,).
        low, high: the ends of the range, scalars.
        intervals: the new number of intervals.

    Returns:
        The new breaks, (intervals + 1,), increasing.
    """
    quarter, narrow = 0.25, 1e-6
    low, high = torch.maximum(low, breaks[0]), torch.minimum(high, breaks[-1])
    if high - low < narrow * (breaks[-1] - breaks[0]):
        low, high = breaks[0], breaks[-1]
    inner, steps = breaks[1:-1], breaks.diff()
    stays = (inner - low >= quarter * steps[:-1]) & (high - inner >= quarter * steps[1:])
    kept = torch.cat([low[None], inner[stays], high[None]])
    parts, rest = divmod(intervals, len(kept) - 1)
    if parts == 0:
        return low + (high - low) * torch.linspace(0, 1, intervals + 1).to(breaks)
    counts = torch.full((len(kept) - 1,), parts, device=breaks.device)
    counts[kept.diff().argsort(descending=True, stable=True)[:rest]] += 1
    pieces = [
        a + (b - a) * torch.arange(n).to(breaks) / n
        for a, b, n in zip(kept, kept[1:], counts.tolist(), strict=False)
    ]
    return torch.cat([*pieces, high[None]])


def contains_breaks(old: Tensor, new: Tensor, degree: int) -> bool:
    """Return whether the new knots have every inner break of the old grid that is in the new grid.

    If so, every old spline is a sum of new splines on the new grid: the refinement is exact.

    Args:
        old, new: the old and the new knots, (n_in, n + degree + 1) each, with different n.
        degree: the degree of the splines.
    """
    inner, (low, high) = old[:, degree + 1 : -degree - 1], _ends(new, degree)
    tolerance = 1e-12 * (old[:, -1:] - old[:, :1])
    gap = (inner[:, :, None] - new[:, None, :]).abs().amin(-1) if inner.numel() else inner
    return bool(((gap <= tolerance) | (inner <= low) | (inner >= high)).all())


def _ends(knots: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """Return the first and the last point of each input's grid, (n_in, 1) each."""
    return knots[:, degree, None], knots[:, -degree - 1, None]


def refinement_matrix(old: Tensor, new: Tensor, degree: int) -> Tensor:
    """Return the matrix A, (n_in, n_new, n_old), that converts coefficients from old to new knots.

    With the old splines B_j and the new splines B'_i, Σ_j c_j B_j = Σ_i (A c)_i B'_i exactly on the
    intersection of both grids. The new knots must contain every inner break of the old knots that
    lies in the new grid. Knots may be inserted, and the grid may become shorter or longer; on a
    longer grid the polynomials of the end intervals continue. The coefficient (A c)_i is the
    blossom (polar form, see `_blossom`) of an old polynomial piece in the support of B'_i, with the
    new knots t'_{i+1} … t'_{i+k} as arguments.

    Args:
        old, new: the old and the new knots, (n_in, n + degree + 1) each, with different n.
        degree: the degree k of the splines.

    Raises:
        InputError: if an inner break of `old` is missing in `new`.

    Reference: Ramshaw, Blossoms are polar forms (1989); Cohen, Lyche and Riesenfeld (1980) for
    nested knots.
    """
    if not contains_breaks(old, new, degree):
        raise InputError("refinement is exact only if the new knots contain the old grid points")
    n_in, n_old = old.shape[0], old.shape[1] - degree - 1
    n_new = new.shape[1] - degree - 1
    arguments = new.unfold(1, degree, 1)[:, 1 : n_new + 1]  # t'_{i+1} … t'_{i+k}
    (low, high), (first, last) = _ends(old, degree), _ends(new, degree)
    low, high = torch.maximum(low, first), torch.minimum(high, last)
    middle = (new[:, :n_new].clamp(low, high) + new[:, degree + 1 :].clamp(low, high)) / 2
    piece = (middle[..., None] >= old[:, None, degree + 1 : -degree - 1]).sum(-1)
    rows = torch.arange(n_in, device=old.device)[:, None, None]
    near = old[rows, piece[..., None] + torch.arange(1, 2 * degree + 1, device=old.device)]
    local = _blossom(near, arguments, degree)
    position = piece[..., None] + torch.arange(degree + 1, device=old.device)
    return old.new_zeros(n_in, n_new, n_old).scatter_(-1, position, local)


def _blossom(near: Tensor, arguments: Tensor, degree: int) -> Tensor:
    """Return the weights of B-spline coefficients in the polar form of a piece, (..., k + 1).

    The polar form (blossom) of a polynomial of degree k is a function of k arguments, and a linear
    combination of the coefficients of the k + 1 splines that do not vanish on the piece.

    Args:
        near: the 2 k knots around the piece, (..., 2 k).
        arguments: the k arguments of the blossom, (..., k).
        degree: the degree k.
    """
    shape = (*arguments.shape[:-1], degree + 1, degree + 1)
    triangle = torch.eye(degree + 1, dtype=near.dtype, device=near.device).expand(shape)
    for r in range(degree):
        left, right = near[..., r:degree], near[..., degree : 2 * degree - r]
        share = ((arguments[..., r, None] - left) / (right - left))[..., None]
        triangle = (1 - share) * triangle[..., :-1, :] + share * triangle[..., 1:, :]
    return triangle[..., 0, :]


def centres(breaks: Tensor) -> Tensor:
    """Return the centre of each piece, (n_in, pieces).

    The centre of a piece in the grid is its midpoint. The centre of the first and of the last
    piece, which lie outside the grid, is the first or the last break.
    """
    middle = (breaks[:, 1:] + breaks[:, :-1]) / 2
    return torch.cat([breaks[:, :1], middle, breaks[:, -1:]], dim=1)


def locate(x: Tensor, breaks: Tensor) -> Tensor:
    """Return the index of the piece that contains each argument x (..., n_in), as (..., n_in).

    A break belongs to the piece on its right; the last break belongs to the last piece in the grid.

    Args:
        breaks: the breaks, (n_in, pieces - 1).
    """
    left = breaks[:, :-1]
    # For few breaks and many arguments, comparisons with each break are faster (measured), and
    # they can be exported for any number of arguments.
    exporting = torch.compiler.is_exporting()
    if not exporting and (left.shape[1] > 16 or x.numel() <= 1000):
        by_input = x.movedim(-1, 0).flatten(1).contiguous()
        pieces = torch.searchsorted(left.contiguous(), by_input, right=True)
        count = pieces.view(x.shape[-1], *x.shape[:-1]).movedim(0, -1)
    else:
        count = torch.zeros_like(x, dtype=torch.uint8)  # under torch.vmap batched if x is
        for column in left.unbind(1):
            count += x >= column
    return count.long() + (x > breaks[:, -1])


def piecewise_values(x: Tensor, table: Tensor, breaks: Tensor, order: int = 0) -> Tensor:
    """Return the values and derivatives f_im^(r)(x_i), r = 0 … order, of piecewise polynomials.

    Args:
        x: the arguments x_i, (..., n_in).
        table: the coefficients of m functions f_im of each input i, (n_in, pieces, degree + 1, m).
        breaks: the breaks between the pieces, (n_in, pieces - 1).
        order: the order of the highest derivative.

    Returns:
        A tensor (order + 1, m, ..., n_in), differentiable any number of times with respect to x and
        the table.
    """
    recorded = torch.is_grad_enabled() and (x.requires_grad or table.requires_grad)
    if recorded or torch._C._are_functorch_transforms_active():
        return _Values.apply(x, table, breaks, order)[0]
    return _Values.forward(x, table, breaks, order)[0]  # for few points this is a third faster


class _Values(torch.autograd.Function):
    """`piecewise_values` for autograd; the backward pass evaluates f^(r+1), the slope of f^(r)."""

    @staticmethod
    def forward(x: Tensor, table: Tensor, breaks: Tensor, order: int) -> tuple[Tensor, ...]:
        piece = locate(x, breaks)
        extra = int(x.requires_grad)  # the backward pass needs one derivative more
        position = _position(piece, table.shape)
        by_power = table.permute(2, 3, 0, 1).flatten(1).unbind(0)
        near = [t.index_select(0, position.flatten()).view(position.shape) for t in by_power]
        values = _horner(offset(x, breaks, piece), near, order + extra)
        return values[: order + 1], values[1:], piece

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, table, breaks, ctx.order = inputs
        ctx.save_for_backward(x, table, breaks, *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> Any:
        x, table, breaks, slopes, piece = ctx.saved_tensors
        to_x = to_table = None
        if ctx.needs_input_grad[0]:
            # With gradients enabled, a derivative of this derivative may follow.
            if torch.is_grad_enabled() or len(slopes) <= ctx.order:
                slopes = piecewise_values(x, table, breaks, ctx.order + 1)[1:]
            to_x = (grad * slopes).sum(dim=(0, 1))
        if ctx.needs_input_grad[1]:
            weighted = piecewise_moments(offset(x, breaks, piece), grad, table.shape[2])
            position = _position(piece, table.shape).flatten()
            n_in, pieces, powers, m = table.shape
            zero = grad.new_zeros(n_in * pieces * m)
            sums = [zero.scatter_add(0, position, moment.flatten()) for moment in weighted]
            to_table = torch.stack(sums).view(powers, m, n_in, pieces).permute(2, 3, 0, 1)
        return to_x, to_table, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
        """Evaluate a batch: it becomes further points or, if the tables are batched, inputs."""
        x, table, breaks, order = inputs
        if in_dims[1] is None and in_dims[2] is None:
            return _Values.apply(x.movedim(in_dims[0], 0), table, breaks, order), (2, 2, 0)
        x, table, breaks = (
            t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
            for t, dim in zip((x, table, breaks), in_dims[:3], strict=True)
        )
        wide = x.movedim(0, -2).flatten(-2)
        outputs = _Values.apply(wide, table.flatten(0, 1), breaks.flatten(0, 1), order)
        split = (info.batch_size, x.shape[-1])
        return tuple(t.unflatten(-1, split) for t in outputs), (-2, -2, -2)


def offset(x: Tensor, breaks: Tensor, piece: Tensor) -> Tensor:
    """Return the distance of each argument from the centre of its piece, x - centre, (..., n_in).

    Args:
        x: the arguments, (..., n_in).
        breaks: the breaks, (n_in, pieces - 1).
        piece: the index of the piece that contains each argument, (..., n_in).
    """
    return x - centres(breaks)[torch.arange(len(breaks), device=x.device), piece]


def _position(piece: Tensor, shape: torch.Size) -> Tensor:
    """Return the index of each argument's coefficient among all coefficients of one power.

    A table of piecewise polynomials has a coefficient for each input, piece, power and function.
    The coefficients of one power are flattened, ordered by function, then by input, then by piece.

    Args:
        piece: the index of the piece that contains each argument, (..., n_in).
        shape: the shape of the table, (n_in, pieces, degree + 1, m).

    Returns:
        For each of the m functions and each argument an index into the flattened coefficients,
        (m, ..., n_in).
    """
    n_in, pieces, _, m = shape
    position = piece + torch.arange(0, n_in * pieces, pieces, device=piece.device)
    if m == 1:
        return position[None]
    function = torch.arange(0, m * n_in * pieces, n_in * pieces, device=piece.device)
    return function.view(-1, *(1,) * piece.ndim) + position


def _horner(s: Tensor, coefficients: list[Tensor], order: int) -> Tensor:
    """Return the value and derivatives of Σ_p a_p s^p, by repeated synthetic division.

    Args:
        s: the argument, (..., n_in).
        coefficients: a_p for each power p from 0, (m, ..., n_in) each.
        order: the order of the highest derivative.

    Returns:
        A tensor (order + 1, m, ..., n_in).
    """
    degree = len(coefficients) - 1
    values = s.new_empty(order + 1, *coefficients[0].shape)
    values[degree + 1 :] = 0
    rows = values.unbind(0)
    rows[0].copy_(coefficients[degree])
    for done, a in enumerate(reversed(coefficients[:-1])):
        if done < order:
            rows[done + 1].copy_(rows[done])
        for r in range(min(done, order), 0, -1):
            torch.addcmul(rows[r - 1], rows[r], s, out=rows[r])
        torch.addcmul(a, rows[0], s, out=rows[0])
    for r in range(2, order + 1):
        rows[r].mul_(math.factorial(r))
    return values


def piecewise_moments(s: Tensor, grad: Tensor, powers: int) -> list[Tensor]:
    """Return the moments M_p = Σ_r grad_r (s^p)^(r) for p = 0 … powers - 1.

    This is the transpose of Horner's rule: for f = Σ_p a_p s^p, the weighted sum Σ_r grad_r f^(r)
    is Σ_p a_p M_p. With w_r = r! grad_r at the start, M_0 = w_0. Because of the product rule
    (s f)^(r) = s f^(r) + r f^(r-1), each step w_r ← s w_r + w_{r+1} makes w_0 the next moment.

    Args:
        s: x - centre, of any shape.
        grad: the weights, (order + 1, ...), each of the shape of s.
        powers: the number of powers, degree + 1.

    Returns:
        The moments, each of the shape of grad_r.
    """
    weights = [math.factorial(r) * g if r > 1 else g for r, g in enumerate(grad.unbind(0))]
    moments = [weights[0]]
    for left in range(powers - 1, 0, -1):
        last = [weights[-1] * s] if len(weights) <= left else []
        weights = [torch.addcmul(higher, w, s) for w, higher in itertools.pairwise(weights)] + last
        moments.append(weights[0])
    return moments


class BSplines(Basis):
    """All B-splines of degree k ≥ 1 on given knots: G + k splines for each input with G intervals.

    Args:
        knots: the knots, (n_in, G + 2 k + 1), one non-decreasing row for each input.
        degree: the degree k.

    Raises:
        InputError: for a degree above 170, or knots for which coefficients are not finite.

    Reference: de Boor, A Practical Guide to Splines (1978), chapter X, (8) and (15).
    """

    knots: Tensor
    _living: Tensor  # (n_in, G + 2, k + 1): the indices of the splines ≠ 0 on each piece
    _local: Tensor  # (n_in, G + 2, k + 1, k + 1): coefficients of each power of these splines
    _matrix: Tensor | None  # (n_in, (G + 2)(k + 1), G + k): `_local` with zeros for other splines

    def __init__(self, knots: Tensor, degree: int) -> None:
        super().__init__()
        self.degree = self.piece_degree = degree
        self.register_buffer("knots", knots)
        for name in ("breaks", "_living", "_local", "_matrix"):
            self.register_buffer(name, None, persistent=False)
        self._tabulate()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        before, after = self.knots, state_dict[prefix + "knots"]
        self.knots = torch.empty_like(after)  # sizes may differ
        super()._load_from_state_dict(state_dict, prefix, *args)
        if (before.dtype, before.device) == (after.dtype, after.device) and before.equal(after):
            self.knots = before  # the tables remain valid: optimizers often go back to a state
        else:
            self._tabulate()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        dtype = self.knots.dtype
        super()._apply(fn, recurse)
        if self.knots.dtype != dtype:  # tables that are only converted have the lower precision
            self._tabulate()
        return self

    def _tabulate(self) -> None:
        """Compute the splines' coefficients as polynomials about the midpoint of each interval.

        Outside the grid the polynomials are the tangents at the ends of the grid. On intervals of
        length zero the coefficients are set to zero.
        """
        knots, k = self.knots, self.degree
        self.breaks = knots[:, k:-k]
        self.intervals, self.size = knots.shape[1] - 2 * k - 1, knots.shape[1] - k - 1
        too_much = f"degree {k} on {self.intervals} intervals is more than {knots.dtype} can hold"
        if k > 170:  # larger factorials overflow float64
            raise InputError(too_much)
        near = knots[:, 1:-1].unfold(1, 2 * k, 1)
        near = torch.cat([near[:, :1], near, near[:, -1:]], dim=1)
        derivatives = _local_splines(centres(self.breaks), near, k)
        local = torch.stack([d / float(math.factorial(r)) for r, d in enumerate(derivatives)], 2)
        local[:, [0, -1], 2:] = 0
        empty = near[..., k] == near[..., k - 1]
        self._local = local.masked_fill(empty[..., None, None], 0)
        if not self._local.isfinite().all():
            raise InputError(too_much)
        piece = torch.arange(self.intervals + 2, device=knots.device) - 1
        first = piece.clamp(0, self.intervals - 1).repeat(len(knots), 1)
        self._living = first[..., None] + torch.arange(k + 1, device=knots.device)
        self._matrix = None
        if self.size <= 8 * (k + 1):  # then a product with all splines is faster than a gather
            dense = knots.new_zeros(len(knots), self.intervals + 2, k + 1, self.size)
            dense.scatter_(-1, self._living[:, :, None].expand_as(self._local), self._local)
            self._matrix = dense.flatten(1, 2)

    @classmethod
    def uniform(cls, low: Tensor, high: Tensor, intervals: int, degree: int) -> Self:
        return cls(uniform_knots(low, high, intervals, degree), degree)

    def values(self, x: Tensor, order: int = 0) -> Tensor:
        index, local = self.living(x, order)
        dense = local.new_zeros(*local.shape[:-1], self.size)
        return dense.scatter(-1, index.unsqueeze(-3).expand_as(local), local)

    def living(self, x: Tensor, order: int = 0) -> tuple[Tensor, Tensor]:
        local = piecewise_values(x, self._local, self.breaks, order).movedim(1, -1)
        input_ = torch.arange(len(self._living), device=x.device)
        return self._living[input_, locate(x, self.breaks)], local.movedim(0, -3)

    def combine(self, x: Tensor, coefficients: Tensor, order: int = 0) -> Tensor:
        if self._matrix is not None:
            table = torch.bmm(self._matrix, coefficients).unflatten(1, self._local.shape[1:3])
        else:
            index = self._living.flatten(1)[..., None].expand(-1, -1, coefficients.shape[2])
            table = self._local @ coefficients.gather(1, index).unflatten(1, self._living.shape[1:])
        return piecewise_values(x, table, self.breaks, order).movedim(1, -1).movedim(0, -3)

    def transposed(self, x: Tensor, weights: Tensor, out: Tensor) -> None:
        n_in, pieces, powers, _ = self._local.shape
        piece = locate(x, self.breaks)
        s = offset(x, self.breaks, piece).T.contiguous()
        moments = piecewise_moments(s[:, None], weights, powers)
        position = (piece + torch.arange(n_in, device=x.device) * pieces).T.flatten()
        spline = self._living[:, :, 0].flatten().index_select(0, position).view(n_in, 1, 1, -1)
        spline = spline.expand(-1, -1, weights.shape[2], -1)
        # One spline after the other, so that intermediate results fit into the cache.
        for j, by_power in enumerate(self._local.permute(3, 2, 0, 1).flatten(2).unbind(0)):
            polynomial = [c.index_select(0, position).view(n_in, 1, -1) for c in by_power]
            total = polynomial[0] * moments[0]
            for coefficient, moment in zip(polynomial[1:], moments[1:], strict=True):
                total.addcmul_(coefficient, moment)
            out[:, j:].scatter_(1, spline, total[:, None])

    def one(self) -> Tensor:
        return self.knots.new_ones(self.size)  # B-splines sum to one

    def on(self, breaks: Tensor) -> Self:
        return type(self)(knots_from_breaks(breaks, self.degree), self.degree)

    def finer(self, intervals: int, low: Tensor, high: Tensor) -> Self:
        """Return a basis with more intervals, see `Basis.finer`; breaks by `refined_breaks`."""
        rows = zip(self.breaks, low, high, strict=True)
        return self.on(torch.stack([refined_breaks(*row, intervals) for row in rows]))

    def represented(self, coefficients: Tensor, new: Basis) -> tuple[Tensor, float]:
        """Return the coefficients of functions in another basis, see `Basis.represented`.

        If the new knots contain all inner breaks of the old grid, the functions do not change.
        """
        if not isinstance(new, BSplines) or not contains_breaks(self.knots, new.knots, self.degree):
            return super().represented(coefficients, new)
        return refinement_matrix(self.knots, new.knots, self.degree) @ coefficients, 0.0

    def of_inputs(self, inputs: Sequence[int]) -> Self:
        return type(self)(self.knots[inputs], self.degree)

    def as_spline(self, coefficients: Tensor, i: int) -> tuple[Tensor, int, Tensor]:
        return self.knots[i].clone(), self.degree, coefficients.clone()


def _local_splines(x: Tensor, near: Tensor, degree: int) -> list[Tensor]:
    """Return the values and derivatives of the k + 1 B-splines that do not vanish at x.

    Args:
        x: the arguments, (...).
        near: the knots around x, k on either side, (..., 2 k).
        degree: the degree k.

    Returns:
        For each order of derivatives from 0 to k a tensor (..., k + 1).
    """
    pad = torch.nn.functional.pad  # pads the last axis with zeros
    by_degree = [torch.ones_like(x)[..., None]]
    for r in range(1, degree + 1):
        left, right = near[..., degree - r : degree], near[..., degree : degree + r]
        share = by_degree[-1] / (right - left)
        rising, falling = (x[..., None] - left) * share, (right - x[..., None]) * share
        by_degree.append(pad(falling, (0, 1)) + pad(rising, (1, 0)))
    # The m-th derivatives follow from the B-splines of degree k - m by m applications of the rule
    # B'_j = r (B_j / (t_{j+r} - t_j) - B_{j+1} / (t_{j+r+1} - t_{j+1})), with B-splines of degree r
    # on the left and of degree r - 1 on the right.
    splines = by_degree[0][None]
    for r in range(1, degree + 1):
        share = r * splines / (near[..., degree : degree + r] - near[..., degree - r : degree])
        splines = pad(-share, (0, 1)) + pad(share, (1, 0))
        splines = torch.cat([by_degree[r][None], splines])
    return list(splines.unbind(0))
