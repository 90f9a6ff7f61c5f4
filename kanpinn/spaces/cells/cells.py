"""The network `Cells`: a polynomial in each box of a tree, and singular functions at corners."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from operator import attrgetter
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError, integer, of_class
from kanpinn.jets import Coordinates, Jet, join
from kanpinn.jets.jet import derivatives_of_parts
from kanpinn.networks.constraints import periodic_axes, refuse_imposed, refuse_unfit
from kanpinn.networks.layer import Layer, Sensitivities, Tape, get_coefficients, set_coefficients
from kanpinn.networks.network import Imposition, Network
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.problem import EigenProblem, Problem
from kanpinn.spaces.cells.geometry.corner_functions import CLOSEST, CornerFunctions, Power
from kanpinn.spaces.cells.geometry.regions import Regions, regions_of
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.functions import CellFunctions
from kanpinn.spaces.cells.tree import Tree


class CellLayer(Layer):
    """The layer y_o(x) = Σ_l c_klo p_l(ξ), with polynomials p_l in each cell k of a tree.

    The own coordinates ξ of a point x in [-1, 1]^d are relative to the frame of the cell. The frame
    is the cell's box, or a smaller box in it if a boundary cuts the cell. A box that interfaces
    divide has one cell for each region.

    Args:
        tree: the cells.
        polynomials: the polynomials p_l, the same in each cell.
        n_out: the number of outputs.

    Attributes:
        coefficients: the coefficients c_klo of L orthonormal polynomials in each of N cells,
            (N, L, n_out).
        frames: the lower and the upper corner of each cell's frame, in coordinates in which the
            domain's bounding box is [-1, 1]^d, (N, 2, d).
        sides: the table that describes the regions of the domain, see `Regions`.
        counts: the numbers of boxes of level 0 along each coordinate, (d,).
    """

    resizable = True

    counts: Tensor
    level: Tensor
    place: Tensor
    region: Tensor
    frames: Tensor
    sides: Tensor

    def __init__(self, tree: Tree, polynomials: LocalPolynomials, n_out: int) -> None:
        super().__init__()
        self.roots, self.around, self.polynomials = tree.roots, tree.around, polynomials
        self.register_buffer("counts", torch.tensor(tree.roots))
        self.register_buffer("level", tree.level)
        self.register_buffer("place", tree.place)
        self.register_buffer("region", tree.region)
        self.register_buffer("frames", tree.boxes)
        self.register_buffer("sides", torch.zeros(0, 9, dtype=torch.float64))
        zeros = torch.zeros(len(tree), polynomials.size, n_out, dtype=torch.float64)
        self.coefficients = nn.Parameter(zeros)
        self._tree: Tree | None = tree

    @property
    def tree(self) -> Tree:
        """The tree of the cells, on the CPU."""
        if self._tree is None:
            parts = (self.level.cpu(), self.place.cpu(), self.region.cpu())
            self._tree = Tree(self.roots, *parts, self.around)
        return self._tree

    @property
    def regions(self) -> Regions:
        """The regions of the domain, on the CPU."""
        return Regions(self.sides.cpu())

    def divide(self, regions: Regions) -> None:
        """Set the regions into which interfaces divide the domain.

        If the regions change, each box gets a new cell for each region, with zero coefficients.

        Args:
            regions: the regions.
        """
        sides = regions.sides.to(self.sides)
        if not torch.equal(sides, self.sides):
            self.sides, tree = sides, self.tree.divided(regions.count)
            like = self.coefficients
            self.reset(tree, tree.boxes, like.new_zeros(len(tree), *like.shape[1:]))

    def go_around(self, axes: frozenset[int]) -> None:
        """Make the coordinates `axes` periodic, and all other coordinates not periodic."""
        self.around, self._tree = axes, None

    @torch.no_grad()
    def reset(self, tree: Tree, frames: Tensor, coefficients: Tensor) -> None:
        """Replace the tree, the frames of its cells and the coefficients.

        Args:
            tree: the new tree of N cells.
            frames: the corners of each cell's frame, see the class, (N, 2, d).
            coefficients: the coefficients, (N, L, n_out). Their number L determines the degree.
        """
        like = self.coefficients
        self.frames = frames.to(like)
        self._tree, self.roots, self.around = tree, tree.roots, tree.around
        self.polynomials = self.polynomials.of_size(coefficients.shape[1])
        self.counts, self.level, self.place, self.region = (
            part.to(like.device)
            for part in (torch.tensor(tree.roots), tree.level, tree.place, tree.region)
        )
        self.coefficients = nn.Parameter(coefficients.to(like))

    def with_functions(
        self, polynomials: LocalPolynomials, tree: Tree, frames: Tensor, coefficients: Tensor
    ) -> "CellLayer":
        """A new layer with the given cells and polynomials, in the same regions of the domain.

        Args:
            polynomials: the polynomials of each cell.
            tree: the cells.
            frames: the frame of each cell, see `CellLayer.frames`, (N, 2, d).
            coefficients: the coefficients of n_out outputs, (N, L, n_out).
        """
        made = CellLayer(tree, polynomials, coefficients.shape[2]).to(self.coefficients)
        made.sides = self.sides
        made.reset(tree, frames, coefficients)
        return made

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        self._tree = None  # a saved network may have another tree, and another degree
        if (saved := state.get(f"{prefix}coefficients")) is not None:
            self.polynomials = self.polynomials.of_size(saved.shape[1])
            self.roots = tuple(state[f"{prefix}counts"].tolist())
        super()._load_from_state_dict(state, prefix, *args)

    @property
    def numbers_at_point(self) -> int:
        """The number of coefficients in the cell of a point: L polynomials times n_out outputs."""
        return self.polynomials.size * self.coefficients.shape[2]

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        # The largest number of entries of a temporary tensor, which in float64 is 32 MiB.
        most = 2**22
        fields, side = self.coefficients.shape[2], self.polynomials.degree + 1
        together = max(1, most // (2 * fields * side ** len(self.roots)))
        number, own, scale = self._own(h)
        order = number.argsort()
        number, own, scale = number[order], own[order], scale[order]
        parts = len(derivatives_of_parts(h.channels))
        chunks = [own.new_empty(0, parts, fields)]
        # Cells with similar numbers of points, up to the same power of two, are evaluated together.
        for rows in torch.arange(len(order), device=number.device).split(together):
            cells, counts = number[rows].unique_consecutive(return_counts=True)
            starts, powers = counts.cumsum(0) - counts, (2 * counts - 1).log2().floor()
            chunk = own.new_empty(len(rows), parts, fields)
            for power in powers.unique():
                some = powers == power
                each = torch.arange(2 ** int(power), device=number.device)
                places = starts[some, None] + each.minimum(counts[some, None] - 1)
                of_cells = scale[rows[places[:, 0]]], self.coefficients[cells[some]]
                values = self.polynomials.evaluated(h.channels, own[rows[places]], *of_cells)
                # Padding repeats points; autograd would count their gradient twice.
                once = each < counts[some, None]
                chunk[places[once]] = values[once]
            chunks.append(chunk)
        return h.dense().unstacked(torch.cat(chunks)[order.argsort()])

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        number, own, scale = self._own(h)
        stacked = self.polynomials.stacked(h.channels, own, scale)
        column = number.to(stacked)[:, None, None].expand(-1, stacked.shape[1], 1)
        return torch.cat([stacked, column], dim=2), torch.bmm(stacked, coefficients[number])

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        number = known[:, 0, -1].long()
        rows = torch.einsum("nps,npo->son", known[..., :-1], delta)
        shaped = out.view(*self.coefficients.shape, len(number))
        shaped[number, :, :, torch.arange(len(number))] = rows.permute(2, 0, 1)

    def _own(self, h: Jet | Coordinates) -> tuple[Tensor, Tensor, Tensor]:
        """Return the cell of each of n points, and the coordinates of the point in that cell.

        Returns:
            The index of the cell of each point, (n,). The point's coordinates in the cell, in
            [-1, 1], (n, d). The derivatives of these coordinates by the physical coordinates,
            (n, d).
        """
        assert isinstance(h, Coordinates)  # this layer is the first one
        x = h.value.detach().cpu()
        number = self.tree.locate(x, self.regions.of_points(x)).to(h.value.device)
        low, high = self.frames[number].unbind(1)
        factor = 2 / (high - low)
        return number, (h.value - low) * factor - 1, factor * h.scale


class CornerLayer(nn.Module):
    """The sum Σ_j c_j s_j(x) of singular functions s_j of corners in the plane or edges in space.

    A singular function is added only in the cells near its corner or edge.

    Args:
        corners: a table (C, 4 d + 1) with a row for each of C corners or edges: the d coordinates
            of x₀ in the bounding box [-1, 1]^d, then Re κ, Im κ, σ (d numbers each) and the highest
            degree of Legendre polynomials; `CornerFunctions` defines these symbols.
        boxes: a table (B, 1 + 2 d) of boxes around the corners; the cells in a box get the singular
            functions of its corner. Each row has the index of the corner, then the lower and the
            upper corner of the box in [-1, 1]^d.
        powers: a table (P, 5) with a row for each power w^a w̄^n (ln w)^l, see `Power`: the index
            of its corner, Re a, Im a, n and l.
        fields: the number m of fields.

    Attributes:
        coefficients: the coefficients of the functions, (F, m), those of the first corner first.
    """

    corners: Tensor
    boxes: Tensor
    powers: Tensor

    def __init__(self, corners: Tensor, boxes: Tensor, powers: Tensor, fields: int) -> None:
        super().__init__()
        self.register_buffer("corners", corners)
        self.register_buffer("boxes", boxes)
        self.register_buffer("powers", powers)
        count = sum(one.count for one in self.functions)
        self.coefficients = nn.Parameter(corners.new_zeros(count, fields))

    @property
    def functions(self) -> list[CornerFunctions]:
        """The singular functions of each corner or edge."""
        found = []
        for number, (*place, degree) in enumerate(self.corners.tolist()):
            _, real, imaginary, along = torch.tensor(place, dtype=torch.float64).chunk(4)
            across = torch.complex(real, imaginary).tolist()
            rows = self.powers[self.powers[:, 0] == number, 1:].tolist()
            powers = tuple(Power(complex(a, b), int(n), int(log)) for a, b, n, log in rows)
            found.append(CornerFunctions(tuple(across), tuple(along.tolist()), powers, int(degree)))
        return found

    @property
    def numbers(self) -> list[Tensor]:
        """The coefficients of each corner's functions, flattened."""
        counts = [one.count for one in self.functions]
        return [one.flatten() for one in self.coefficients.split(counts)]

    def jet(self, coordinates: Coordinates, tree: Tree) -> Jet:
        """The values and derivatives of the sum, with m components, at n points.

        At the corner itself, where derivatives are infinite, they are those at a point beside it.

        Args:
            coordinates: the points, in coordinates in which the bounding box is [-1, 1]^d.
            tree: the cells, which decide where a singular function is added.
        """
        at, channels = coordinates.value, coordinates.channels
        parts, fields = len(derivatives_of_parts(channels)), self.coefficients.shape[1]
        found, place = at.new_zeros(len(at), parts, fields), at.detach().cpu()
        cells, dim = tree.locate(place, torch.zeros(len(place), dtype=torch.long)), at.shape[1]
        each = zip(self.functions, self.corners, self.numbers, strict=True)
        for number, (functions, corner, coefficients) in enumerate(each):
            boxes = self.boxes[self.boxes[:, 0] == number, 1:].cpu().view(-1, 2, dim)
            some = tree.inside(boxes)[cells].nonzero()[:, 0].to(at.device)
            offsets = (at[some] - corner[:dim].to(at)) / coordinates.scale
            # Derivatives are infinite at the corner: use a point close to the corner instead.
            inward = corner[dim : 2 * dim].to(at)
            across = torch.complex(inward, corner[2 * dim : 3 * dim].to(at))
            near = (offsets.to(across) @ across).abs() < 2 * CLOSEST
            beside = 2e-9 * inward / inward.square().sum()
            offsets = torch.where(near[:, None], offsets + beside, offsets)
            jets = functions.stacked(offsets, channels)
            values = jets.to(at) @ coefficients.view(-1, fields).to(at)
            found = found.index_add(0, some, values)
        return coordinates.dense().unstacked(found)

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        for name in ("corners", "boxes", "powers"):
            setattr(self, name, torch.empty_like(state[prefix + name]))
        self.coefficients = nn.Parameter(torch.empty_like(state[f"{prefix}coefficients"]))
        super()._load_from_state_dict(state, prefix, *args)


