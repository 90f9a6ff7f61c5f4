"""The equation and the natural conditions of an energy, by differentiation, and checks of energies.

With the density e(x, u, ∇u) in the domain and b(x, u) on the boundary, the first variation of the
energy is zero for all test functions if, for each field u_k,

    ∂e/∂u_k - Σ_i d/dx_i ∂e/∂(∂_i u_k) = 0          in the domain,
    ∂b/∂u_k + Σ_i n_i ∂e/∂(∂_i u_k) = 0             on the boundary where u_k is not prescribed.

The total derivative along x_i is computed by the chain rule; it is exact, and coefficients may
depend on x. Second derivatives in the density add Σ_ij d²/dx_i dx_j ∂e/∂(∂_ij u_k) to the equation;
then no conditions are derived.

Reference: Courant and Hilbert, Methods of Mathematical Physics I (1953), chapter IV.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import sample
from kanpinn.jets import (
    Channels,
    Jet,
    Levels,
    MissingChannel,
    derivatives,
    is_recorded,
    jets_of_levels,
    random_jets,
    slopes_of,
    stack_equations,
    with_levels,
)
from kanpinn.pde.conditions import Condition, OnBoundary

Density = Callable[..., Tensor]
BoundaryEnergies = Sequence[tuple[Boundary, Density]]


@dataclass(frozen=True, eq=False)
class Integrand:
    """An energy density at n points, with the tensors by which it is differentiated.

    Args:
        density: the values of the density, (n, 1).
        coords: the points, (n, d).
        levels: for each order r = 0, 1, … a list with a tensor (n, d^r) for each field, which holds
            all its derivatives of order r.
        order: the order of the highest derivatives in the density.
    """

    density: Tensor
    coords: Tensor
    levels: Levels
    order: int

    @classmethod
    def at(
        cls, density: Density, p: Points, fields: Sequence[Jet], what: str, further: bool = False
    ) -> "Integrand":
        """Evaluate a density at points; the caller has to enable gradients.

        Args:
            density: a function (p, u, …) that returns the density (n, 1).
            p: n points.
            fields: the jet (values and derivatives) of each field at the points.
            what: the name of the function in messages.
            further: whether the levels include orders up to twice the order of the density.

        Raises:
            InputError: if the density has another shape, or contains third derivatives.
            MissingChannel: if derivatives are needed that the jets do not contain.
        """
        traced = p.once(_traced, lambda: _traced(p))

        def evaluated(levels: Levels, directions: Channels) -> tuple[Tensor, list[list[Tensor]]]:
            entries = [[_entry(one) for one in level] for level in levels]
            return density(traced, *jets_of_levels(entries, directions)), entries

        values, levels = with_levels(evaluated, fields, what)
        values, order = stack_equations(values, len(p), what), len(levels) - 1
        if values.shape[1] != 1:
            raise InputError(f"{what} must have shape (n, 1), got {tuple(values.shape)}")
        for r in range(order + 1, 2 * order + 1) if further else ():
            levels.append([_entry(derivatives(u, r)) for u in fields])
        return cls(values, traced.coords, levels, order)

    def slopes(self, of: Tensor) -> tuple[Tensor, Levels]:
        """Return derivatives of a column (n, 1) by the coordinates and by the fields' derivatives.

        Args:
            of: the column, which is computed from `coords` and `levels`.

        Returns:
            The derivatives with respect to the coordinates, (n, d), and with respect to each tensor
            of `levels` (the fields with their derivatives), in the structure of `levels`.
        """
        m, entries = len(self.levels[0]), [entry for level in self.levels for entry in level]
        by_coords, *others = slopes_of(of, self.coords, *entries, further=True)
        return by_coords, [others[i : i + m] for i in range(0, len(others), m)]

    def along(self, of: Tensor, axis: int) -> Tensor:
        """Return the total derivative (n, 1) of a column (n, 1) along a coordinate.

        Args:
            of: the column, which is computed from the coordinates, the fields and their
                derivatives.
            axis: the index of the coordinate.
        """
        by_coords, by_levels = self.slopes(of)
        change, d = by_coords[:, axis, None], self.coords.shape[1]
        for slopes, higher in zip(by_levels, self.levels[1:], strict=False):
            for slope, entry in zip(slopes, higher, strict=True):
                rate = entry.unflatten(1, (d, -1))[:, axis]
                change = change + (slope * rate).sum(dim=1, keepdim=True)
        return change


def _traced(p: Points) -> Points:
    """Return a copy of points whose coordinates require gradients."""
    return Batch(p.coords.detach().clone().requires_grad_(), p.names, p.normals, p.data)


def _entry(part: Tensor) -> Tensor:
    """Return a copy of a tensor as a new node of autograd's graph, to differentiate by it."""
    return part.view_as(part) if part.requires_grad else part.detach().requires_grad_()


