"""Lifting: polynomials that take given values on a boundary, and whether values are smooth."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Coords
from kanpinn.geometry import Piece, Points
from kanpinn.geometry.sampling import sample
from kanpinn.networks.known_function import Function
from kanpinn.pde.conditions.condition import Prescribed

Values = Callable[[Points], Tensor]
OfCoords = Callable[[Coords], Tensor]  # of points (n, d)


class NotExact(InputError):
    """Dirichlet data that cannot be built into a surrogate; the message says why."""


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Σ_k c_k T_k1(ξ_1) ⋯ T_kd(ξ_d) of total degree n, ξ in [-1, 1]^d the scaled coordinates.

    low, high: (d,), the corners that ξ = ±1 stand for; coefficients: (terms, m).
    """

    low: Tensor
    high: Tensor
    exponents: Tensor
    coefficients: Tensor

    def __call__(self, coords: Coords) -> Tensor:
        return self.basis(coords) @ self.coefficients.to(coords)

    def basis(self, coords: Coords) -> Tensor:
        """The Chebyshev products, (n, terms)."""
        low, high = self.low.to(coords), self.high.to(coords)
        xi = 2 * (coords - low) / (high - low) - 1
        found = [torch.ones_like(xi), xi]
        for _ in range(int(self.exponents.max()) - 1):
            found.append(2 * xi * found[-1] - found[-2])
        powers = torch.stack(found, dim=2)  # (n, d, degree + 1)
        chosen = self.exponents.to(coords.device)
        columns = (powers[:, axis, which] for axis, which in enumerate(chosen.unbind(dim=1)))
        return math.prod(columns, start=torch.ones_like(xi[:, :1]))


def polynomial_lift(
    bounds: tuple[Tensor, Tensor], data: Sequence[tuple[Piece, Values]]
) -> Polynomial | None:
    """The polynomial of the lowest degree that takes the data on the pieces, None if none does.

    It is the least-squares fit at points of the pieces with the smallest coefficients, those of
    high degree weighing more, and depends on nothing but the data's values there.
    """
    check = _values([(_check_points(piece), values) for piece, values in data])
    largest = float(check[1].abs().max())
    for degree in (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 36):
        exponents = _exponents(degree, len(bounds[0]))
        if len(exponents) > 1000:  # a dense fit of more is slow
            break
        fit = _values([(_fit_points(piece, degree), values) for piece, values in data])
        start = Polynomial(*bounds, exponents, exponents.new_zeros(0))
        # Coefficients that the pieces do not fix decay with the degree: smooth inside too.
        scale = 1.7 ** -exponents.sum(dim=1).double()
        basis = start.basis(fit[0]) * scale
        solution = torch.linalg.lstsq(basis, fit[1], rcond=1e-14, driver="gelsd").solution
        found = Polynomial(*bounds, exponents, scale[:, None] * solution)
        if (found(check[0]) - check[1]).abs().max() <= 1e-11 * largest:
            return found
    return None


def _values(parts: list[tuple[Points, Values]]) -> tuple[Tensor, Tensor]:
    values = torch.cat([function(points) for points, function in parts])
    return torch.cat([points.coords for points, _ in parts]), values


def _fit_points(piece: Piece, degree: int) -> Points:
    """Enough to tell the polynomials apart: n + 1 along each direction, 2n + 1 where it is bent."""
    coords = piece.gauss(4**piece.dim).coords
    flat = torch.linalg.matrix_rank(coords - coords[:1], rtol=1e-9) <= piece.dim
    return piece.gauss((degree + 2 if flat else 3 * degree + 4) ** piece.dim)


def _check_points(piece: Piece) -> Points:
    spread = sample(piece, 32 * 4**piece.dim, "sobol")
    ends = piece.rim
    return Points.cat([spread, ends]) if len(ends) else spread


def _exponents(degree: int, dim: int) -> Tensor:
    each = itertools.product(range(degree + 1), repeat=dim)
    return torch.tensor([k for k in each if sum(k) <= degree])


def smooth_on(piece: Piece, function: Function) -> bool:
    """Whether a function is smooth on a flat piece of a boundary, and autograd knows its slopes.

    Autograd passes over a kink, whose second derivative is a delta, and knows nothing of data that
    come from elsewhere as numbers; either would silently be another function's derivatives. The
    function is expanded in Chebyshev polynomials on random chords of the piece.
    """
    generator, chords = torch.Generator().manual_seed(0), 12
    ends = piece.place(
        2 * chords, lambda n, d: torch.rand(n, d, dtype=torch.float64, generator=generator)
    ).coords
    pairs = zip(ends[:chords], ends[chords : 2 * chords], strict=True)
    return all(_smooth_between(a, b, function, piece.names) for a, b in pairs)


def _smooth_between(a: Tensor, b: Tensor, function: Function, names: tuple[str, ...]) -> bool:
    middle, half = (a + b) / 2, (b - a) / 2
    for order in (16, 32, 64, 128, 256):
        angles = torch.pi * (torch.arange(order, dtype=torch.float64) + 0.5) / order
        along = torch.cos(angles)[:, None].requires_grad_()
        with torch.enable_grad():
            values = function(Points(middle + along * half, names))
        waves = torch.cos(torch.arange(order, dtype=torch.float64)[:, None] * angles)
        coefficients = 2 / order * (waves @ values.detach())
        largest = coefficients.abs().max()
        # The last quarter of a smooth function's coefficients is small beside the largest.
        if coefficients[3 * order // 4 :].abs().max() <= 1e-7 * largest:
            return _slopes_agree(values, along, coefficients, angles)
    return False


def _slopes_agree(values: Tensor, along: Tensor, coefficients: Tensor, angles: Tensor) -> bool:
    """Whether autograd's slopes are those of Σ c_n T_n(cos θ), Σ n c_n sin(nθ) / sin θ."""
    numbers = torch.arange(len(angles), dtype=torch.float64)
    expected = (torch.sin(angles[:, None] * numbers) * numbers) @ coefficients
    expected = expected / torch.sin(angles)[:, None]
    found = torch.zeros_like(along)
    if values.requires_grad:
        (found,) = torch.autograd.grad(values.sum(), along)
    middle = slice(len(angles) // 4, math.ceil(3 * len(angles) / 4))  # ends amplify rounding
    size = expected[middle].abs().max() + coefficients.abs().max() * 1e-3
    return bool((found - expected)[middle].abs().max() <= 1e-4 * size)


def check_smooth(data: Sequence[Prescribed], rough: bool) -> None:
    """Refuse data whose derivatives, which the surrogate takes on, are not what autograd says.

    Raises:
        NotExact: naming the piece, unless the data may be rough.
    """
    for one in data:
        if not (one.is_zero or rough or one.piece.dim == 0 or smooth_on(one.piece, one.values)):
            raise NotExact(
                f"the values prescribed on {one.piece.name} are not smooth, or their derivatives "
                "are not known"
            )
