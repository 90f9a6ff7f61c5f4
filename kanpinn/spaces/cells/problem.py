"""Problems in cells: equation and conditions in cells, constants that they leave open, and the
shared functions in the network.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar, Self

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.domain import Domain
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.cells.cells import Cells, CornerLayer, require_cells
from kanpinn.spaces.cells.geometry.cell_geometry import (
    CellGeometry,
    CellPoints,
    SidePart,
    gauss_inside,
)
from kanpinn.spaces.cells.geometry.interfaces import Contacts, CoupledContacts
from kanpinn.spaces.cells.geometry.singularities import Singularities
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.cell_system import CellSystem
from kanpinn.spaces.cells.system.functions import (
    CellField,
    CornerPatch,
    EnrichmentInCells,
    SharedFunctions,
    SharedInCells,
)
from kanpinn.spaces.cells.system.source_moments import SourceMoments
from kanpinn.spaces.cells.system.terms import SampledTerm
from kanpinn.spaces.cells.tree import Tree


def is_mean(term: Term) -> bool:
    """Whether a term prescribes one number, such as an integral over the domain."""
    return isinstance(term, ResidualTerm) and term.rows == 1 and term.sites > 1


def mean_terms(residuals: Residuals) -> list[ResidualTerm]:
    """The terms of a loss that prescribe one number each."""
    return [term for term in residuals.terms if isinstance(term, ResidualTerm) and is_mean(term)]


@torch.no_grad()
def set_constants(
    system: CellSystem,
    surrogate: Surrogate,
    means: Sequence[ResidualTerm],
    numbers: Sequence[Tensor],
) -> None:
    """Add constants to the fields that are determined up to them, in place.

    Args:
        system: the least-squares problem.
        surrogate: its network has the solution.
        means: the terms that prescribe one number each. A field that is in none of them gets
            the mean zero.
        numbers: the coefficients of the functions that cells share.

    Raises:
        InputError: for a term that depends on no such field.
    """
    network = surrogate.network
    assert isinstance(network, Cells)
    left = list(means)
    for field in system.free_fields:
        residuals = [[float(_residual(t, surrogate, [field], c)) for c in (0.0, 1.0)] for t in left]
        seen = [i for i, (before, after) in enumerate(residuals) if before != after]
        if seen:
            before, after = residuals[seen[0]]
            _add(network, field, before / (before - after))
            del left[seen[0]]
        else:
            present = network.layer.coefficients.double().cpu()
            found = system.norms.without_means(CellField(present, numbers), [field])
            network.layer.coefficients.copy_(found.coefficients)
    if left:
        raise InputError(
            f"the term {left[0].name} cannot be imposed on cells: its field is determined without "
            "it, the constant included"
        )


def _add(network: Cells, field: int, constant: float) -> None:
    """Add a constant to a field; the first polynomial of each cell is a constant."""
    network.layer.coefficients[:, 0, field] += constant * 2 ** (network.polynomials.dim / 2)


def refuse_free_data(
    system: CellSystem, surrogate: Surrogate, data: Sequence[ResidualTerm]
) -> None:
    """Refuse data of a field that is determined only up to a constant.

    Raises:
        InputError: for such data.
    """
    for term in data if system.free_fields else ():
        before, after = (_residual(term, surrogate, system.free_fields, c) for c in (0.0, 1.0))
        if not torch.equal(before, after):
            raise InputError(
                f"the data of the term {term.name} are of a field that equation and conditions on "
                "the boundary determine only up to a constant: cells take data of other fields"
            )


def _residual(
    term: ResidualTerm, surrogate: Surrogate, fields: Sequence[int], constant: float
) -> Tensor:
    """The residual of a term where a constant is added to some fields."""
    jet = surrogate.jet(term.points, term.channels)
    value = jet.value.clone()
    value[:, list(fields)] += constant
    return term.equation(term.points, jet.with_parts([value, *jet.parts()[1:]]))


TermAt = tuple[ResidualTerm, CellPoints]  # a term, and the points in cells where it holds


@dataclass(frozen=True, eq=False)
class CellProblem:
    """The equation and the conditions of a problem, for the cells of any tree.

    Here the domain is a box, all of whose cells are whole. Subclasses are for domains in the plane
    and in space, whose boundaries and interfaces cut cells. A cut cell has the equation at points
    of its part of the domain, and the conditions at points of the boundary in it. Its polynomials
    are those of the bounding box of the part, and its faces are the parts of its sides in the
    domain. Where an interface divides a box of the tree, it has a cut cell for each region; they
    meet at arcs or patches of the interface.

    Args:
        domain: the domain.
        equation: the equation.
        conditions: the conditions on the boundary.
        interfaces: the conditions on interfaces.
        counted: the numbers of the fields whose errors count.
        fields: the number of fields.
        shared: functions that cells share.

    more, many: the numbers of points of quadrature rules along each coordinate above the degree, in
    whole cells and on the frames of cut ones. most: the largest number of refinements before the
    first solve. tiny: what is said of the boundary's details where that is not enough.
    """

    domain: Domain
    equation: ResidualTerm
    conditions: Sequence[ResidualTerm]
    interfaces: Sequence[ResidualTerm] = ()
    counted: Sequence[int] = (0,)
    fields: int = 1
    shared: Sequence[SharedFunctions] = ()
    more: ClassVar[int] = 3
    many: ClassVar[int] = 0
    most: ClassVar[int] = 40
    tiny: ClassVar[str] = ""

    @cached_property
    def source_moments(self) -> SourceMoments:
        """The integrals of the equation's source in cells that have occurred so far."""
        return SourceMoments()

    def forget_sources(self) -> None:
        """Forget integrals of the source, which has changed with unknown parameters."""
        vars(self).pop("source_moments", None)

    @property
    def kinks(self) -> list[Piece]:
        """The pieces of all interfaces."""
        return [piece for term in self.interfaces for piece in term.kinks]

    def corner_patches(self, roots: Sequence[int]) -> Sequence[CornerPatch]:
        """The cells around corners with singular functions that are known.

        roots: the numbers of boxes of level 0 along each coordinate.
        """
        return []

    @property
    def patches(self) -> list[CornerPatch]:
        """The corners with functions that cells share."""
        return [one for one in self.shared if isinstance(one, CornerPatch)]

    def with_shared(self, shared: Sequence[SharedFunctions]) -> Self:
        """The same problem for solutions in which cells share functions."""
        made = copy.copy(self)
        vars(made)["shared"] = shared
        return made

    def cells(self, tree: Tree) -> CellGeometry:
        """The leaves of a tree that contain a part of the domain."""
        return CellGeometry.whole(tree, self.domain)

    @property
    def singularities(self) -> Singularities:
        """The points at which solutions are singular, and where cells become small."""
        return Singularities()

    def divisible(self, geometry: CellGeometry) -> Tensor:
        """The cells that can be refined in spite of rounding, a mask (N,)."""
        return self.singularities.divisible(geometry)

    def coordinates(self, geometry: CellGeometry, steep: Tensor) -> Tensor:
        """The coordinates in which cells are refined, if at all, a mask (N, d).

        steep: those in which the solution is steep, a mask (N, d).
        """
        return self.singularities.coordinates(geometry, steep)

    def refined(self, geometry: CellGeometry, marked: Tensor, left: float = 1.0) -> CellGeometry:
        """The cells when some are refined, those at singular corners several times at once.

        Args:
            geometry: the present cells.
            marked: the coordinates in which cells are refined, a mask (N, d).
            left: the part of the error that is to be left.
        """
        return self.singularities.refined(geometry, marked, left, self.cells)

    def deeper(self, geometry: CellGeometry) -> CellGeometry:
        """Smaller cells where a higher degree does not show the error of a solution."""
        return self.singularities.deeper(geometry, self.cells)

    def too_large(self, tree: Tree) -> Tensor:
        """The coordinates in which cells are too large for the boundary, a mask (N, d)."""
        return torch.zeros_like(tree.level, dtype=torch.bool)

    def start(self, tree: Tree) -> CellGeometry:
        """The cells of a tree, after leaves that are too large for the boundary have been refined.

        Raises:
            InputError: if the boundary has details that no cell can resolve.
        """
        for _ in range(self.most):
            marked = self.too_large(tree)
            for patch in self.patches:
                marked = marked | tree.everywhere(patch.cut(tree))
            if not bool(marked.any()):
                return self.cells(tree)
            tree, _ = tree.split(marked)
        raise InputError(
            f"the boundary of {self.domain!r} has details that are too small for cells: "
            f"{self.tiny.format(most=self.most)}, or it touches itself"
        )

    def contains(self, region: int, points: Tensor, tolerance: float) -> Tensor:
        """Which points are in a region, with a distance from its boundary, a mask (n,)."""
        raise NotImplementedError

    def inside(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[CellPoints]:
        """Points of a quadrature rule in groups of cells; each cell is in one group, once."""
        found: list[CellPoints] = []
        regions, count = geometry.tree.region, polynomials.degree + self.many
        # On an interface rounding decides on which side a coefficient is evaluated.
        near = 1e-10 * float(geometry.half.max()) if self.interfaces else 0.0
        for region in range(1 + int(regions.max())):  # in each, coefficients may be the same
            whole, cut = (
                (some & (regions == region)).nonzero()[:, 0]
                for some in (geometry.whole_cells, ~geometry.whole_cells)
            )
            if len(whole):
                found.append(CellPoints.inside(geometry, whole, *polynomials.rule(self.more)))
            found += gauss_inside(
                geometry, cut, partial(self.contains, region, tolerance=near), count
            )
        return found

    def on_boundary(self, geometry: CellGeometry, polynomials: LocalPolynomials) -> list[TermAt]:
        """The conditions, with points on the boundary; the arguments are those of `on`."""
        found: list[TermAt] = []
        for axis, upper, cells in geometry.tree.ends:
            side = SidePart.whole(axis, upper, geometry.tree.dim)
            rule = polynomials.on_face.rule(self.more)
            at = CellPoints.on_side(geometry, cells, side, *rule)
            sides = [(one, piece.side) for one in self.conditions for piece in one.pieces]
            found += [(one, at) for one, own in sides if own == (axis, upper)]
        return found

    def contacts(self, geometry: CellGeometry, degree: int) -> Iterator[Contacts]:
        """The arcs or patches at which cells of two regions meet; degree: that of cells."""
        yield from ()

    def on(
        self,
        geometry: CellGeometry,
        polynomials: LocalPolynomials,
        coefficients: Tensor,
        *,
        numbers: Sequence[Tensor] = (),
        limit: bool = False,
        integrated: bool = True,
    ) -> CellSystem:
        """The least-squares problem on cells.

        Args:
            geometry: the cells.
            polynomials: the functions of each.
            coefficients: the present solution, about which the terms are linearised, (N, L, m).
            numbers: the present coefficients of the shared functions, (count,) of each kind; zero
                by default.
            limit: whether integrals of singular sources are extrapolated, see `SourceMoments`.
            integrated: whether integrals of sources are computed; otherwise the source is that at
                the points, as for the moments of an evolution, which have one each.
        """
        shared = SharedInCells.of(self.shared, geometry, coefficients.shape[2])
        about = polynomials, coefficients, shared.sum(numbers)
        inside = self.inside(geometry, polynomials)
        equation = [SampledTerm(self.equation, at, *about) for at in inside]
        boundary = self.on_boundary(geometry, polynomials)
        walls = [SampledTerm(term, at, *about) for term, at in boundary]
        # A source that known functions balance is balanced at points, not in integrals.
        if integrated and len(self.patches) == len(self.shared):
            for term in equation:
                if term.at.alike:
                    added = self.source_moments.corrections(geometry, term, limit)
                    if added is not None:
                        term.right = term.right + added
        contacts = [
            CoupledContacts(one, geometry, polynomials, coefficients)
            for one in self.contacts(geometry, polynomials.degree)
        ]
        singular = self.singularities
        factors = singular.weights(geometry), singular.pollution(geometry)
        of_functions = polynomials, equation, walls, self.counted
        return CellSystem(geometry, *of_functions, *factors, contacts, shared)


def counted_fields(residuals: Residuals, fields: int) -> Sequence[int]:
    """The numbers of the fields in cells whose errors count.

    They are all if the loss belongs to no problem, or none of those that count is in cells.

    Args:
        residuals: the loss.
        fields: the number of fields in cells.
    """
    chosen = range(fields) if residuals.family is None else residuals.family.counted
    return [one for one in chosen if one < fields] or range(fields)


def checked_terms(loss: Sequence[Term], domain: Domain) -> tuple[ResidualTerm, ...]:
    """The terms of a loss, the equation first, without those that prescribe one number.

    Raises:
        InputError: for what cells cannot solve: an energy, or conditions of another kind.
    """
    terms = []
    for term in loss:
        if not isinstance(term, ResidualTerm):
            raise InputError(f"cells: the term {term.name} is no mean of squared residuals")
        if not is_mean(term):
            terms.append(term)
    own = set(domain.boundary.pieces)
    for term in terms[1:]:
        if term.kinks:
            continue
        if term.measured:
            raise InputError(
                f"the term {term.name} has measurements: cells take them for problems with unknown "
                "numbers only"
            )
        if term.sites > 1 or not term.pieces or not own.issuperset(term.pieces):
            raise InputError(
                f"the term {term.name} cannot be imposed on cells: expected a condition at single "
                "points of whole pieces of the boundary, or on an interface"
            )
    return tuple(terms)


def with_shared_functions(problem: CellProblem, surrogate: Surrogate) -> CellProblem:
    """The problem with the functions of its corners, which the network gets, and its enrichment.

    Raises:
        InputError: for known functions and unknowns together.
    """
    network = require_cells(surrogate.network)
    fields, patches, found = network.own_fields, list[CornerPatch](), None
    known = network.constants is None and network.coefficient is None
    if known:  # otherwise derivatives by the unknowns are polynomials in cells
        patches += problem.corner_patches(network.tree.roots)
    elif network.enrichment is not None:
        raise InputError(
            "cells take no enrichment() where there are unknown numbers or coefficient fields"
        )
    if patches:
        found = corner_layer(patches, problem, fields).to(network.layer.coefficients.device)
    if found is None or not found.same(network.corners):
        network.corners = found
    shared: list[SharedFunctions] = list(patches)
    if network.enrichment is not None:
        shared.append(EnrichmentInCells(network.enrichment, fields))
    return problem.with_shared(shared) if shared else problem


def corner_layer(patches: Sequence[CornerPatch], problem: CellProblem, fields: int) -> CornerLayer:
    """The layer with the functions of corners."""
    low, high = problem.domain.bounds
    corners, boxes, powers = [], [], []
    for number, one in enumerate(patches):
        at = (2 * (one.at - low) / (high - low) - 1).tolist()
        own = one.functions
        corners.append([*at, own.direction, own.radius])
        boxes += [[number, *box] for box in one.boxes.flatten(1).tolist()]
        powers += [[number, p.exponent, p.conjugate, p.logarithm] for p in own.powers]
    three = (torch.tensor(rows, dtype=torch.float64) for rows in (corners, boxes, powers))
    return CornerLayer(next(three), next(three), next(three), fields)


def shared_numbers(network: Cells) -> list[Tensor]:
    """The coefficients of all shared functions of a network, those of corners first."""
    found = [] if network.corners is None else network.corners.numbers
    if network.enrichment is not None:
        found.append(network.enrichment.coefficients.detach().double().cpu().flatten())
    return found


@torch.no_grad()
def take_shared_numbers(network: Cells, numbers: Sequence[Tensor]) -> None:
    """Give a network coefficients of its shared functions, see `shared_numbers`."""
    left = list(numbers)
    if network.enrichment is not None:
        own = network.enrichment.coefficients
        own.copy_(left.pop().view_as(own))
    if network.corners is not None:
        network.corners.assign(left)
