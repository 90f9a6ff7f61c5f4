"""Functions that are polynomials in each cell: their jets at points, and their integrals."""

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.polynomials import LocalPolynomials
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


def square_integrals(at: CellPoints, polynomials: LocalPolynomials, coefficients: Tensor) -> Tensor:
    """The integrals of the squares of all fields over cells, by the rule of points in them, (c,).

    Args:
        at: the points.
        polynomials: the functions of a cell.
        coefficients: of some of the fields in all cells, (N, L, fields).
    """
    if at.alike:  # the rule is that of a whole cell, where polynomials are orthonormal
        volumes = (1 / at.scale).prod(dim=1)
        return volumes * coefficients[at.cells].square().sum(dim=(1, 2))
    values = jets_at(at, polynomials, Channels(at.points.names), coefficients)
    return torch.einsum("cq,cqpm->c", at.weights, values.square())


def integrals(at: CellPoints, polynomials: LocalPolynomials, coefficients: Tensor) -> Tensor:
    """The integrals of each field over cells, by the rule of points in them, (c, m).

    The arguments are those of `square_integrals`.
    """
    if at.alike:  # only the first polynomial has an integral
        own = coefficients[at.cells]
        return at.weights.sum(dim=1)[:, None] * own[:, 0] * 2 ** (-polynomials.dim / 2)
    values = jets_at(at, polynomials, Channels(at.points.names), coefficients)
    return torch.einsum("cq,cqpm->cm", at.weights, values)