class Cells(Network):
    """A piecewise polynomial: a small KAN in each cell of a tree of boxes that cover the domain.

    The method `AdaptiveLeastSquares` computes the coefficients of this network.

    In each cell the output is a polynomial of total degree k. This is a KAN [d, W, m] with affine
    inner edges in W directions and outer edges of degree k. The least-squares problem consists of
    the equation and of the jumps of values and derivatives on the faces between cells. Cells are
    halved where the error is largest. The domain is a box, any domain in the plane, or a domain in
    space whose boundary consists of triangles, or of parts of boxes and balls. Cells outside of the
    domain are left out. If the boundary cuts a cell, the polynomials are those of the bounding box
    of the cell's part inside the domain. If an `Interface` cuts a cell, there are separate
    polynomials on the two sides. Cells near a corner in the plane may also have the singular
    functions of the corner, see `CornerLayer`.

    Args:
        width: the number of inputs, at most 4, and the number of fields, such as [2, 1]; by default
            the numbers of the problem.
        degree: the total degree k of the polynomials, from 1 to 30.
        cells: the number of cells along each coordinate before any cell is halved, or one number
            for all coordinates; then the cells have the shape of the domain's bounding box.
        coefficient: a network for the unknown coefficient fields, which are the last of the fields.
            The solve finds the coefficients of this network's output layer; they are zero at first.
        dtype: the type of the coefficients.

    Raises:
        InputError: for hidden layers, or numbers out of range.

    Reference: Jagtap and Karniadakis, Extended physics-informed neural networks (2020), for
    networks in subdomains; Bensow and Larson, Discontinuous/continuous least-squares finite element
    methods for elliptic problems (2005), for jumps in least squares.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="exp(x) * sin(y)")
        >>> method = kp.AdaptiveLeastSquares(tolerance=1e-6)
        >>> solution = kp.solve(problem, kp.Cells(degree=10, cells=1), method)
        >>> solution.network.count, solution.errors.l2_relative < 1e-6
        (1, True)
    """

    solved_by = "AdaptiveLeastSquares"
    unweighted = "AdaptiveLeastSquares weighs equation and conditions by the sizes of the cells"
    threads = 1  # matrices of single cells are too small for more threads
    has_kinks, minimises, estimates_error = True, False, True
    most_inputs: ClassVar[int] = 4
    highest: ClassVar[int] = 30  # above this degree rounding grows faster than errors fall

    def __init__(
        self,
        width: Sequence[int] | None = None,
        degree: int = 12,
        cells: int | Sequence[int] = 4,
        *,
        coefficient: Network | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        later: dict[str, Any] = {"degree": degree, "cells": cells, "coefficient": coefficient}
        if (width := self._width_of(width, dtype=dtype, **later)) is None:
            return
        inputs, *hidden, fields = width
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
            if not isinstance(coefficient, Network) or coefficient.solved_by:
                is_network = isinstance(coefficient, Network)
                got = type(coefficient).__name__ if is_network else repr(coefficient)
                raise InputError(
                    f"coefficient must be a network such as KAN([{inputs}, 1]), got {got}"
                )
            given, *_, outputs = coefficient.width
            if given != inputs or outputs >= fields:
                raise InputError(
                    f"coefficient must have {inputs} inputs and fewer than the {fields} outputs of "
                    f"the Cells, got the width {list(coefficient.width)}"
                )
            outer = coefficient.output_layers
            set_coefficients(outer, torch.zeros_like(get_coefficients(outer)))
            fields -= outputs
        layer = CellLayer(tree, LocalPolynomials(degree, inputs), fields)
        self.layers = cast(Sequence[CellLayer], nn.ModuleList([layer.to(dtype)]))
        self._directions: CellLayer | None = None
        self.corners: CornerLayer | None = None
        self.better = None

    @property
    def layer(self) -> CellLayer:
        """The layer with the polynomials of all cells."""
        (layer,) = cast(Sequence[CellLayer], self.layers)
        return layer

    @property
    def tree(self) -> Tree:
        """The tree whose leaves are the cells."""
        return self.layer.tree

    @property
    def polynomials(self) -> LocalPolynomials:
        """The polynomials of each cell."""
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
    def own_fields(self) -> int:  # type: ignore[override]
        """The number of fields that are polynomials in cells: all but coefficient fields."""
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
        """The lower and upper corners of the cells, (n, 2, d), in the bounding box [0, 1]^d."""
        return (self.tree.divided(1).boxes + 1) / 2

    @property
    def levels(self) -> Tensor:  # type: ignore[override]
        """The largest number of halvings of each cell in any coordinate, (n,)."""
        return self.tree.divided(1).level.amax(dim=1)

    def prepare(self, x: Tensor) -> None:
        """Place the grids of the network `coefficient`, if any; the cells do not depend on `x`."""
        if self.coefficient is not None:
            self.coefficient.prepare(x)

    def impose(self, problem: BoundaryValueProblem, boundary: str, form: str) -> Imposition:
        """Prepare the cells for a problem; all but periodic conditions are imposed as residuals.

        Cells at the two ends of a periodic coordinate become neighbours. The network stores which
        coordinates are periodic, and the regions into which interfaces divide the domain. The
        arguments are those of `Network.impose`.

        Raises:
            InputError: for a problem that cannot be solved in cells.
        """
        kinks = [piece for condition in problem.conditions() for piece in condition.kinks]
        refuse_unfit(
            problem, {"inputs": None if kinks else problem.inputs()}, form, "a network in cells"
        )
        refuse_imposed(problem, self, boundary)
        around = periodic_axes(problem)
        axes = frozenset(around.values())
        _refuse(problem, self, axes, bool(kinks))
        self.layer.go_around(axes)
        self.layer.divide(regions_of(problem.domain, kinks))
        return Imposition(None, met=frozenset(around))

    def refined(self) -> "Cells":
        """A network with the cells and the function of this network, of a degree higher by 2.

        The degree of the new network is at most 30.
        """
        polynomials = LocalPolynomials(min(self.highest, self.degree + 2), self.polynomials.dim)
        padded = polynomials.padded(self.layer.coefficients.detach())
        return self.with_fields(polynomials, self.tree, self.layer.frames, padded)

    @torch.no_grad()
    def take(self, known: Network) -> bool:
        """Copy the cells and the function of another network, singular functions included.

        If the other network has a higher degree, this network gets that degree.

        Returns:
            Whether `known` is a network in cells with the same boxes of level 0, and with
            polynomials of the same kind. If not, nothing is copied.
        """
        if not isinstance(known, Cells) or known.tree.roots != self.tree.roots:
            return False
        if replace(known.polynomials, degree=self.polynomials.degree) != self.polynomials:
            return False
        self.better = None
        polynomials = max(self.polynomials, known.polynomials, key=attrgetter("size"))
        coefficients = polynomials.padded(known.layer.coefficients.detach())
        self.layer.reset(known.tree, known.layer.frames, coefficients)
        self.corners = deepcopy(known.corners)
        if self.enrichment is not None and known.enrichment is not None:
            own = self.enrichment.coefficients
            own.copy_(known.enrichment.coefficients.view_as(own))
        return True

    @property
    def shared_numbers(self) -> list[Tensor]:
        """The coefficients of functions that several cells share, such as singular functions.

        The list has a flat tensor for the singular functions of each corner, then one for the
        functions of `enrichment()`, if there are any.
        """
        found = []
        if self.corners is not None:
            found = [one.detach().double().cpu().clone() for one in self.corners.numbers]
        if self.enrichment is not None:
            found.append(self.enrichment.coefficients.detach().double().cpu().flatten())
        return found

    def whole_boxes(self, roots: Sequence[int]) -> Tree:
        """The tree whose leaves are boxes that have not been halved.

        Args:
            roots: the numbers of boxes along each coordinate.
        """
        tree = replace(Tree.uniform(roots), around=self.layer.around)
        return tree.divided(self.layer.regions.count)

    @torch.no_grad()
    def restart(self, roots: Sequence[int], degree: int) -> None:
        """Replace the function by zero, on other cells and of another degree.

        Args:
            roots: the numbers of cells along each coordinate, none of which is halved.
            degree: the degree.
        """
        layer, tree = self.layer, self.whole_boxes(roots)
        size = LocalPolynomials(degree, tree.dim).size
        layer.reset(
            tree, tree.boxes, layer.coefficients.new_zeros(len(tree), size, self.own_fields)
        )

    @torch.no_grad()
    def assign(self, function: CellFunctions) -> None:
        """Replace the cells and all coefficients by those of a function in cells.

        This includes the coefficients of the singular functions and of `enrichment()`.

        Args:
            function: the function.
        """
        geometry, numbers = function.geometry, list(function.numbers)
        self.better = None
        self.layer.reset(geometry.tree, geometry.frames, function.coefficients)
        if self.enrichment is not None:
            own = self.enrichment.coefficients
            own.copy_(numbers.pop().view_as(own))
        if self.corners is not None:
            own = self.corners.coefficients
            own.copy_(torch.cat([one.view(-1, own.shape[1]) for one in numbers]))

    @torch.no_grad()
    def with_fields(
        self, polynomials: LocalPolynomials, tree: Tree, frames: Tensor, coefficients: Tensor
    ) -> "Cells":
        """A copy of the network with the given cells and polynomials, in the same regions.

        Args:
            polynomials: the polynomials of each cell.
            tree: the cells.
            frames: for each cell the lower and the upper corner of its frame, (N, 2, d). The frame
                is the cell itself or, if a boundary cuts the cell, the bounding box of the cell's
                part in the domain.
            coefficients: the coefficients of the fields, (N, L, m).
        """
        made = deepcopy(self)
        made.better = None
        layer = self.layer.with_functions(polynomials, tree, frames, coefficients)
        made.layers = cast(Sequence[CellLayer], nn.ModuleList([layer]))
        return made

    @torch.no_grad()
    def compare_with(self, function: CellFunctions, factor: float) -> "Cells":
        """Store a better solution as `better`, until the coefficients are replaced; return it.

        Args:
            function: the better solution, in the same or smaller cells of any degree.
            factor: the factor by which errors may exceed the difference between the solutions.
        """
        self.better, geometry = None, function.geometry
        made = self.with_fields(
            function.polynomials, geometry.tree, geometry.frames, function.coefficients
        )
        made.assign(function)
        self.better = made, factor
        return made

    @torch.no_grad()
    def follow_numbers(self, directions: Tensor) -> None:
        """Store the derivatives of the m fields by K unknown parameters, as polynomials in cells.

        The parameters are the coefficients of the network `coefficient`, if there is one, then the
        unknown scalar parameters of the problem.

        Args:
            directions: the coefficients of the derivatives of the m fields by the first parameter,
                then by the second, and so on, (N, L, K m).
        """
        self._directions = self.layer.with_functions(
            self.polynomials, self.tree, self.layer.frames, directions
        ).requires_grad_(False)
        count = directions.shape[2] // self.own_fields
        self.sensitivities = Sensitivities(self._directions.coefficients.new_zeros(count))

    def forget_numbers(self) -> None:
        """Delete the derivatives that `follow_numbers` stored."""
        self.sensitivities = self._directions = None

    def jet(self, coordinates: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        found, known = super().jet(coordinates, tape), self.coefficient
        if self.corners is not None:
            assert isinstance(coordinates, Coordinates)
            found = found + self.corners.jet(coordinates, self.tree)
        if known is not None:
            found = join([found, known.jet(coordinates, tape)])
        if self.sensitivities is None or tape is None:  # sensitivities add only a Jacobian
            return found
        assert self._directions is not None
        directions = self._directions(coordinates)
        if known is not None:
            count = len(self.sensitivities.coefficients)
            directions = beside_functions(directions, known, coordinates, count)
        return found + self.sensitivities(directions, tape)

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # A saved network may have functions of corners, and derivatives by unknown parameters.
        self.forget_numbers()
        self.corners = self.better = None
        if (corners := state.get(f"{prefix}corners.corners")) is not None:
            self.corners = CornerLayer(
                corners, none := corners.new_zeros(0, 5), none, self.own_fields
            )
        if (numbers := state.get(f"{prefix}sensitivities.coefficients")) is not None:
            count, size, fields = self.layer.coefficients.shape
            self.follow_numbers(numbers.new_zeros(count, size, len(numbers) * fields))
        super()._load_from_state_dict(state, prefix, *args)


def _refuse(
    problem: BoundaryValueProblem, network: Cells, axes: frozenset[int], divided: bool
) -> None:
    """Raise an error for a problem that cannot be solved in cells.

    Args:
        problem: the problem.
        network: the network.
        axes: the indices of the periodic coordinates.
        divided: whether interfaces divide the domain.

    Raises:
        InputError: for unknown parameters in conditions elsewhere than on boundaries and
            interfaces, coefficient fields without a network of their own, conditions that prescribe
            coefficient fields, a single cell along a periodic coordinate, enrichment() with an
            interface, a periodic coordinate or eigenvalues, and an interface with a periodic
            coordinate.
    """
    name = type(problem).__name__
    unknowns = problem.unknowns if isinstance(problem, Problem) else {}
    others = [field for field in problem.fields if field in unknowns]
    if others != list(problem.fields[network.own_fields :]):
        raise InputError(
            "in cells unknown coefficient fields are the last fields and have a network of their "
            "own, as in Cells([2, 2], coefficient=KAN([2, 1])): the coefficient fields of "
            f"{name} are {', '.join(others) or 'none'}"
        )
    for condition in problem.conditions():
        called = f"{condition.title}, {of_class(condition)}"
        if condition.numbers and not (condition.pieces or condition.kinks):
            raise InputError(
                f"{called}, depends on unknown parameters: in "
                "cells only conditions on boundaries and interfaces may do so"
            )
        about = {*condition.about, *(one.field for one in condition.prescribed(problem.fields))}
        if not condition.measurements and (found := [one for one in others if one in about]):
            raise InputError(
                f"{called}, is about the unknown "
                f"coefficient {found[0]}: in cells such a field takes measurements, kp.Observed"
            )
    for axis in axes:
        if network.tree.roots[axis] < 2:
            raise InputError(
                f"network.cells must be at least 2 along {problem.domain.names[axis]}, which is "
                "periodic, got 1"
            )
    if problem.enrichment() and (divided or axes or isinstance(problem, EigenProblem)):
        raise InputError(
            f"{name} has enrichment(), which cells take neither with an Interface nor with a "
            "periodic coordinate, nor for eigenvalues"
        )
    if divided and axes:
        raise InputError(
            f"{name} has an Interface and a periodic coordinate, which cells do not take together"
        )


def require_cells(network: Network) -> Cells:
    """Return a network unchanged if it is a `Cells`; otherwise raise an error.

    Raises:
        InputError: if the network is of another kind.
    """
    if not isinstance(network, Cells):
        raise InputError(
            'adaptive least squares are for networks in cells, network.type = "cells": this one is '
            f"a {type(network).__name__}"
            + (", expected Cells(…, coefficient=…)" if len(network.parts) > 1 else "")
        )
    return network


def beside_functions(
    directions: Jet, network: Network, coordinates: Jet | Coordinates, count: int
) -> Jet:
    """The derivatives by K unknown parameters of the fields in cells and the coefficient fields.

    The first parameters are the coefficients of the output layers of the network of the coefficient
    fields. The coefficient fields are linear in these parameters, and do not depend on the other
    parameters.

    Args:
        directions: the derivatives of the m fields in cells, a jet of K m components: the m
            derivatives by the first parameter, then those by the second parameter, and so on.
        network: the network of q coefficient fields.
        coordinates: the jet of the network's inputs.
        count: the number of parameters K.

    Returns:
        A jet of K (m + q) components: for each parameter, the derivatives of the m fields, then
        the derivatives of the q coefficient fields.
    """
    layers, outputs, functions = network.output_layers, network.width[-1], []
    with torch.no_grad():
        present = get_coefficients(layers)
        for unit in torch.eye(len(present)).to(present):
            set_coefficients(layers, unit)
            functions.append(network.jet(coordinates))
        set_coefficients(layers, present)

    def joined(one: Tensor, other: Tensor) -> Tensor:
        """Join a tensor of the jet `directions` and that of the coefficient fields' jets."""
        by_number = other.unflatten(-1, (-1, outputs))
        zeros = by_number.new_zeros(*by_number.shape[:-2], count - by_number.shape[-2], outputs)
        every = torch.cat([by_number, zeros], dim=-2)
        return torch.cat([one.unflatten(-1, (count, -1)), every], dim=-1).flatten(-2)

    both = zip(directions.parts(), join(functions).parts(), strict=True)
    return directions.with_parts([joined(one, other) for one, other in both])
