"""B-splines on arbitrary knots: the basis with its derivatives, and maps between spline spaces.

Pure functions on tensors. A knot array has shape (n_in, n_basis + degree + 1), one non-decreasing
row per input; the grid of a row is [t_k, t_{n_basis}]. Outside it a spline goes on as its tangent
(C¹).
"""

import functools
import math
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.networks.basis import piecewise

MAX_DEGREE = 170  # a larger factorial is no double
REACHED = 0.25  # of an interval, where a grid that is cut down may end
NARROWEST = 1e-6  # of a grid, that it is cut down to
NARROW = 8  # times as many splines as live at a point: more, and most of `Pieces.matrix` is zero


def uniform_knots(low: Tensor, high: Tensor, intervals: int, degree: int) -> Tensor:
    """Equispaced knots whose grid [low, high] has `intervals` intervals; low, high: (n_in,)."""
    step = (high - low) / intervals
    index = torch.arange(-degree, intervals + degree + 1, dtype=low.dtype, device=low.device)
    return low[:, None] + step[:, None] * index


def knots_from_breaks(breaks: Tensor, degree: int) -> Tensor:
    """Knots with the given grid points (n_in, G + 1), continued by the end intervals' widths."""
    steps = torch.arange(1, degree + 1, dtype=breaks.dtype, device=breaks.device)
    first, last = breaks[:, 1] - breaks[:, 0], breaks[:, -1] - breaks[:, -2]
    left = breaks[:, :1] - first[:, None] * steps.flip(0)
    right = breaks[:, -1:] + last[:, None] * steps
    return torch.cat([left, breaks, right], dim=1)


def breaks_of(knots: Tensor, degree: int) -> Tensor:
    """The grid points of knots: (n_in, G + 1)."""
    return knots[:, degree : knots.shape[1] - degree]


def basis(x: Tensor, knots: Tensor, degree: int, order: int = 0) -> Tensor:
    """Values and derivatives of all B-splines, B_j^(r)(x_i) for r = 0 … order.

    Args:
        x: (..., n_in) arguments; inputs outside their grid see the linear extrapolation.
        knots: (n_in, n_basis + degree + 1).
        degree: polynomial degree k ≥ 1.
        order: the highest derivative wanted; those above the degree are zero.

    Returns:
        (..., order + 1, n_in, n_basis), differentiable any number of times with respect to x.

    Reference: de Boor, A Practical Guide to Splines (1978), chapter X, (8) and (15).
    """
    return pieces_of(knots, degree).basis(x, order)


@dataclass(frozen=True)
class Pieces:
    """B-splines as piecewise polynomials: what evaluation needs of the knots, made once.

    breaks: (n_in, G + 1); first: (n_in, G + 2), the first of the degree + 1 splines that live on
    each piece, the pieces outside the grid included; local: (n_in, G + 2, degree + 1, degree + 1),
    their coefficients, the splines along the last axis.
    """

    breaks: Tensor
    first: Tensor
    local: Tensor

    @property
    def n_splines(self) -> int:
        """B-splines per input, G + degree."""
        return self.breaks.shape[1] - 2 + self.local.shape[-1]

    @functools.cached_property
    def matrix(self) -> Tensor:
        """All splines' coefficients, (n_in, (G + 2) (degree + 1), n_splines)."""
        n_in, pieces, powers, splines = self.local.shape
        dense = self.local.new_zeros(n_in, pieces, powers, self.n_splines)
        position = self.first[..., None] + torch.arange(splines, device=self.first.device)
        dense.scatter_(-1, position[:, :, None].expand_as(self.local), self.local)
        return dense.flatten(1, 2)

    def basis(self, x: Tensor, order: int = 0) -> Tensor:
        """What `basis` gives: (..., order + 1, n_in, n_splines)."""
        local = piecewise.evaluate(x, self.local, self.breaks, order).flatten(2)
        piece = piecewise.locate(x, self.breaks)
        first = self.first[torch.arange(len(self.first), device=x.device), piece].flatten()
        spline = first + torch.arange(local.shape[1], device=x.device)[:, None]
        dense = local.new_zeros(order + 1, self.n_splines, x.numel())
        dense.scatter_(1, spline.expand_as(local), local)
        return dense.unflatten(2, x.shape).movedim(1, -1).movedim(0, -3)

    def combine(self, x: Tensor, coefficients: Tensor, order: int = 0) -> Tensor:
        """Σ_j c_ijm B_j^(r)(x_i), (..., order + 1, n_in, m); coefficients: (n_in, n_splines, m)."""
        values = piecewise.evaluate(x, self._table(coefficients), self.breaks, order)
        return values.movedim(1, -1).movedim(0, -3)

    def _table(self, coefficients: Tensor) -> Tensor:
        """The polynomials of Σ_j c_ijm B_j, (n_in, pieces, degree + 1, m)."""
        splines = self.local.shape[-1]
        if self.n_splines <= NARROW * splines:
            return torch.bmm(self.matrix, coefficients).unflatten(1, self.local.shape[1:3])
        position = self.first[..., None] + torch.arange(splines, device=self.first.device)
        index = position.flatten(1)[..., None].expand(-1, -1, coefficients.shape[2])
        near = coefficients.gather(1, index).unflatten(1, position.shape[1:])
        return self.local @ near

    def transposed(self, x: Tensor, weights: Tensor, out: Tensor) -> None:
        """Σ_r w_rimn B_j^(r)(x_ni) for each point n, the transpose of `combine` point by point.

        x: (n, n_in); weights: (order + 1, n_in, m, n); out: zeros, (n_in, n_splines, m, n).
        """
        n_in, pieces, powers, _ = self.local.shape
        piece = piecewise.locate(x, self.breaks)
        moments = piecewise.moments(x, self.breaks, piece, weights, powers)
        position = piecewise.row(piece, pieces).T.flatten()
        spline = self.first.flatten().index_select(0, position).view(n_in, 1, 1, -1)
        spline = spline.expand(-1, -1, weights.shape[2], -1)
        # One after the other, so that what is under way stays in the cache.
        for j, by_power in enumerate(self.local.permute(3, 2, 0, 1).flatten(2).unbind(0)):
            polynomial = [c.index_select(0, position).view(n_in, 1, -1) for c in by_power]
            total = polynomial[0] * moments[0]
            for coefficient, moment in zip(polynomial[1:], moments[1:], strict=True):
                total.addcmul_(coefficient, moment)
            out[:, j:].scatter_(1, spline, total[:, None])


