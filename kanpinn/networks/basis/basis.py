"""The base class of bases of edge functions: values, derivatives, and changes of the grid."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy
import torch
from torch import Tensor, nn


class Basis(nn.Module, ABC):
    """Base class of bases: for each of n_in inputs, functions B_j of one variable on a grid.

    Outside its grid a function continues as its tangent (C¹). A basis is never changed in place:
    moving or refining a grid returns another basis, so that results computed from a basis stay
    valid as long as the object exists.

    Attributes:
        degree: the degree k ≥ 1 of the polynomials that the functions span on one interval.
        intervals: the number of intervals G ≥ 1.
        size: the number of functions B_j of each input, G + k for every kind of basis.
        breaks: the ascending points of each input between which the functions are polynomials,
            (n_in, pieces + 1). The grid of an input is from its first to its last break.
        piece_degree: the degree of the polynomials between two breaks.
    """

    degree: int
    intervals: int
    size: int
    piece_degree: int
    breaks: Tensor

    @classmethod
    @abstractmethod
    def uniform(cls, low: Tensor, high: Tensor, intervals: int, degree: int) -> Self:
        """Return a basis of this kind on equal intervals of [low, high].

        Args:
            low, high: the ends of the grid of each input, (n_in,) each.
            intervals: the number of intervals G.
            degree: the degree k.

        Raises:
            InputError: if the functions' polynomial coefficients exceed the range of the dtype.
        """

    @abstractmethod
    def values(self, x: Tensor, order: int = 0) -> Tensor:
        """Return the values and derivatives B_j^(r)(x_i) of all functions for r = 0 … order.

        Args:
            x: the values x_i of the inputs, (..., n_in).
            order: the order of the highest derivative.

        Returns:
            A tensor (..., order + 1, n_in, size), differentiable any number of times with respect
            to x.
        """

    @abstractmethod
    def on(self, breaks: Tensor) -> Self:
        """Return a basis of the same kind on other breaks, (n_in, pieces + 1).

        Raises:
            InputError: for breaks that a basis of this kind cannot have.
        """

    @abstractmethod
    def as_spline(self, coefficients: Tensor, i: int) -> tuple[Tensor, int, Tensor]:
        """Return the function Σ_j c_j B_j of input i as a sum of n B-splines.

        Args:
            coefficients: c, (size,).
            i: the index of the input.

        Returns:
            The knots, (n + degree + 1,), the degree, and the coefficients of the B-splines, (n,).
        """

    def living(self, x: Tensor, order: int = 0) -> tuple[Tensor, Tensor]:
        """Return the indices and the values of the k basis functions that do not vanish near x.

        Args:
            x, order: see `values`.

        Returns:
            The indices j, (..., n_in, k), and B_j^(r)(x_i), (..., order + 1, n_in, k). The indices
            are the same for all arguments between two neighbouring breaks.
        """
        values = self.values(x, order)
        return torch.arange(self.size, device=x.device).expand(*x.shape, -1), values

    def combine(self, x: Tensor, coefficients: Tensor, order: int = 0) -> Tensor:
        """Return the values and derivatives Σ_j c_ijm B_j^(r)(x_i) of m functions of each input.

        Args:
            x: the values x_i of the inputs, (..., n_in).
            coefficients: c, (n_in, size, m).
            order: the order of the highest derivative.

        Returns:
            A tensor (..., order + 1, n_in, m).
        """
        return torch.einsum("...rik,ikm->...rim", self.values(x, order), coefficients)

    def transposed(self, x: Tensor, weights: Tensor, out: Tensor) -> None:
        """Write Σ_r w_rimn B_j^(r)(x_ni) into `out`: the transpose of `combine` at each point n.

        Args:
            x: the values of the inputs at n points, (n, n_in).
            weights: w, (order + 1, n_in, m, n).
            out: zeros, which are overwritten, (n_in, size, m, n).
        """
        for k, values in enumerate(self.values(x, len(weights) - 1).movedim(0, -1).unbind(2)):
            out[:, k] = torch.einsum("rimn,rin->imn", weights, values)

    def one(self) -> Tensor:
        """Return the coefficients of the constant 1 in the basis functions, (size,)."""
        x, _ = self.quadrature()
        return self.fit(x, torch.ones_like(x)[..., None])[0, :, 0]

    def of_inputs(self, inputs: Sequence[int]) -> Self:
        """Return the basis of the inputs with the given indices."""
        return self.on(self.breaks[inputs])

    def finer(self, intervals: int, low: Tensor, high: Tensor) -> Self:
        """Return a basis with `intervals` intervals on the part of the grid in [low, high].

        If the range [low, high] of an input has the length zero, the whole grid is used.

        Args:
            intervals: the new number of intervals.
            low, high: the ends of the range of each input, (n_in,) each.
        """
        first, last = self.breaks[:, 0], self.breaks[:, -1]
        low, high = torch.maximum(low, first), torch.minimum(high, last)
        narrow = high - low < 1e-6 * (last - first)
        low, high = torch.where(narrow, first, low), torch.where(narrow, last, high)
        return self.uniform(low, high, intervals, self.degree)

    def represented(self, coefficients: Tensor, new: "Basis") -> tuple[Tensor, float]:
        """Return the coefficients of the L2 projections of functions onto another basis.

        A function that the other basis can represent does not change. The integrals of the
        projection are exact: a Gauss rule is used on each interval between neighbouring breaks of
        both grids.

        Args:
            coefficients: the coefficients of the functions in this basis, (n_in, size, m).
            new: a basis of the same kind.

        Returns:
            The coefficients in the new basis, (n_in, new.size, m), and ‖f - Pf‖ / ‖f‖ in L2 over
            the new grid, where f are the functions and Pf their projections; 0 if f = Pf.
        """
        grid = new.breaks
        merged = torch.cat([grid, self.breaks], dim=1)
        merged = merged.clamp(grid[:, :1], grid[:, -1:]).sort(dim=1).values
        x, weights = _gauss_points(merged, max(self.piece_degree, new.piece_degree))
        root = weights.sqrt()[..., None]
        goal = torch.einsum("nik,iko->nio", self.values(x)[:, 0], coefficients) * root
        matrix = new.values(x)[:, 0] * root
        driver = "gels" if matrix.is_cuda else "gelsd"  # torch's default is not reproducible
        rows, columns = matrix.movedim(1, 0), goal.movedim(1, 0)
        solution = torch.linalg.lstsq(rows, columns, driver=driver).solution
        defect = torch.einsum("nik,iko->nio", matrix, solution) - goal
        scale = torch.linalg.norm(goal)
        return solution, float(torch.linalg.norm(defect) / scale) if scale > 0 else 0.0

    def fit(self, x: Tensor, values: Tensor) -> Tensor:
        """Fit functions that are given by samples, by least squares; return their coefficients.

        If the fit is not unique, for example with fewer samples than basis functions, the
        coefficients of least norm are returned (on the CPU).

        Args:
            x: the values of each input at n samples, (n, n_in).
            values: the samples of m functions for each input, (n, n_in, m).

        Returns:
            The coefficients, (n_in, size, m).
        """
        matrix = self.values(x)[:, 0].movedim(1, 0)
        driver = "gelsd" if x.device.type == "cpu" else "gels"
        return torch.linalg.lstsq(matrix, values.movedim(1, 0), driver=driver).solution

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return nodes and weights, (n, n_in) each, of a Gauss rule for the mean over each grid.

        The rule is exact for products of two functions of the basis.
        """
        x, weights = _gauss_points(self.breaks, self.piece_degree)
        return x, weights / (self.breaks[:, -1] - self.breaks[:, 0])


def _gauss_points(breaks: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """Return Gauss nodes and weights, (n, n_in) each, with degree + 1 nodes in every interval.

    Args:
        breaks: the ends of the intervals for each input, (n_in, intervals + 1).
    """
    rule = numpy.polynomial.legendre.leggauss(degree + 1)
    nodes, weights = (torch.as_tensor(a, dtype=breaks.dtype, device=breaks.device) for a in rule)
    half, centre = breaks.diff(dim=1) / 2, (breaks[:, 1:] + breaks[:, :-1]) / 2
    x = (centre[..., None] + half[..., None] * nodes).flatten(1)
    return x.T, (half[..., None] * weights).flatten(1).T
