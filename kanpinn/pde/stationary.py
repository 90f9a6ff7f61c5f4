"""The equation and the natural conditions of an energy, from its density by differentiation.

With the density e(x, u, ∇u) in the domain and b(x, u) on its boundary, the first variation of the
energy is zero for all test functions where, for each field u_k,

    ∂e/∂u_k - Σ_i d/dx_i ∂e/∂(∂_i u_k) = 0          in the domain,
    ∂b/∂u_k + Σ_i n_i ∂e/∂(∂_i u_k) = 0             on the boundary,

the latter unless u_k is prescribed. The total derivative along x_i is computed by the chain rule,
so that coefficients may depend on x, and is exact. Second derivatives in the density add
Σ_ij d²/dx_i dx_j ∂e/∂(∂_ij u_k) to the equation; then no conditions are derived.

Reference: Courant and Hilbert, Methods of Mathematical Physics I (1953), chapter IV.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Jet, MissingChannel, partial
from kanpinn.pde.evaluate import stack_equations

Density = Callable[..., Tensor]
OnWalls = Sequence[tuple[Boundary, Density]]
Levels = Sequence[Sequence[Tensor]]  # of each order r the derivatives of each field, (n, d^r)


@dataclass(frozen=True, eq=False)
class Integrand:
    """A density at n points with what it depends on, by which it can be differentiated.

    Args:
        density: its values, (n, 1).
        coords: the points, (n, d).
        levels: the derivatives of the fields by all coordinates, the values first.
        order: the highest derivatives in the density.
    """

    density: Tensor
    coords: Tensor
    levels: Levels
    order: int

    @classmethod
    def at(
        cls, density: Density, p: Points, fields: Sequence[Jet], what: str, further: bool = False
    ) -> "Integrand":
        """The density at points; call it where gradients are recorded.

        Args:
            density: the function (p, u, …) that gives the density.
            p: n points.
            fields: the jet of each field there.
            what: the name of the function in messages.
            further: whether the levels go on up to twice the order of the density.

        Raises:
            InputError: where the density has another shape, or contains third derivatives.
            MissingChannel: where derivatives are needed that the jets do not carry.
        """
        own = p.once(_traced, lambda: _traced(p))
        order, directions = 0, Channels(p.names)
        while True:
            levels = [[_entry(_derivatives(u, r)) for u in fields] for r in range(order + 1)]
            try:
                found = density(own, *_jets(levels, directions))
                break
            except MissingChannel as missing:
                needed = missing.needed
                if needed.derivative_order > 2:
                    raise InputError(
                        f"{what} contains derivatives of order {needed.derivative_order}: an "
                        "equation is derived from densities with derivatives up to second order"
                    ) from None
                order = max(order, needed.derivative_order)
                directions = directions | Channels(
                    p.names, directions=needed.directions, order=needed.order
                )
        found = stack_equations(found, len(p), what)
        if found.shape[1] != 1:
            raise InputError(f"{what} must have shape (n, 1), got {tuple(found.shape)}")
        for r in range(order + 1, 2 * order + 1) if further else ():
            levels.append([_entry(_derivatives(u, r)) for u in fields])
        return cls(found, own.coords, levels, order)

    def slopes(self, of: Tensor) -> tuple[Tensor, Levels]:
        """The derivatives of a column (n, 1), by the points (n, d) and by the levels."""
        entries = [self.coords, *(one for level in self.levels for one in level)]
        found = [torch.zeros_like(one) for one in entries]
        if of.requires_grad:
            found = list(
                torch.autograd.grad(
                    of.sum(), entries, create_graph=True, allow_unused=True, materialize_grads=True
                )
            )
        m = len(self.levels[0])
        return found[0], [found[i : i + m] for i in range(1, len(found), m)]

    def along(self, of: Tensor, axis: int) -> Tensor:
        """The total derivative of a column (n, 1) by a coordinate, (n, 1)."""
        by_coords, by_levels = self.slopes(of)
        change, d = by_coords[:, axis, None], self.coords.shape[1]
        for slopes, higher in zip(by_levels, self.levels[1:], strict=False):
            for slope, derivatives in zip(slopes, higher, strict=True):
                rate = derivatives.unflatten(1, (d, -1))[:, axis]
                change = change + (slope * rate).sum(dim=1, keepdim=True)
        return change


def _traced(p: Points) -> Points:
    """The same points with coordinates by which results can be differentiated."""
    return Batch(p.coords.detach().clone().requires_grad_(), p.names, p.normals, p.data)


def _entry(part: Tensor) -> Tensor:
    """An entry of its own for a tensor, so that derivatives by it leave out what it came from."""
    return part.view_as(part) if part.requires_grad else part.detach().requires_grad_()


def _derivatives(u: Jet, order: int) -> Tensor:
    """The derivatives of an order of one field by all coordinates, (n, d^order).

    Raises:
        MissingChannel: where the jet does not carry them.
    """
    names = u.channels.names
    if order == 0:
        return u.value
    if order == 1:
        return torch.cat([partial(u, name) for name in names], dim=1)
    made: dict[tuple[str, ...], Tensor] = {}
    columns = []
    for which in itertools.product(names, repeat=order):
        key = tuple(sorted(which, key=names.index))
        if key not in made:
            made[key] = partial(u, *key)
        columns.append(made[key])
    return torch.cat(columns, dim=1)


def _jets(levels: Levels, directions: Channels) -> list[Jet]:
    """Jets with the derivatives of some levels, and with those along directions."""
    order, names = len(levels) - 1, directions.names
    second = "hessian" if order > 1 else "none"
    channels = directions | Channels(names, gradient=order > 0, second=second)
    jets = []
    for k, value in enumerate(levels[0]):
        parts = [level[k][..., None] for level in levels[1:]] + [None, None]
        lines = None
        if channels.directions:
            steps = value.new_tensor(channels.directions)
            along = [levels[1][k] @ steps.T]
            if channels.order > 1:
                bends = levels[2][k].unflatten(1, (len(names), -1))
                along.append(torch.einsum("nab,la,lb->nl", bends, steps, steps))
            lines = torch.stack(along, dim=2)[..., None]
        jets.append(Jet(channels, value, parts[0], parts[1], lines))
    return jets


def euler_lagrange(
    energy: Density, p: Points, columns: Sequence[Jet], what: str, fields: int
) -> Tensor:
    """The residual of the equation of an energy at n points, (n, m), one column for each field.

    Args:
        energy: the density, a function (p, u, …).
        p: the points.
        columns: the jets of the m fields, followed by those of unknown numbers.
        what: the name of the density in messages.
        fields: the number of fields m.

    Raises:
        InputError: as `Integrand.at`.
    """
    recorded, axes = _recorded(columns), range(len(p.names))
    with torch.enable_grad():
        found = Integrand.at(energy, p, columns, what, further=True)
        by_values, *others = found.slopes(found.density)[1][: found.order + 1]
        equations = list(by_values[:fields])
        for r, by_derivatives in enumerate(others, start=1):
            for k, slopes in enumerate(by_derivatives[:fields]):
                for number, which in enumerate(itertools.product(axes, repeat=r)):
                    term = slopes[:, number, None]
                    for axis in which:
                        term = found.along(term, axis)
                    equations[k] = equations[k] + (-1) ** r * term
        residual = torch.cat(equations, dim=1)
    return residual if recorded else residual.detach()


def _recorded(fields: Sequence[Jet]) -> bool:
    """Whether derivatives of results by the jets may be wanted."""
    return torch.is_grad_enabled() and any(t.requires_grad for u in fields for t in u.parts())


def natural_residual(
    energy: Density,
    others: Sequence[tuple[Density, str]],
    p: Points,
    fields: Sequence[Jet],
    what: str,
) -> Tensor:
    """The residual of the natural conditions at n points with normals, (n, m).

    Args:
        energy: the density in the domain, without second derivatives.
        others: the densities on the boundary at these points, with their names in messages.
        p, fields, what: as for `euler_lagrange`.

    Raises:
        InputError: as `Integrand.at`, and for a density on the boundary that contains derivatives.
    """
    assert p.normals is not None
    recorded = _recorded(fields)
    with torch.enable_grad():
        inside = Integrand.at(energy, p, fields, what)
        columns = [torch.zeros_like(value) for value in inside.levels[0]]
        for by_gradients in inside.slopes(inside.density)[1][1:]:
            columns = [(p.normals * one).sum(dim=1, keepdim=True) for one in by_gradients]
        values = [Jet(Channels(p.names), u.value) for u in fields]
        for density, name in others:
            try:
                wall = Integrand.at(density, p, values, name)
            except MissingChannel:
                raise InputError(
                    f"{name} contains derivatives: a natural condition is derived from densities "
                    "of values only"
                ) from None
            (by_values,) = wall.slopes(wall.density)[1]
            columns = [one + other for one, other in zip(columns, by_values, strict=True)]
        residual = torch.cat(columns, dim=1)
    return residual if recorded else residual.detach()
