"""Functions that are polynomials in each cell: their jets at points, and their integrals."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.system.shared_functions import SharedSum
from kanpinn.jets import Channels


def jets_at(
    at: CellPoints,
    polynomials: LocalPolynomials,
    channels: Channels,
    coefficients: Tensor,
    kept: dict[tuple[float, ...], Tensor] | None = None,
) -> Tensor:
    """The stacked jets of a function at points of cells, (c, q, parts, m).

    Args:
        at: the points.
        polynomials: the functions of a cell.
        channels: the derivatives.
        coefficients: in all cells, (N, L, m).
        kept: gets the jets of the polynomials in cells of each size, for further functions at the
            same points; None to forget them. They are for points in the same places of each cell.
    """
    own, kept = coefficients[at.cells], {} if kept is None else kept
    if not at.alike:
        most = 2**20  # numbers of one kind at once
        each = max(1, most // (at.weights.shape[1] * (polynomials.degree + 1)))
        parts = zip(at.local.split(each), at.scale.split(each), own.split(each), strict=True)
        return torch.cat([polynomials.evaluated(channels, *part) for part in parts])
    scales, kind = at.scale.unique(dim=0, return_inverse=True)
    cells = [(kind == number).nonzero()[:, 0] for number in range(len(scales))]
    found = []
    for some, scale in zip(cells, scales, strict=True):
        size = tuple(scale.tolist())
        if size not in kept:
            kept[size] = polynomials.stacked(channels, at.local, scale)
        found.append(torch.einsum("qpl,clm->cqpm", kept[size], own[some]))
    return torch.cat(found)[torch.cat(cells).argsort()]


def sums_at(
    at: CellPoints,
    polynomials: LocalPolynomials,
    channels: Channels,
    coefficients: Tensor,
    shared: SharedSum | None,
) -> Tensor:
    """The stacked jets of polynomials and shared functions together, (c, q, parts, m).

    The arguments are those of `jets_at`, and the sums of shared functions; None without any.
    """
    found = jets_at(at, polynomials, channels, coefficients)
    return found if shared is None else found + shared.stacked(at, channels)


def square_integrals(
    at: CellPoints,
    polynomials: LocalPolynomials,
    coefficients: Tensor,
    counted: Sequence[int],
    shared: SharedSum | None = None,
) -> Tensor:
    """The integrals of the squares of some fields over cells, by the rule of points in them, (c,).

    Args:
        at: the points.
        polynomials: the functions of a cell.
        coefficients: in all cells, (N, L, m).
        counted: the numbers of the fields.
        shared: the functions in the fields that cells share; None without any.
    """
    squares = at.weights.new_zeros(len(at.cells))
    smooth = _without(shared, at) if at.alike else torch.zeros(len(at.cells), dtype=torch.bool)
    # The rule is that of a whole cell, where polynomials are orthonormal.
    volumes, counted = (1 / at.scale[smooth]).prod(dim=1), list(counted)
    own = coefficients[at.cells[smooth]][..., counted]
    squares[smooth] = volumes * own.square().sum(dim=(1, 2))
    others = (~smooth).nonzero()[:, 0]
    if len(others):
        values = _values(at.some(others), polynomials, coefficients, shared)[..., counted]
        squares[others] = torch.einsum("cq,cqm->c", at.weights[others], values.square())
    return squares


def integrals(
    at: CellPoints,
    polynomials: LocalPolynomials,
    coefficients: Tensor,
    shared: SharedSum | None = None,
) -> Tensor:
    """The integrals of each field over cells, by the rule of points in them, (c, m).

    The arguments are those of `square_integrals`.
    """
    if at.alike and bool(_without(shared, at).all()):  # only the first polynomial has an integral
        own = coefficients[at.cells]
        return at.weights.sum(dim=1)[:, None] * own[:, 0] * 2 ** (-polynomials.dim / 2)
    values = _values(at, polynomials, coefficients, shared)
    return torch.einsum("cq,cqm->cm", at.weights, values)


def nearest_polynomials(
    at: CellPoints, polynomials: LocalPolynomials, coefficients: Tensor, lower: LocalPolynomials
) -> Tensor:
    """The polynomials of a lower degree that are nearest to a function in L2, (c, L, m).

    Args:
        at: the points of a quadrature rule in the cells.
        polynomials: the functions of a cell.
        coefficients: in all cells, (N, L, m).
        lower: those of the lower degree.
    """
    own = coefficients[at.cells]
    if at.alike:  # orthonormal in whole cells
        return own[:, : lower.size]
    found = torch.zeros_like(own[:, : lower.size])
    for place in range(len(own)):
        roots, local = at.weights[place].sqrt()[:, None], at.local[place]
        matrix, right = lower.values(local), polynomials.values(local) @ own[place]
        found[place] = torch.linalg.lstsq(roots * matrix, roots * right, driver="gelsd").solution
    return found


def _without(shared: SharedSum | None, at: CellPoints) -> Tensor:
    """The cells that have no shared functions, a mask (c,)."""
    if shared is None:
        return torch.ones(len(at.cells), dtype=torch.bool)
    return ~shared.functions.members[:, at.cells].any(dim=0)


def _values(
    at: CellPoints, polynomials: LocalPolynomials, coefficients: Tensor, shared: SharedSum | None
) -> Tensor:
    """The values of the fields at points of cells, (c, q, m)."""
    return sums_at(at, polynomials, Channels(at.points.names), coefficients, shared)[:, :, 0]
