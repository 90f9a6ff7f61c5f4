"""B-splines on separate knots for each input, evaluated as piecewise polynomials."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.networks.basis import piecewise
from kanpinn.networks.basis.basis import Basis, Moved, project
from kanpinn.networks.basis.spline_spaces import (
    contains_breaks,
    knots_from_breaks,
    refined_breaks,
    refinement_matrix,
    uniform_knots,
)


class BSplines(Basis):
    """All B-splines of degree k ≥ 1 on the given knots, G + k for each input with G intervals.

    Args:
        knots: (n_in, G + 2 k + 1), one non-decreasing row for each input.
        degree: k. Derivatives above it are zero.

    Raises:
        InputError: for a degree above 170, or knots for which coefficients are not finite.

    Reference: de Boor, A Practical Guide to Splines (1978), chapter X, (8) and (15).
    """

    knots: Tensor
    _living: Tensor  # (n_in, G + 2, k + 1): the splines whose support contains each piece
    _local: Tensor  # (n_in, G + 2, k + 1, k + 1): their coefficients, powers first
    _matrix: Tensor | None  # (n_in, (G + 2)(k + 1), G + k): `_local`, zero for other splines

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
            self.knots = before  # of which there is a table: optimizers often go back to a state
        else:
            self._tabulate()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        dtype = self.knots.dtype
        super()._apply(fn, recurse)
        if self.knots.dtype != dtype:  # converted tables would keep the lower precision
            self._tabulate()
        return self

    def _tabulate(self) -> None:
        """Compute the splines' coefficients as polynomials about the midpoint of each interval.

        Outside the grid they are the tangents at its ends. Intervals of length zero get zeros.
        """
        knots, k = self.knots, self.degree
        self.breaks = knots[:, k:-k]
        self.intervals, self.size = knots.shape[1] - 2 * k - 1, knots.shape[1] - k - 1
        too_much = f"degree {k} on {self.intervals} intervals is more than {knots.dtype} can hold"
        if k > 170:  # larger factorials overflow float64
            raise InputError(too_much)
        near = knots[:, 1:-1].unfold(1, 2 * k, 1)
        near = torch.cat([near[:, :1], near, near[:, -1:]], dim=1)
        derivatives = _local_splines(piecewise.centres(self.breaks), near, k)
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
        local = piecewise.values(x, self._local, self.breaks, order).movedim(1, -1)
        input_ = torch.arange(len(self._living), device=x.device)
        piece = piecewise.locate(x, self.breaks)
        return self._living[input_, piece], local.movedim(0, -3)

    def combine(self, x: Tensor, coefficients: Tensor, order: int = 0) -> Tensor:
        if self._matrix is not None:
            table = torch.bmm(self._matrix, coefficients).unflatten(1, self._local.shape[1:3])
        else:
            index = self._living.flatten(1)[..., None].expand(-1, -1, coefficients.shape[2])
            near = coefficients.gather(1, index).unflatten(1, self._living.shape[1:])
            table = self._local @ near
        values = piecewise.values(x, table, self.breaks, order)
        return values.movedim(1, -1).movedim(0, -3)

    def transposed(self, x: Tensor, weights: Tensor, out: Tensor) -> None:
        n_in, pieces, powers, _ = self._local.shape
        piece = piecewise.locate(x, self.breaks)
        s = piecewise.offset(x, self.breaks, piece).T.contiguous()
        moments = piecewise.moments(s[:, None], weights, powers)
        position = (piece + torch.arange(n_in, device=x.device) * pieces).T.flatten()
        first = self._living[:, :, 0].flatten()
        spline = first.index_select(0, position).view(n_in, 1, 1, -1)
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

    def moved(self, coefficients: Tensor, breaks: Tensor) -> Moved:
        """See `Basis.moved`; the L2 projection if an inner break of the old grid is missing."""
        new = self.on(breaks)
        if not contains_breaks(self.knots, new.knots, self.degree):
            return project(coefficients, self, new)
        return Moved(new, refinement_matrix(self.knots, new.knots, self.degree) @ coefficients)

    def refined(self, coefficients: Tensor, intervals: int, low: Tensor, high: Tensor) -> Moved:
        """See `Basis.refined`; the breaks are those of `refined_breaks`.

        The functions are exact if `refined_breaks` keeps all old breaks in the range.
        """
        rows = zip(self.breaks, low, high, strict=True)
        return self.moved(
            coefficients, torch.stack([refined_breaks(*row, intervals) for row in rows])
        )

    def of_inputs(self, inputs: Sequence[int]) -> Self:
        return type(self)(self.knots[inputs], self.degree)

    def as_spline(self, coefficients: Tensor, i: int) -> tuple[Tensor, int, Tensor]:
        return self.knots[i].clone(), self.degree, coefficients.clone()


def _local_splines(x: Tensor, near: Tensor, degree: int) -> list[Tensor]:
    """The k + 1 B-splines that do not vanish at x, with derivatives up to k, (..., k + 1) each.

    near: the knots around x, (..., 2 k), k on either side.
    """
    pad = torch.nn.functional.pad  # (falling, 0) + (0, rising) along the last axis
    by_degree = [torch.ones_like(x)[..., None]]
    for r in range(1, degree + 1):
        left, right = near[..., degree - r : degree], near[..., degree : degree + r]
        share = by_degree[-1] / (right - left)
        rising, falling = (x[..., None] - left) * share, (right - x[..., None]) * share
        by_degree.append(pad(falling, (0, 1)) + pad(rising, (1, 0)))
    # The m-th derivatives are m times B' = r (B/Δ - B/Δ), from the B-splines of degree k - m.
    found = by_degree[0][None]
    for r in range(1, degree + 1):
        share = r * found / (near[..., degree : degree + r] - near[..., degree - r : degree])
        found = pad(-share, (0, 1)) + pad(share, (1, 0))
        found = torch.cat([by_degree[r][None], found])
    return list(found.unbind(0))