@dataclass(frozen=True, eq=False)
class Energy:
    """The energy of a problem, from which its equation and natural conditions are derived.

    Args:
        density: the density in the domain, a function (p, u, …).
        what: the name of the density in messages.
        fields: the names of the problem's fields.
        columns: the number of fields and unknown scalar parameters.
    """

    density: Density
    what: str
    fields: Sequence[str]
    columns: int

    def equation(self, p: Points, columns: Sequence[Jet]) -> Tensor:
        """Return the residuals of the m Euler–Lagrange equations of the fields at n points, (n, m).

        Args:
            p: the points.
            columns: the jets of the m fields, followed by the jets of unknown scalar parameters.

        Raises:
            InputError: if the density has another shape than (n, 1), or contains third derivatives.
        """
        recorded, axes, fields = is_recorded(columns), range(len(p.names)), len(self.fields)
        with torch.enable_grad():
            integrand = Integrand.at(self.density, p, columns, self.what, further=True)
            by_values, *others = integrand.slopes(integrand.density)[1][: integrand.order + 1]
            equations = list(by_values[:fields])
            for r, by_derivatives in enumerate(others, start=1):
                for k, slopes in enumerate(by_derivatives[:fields]):
                    for number, which in enumerate(itertools.product(axes, repeat=r)):
                        term = slopes[:, number, None]
                        for axis in which:
                            term = integrand.along(term, axis)
                        equations[k] = equations[k] + (-1) ** r * term
            residual = torch.cat(equations, dim=1)
        return residual if recorded else residual.detach()

    def order(self, domain: Domain) -> int:
        """Return the order of the highest derivatives in the density, and check its coefficients.

        The coefficients' derivatives along the coordinates are compared with difference quotients
        at a few points, for random fields: the derivatives of a coefficient that is computed
        without autograd, such as from a table, would be missing in the equation.

        Args:
            domain: the domain, in which the points are drawn.

        Raises:
            InputError: if derivatives differ from the difference quotients, and for a problem with
                a time.
        """
        if domain.time_name is not None:
            raise InputError(
                f"{self.what} has the time {domain.time_name}: an equation is derived from "
                "energies of problems without a time"
            )

        p = sample(domain, 5, "uniform")
        jet, _ = random_jets(lambda p, u: self.equation(p, u.components()), p, self.columns)
        columns = jet.components()
        steps = 1e-5 * (domain.bounds[1] - domain.bounds[0])
        with torch.enable_grad():
            at = Integrand.at(self.density, p, columns, self.what)
            for axis, step in enumerate(torch.diag(steps)):
                shifted = (Points(p.coords + sign * step, p.names) for sign in (-1, 1))
                ends = [
                    _columns(Integrand.at(self.density, q, columns, self.what)) for q in shifted
                ]
                for slope, *both in zip(_columns(at), *ends, strict=True):
                    exact = at.slopes(slope)[0][:, axis]
                    gap = (both[1] - both[0])[:, 0] / (2 * steps[axis]) - exact
                    size = slope.abs().max() / (steps[axis] * 1e5) + exact.abs().max()
                    if float(gap.detach().abs().max()) > 1e-4 * float(size.detach()):
                        raise InputError(
                            f"{self.what} has a coefficient whose derivative by "
                            f"{domain.names[axis]} is not that of its values: compute it from p by "
                            "functions of torch, without detach() or NumPy"
                        )
        return at.order

    def with_natural(
        self, conditions: Sequence[Condition], domain: Domain, on_boundary: BoundaryEnergies
    ) -> list[Condition]:
        """Return the essential conditions of a problem and the natural conditions of its energy.

        The natural conditions replace the problem's Neumann and Robin conditions.

        Args:
            conditions: the conditions of the problem.
            domain: the domain, without a time.
            on_boundary: pairs of a part of the boundary and the energy density on this part.

        Raises:
            InputError: if a condition couples fields on a piece of the boundary, so that no single
                field is prescribed.
        """
        essential = [one for one in conditions if not one.is_natural]
        alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[Piece]] = defaultdict(list)
        for piece in domain.boundary.pieces:
            if not any(piece in one.tied for one in essential):
                fixed = {name for one in essential for name in _fixed(one, piece, self.fields)}
                free = tuple(i for i, name in enumerate(self.fields) if name not in fixed)
                there = tuple(i for i, (part, _) in enumerate(on_boundary) if piece in part.pieces)
                if free:
                    alike[free, there].append(piece)
        densities = [(one, f"boundary_energies()[{i}]") for i, (_, one) in enumerate(on_boundary)]
        natural = [
            Natural(Boundary(tuple(pieces)), self, [densities[i] for i in there], free)
            for (free, there), pieces in alike.items()
        ]
        return [*essential, *natural]


