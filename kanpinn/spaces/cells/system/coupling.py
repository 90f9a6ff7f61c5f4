"""The coupling of neighbouring cells in the least-squares problem.

`Coupling` has the weights of jumps between cells, `Traces` the traces (unknown polynomials on
faces from which the fields of both cells differ little), and `InterfaceRows` the least-squares
rows at interfaces between regions.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kanpinn.linalg.reflections import Array
from kanpinn.spaces.cells.geometry.cell_geometry import CellSide, FaceTraces, SideTrace, restriction
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.functions import CellFunctions
from kanpinn.spaces.cells.system.interfaces import Interface


@dataclass(frozen=True, eq=False)
class Coupling:
    """The weights of jumps between cells, in fields and their derivatives, for least squares.

    Let Σ_r c_r ∂^r u = f be the equation and o its order, let k be the degree of the polynomials in
    cells, and let h be the width of the smaller of the two cells at a face, across the face. On the
    face a trace, which is an unknown polynomial, stands for each normal derivative ∂^j u with
    j < o. In each of the two cells ∂^j u differs from the trace, and the square of this difference
    has the weight Σ_(r>j) c_r² k^(2(r-j)) h^(2j+1-2r). If the weights in both cells are equal, the
    sum of the two terms for the best trace is the squared jump of ∂^j u times half of the weight.
    For -Δu the weights are k⁴/h³ for the value and k²/h for the normal derivative.

    These weights make the least-squares functional equivalent to a squared norm: in each cell, that
    of the solution whose source is the residual. Errors were 1.6 to 4 times the error of the best
    approximation for all degrees, on uniform and on graded cells. With smaller weights errors were
    larger by orders of magnitude, with larger weights by a factor of up to 10.

    If c_0 u is large compared with c_r ∂^r u, c_r (c_r + c_0 h^r / k^(r-1)) replaces c_r². An
    example is the time derivative in short steps of time. Otherwise jumps cost little compared
    with the residual, and solutions in time steps that are short for the size of the cells
    are unstable: errors grew by factors of up to 10^130. With c_0 (h / k)^r in place of c_0 h^r /
    k^(r-1), solutions were still unstable where advection is strong; with c_0 h^r, errors in the
    plane were twice as large.

    Args:
        sizes: the sizes c_r of the coefficients, for each field in each cell and derivatives along
            each coordinate, (N, d, orders, m).
        widths: the widths of the cells, (N, d).
        degree: the degree k.
        factors: the factor of all least-squares rows of each cell, (N,).

    Reference: Bensow and Larson, Discontinuous/continuous least-squares finite element methods for
    elliptic problems (2005), for the powers of h.
    """

    sizes: Tensor
    widths: Tensor
    degree: int
    factors: Tensor

    @cached_property
    def of_polynomials(self) -> Tensor:
        """The size c_r / h^r of each term of the equation in each cell, for u of the size 1.

        The shape is (N, d, orders, m). The term of order r has a coefficient of the size c_r, and h
        is the width of the cell.
        """
        orders = torch.arange(self.sizes.shape[2])
        return self.sizes / self.widths[:, :, None, None] ** orders[:, None]

    @cached_property
    def orders(self) -> list[int]:
        """For each field the highest order of its derivatives in the equations."""
        tiny = 1e-12
        largest = self.of_polynomials.amax(dim=(0, 1))  # (orders, m)
        seen = largest > tiny * largest.max()
        return [int(one.nonzero().max()) if bool(one.any()) else 0 for one in seen.T]

    @property
    def phase(self) -> float:
        """The largest phase √(c_0 h²/c_2) in any cell; zero without second derivatives.

        It is the phase in radians of waves over the width h of a cell, with the coefficients c_0 of
        a field and c_2 of its second derivatives.
        """
        none, *rest = self.of_polynomials.amax(dim=1).unbind(dim=1)  # (N, m) each
        second = rest[1] if len(rest) > 1 else torch.zeros_like(none)
        return float(torch.where(second > 0, none / second, 0.0).max().sqrt())

    def weights(self, cells: Tensor, normals: Tensor, length: Tensor) -> Tensor:
        """The square roots of the weights of jumps of ∂^j u at one face of each cell, (c, j, m).

        j counts from 0. The weights are those of the class docstring, multiplied by the squared
        factor of the cell.

        Args:
            cells: the indices of the c cells, (c,).
            normals: the unit normals of the faces, (c, d).
            length: the width h of the smaller cell at the face, across the face, (c,).
        """
        highest = self.sizes.shape[2] - 1
        powers = normals.abs()[:, :, None] ** torch.arange(highest + 1)
        sizes = (powers[..., None] * self.sizes[cells]).amax(dim=1)
        found = sizes.new_zeros(len(cells), max(1, highest), sizes.shape[2])
        for r in range(1, highest + 1):
            wide = sizes[:, 0] * length[:, None] ** r * self.degree ** (1.0 - r)
            squares = sizes[:, r] * (sizes[:, r] + wide)
            for j in range(r):
                factor = self.degree ** (2.0 * (r - j)) * length ** (2.0 * j + 1 - 2 * r)
                found[:, j] += factor[:, None] * squares
        return found.sqrt() * self.factors[cells, None, None]

    @property
    def errors(self) -> Tensor:
        """The error of each cell for a residual of the size 1, up to a common factor, (N,).

        The error is the size of a polynomial in the cell for which the terms of the equation have
        the size 1. If the equation contains derivatives of a field, the term without derivatives
        does not count: the term k² u of a wave does not bound errors.
        """
        values, *others = self.of_polynomials.amax(dim=1).unbind(dim=1)  # (N, m) each
        derivatives = torch.stack(others or [values]).amax(dim=0)
        largest = torch.where(torch.tensor(self.orders) == 0, values, derivatives)
        return torch.where(largest > 0, 1 / largest.clamp_min(1e-300), 0).amax(dim=1)

    def of_condition(self, sizes: Tensor, weights: Tensor) -> Tensor:
        """The square roots of the weights of a boundary condition's e equations in c cells, (c, e).

        An equation a ∂^j u = g has the weight of a jump of ∂^j u, divided by a². An equation with
        several terms a ∂^j u has the least of the terms' weights.

        Args:
            sizes: the largest coefficients a of derivatives of each order, (c, e, orders, m).
            weights: the result of the method `weights`, (c, j, m).
        """
        orders = min(sizes.shape[2], weights.shape[1])
        sizes, weights = sizes[:, :, :orders], weights[:, None, :orders]
        there = (sizes > 0) & (weights > 0)
        ratios = torch.where(there, weights / sizes.clamp_min(1e-300), torch.inf)
        least = ratios.flatten(2).amin(dim=2)
        return torch.where(least.isfinite(), least, 1.0)


@dataclass(frozen=True)
class Traces:
    """The unknown polynomials on faces: for each field f one for each h^j ∂^j u with j < o_f.

    They are called traces; in the least-squares problem the fields of both cells at a face differ
    little from them. Here ∂^j u is the normal derivative of the field, and h is the width of a cell
    at the face, see `SideTrace.unit`. Because of the factor h^j the rows of cells that differ only
    in size often differ only by a factor, see `CellSystem._similar`.

    The polynomials have the degree k - j - ⌊k / 6⌋. Jumps are penalised only up to this degree: the
    parts of higher degrees of jumps are small where the solution is resolved. To leave these parts
    out does not change the errors, and reduces the time of an elimination to two thirds. Traces
    that several smaller cells share have the degree k - j, like the larger cell's functions.

    Args:
        polynomials: the polynomials of a cell.
        orders: for each field the highest order o_f of its derivatives in the equations.
    """

    polynomials: LocalPolynomials
    orders: tuple[int, ...]

    def unknowns(self, shared: bool) -> list[tuple[int, int, slice]]:
        """For each field f and order j a tuple (f, j, slice of the unknowns for h^j ∂^j u).

        Args:
            shared: whether several smaller cells share the trace (the unknown polynomial on a
                face).
        """
        face, start, found = self.polynomials.on_face, 0, []
        highest = face.degree - (0 if shared else face.degree // 6)
        for field, order in enumerate(self.orders):
            for j in range(order):
                found.append((field, j, slice(start, start := start + face.count(highest - j))))
        return found

    def size(self, shared: bool) -> int:
        """The number of unknowns on a face, for all fields and orders of derivatives.

        Args:
            shared: whether several smaller cells share the trace (the unknown polynomial on a
                face).
        """
        return max((places.stop for _, _, places in self.unknowns(shared)), default=0)

    def sizes_on(self, faces: FaceTraces) -> list[int]:
        """The number of unknowns of each trace (unknown polynomial on a face)."""
        single, shared = self.size(shared=False), self.size(shared=True)
        return [single] * faces.single + [shared] * len(faces.shared)

    def coarse(self, low: int, shared: bool) -> Array:
        """A mask (size,) of the unknowns of low degree on a face: degree ≤ `low` - j for h^j ∂^j u.

        Args:
            low: the degree for j = 0.
            shared: whether several smaller cells share the trace (the unknown polynomial on a
                face).
        """
        found, count = np.zeros(self.size(shared), dtype=bool), self.polynomials.on_face.count
        for _, j, places in self.unknowns(shared):
            found[places.start : min(places.stop, places.start + count(low - j))] = True
        return found

    def values(self, side: CellSide, scales: Tensor, shared: bool, coefficients: Tensor) -> Tensor:
        """Evaluate the traces of the functions of c cells on a face, as coefficients, (c, size).

        Args:
            side: the face, as a part of a cell's side. Its coordinates in each cell's own
                coordinates are the same for all cells.
            scales: for each cell `SideTrace.unit` times the derivative of the cell's own coordinate
                across the face by the physical coordinate, (c,).
            shared: whether several smaller cells share the traces.
            coefficients: the coefficients of the functions, (c, L, m).
        """
        matrices = side.traces(self.polynomials, max(self.orders, default=0))
        found = coefficients.new_zeros(len(coefficients), self.size(shared))
        for field, j, places in self.unknowns(shared):
            onto = matrices[j][:, : places.stop - places.start].to(coefficients)
            found[:, places] = scales[:, None].to(onto) ** j * (coefficients[:, :, field] @ onto)
        return found

    def rows(self, at: SideTrace, scale: float, weights: Tensor) -> tuple[Array, Array]:
        """The least-squares rows for the differences between a cell's fields and a trace.

        A trace is the unknown polynomial on a face.

        Args:
            at: the part of the cell's side that is the face, with its trace.
            scale: the derivative of the cell's own coordinate across the side by the physical
                coordinate.
            weights: the square roots of the weights of each derivative and field, (j, m).

        Returns:
            The matrix of the cell's coefficients, (rows, L m), contiguous in memory for each
            column, and the matrix of the trace's unknowns, (rows, rows).
        """
        fields, shared, onto = len(self.orders), at.within is not None, None
        every = at.side.traces(self.polynomials, max(self.orders, default=0))
        matrices, factors = [one.numpy() for one in every], weights.tolist()
        if at.within is not None:
            onto = restriction(self.polynomials.on_face, *at.within).numpy().T
        size = self.size(shared)
        found = np.zeros((self.polynomials.size, fields, size))
        traces = np.zeros((size, size))
        for field, j, rows in self.unknowns(shared):
            count, weight = rows.stop - rows.start, factors[j][field]
            np.multiply(matrices[j][:, :count], weight * scale**j, out=found[:, field, rows])
            own = np.eye(count) if onto is None else onto[:count, :count]
            np.multiply(own, weight / at.unit**j, out=traces[rows, rows])
        return found.reshape(self.polynomials.size * fields, size).T, traces


class InterfaceRows:
    """The least-squares rows that couple cells at the arcs or patches of an interface.

    A row is a form minus a trace. A form is a linear combination of fields and their derivatives at
    one side of the interface: the value of a field, its normal derivative, or a flux. A trace is an
    unknown polynomial on the arc or patch. Values and normal derivatives have the same trace on
    both sides. Fluxes satisfy (form inside) + (form outside) = data. The trace of a flux is the
    form outside, so that it enters the rows inside with the opposite sign.

    Args:
        interface: the arcs or patches, and the conditions on fluxes at them.
        coupling: the weights of jumps.

    Attributes:
        forms: the coefficients of values and derivatives (parts of jets) in each form,
            (2, c, q, forms, parts, m).
        weights: the square roots of the weights, (2, c, forms).
        signs: the signs of the traces in the rows, (2, forms).
    """

    def __init__(self, interface: Interface, coupling: Coupling) -> None:
        orders, slopes = list(enumerate(coupling.orders)), interface.slopes
        with_flux = (interface.sizes[..., 1:, :] > 0).flatten(0, -2).any(dim=0).tolist()
        continuous = [f for f, order in orders if order > 0]
        smooth = [f for f, order in orders if order > 1 and not with_flux[f]]
        values, derivatives = (
            slopes.new_zeros(*slopes.shape[:3], len(fields), *slopes.shape[4:])
            for fields in (continuous, smooth)
        )
        values[..., range(len(continuous)), 0, continuous] = 1.0
        normals, mean = interface.normals
        for number, field in enumerate(smooth):
            derivatives[..., number, 1 : 1 + normals.shape[2], field] = normals
        cells = [side.cells for side in interface.at.sides]
        least = torch.minimum(*(interface.about.geometry.across(one, mean) for one in cells))
        jumps = torch.stack([coupling.weights(one, mean, least) for one in cells])
        both = zip(interface.sizes, jumps, strict=True)
        fluxes = torch.stack([coupling.of_condition(*one) for one in both])
        ones = [1.0] * (len(continuous) + len(smooth))
        self.interface, self.forms = interface, torch.cat([values, derivatives, slopes], dim=3)
        self.weights = torch.cat([jumps[:, :, 0, continuous], jumps[:, :, 1, smooth], fluxes], 2)
        self.signs = jumps.new_tensor([[*ones, *[way] * slopes.shape[3]] for way in (-1.0, 1.0)])

    @property
    def parts(self) -> int:
        """The number of arcs or patches."""
        return len(self.interface.at.onto)

    @property
    def size(self) -> int:
        """The number of unknowns on one arc or patch, for all its traces (unknown polynomials)."""
        return self.interface.at.traces.size * self.signs.shape[1]

    def coarse(self, low: int) -> Array:
        """A mask (parts·size,) of the unknowns on arcs or patches that have degrees up to `low`."""
        traces = self.interface.at.traces
        own = np.arange(traces.size) < traces.count(min(low, traces.degree))
        return np.tile(own, self.signs.shape[1] * self.parts)

    def traces(self, function: CellFunctions) -> Array:
        """Fit the traces (unknown polynomials on arcs or patches) to a function, (parts·size,).

        They are the best fit in the norm of the rows.

        Args:
            function: the function in cells.
        """
        onto, right = self.interface.at.onto, self.interface.right
        jets = self.interface.jets(function)
        found = torch.einsum("cqi,scqfpm,cqspm->scfi", onto, self.forms, jets)
        if right.shape[2]:
            found[:, :, -right.shape[2] :] -= torch.einsum("cqi,cqe->cei", onto, right) / 2
        squares = self.weights.square()
        shares = squares / squares.sum(dim=0) * self.signs[:, None]
        return (found * shares[..., None]).sum(dim=0).flatten().numpy()

    def rows(self, side: int, place: int) -> tuple[Array, Array]:
        """The least-squares rows of the cell on one side of an arc or patch.

        Args:
            side: INSIDE or OUTSIDE.
            place: the index of the arc or patch.

        Returns:
            The matrix of the cell's coefficients, (rows, L m), and the diagonal of the matrix of
            the traces' unknowns, (rows,).
        """
        weights, onto = self.weights[side, place], self.interface.at.onto[place]
        polynomials, at = self.interface.about.polynomials, self.interface.at.sides[side]
        channels = self.interface.channels
        functions = polynomials.stacked(channels, at.at(place), at.scale[place])  # (q, parts, L)
        found = torch.einsum("qi,qfpm,qpl->film", onto, self.forms[side, place], functions)
        diagonal = (weights * self.signs[side]).repeat_interleave(onto.shape[1])
        rows = (found * weights[:, None, None, None]).flatten(2).flatten(0, 1)
        return rows.numpy(), diagonal.numpy()

    def right_hand_sides(self, side: int, place: int, fluxes: Tensor) -> Array:
        """The right-hand sides of the rows at one side of an arc or patch, (rows, n).

        They are half of the prescribed flux on each side.

        Args:
            side: INSIDE or OUTSIDE.
            place: the index of the arc or patch.
            fluxes: the prescribed fluxes at the points of the arc or patch, (q, equations, n).
        """
        weights, equations = self.weights[side, place], fluxes.shape[1]
        onto = self.interface.at.onto[place]
        found = fluxes.new_zeros(len(weights), onto.shape[1], fluxes.shape[2])
        if equations:
            found[-equations:] = torch.einsum("qi,qen->ein", onto, fluxes) / 2
        return (found * weights[:, None, None]).flatten(0, 1).numpy()


class InterfaceSide(NamedTuple):
    """Where one cell meets an interface: one side of an arc (in space a patch).

    Args:
        rows: the least-squares rows of several arcs or patches, among them this one.
        side: INSIDE or OUTSIDE.
        place: the index of this arc or patch in `rows`.
        trace: the index of the arc's or patch's trace (unknown polynomial) among all traces.
    """

    rows: InterfaceRows
    side: int
    place: int
    trace: int