def pieces_of(knots: Tensor, degree: int) -> Pieces:
    """The B-splines on the knots as polynomials about the middle of each interval.

    Outside the grid they are their tangents at its ends. An interval of no length holds zeros.
    """
    breaks = breaks_of(knots, degree)
    near = knots[:, 1:-1].unfold(1, 2 * degree, 1)
    near = torch.cat([near[:, :1], near, near[:, -1:]], dim=1)
    derivatives = _local_basis(piecewise.centres(breaks), near, degree)
    local = torch.stack([d / float(math.factorial(r)) for r, d in enumerate(derivatives)], dim=2)
    local[:, [0, -1], 2:] = 0
    empty = near[..., degree] == near[..., degree - 1]
    local = local.masked_fill(empty[..., None, None], 0)
    index = torch.arange(breaks.shape[1] + 1, device=knots.device) - 1
    first = index.clamp(0, breaks.shape[1] - 2).expand(len(knots), -1)
    return Pieces(breaks, first, local)


def _local_basis(x: Tensor, near: Tensor, degree: int) -> list[Tensor]:
    """The k + 1 B-splines that live at x and their derivatives up to k, each (..., k + 1).

    near: the knots around x, (..., 2 k), k on either side.
    """
    by_degree = [torch.ones_like(x)[..., None]]
    for r in range(1, degree + 1):
        left, right = near[..., degree - r : degree], near[..., degree : degree + r]
        share = by_degree[-1] / (right - left)
        rising, falling = (x[..., None] - left) * share, (right - x[..., None]) * share
        by_degree.append(_shifted_sum(falling, rising))
    return [_raise(by_degree, near, degree, m) for m in range(degree + 1)]


def _raise(by_degree: list[Tensor], near: Tensor, degree: int, m: int) -> Tensor:
    """The m-th derivatives from the B-splines of degree k - m: B' = r (B/Δ - B/Δ), m times."""
    values = by_degree[degree - m]
    for r in range(degree - m + 1, degree + 1):
        share = r * values / (near[..., degree : degree + r] - near[..., degree - r : degree])
        values = _shifted_sum(-share, share)
    return values


def _shifted_sum(first: Tensor, second: Tensor) -> Tensor:
    """(first, 0) + (0, second) along the last axis."""
    pad = torch.nn.functional.pad
    return pad(first, (0, 1)) + pad(second, (1, 0))


