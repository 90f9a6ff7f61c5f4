"""The base class of bases of edge functions: values, derivatives, and changes of the grid."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy
import torch
from torch import Tensor, nn


class Basis(nn.Module, ABC):
    """`size` functions B_j of one variable for each of n_in inputs, each input on its own grid.

    Outside its grid a function continues as its tangent (C¹). A basis is never changed in place:
    moving or refining a grid returns another basis, so that results computed from a basis stay
    valid as long as the object exists.

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
        """The basis of a degree on equal intervals of [low, high].

        Args:
            low, high: the ends of the grid of each input, (n_in,) each.
            intervals: the number of intervals G.
            degree: k.

        Raises:
            InputError: if the coefficients exceed the range of the tensors' dtype.
        """

    @abstractmethod
    def values(self, x: Tensor, order: int = 0) -> Tensor:
        """The values and derivatives B_j^(r)(x_i) of all functions for r = 0 … order.

        Args:
            x: the arguments of the inputs, (..., n_in).
            order: the highest derivative.

        Returns:
            (..., order + 1, n_in, size), differentiable any number of times with respect to x.
        """

    @abstractmethod
    def on(self, breaks: Tensor) -> Self:
        """A basis of the same kind on other breaks, (n_in, pieces + 1).

        Raises:
            InputError: for breaks that a basis of this kind cannot have.
        """

    @abstractmethod
    def as_spline(self, coefficients: Tensor, i: int) -> tuple[Tensor, int, Tensor]:
        """The function Σ_j c_j B_j of input i as a B-spline.

        Args:
            coefficients: c, (size,).
            i: the index of the input.

        Returns:
            Knots (n + degree + 1,), degree, and B-spline coefficients (n,).
        """

    def living(self, x: Tensor, order: int = 0) -> tuple[Tensor, Tensor]:
        """The indices of the functions that do not vanish near x, and their values as in `values`.

        Returns:
            The indices, (..., n_in, local), and B_j^(r)(x_i), (..., order + 1, n_in, local). The
            points of one piece have the same indices.
        """
        values = self.values(x, order)
        return torch.arange(self.size, device=x.device).expand(*x.shape, -1), values

    def combine(self, x: Tensor, coefficients: Tensor, order: int = 0) -> Tensor:
        """The values and derivatives Σ_j c_ijm B_j^(r)(x_i) of linear combinations.

        Args:
            x: the arguments of the inputs, (..., n_in).
            coefficients: c, (n_in, size, m).
            order: the highest derivative.

        Returns:
            (..., order + 1, n_in, m).
        """
        return torch.einsum("...rik,ikm->...rim", self.values(x, order), coefficients)

    def transposed(self, x: Tensor, weights: Tensor, out: Tensor) -> None:
        """Write Σ_r w_rimn B_j^(r)(x_ni) into `out`: the transpose of `combine` at each point n.

        Args:
            x: the arguments of the inputs, (n, n_in).
            weights: w, (order + 1, n_in, m, n).
            out: zeros, which are overwritten, (n_in, size, m, n).
        """
        for k, values in enumerate(self.values(x, len(weights) - 1).movedim(0, -1).unbind(2)):
            out[:, k] = torch.einsum("rimn,rin->imn", weights, values)

    def one(self) -> Tensor:
        """The coefficients of the constant function 1, (size,)."""
        x, _ = self.quadrature()
        return self.fit(x, torch.ones_like(x)[..., None])[0, :, 0]

    def of_inputs(self, inputs: Sequence[int]) -> Self:
        """The basis of some of the inputs; inputs: the indices of these inputs."""
        return self.on(self.breaks[inputs])

    def finer(self, intervals: int, low: Tensor, high: Tensor) -> Self:
        """The basis on `intervals` intervals of the grid's part in [low, high], (n_in,) each.

        A range of width zero, that of a constant, keeps the whole grid.
        """
        first, last = self.breaks[:, 0], self.breaks[:, -1]
        low, high = torch.maximum(low, first), torch.minimum(high, last)
        narrow = high - low < 1e-6 * (last - first)
        low, high = torch.where(narrow, first, low), torch.where(narrow, last, high)
        return self.uniform(low, high, intervals, self.degree)

    def represented(self, coefficients: Tensor, new: "Basis") -> tuple[Tensor, float]:
        """Represent functions in another basis: exactly if it spans them, else by L2 projection.

        The integrals of the projection are exact, by a Gauss rule in each interval of both grids'
        common refinement.

        Args:
            coefficients: the coefficients of the functions in this basis, (n_in, size, m).
            new: a basis of the same kind.

        Returns:
            The coefficients in the new basis, (n_in, size, m), and ‖f - Pf‖ / ‖f‖ in L2 over the
            new grid, 0 if the functions have not changed.
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
        """The least-squares fit of functions that are given by samples.

        A rank-deficient system, such as one with fewer samples than basis functions, gives the
        coefficients of least norm.

        Args:
            x: the arguments of each input, (n, n_in).
            values: the samples of m functions for each input, (n, n_in, m).

        Returns:
            The coefficients, (n_in, size, m).
        """
        matrix = self.values(x)[:, 0].movedim(1, 0)
        driver = "gelsd" if x.device.type == "cpu" else "gels"
        return torch.linalg.lstsq(matrix, values.movedim(1, 0), driver=driver).solution

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """The nodes and weights of a Gauss rule for the mean over each grid, (n, n_in) each.

        The rule is exact for products of two functions of the basis.
        """
        x, weights = _gauss_points(self.breaks, self.piece_degree)
        return x, weights / (self.breaks[:, -1] - self.breaks[:, 0])


def _gauss_points(breaks: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """Gauss nodes and weights, (n, n_in) each, with degree + 1 nodes in every interval."""
    rule = numpy.polynomial.legendre.leggauss(degree + 1)
    nodes, weights = (torch.as_tensor(a, dtype=breaks.dtype, device=breaks.device) for a in rule)
    half, centre = breaks.diff(dim=1) / 2, (breaks[:, 1:] + breaks[:, :-1]) / 2
    x = (centre[..., None] + half[..., None] * nodes).flatten(1)
    return x.T, (half[..., None] * weights).flatten(1).T
