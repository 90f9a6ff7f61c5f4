"""Polynomial liftings of boundary data, and a test whether data are smooth."""

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
from kanpinn.networks.basis.chebyshev import chebyshev_polynomials
from kanpinn.networks.known_function import Function
from kanpinn.pde.conditions.condition import Prescribed

Values = Callable[[Points], Tensor]
OfCoords = Callable[[Coords], Tensor]  # a function of coordinates (n, d)


class NotExact(InputError):
    """Raised for Dirichlet data that cannot be built into a surrogate; the message says why."""


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Polynomial Σ_k c_k T_k1(ξ_1) ⋯ T_kd(ξ_d), with ξ in [-1, 1]^d the scaled coordinates.

    Args:
        low, high: the corners of the box that is scaled to [-1, 1]^d, (d,).
        exponents: the degrees k of the Chebyshev polynomials, (terms, d).
        coefficients: c, (terms, m).
    """

    low: Tensor
    high: Tensor
    exponents: Tensor
    coefficients: Tensor

    def __call__(self, coords: Coords) -> Tensor:
        return self.basis(coords) @ self.coefficients.to(coords)

    def basis(self, coords: Coords) -> Tensor:
        """Return the values of the Chebyshev products, the basis functions, (n, terms)."""
        low, high = self.low.to(coords), self.high.to(coords)
        xi = 2 * (coords - low) / (high - low) - 1
        powers = chebyshev_polynomials(xi, int(self.exponents.max()) + 1)  # (n, d, degree + 1)
        chosen = self.exponents.to(coords.device)
        columns = (powers[:, axis, which] for axis, which in enumerate(chosen.unbind(dim=1)))
        return math.prod(columns, start=torch.ones_like(xi[:, :1]))


def polynomial_lift(
    bounds: tuple[Tensor, Tensor], data: Sequence[tuple[Piece, Values]]
) -> Polynomial | None:
    """Return a polynomial of low degree that equals the data on the pieces, or None.

    Increasing degrees up to 36 are tried, as long as there are at most 1000 coefficients, and the
    first polynomial that reproduces the data is returned. It is the least-squares fit at points of
    the pieces and, where that is not unique, the fit with the smallest coefficients in a norm that
    weights high degrees more.

    Args:
        bounds: the corners of the domain's bounding box, (d,) each.
        data: the pieces, and the functions that give the values there.
    """
    check = _values([(_check_points(piece), values) for piece, values in data])
    largest = float(check[1].abs().max())
    for degree in (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 36):
        exponents = _exponents(degree, len(bounds[0]))
        if len(exponents) > 1000:  # a dense fit of more coefficients is slow
            break
        fit = _values([(_fit_points(piece, degree), values) for piece, values in data])
        start = Polynomial(*bounds, exponents, exponents.new_zeros(0))
        # Coefficients that the data leave free decay with the degree: g is smooth inside, too.
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
    """Return enough points of a piece to determine the polynomials of a degree n on it.

    At least n + 1 points along each direction are needed, and 2n + 1 on a curved piece.
    """
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
    """True if a function is smooth on a flat boundary piece and autograd gives its derivatives.

    Autograd misses the delta in the second derivative at a kink, and returns no derivatives of data
    that were computed outside of torch. In both cases the surrogate would silently have wrong
    derivatives. The test expands the function in Chebyshev polynomials on random chords of the
    piece, and compares the derivatives of the expansion with those of autograd.

    Args:
        piece: the boundary piece.
        function: a function of n points, which returns (n, m).
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
        # For a smooth function the last quarter of the coefficients is small.
        if coefficients[3 * order // 4 :].abs().max() <= 1e-7 * largest:
            return _slopes_agree(values, along, coefficients, angles)
    return False


def _slopes_agree(values: Tensor, along: Tensor, coefficients: Tensor, angles: Tensor) -> bool:
    """True if autograd's slopes equal those of Σ c_n T_n(cos θ), i.e. Σ n c_n sin(nθ) / sin θ."""
    numbers = torch.arange(len(angles), dtype=torch.float64)
    expected = (torch.sin(angles[:, None] * numbers) * numbers) @ coefficients
    expected = expected / torch.sin(angles)[:, None]
    found = torch.zeros_like(along)
    if values.requires_grad:
        (found,) = torch.autograd.grad(values.sum(), along)
    # Rounding is amplified near the ends of the chord, so only its middle is compared.
    middle = slice(len(angles) // 4, math.ceil(3 * len(angles) / 4))
    size = expected[middle].abs().max() + coefficients.abs().max() * 1e-3
    return bool((found - expected)[middle].abs().max() <= 1e-4 * size)


def check_smooth(data: Sequence[Prescribed], rough: bool) -> None:
    """Refuse data that are not smooth, or whose derivatives autograd does not give.

    The surrogate's derivatives contain those of the data. With `rough` all data are accepted.

    Raises:
        NotExact: naming the piece.
    """
    for one in data:
        if not (one.is_zero or rough or one.piece.dim == 0 or smooth_on(one.piece, one.values)):
            raise NotExact(
                f"the values prescribed on {one.piece.name} are not smooth, or their derivatives "
                "are not known"
            )
