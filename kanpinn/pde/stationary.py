"""The equation and the natural conditions of an energy, from its density by differentiation.

With the density e(x, u, ∇u) in the domain and b(x, u) on its boundary, the first variation of the
energy is zero for all test functions where, for each field u_k,

    ∂e/∂u_k - Σ_i d/dx_i ∂e/∂(∂_i u_k) = 0          in the domain,
    ∂b/∂u_k + Σ_i n_i ∂e/∂(∂_i u_k) = 0             on the boundary,

the latter unless u_k is prescribed. The total derivative along x_i is computed by the chain rule,
so that coefficients may depend on x, and is exact.

Reference: Courant and Hilbert, Methods of Mathematical Physics I (1953), chapter IV.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Jet, MissingChannel
from kanpinn.pde.evaluate import stack_equations

Density = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Integrand:
    """A density at n points with what it depends on, by which it can be differentiated.

    Args:
        density: its values, (n, 1).
        coords: the points, (n, d).
        values: of the m fields, (n, 1) each.
        gradients: of the fields, (n, d, 1) each; empty where the jets carry none.
    """

    density: Tensor
    coords: Tensor
    values: Sequence[Tensor]
    gradients: Sequence[Tensor]

    @classmethod
    def at(cls, density: Density, p: Points, fields: Sequence[Jet], what: str) -> "Integrand":
        """The density at points; call it where gradients are recorded.

        Args:
            density: the function (p, u, …) that gives the density.
            p: n points.
            fields: the jet of each field there.
            what: the name of the function in messages.

        Raises:
            InputError: where the density has another shape, or contains second derivatives.
            MissingChannel: where it needs gradients that the jets do not carry.
        """
        own = p.once(_traced, lambda: _traced(p))
        values = [_entry(u.value) for u in fields]
        gradients = [_entry(u.gradient) for u in fields if u.gradient is not None]
        channels = Channels(p.names, gradient=bool(gradients))
        while True:
            try:
                found = density(own, *_jets(channels, values, gradients))
                break
            except MissingChannel as missing:
                if missing.needed.derivative_order > 1:
                    raise InputError(
                        f"{what} contains derivatives of order {missing.needed.derivative_order}: "
                        "an equation is derived from densities of values and gradients only"
                    ) from None
                if not gradients:
                    raise MissingChannel(Channels(p.names, gradient=True)) from None
                channels = channels | missing.needed
        found = stack_equations(found, len(p), what)
        if found.shape[1] != 1:
            raise InputError(f"{what} must have shape (n, 1), got {tuple(found.shape)}")
        return cls(found, own.coords, values, gradients)

    def slopes(self, of: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The derivatives of a column, by the points, the values and the gradients."""
        entries = [self.coords, *self.values, *self.gradients]
        found = [torch.zeros_like(one) for one in entries]
        if of.requires_grad:
            found = list(
                torch.autograd.grad(
                    of.sum(), entries, create_graph=True, allow_unused=True, materialize_grads=True
                )
            )
        m = len(self.values)
        return found[0], found[1 : 1 + m], found[1 + m :]


def _traced(p: Points) -> Points:
    """The same points with coordinates by which results can be differentiated."""
    return Batch(p.coords.detach().clone().requires_grad_(), p.names, p.normals, p.data)


def _entry(part: Tensor) -> Tensor:
    """An entry of its own for a tensor, so that derivatives by it leave out what it came from."""
    return part.view_as(part) if part.requires_grad else part.detach().requires_grad_()


def _jets(channels: Channels, values: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Jet]:
    """Jets with these values and gradients, and with first derivatives along directions."""
    jets = []
    for k, value in enumerate(values):
        gradient, lines = gradients[k] if channels.gradient else None, None
        if channels.directions:
            steps = value.new_tensor(channels.directions)
            lines = torch.einsum("ndm,ld->nlm", gradients[k], steps)[:, :, None]
        jets.append(Jet(channels, value, gradient, None, lines))
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
    recorded = _recorded(columns)
    with torch.enable_grad():
        try:
            found = Integrand.at(energy, p, columns, what)
        except MissingChannel:
            raise MissingChannel(Channels(p.names, second="hessian")) from None
        if found.gradients and columns[0].channels.second != "hessian":
            raise MissingChannel(Channels(p.names, second="hessian"))
        _, by_values, by_gradients = found.slopes(found.density)
        equations = by_values[:fields]
        for k, slopes in enumerate(by_gradients[:fields]):
            for axis in range(len(p.names)):
                equations[k] = equations[k] - _along(found, slopes[:, axis], columns, axis)
        residual = torch.cat(equations, dim=1)
    return residual if recorded else residual.detach()


def _recorded(fields: Sequence[Jet]) -> bool:
    """Whether derivatives of results by the jets may be wanted."""
    return torch.is_grad_enabled() and any(t.requires_grad for u in fields for t in u.parts())


def _along(found: Integrand, flux: Tensor, fields: Sequence[Jet], axis: int) -> Tensor:
    """The total derivative of a column along a coordinate, (n, 1)."""
    by_coords, by_values, by_gradients = found.slopes(flux)
    change = by_coords[:, axis, None]
    for k, u in enumerate(fields):
        assert u.second is not None
        bend = u.second.unflatten(1, (len(found.coords[0]), -1))[:, axis]  # of the gradient
        change = change + by_values[k] * found.gradients[k][:, axis]
        change = change + (by_gradients[k] * bend).sum(dim=1)
    return change


def natural_residual(
    energy: Density,
    others: Sequence[tuple[Density, str]],
    p: Points,
    fields: Sequence[Jet],
    what: str,
) -> Tensor:
    """The residual of the natural conditions at n points with normals, (n, m).

    Args:
        energy: the density in the domain.
        others: the densities on the boundary at these points, with their names in messages.
        p, fields, what: as for `euler_lagrange`.

    Raises:
        InputError: as `Integrand.at`, and for a density on the boundary that contains derivatives.
    """
    assert p.normals is not None
    recorded = _recorded(fields)
    with torch.enable_grad():
        inside = Integrand.at(energy, p, fields, what)
        _, _, by_gradients = inside.slopes(inside.density)
        zeros = [torch.zeros_like(value) for value in inside.values]
        columns = [(p.normals[..., None] * one).sum(dim=1) for one in by_gradients] or zeros
        values = [Jet(Channels(p.names), u.value) for u in fields]
        for density, name in others:
            try:
                wall = Integrand.at(density, p, values, name)
            except MissingChannel:
                raise InputError(
                    f"{name} contains derivatives: a natural condition is derived from densities "
                    "of values only"
                ) from None
            _, by_values, _ = wall.slopes(wall.density)
            columns = [one + other for one, other in zip(columns, by_values, strict=True)]
        residual = torch.cat(columns, dim=1)
    return residual if recorded else residual.detach()
