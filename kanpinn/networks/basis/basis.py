"""What a basis of edge functions is: values, derivatives, and the way to other grids."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy
import torch
from torch import Tensor, nn


class Basis(nn.Module, ABC):
    """`size` functions B_k of one variable for each of n_in inputs, each input on its own grid.

    Outside its grid a function continues as its tangent (C¹). A basis is never changed in place:
    what moves or refines a grid returns another basis, so that whatever is computed from a basis
    stays valid for as long as the object is there.

    degree: k ≥ 1. intervals: G ≥ 1. size: the number of functions per input, G + k for every kind
    of basis; with one interval they span the polynomials of degree k. breaks: (n_in, pieces + 1);
    between two breaks the functions are polynomials of degree `piece_degree`, and the grid of an
    input is from its first break to its last.
    """

    degree: int
    intervals: int
    size: int
    piece_degree: int
    breaks: Tensor

    @classmethod
    @abstractmethod
    def uniform(cls, low: Tensor, high: Tensor, intervals: int, degree: int) -> Self:
        """The basis with so many equal intervals on [low, high], (n_in,) each.

        Raises:
            InputError: where the numbers are beyond what the tensors' precision can hold.
        """

    @abstractmethod
    def values(self, x: Tensor, order: int = 0) -> Tensor:
        """All functions and their derivatives, B_k^(r)(x_i) for r = 0 … order.

        Args:
            x: (..., n_in), one argument for each input.
            order: the highest derivative.

        Returns:
            (..., order + 1, n_in, size), differentiable any number of times with respect to x.
        """

    @abstractmethod
    def combine(self, x: Tensor, coefficients: Tensor, order: int = 0) -> Tensor:
        """Σ_k c_ikm B_k^(r)(x_i), (..., order + 1, n_in, m); coefficients: (n_in, size, m)."""

    @abstractmethod
    def transposed(self, x: Tensor, weights: Tensor, out: Tensor) -> None:
        """Write Σ_r w_rimn B_k^(r)(x_ni) of each point n: the transpose of `combine`, by points.

        Args:
            x: (n, n_in).
            weights: (order + 1, n_in, m, n).
            out: zeros to write into, (n_in, size, m, n).
        """

    @abstractmethod
    def one(self) -> Tensor:
        """The coefficients of the constant function 1, (size,)."""

    @abstractmethod
    def on(self, breaks: Tensor) -> Self:
        """A basis of the same kind on other breaks, (n_in, pieces + 1).

        Raises:
            InputError: for breaks that a basis of this kind cannot have.
        """

    @abstractmethod
    def moved(self, coefficients: Tensor, breaks: Tensor) -> "Moved":
        """The same functions on other breaks: exact where breaks are added or the range is widened.

        Args:
            coefficients: (n_in, size, m).
            breaks: (n_in, pieces + 1).

        Raises:
            InputError: for breaks that a basis of this kind cannot have.
        """

    @abstractmethod
    def refined(self, coefficients: Tensor, intervals: int, low: Tensor, high: Tensor) -> "Moved":
        """The same functions on `intervals` intervals, on the grid's part in [low, high], (n_in,).

        Exact where the new space contains the old one; see each basis for when it does.
        """

    @abstractmethod
    def of_inputs(self, inputs: Sequence[int]) -> Self:
        """The basis of these inputs only."""

    @abstractmethod
    def as_spline(self, coefficients: Tensor, i: int) -> tuple[Tensor, int, Tensor]:
        """Σ_k c_k B_k of input i as a B-spline.

        Args:
            coefficients: (size,).
            i: the number of the input.

        Returns:
            Knots (n + degree + 1,), degree, and B-spline coefficients (n,).
        """

    def fit(self, x: Tensor, values: Tensor) -> Tensor:
        """Least-squares coefficients (n_in, size, m) of functions that are known at samples.

        A rank-deficient system, with fewer samples than functions, gives the smallest coefficients.

        Args:
            x: (n, n_in), the arguments of each input.
            values: (n, n_in, m), each input's own functions.
        """
        matrix = self.values(x)[:, 0].movedim(1, 0)
        driver = "gelsd" if x.device.type == "cpu" else "gels"
        return torch.linalg.lstsq(matrix, values.movedim(1, 0), driver=driver).solution

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Gauss nodes and weights (n, n_in) of the mean over each input's grid.

        Exact for products of two functions of the basis.
        """
        x, weights = _gauss_points(self.breaks, self.piece_degree)
        return x, weights / (self.breaks[:, -1] - self.breaks[:, 0])


@dataclass(frozen=True)
class Moved:
    """Functions on another basis.

    coefficients: (n_in, size, m). error: ‖f - Pf‖ / ‖f‖ in L2 over the new grid, 0 where the
    functions have not changed.
    """

    basis: Basis
    coefficients: Tensor
    error: float = 0.0


def project(coefficients: Tensor, old: Basis, new: Basis) -> Moved:
    """The L2 projection of functions on another basis.

    Args:
        coefficients: of the old basis, (n_in, size, m).

    The integrals are exact: Gauss points in each interval of the common refinement of both grids.
    """
    grid = new.breaks
    merged = torch.cat([grid, old.breaks], dim=1)
    merged = merged.clamp(grid[:, :1], grid[:, -1:]).sort(dim=1).values
    x, weights = _gauss_points(merged, max(old.piece_degree, new.piece_degree))
    target = torch.einsum("nik,iko->nio", old.values(x)[:, 0], coefficients)
    root = weights.sqrt()[..., None]
    matrix = new.values(x)[:, 0] * root
    driver = "gels" if matrix.is_cuda else "gelsd"  # torch's default gives other bits each time
    rows, goal = matrix.movedim(1, 0), (target * root).movedim(1, 0)
    solution = torch.linalg.lstsq(rows, goal, driver=driver).solution
    defect = torch.einsum("nik,iko->nio", matrix, solution) - target * root
    scale = torch.linalg.norm(target * root)
    error = float(torch.linalg.norm(defect) / scale) if scale > 0 else 0.0
    return Moved(new, solution, error)


def _gauss_points(breaks: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights (n, n_in) with degree + 1 Gauss points between each two breaks."""
    rule = numpy.polynomial.legendre.leggauss(degree + 1)
    nodes, weights = (torch.as_tensor(a, dtype=breaks.dtype, device=breaks.device) for a in rule)
    half, centre = breaks.diff(dim=1) / 2, (breaks[:, 1:] + breaks[:, :-1]) / 2
    x = (centre[..., None] + half[..., None] * nodes).flatten(1)
    return x.T, (half[..., None] * weights).flatten(1).T
