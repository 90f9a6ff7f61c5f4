"""Least squares in cells, which are halved until the estimated error is small enough."""

from dataclasses import dataclass, replace

import torch

from kanpinn._support.errors import InputError, integer, number
from kanpinn.cells.adaptive.cell_settings import CellSettings
from kanpinn.cells.adaptive.dissection_stage import DissectionStage
from kanpinn.cells.adaptive.number_stage import NumberStage
from kanpinn.cells.cells import require_cells
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer


@dataclass(frozen=True)
class Dissection(Optimizer):
    """Solve for a network in cells by least squares, and halve the cells with the largest errors.

    Each step is one least-squares solve. A tree takes one step for a linear equation, and several,
    those of Newton's method, for a nonlinear one. The coefficients of each cell are eliminated
    first, then the traces on faces in the order of a nested dissection; for many cells conjugate
    gradients find the traces. For tolerances below 1e-10 the same factors also correct the solution
    for rounding, which takes twice the memory. After the last step on a tree the fewest cells are
    halved that have the part `bulk` of the sum of squared indicators. Where the error is less than
    100 times the tolerance, those are halved for which the tolerance has no room. A cell's
    indicator is the size of an error whose residual is the root of the cell's share of the
    functional: h² times this root for -Δu. They are halved in those coordinates in which the
    highest degrees carry the error. The ratio of errors to indicators follows from the change of
    the solution from one tree to the next. Before the solve ends, the solution is compared with one
    of a degree that is higher by 2, in smaller cells at singular corners and with more accurate
    integrals of a singular source, and its residuals are integrated at other points.

    Unknown numbers are found from data by steps of the Levenberg–Marquardt method. At each step the
    fields are the solution for the present numbers, and other right-hand sides give the derivatives
    of the fields by the numbers. So the tolerance is that of the fields for given numbers.

    Args:
        tolerance: the relative error, in L2, at which to stop.
        cells: the largest number of cells.
        bulk: the part of the squared error that the cells to be halved have, up to 1, while the
            error is more than 100 times the tolerance.
        steps: the largest number of solves.

    Raises:
        InputError: for values out of range; in a solve, for another kind of network, or what cells
            cannot solve.

    Reference: Dörfler, A convergent adaptive algorithm for Poisson's equation (1996), for the bulk.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(-20*(x - y)**2)")
        >>> method = kp.Dissection(tolerance=1e-4)
        >>> solution = kp.solve(problem, kp.Cells([2, 1], degree=10, cells=2), method)
        >>> solution.status, solution.errors.l2_relative < 1e-4
        ('converged', True)
    """

    tolerance: float = 1e-8
    cells: int = 20_000
    bulk: float = 0.99
    steps: int = 100
    needs_fixed_points = True
    lowers_loss = False
    fits_points = False

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        integer("cells", self.cells)
        integer("steps", self.steps)
        number("bulk", self.bulk, above=True)
        if self.bulk > 1:
            raise InputError(f"bulk must be at most 1, got {self.bulk}")

    def check(self, network: Network) -> None:
        dtype = require_cells(network).layer.coefficients.dtype
        if dtype != torch.float64:
            raise InputError(
                f"dtype must be float64 for a network in cells, got {dtype}: rounded coefficients "
                "would not have the accuracy that is estimated"
            )

    def finer(self) -> "Dissection":
        """A single solve on the cells that a network of a higher degree has from the beginning."""
        return replace(self, steps=1)

    def start(self, residuals: Residuals, seed: int) -> DissectionStage:
        settings = CellSettings(self.tolerance, self.cells, self.bulk)
        network = require_cells(residuals.surrogate.network)
        if network.constants is not None or network.coefficient is not None:
            return NumberStage(settings, residuals, seed)
        network.forget_numbers()  # those of another problem
        return DissectionStage(settings, residuals)
