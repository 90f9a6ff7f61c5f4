"""In which coordinates cells are halved: those in which the highest degrees carry the error."""

import itertools

import torch
from torch import Tensor

from kanpinn.cells.polynomials import LocalPolynomials


def coordinates_to_halve(polynomials: LocalPolynomials, coefficients: Tensor) -> Tensor:
    """The coordinates in which halving a cell reduces the error most for its cost, a mask (N, d).

    What the polynomials leave out is taken to be like their terms of the highest two degrees.
    Halving in one coordinate multiplies a term of the degree n in it by about 2^-n, and doubles the
    cells. So the coordinates are those with the largest logarithm of the reduction per halving. All
    coordinates are taken unless others exceed them in this by a third: where many features are
    unresolved, the terms tell little. Without this preference an oblique front took 11 trees in
    place of 8.

    Args:
        polynomials: the functions of a cell.
        coefficients: of a solution, (N, L, m).
    """
    clearly, highest = 1.3, 2
    first = polynomials.count(polynomials.degree - highest)
    squares = coefficients[:, first:].square().sum(dim=2)
    sums = squares.sum(dim=1, keepdim=True)
    every = itertools.product((True, False), repeat=polynomials.dim)  # all coordinates come first
    choices = torch.tensor([one for one in every if any(one)])
    powers = polynomials.powers[first:] @ choices.T.long()  # (terms, choices)
    left = torch.where(sums > 0, squares @ 0.25 ** powers.double() / sums, 1.0)
    gains = -left.log() / choices.sum(dim=1)
    gains[:, 0] *= clearly
    return choices[gains.argmax(dim=1)]