def refined(breaks: Tensor, low: Tensor, high: Tensor, intervals: int) -> Tensor:
    """One input's grid points (G + 1,) on so many intervals, cut down to [low, high].

    The old points that lie inside stay, save one so near an end that hardly anything is left of an
    interval. Each interval is split into as many parts, the widest into one more where that does
    not come out even. On fewer intervals all are of one width.
    """
    low, high = torch.maximum(low, breaks[0]), torch.minimum(high, breaks[-1])
    if high - low < NARROWEST * (breaks[-1] - breaks[0]):  # a constant
        low, high = breaks[0], breaks[-1]
    inner, steps = breaks[1:-1], breaks.diff()
    stays = (inner - low >= REACHED * steps[:-1]) & (high - inner >= REACHED * steps[1:])
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
    """Whether every interior grid point of `old` is a knot of `new`: refinement is then exact.

    Those outside the grid of `new` do not matter.
    """
    inner, (low, high) = old[:, degree + 1 : -degree - 1], _ends(new, degree)
    tolerance = 1e-12 * (old[:, -1:] - old[:, :1])
    gap = (inner[:, :, None] - new[:, None, :]).abs().amin(-1) if inner.numel() else inner
    return bool(((gap <= tolerance) | (inner <= low) | (inner >= high)).all())


def _ends(knots: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """The first and the last point of the grids, (n_in, 1) each."""
    return knots[:, degree, None], knots[:, -degree - 1, None]


def refinement_matrix(old: Tensor, new: Tensor, degree: int) -> Tensor:
    """The matrix A (n_in, n_new, n_old): Σ_j c_j B_j = Σ_i (A c)_i B'_i on both grids, exactly.

    The new knots must hold every interior grid point of the old ones that lies in the new grid:
    knots inserted, the range widened (the end pieces go on as the polynomials they are) or cut.
    A_ij is the blossom of the old piece that lies under B'_i, at the knots t'_{i+1} … t'_{i+k}.

    Raises:
        InputError: if an interior grid point of `old` is missing in `new`.

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
    """Weights (..., k + 1) of a piece's coefficients in its polar form at k arguments."""
    shape = (*arguments.shape[:-1], degree + 1, degree + 1)
    triangle = torch.eye(degree + 1, dtype=near.dtype, device=near.device).expand(shape)
    for r in range(degree):
        u = arguments[..., r, None]
        left, right = near[..., r:degree], near[..., degree : 2 * degree - r]
        share = ((u - left) / (right - left))[..., None]
        triangle = (1 - share) * triangle[..., :-1, :] + share * triangle[..., 1:, :]
    return triangle[..., 0, :]


def fit(x: Tensor, values: Tensor, knots: Tensor, degree: int) -> Tensor:
    """Least-squares spline coefficients (n_in, n_basis, n_out) for samples.

    x: (N, n_in) arguments; values: (N, n_in, n_out), each input's own functions. A rank-deficient
    system (fewer samples than splines) gives the smallest coefficients.
    """
    matrix = basis(x, knots, degree)[:, 0].movedim(1, 0)
    driver = "gelsd" if x.device.type == "cpu" else "gels"
    return torch.linalg.lstsq(matrix, values.movedim(1, 0), driver=driver).solution


def project(coefficients: Tensor, old: Tensor, new: Tensor, degree: int) -> tuple[Tensor, float]:
    """The L2 projection of splines on the grid of other knots, and its relative error.

    coefficients: (n_in, n_old, n_out). Exact quadrature: degree + 1 Gauss points in each interval
    of the common refinement of both grids.

    Returns:
        Coefficients (n_in, n_new, n_out) and ‖f - Pf‖ / ‖f‖ over the new grid.
    """
    x, weights = _common_gauss_points(old, new, degree)
    target = torch.einsum("nik,iko->nio", basis(x, old, degree)[:, 0], coefficients)
    root = weights.sqrt()[..., None]
    matrix = basis(x, new, degree)[:, 0] * root
    driver = "gels" if matrix.is_cuda else "gelsd"  # torch's default gives other bits each time
    rows, goal = matrix.movedim(1, 0), (target * root).movedim(1, 0)
    solution = torch.linalg.lstsq(rows, goal, driver=driver).solution
    defect = torch.einsum("nik,iko->nio", matrix, solution) - target * root
    scale = torch.linalg.norm(target * root)
    return solution, float(torch.linalg.norm(defect) / scale) if scale > 0 else 0.0


def _common_gauss_points(old: Tensor, new: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    grid = breaks_of(new, degree)
    merged = torch.cat([grid, breaks_of(old, degree)], dim=1)
    merged = merged.clamp(grid[:, :1], grid[:, -1:]).sort(dim=1).values
    rule = numpy.polynomial.legendre.leggauss(degree + 1)
    nodes, weights = (torch.as_tensor(a, dtype=new.dtype, device=new.device) for a in rule)
    half, centre = merged.diff(dim=1) / 2, (merged[:, 1:] + merged[:, :-1]) / 2
    x = (centre[..., None] + half[..., None] * nodes).flatten(1)
    return x.T, (half[..., None] * weights).flatten(1).T
