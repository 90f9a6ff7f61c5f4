"""Networks in cells: a small KAN in each box of a tree."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer
from kanpinn.cells.cell_layer import CellLayer
from kanpinn.cells.coefficient_network import begun_outputs, beside_functions
from kanpinn.cells.corner_layer import CornerLayer
from kanpinn.cells.kan_of_polynomials import kan_of_polynomials
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.tree import Tree
from kanpinn.jets import Coordinates, Jet, join
from kanpinn.networks.kan import KAN
from kanpinn.networks.layer import Layers, Tape
from kanpinn.networks.network import Network, check_width
from kanpinn.networks.sensitivities import Sensitivities


class Cells(Network):
    """A small KAN in each cell, the boxes of a tree over the domain. `Dissection` solves for them.

    In each cell the output is a polynomial of total degree k. That is a KAN [d, W, m] with affine
    inner edges in W directions, of which the outer functions have degree k; `kan` gives it. The
    cells are coupled by their values and derivatives on the faces between them, in the same
    least-squares problem as the equation, and are halved where the error is largest. The domain is
    a box, or any domain in the plane or in space whose boundary consists of triangles, or of parts
    of boxes and balls. Cells outside of it are left out, and those that its boundary cuts have the
    polynomials of the bounding box of their part. Where a condition `Interface` divides the domain,
    a cell that it cuts has polynomials on either side. Cells around a corner of the plane may have
    its singular functions too, see `CornerLayer`.

    Args:
        width: the numbers of inputs, at most 4, and of fields, such as [2, 1].
        degree: k, from 1 to 30.
        cells: the number of cells along each coordinate before any is halved, or one number for
            all. They are boxes of the same shape as the domain's bounding box for equal numbers.
        coefficient: a network of unknown coefficient fields, which are the last of the fields. Its
            output layer, which the solve finds, begins at zero.
        dtype: of the coefficients.

    Raises:
        InputError: for hidden layers, or numbers out of range.

    Reference: Jagtap and Karniadakis, Extended physics-informed neural networks (2020), for
    networks in subdomains; Bensow and Larson, Discontinuous/continuous least-squares finite element
    methods for elliptic problems (2005), for jumps in least squares.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(x) * sin(y)")
        >>> solution = kp.solve(problem, kp.Cells([2, 1], degree=10, cells=1), kp.Dissection(1e-6))
        >>> solution.network.count, solution.errors.l2_relative < 1e-6
        (1, True)
    """

    solved_by = "Dissection"
    unweighted = "Dissection weighs equation and conditions by the sizes of the cells"
    threads = 1  # matrices of single cells are too small for more
    most_inputs: ClassVar[int] = 4
    highest: ClassVar[int] = 30  # degree, beyond which rounding grows faster than errors fall

    def __init__(
        self,
        width: Sequence[int],
        degree: int = 12,
        cells: int | Sequence[int] = 4,
        *,
        coefficient: Network | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        inputs, *hidden, fields = check_width(width)
        if hidden:
            raise InputError(
                f"width must be [inputs, fields] for Cells, which have no hidden layer of their "
                f"own, got {list(width)}"
            )
        if inputs > self.most_inputs:
            raise InputError(
                f"width must have at most {self.most_inputs} inputs for Cells, got {list(width)}: "
                "a box in more coordinates has too many cells at its boundary"
            )
        if integer("degree", degree) > self.highest:
            raise InputError(f"degree must be at most {self.highest} for Cells, got {degree}")
        counts = [cells] * inputs if isinstance(cells, int) else list(cells)
        if len(counts) != inputs:
            raise InputError(f"cells must be one number or {inputs}, got {cells!r}")
        tree = Tree.uniform([integer("cells", one) for one in counts])
        self.coefficient = coefficient
        if coefficient is not None:
            fields -= begun_outputs(coefficient, width)
        layer = CellLayer(tree, LocalPolynomials(degree, inputs), fields)
        self.layers = cast(Sequence[CellLayer], Layers([layer.to(dtype)]))
        self._directions: CellLayer | None = None
        self.corners: CornerLayer | None = None

    @property
    def layer(self) -> CellLayer:
        """The layer of all cells."""
        (layer,) = cast(Sequence[CellLayer], self.layers)
        return layer

    @property
    def tree(self) -> Tree:
        """The cells."""
        return self.layer.tree

    @property
    def polynomials(self) -> LocalPolynomials:
        """The functions of each cell."""
        return self.layer.polynomials

    @property
    def degree(self) -> int:
        """The degree k of the polynomials."""
        return self.polynomials.degree

    @property
    def count(self) -> int:
        """The number of cells."""
        return len(self.tree)

    @property
    def own_fields(self) -> int:
        """The number of fields that are polynomials in cells: all but unknown coefficients."""
        return self.layer.coefficients.shape[2]

    @property
    def width(self) -> tuple[int, ...]:
        others = 0 if self.coefficient is None else self.coefficient.width[-1]
        return (self.polynomials.dim, self.own_fields + others)

    @property
    def max_order(self) -> int | None:
        return self.degree

    @property
    def pieces(self) -> Tensor:  # type: ignore[override]
        """The boxes of the cells in the bounding box: their corners, (n, 2, d) in [0, 1]."""
        return (self.tree.undivided.boxes + 1) / 2

    def prepare(self, x: Tensor) -> None:
        """Place the grids of a coefficient's network; the cells do not depend on points."""
        if self.coefficient is not None:
            self.coefficient.prepare(x)

    def richer(self, more: int = 2) -> "Cells":
        """A network on the same cells with the same function, of a higher degree.

        more: the difference of the degrees, as far as they are permitted.
        """
        degree = min(self.highest, self.degree + more)
        polynomials = LocalPolynomials(degree, self.polynomials.dim)
        padded = polynomials.padded(self.layer.coefficients.detach())
        return self.with_fields(polynomials, self.tree, self.layer.frames, padded)

    @torch.no_grad()
    def with_fields(
        self, polynomials: LocalPolynomials, tree: Tree, frames: Tensor, coefficients: Tensor
    ) -> "Cells":
        """A copy of the network with other fields, in the same regions of the domain.

        Args:
            polynomials: the functions of each cell.
            tree: the cells.
            frames: the lower and upper corners of their frames, (N, 2, d).
            coefficients: of the fields, (N, L, m).
        """
        made = deepcopy(self)
        layer = self.layer.with_functions(polynomials, tree, frames, coefficients)
        made.layers = cast(Sequence[CellLayer], Layers([layer]))
        return made

    @torch.no_grad()
    def follow_numbers(self, directions: Tensor) -> None:
        """Take the derivatives of the fields by unknown numbers, on the present cells.

        They are those of the fields in cells by the coefficients of the coefficient's network, if
        there is one, and then by the unknown numbers.

        directions: of all these fields by the first number, the second, …, (N, L, K m).
        """
        self._directions = self.layer.with_functions(
            self.polynomials, self.tree, self.layer.frames, directions
        ).requires_grad_(False)
        count = directions.shape[2] // self.own_fields
        self.sensitivities = Sensitivities(self._directions.coefficients.new_zeros(count))

    def forget_numbers(self) -> None:
        """Forget the derivatives by unknown numbers."""
        self.sensitivities = self._directions = None

    def jet(self, coordinates: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        found, known = super().jet(coordinates, tape), self.coefficient
        if self.corners is not None:
            assert isinstance(coordinates, Coordinates)
            found = found + self.corners.jet(coordinates, self.tree)
        if known is not None:
            found = join([found, known.jet(coordinates, tape)])
        if self.sensitivities is None or tape is None:  # they add nothing but a Jacobian
            return found
        assert self._directions is not None
        directions = self._directions(coordinates)
        if known is not None:
            count = len(self.sensitivities.coefficients)
            directions = beside_functions(directions, known, coordinates, count)
        return found + self.sensitivities(directions, tape)

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # A saved network may have functions of corners, and derivatives by unknown numbers.
        self.forget_numbers()
        self.corners = None
        if (corners := state.get(f"{prefix}corners.corners")) is not None:
            none = corners.new_zeros(0, 5)
            self.corners = CornerLayer(corners, none, none[:, :4], self.own_fields)
        if (numbers := state.get(f"{prefix}sensitivities.coefficients")) is not None:
            count, size, fields = self.layer.coefficients.shape
            self.follow_numbers(numbers.new_zeros(count, size, len(numbers) * fields))
        super()._load_from_state_dict(state, prefix, *args)

    def kan(self, cell: int) -> KAN:
        """The KAN of one cell, of its own coordinates in [-1, 1]^d: the same polynomials.

        Singular functions of corners and known functions are not in it. See `kan_of_polynomials`.

        Args:
            cell: the number of the cell.
        """
        return kan_of_polynomials(self.polynomials, self.layer.coefficients[cell].double().cpu())


def require_cells(network: Network) -> Cells:
    """Return the network if it is one in cells.

    Raises:
        InputError: for another kind of network.
    """
    if not isinstance(network, Cells):
        raise InputError(
            'dissection is for networks in cells, network.type = "cells": this one is a '
            f"{type(network).__name__}"
            + (", expected Cells(…, coefficient=…)" if len(network.parts) > 1 else "")
        )
    return network