@dataclass(frozen=True, eq=False)
class Natural(OnBoundary):
    """The condition that the first variation of an energy vanishes on a part of the boundary.

    Args:
        boundary: the part of the boundary.
        energy: the energy.
        others: the energy densities on this part, as pairs of a function and its name in messages.
        free: the indices of the fields that are not prescribed on this part.

    Attributes:
        fixes_constant: whether adding a constant to the fields changes the residual, as it does if
            a density on the boundary is not affine in the fields.
    """

    energy: Energy
    others: Sequence[tuple[Density, str]]
    free: Sequence[int]

    is_natural: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        p = Points.cat(piece.gauss(3) for piece in self.pieces)
        jet, _ = random_jets(self._of_all, p, self.energy.columns)
        change = self._of_all(p, replace(jet, value=jet.value + 1)) - self._of_all(p, jet)
        vars(self)["fixes_constant"] = bool(self.others and change.abs().max() > 1e-10)

    @property
    def needs_energy(self) -> bool:
        return False  # the condition follows from the energy itself

    def _of_all(self, p: Points, u: Jet) -> Tensor:
        """Return the residual, (n, k), from the jet of all fields and unknown parameters."""
        return self.residual(p, *u.components())

    stacked_residual = _of_all

    def residual(self, p: Points, *columns: Jet) -> Tensor:
        """Return ∂b/∂u + n·∂e/∂∇u for the k fields that are not prescribed, (n, k).

        Here b is the sum of the densities on the boundary, and e is the density in the domain.

        Args:
            p: n boundary points with normals.
            columns: the jets of the fields, followed by the jets of unknown scalar parameters.

        Raises:
            InputError: if a density has another shape than (n, 1), or contains third derivatives,
                and for a density on the boundary that contains derivatives.
        """
        assert p.normals is not None
        recorded = is_recorded(columns)
        with torch.enable_grad():
            inside = Integrand.at(self.energy.density, p, columns, self.energy.what)
            residuals = [torch.zeros_like(value) for value in inside.levels[0]]
            for by_gradients in inside.slopes(inside.density)[1][1:]:
                residuals = [(p.normals * slope).sum(dim=1, keepdim=True) for slope in by_gradients]
            values = [Jet(Channels(p.names), u.value) for u in columns]
            for density, name in self.others:
                try:
                    wall = Integrand.at(density, p, values, name)
                except MissingChannel:
                    raise InputError(
                        f"{name} contains derivatives: a natural condition is derived from "
                        "densities of values only"
                    ) from None
                (by_values,) = wall.slopes(wall.density)[1]
                residuals = [a + b for a, b in zip(residuals, by_values, strict=True)]
            residual = torch.cat(residuals, dim=1)[:, list(self.free)]
        return residual if recorded else residual.detach()


def _fixed(condition: Condition, piece: Piece, fields: Sequence[str]) -> set[str]:
    """Return the names of the fields that a condition prescribes on a piece of the boundary.

    A condition on a single field counts as prescribing the field even if it is not a Dirichlet
    condition. The result is empty if the condition does not hold on the piece.

    Args:
        condition: the condition, which is not natural.
        piece: the piece of the boundary.
        fields: the names of the problem's fields.

    Raises:
        InputError: if the condition couples several fields.
    """
    if piece not in condition.pieces:
        return set()
    about = condition.about or tuple(fields)
    prescribed = {given.field for given in condition.prescribed(fields) if given.piece == piece}
    if not prescribed and len(about) > 1:
        raise InputError(
            f"a {type(condition).__name__} on {piece.name} couples the fields {', '.join(about)}: "
            "natural conditions of an energy are derived beside values of single fields, as "
            "kp.Dirichlet prescribes"
        )
    return prescribed or set(about)


def _columns(at: Integrand) -> list[Tensor]:
    """Return a density's derivatives by each partial derivative of each field, (n, 1) each.

    They are ordered by the order of the field's derivative, then by the field, then by the
    coordinates. Derivatives by the values of the fields are left out.

    Args:
        at: the density at n points.
    """
    _, by_levels = at.slopes(at.density)
    return [part for level in by_levels[1:] for slope in level for part in slope.split(1, dim=1)]
