"""Divergences of jets and of fluxes, which are functions of points and fields.

A flux F(x, u, ∇u, …) is differentiated by the chain rule: its total derivative along a coordinate
is the derivative of F along the vector (e_i, ∂_i u, ∂_i ∇u, …), with the unit vector e_i of the
coordinate. It is computed by automatic differentiation and is exact.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, calling
from kanpinn.geometry import Points
from kanpinn.jets.jet import SECOND_KINDS, Channels, Jet, MissingChannel, slopes_of, total
from kanpinn.jets.linearised import refusing_changes
from kanpinn.jets.operators import normal_derivative, partial

Law = Callable[..., Tensor | Sequence[Tensor]]  # a flux as a function (p, u, …), see `div`
Levels = Sequence[Sequence[Tensor]]  # for each order r all derivatives of each field, (n, d^r)
T = TypeVar("T")
_seen: ContextVar["list[Flux] | None"] = ContextVar("_seen", default=None)


def div(field: Jet | Law, *others: Jet | Points) -> Tensor:
    """The divergence of a vector field, or of a flux that is a function of points and fields.

    `div(u, v)`, or `div(u)` of a jet with d components, is Σ_a ∂_a u_a, (n, 1), over all d
    coordinates.

    `div(flux, p, u)` is Σ_a d/dx_a F_a, where F = flux(p, u) may depend on the point, and on the
    values and derivatives of the fields up to second order in space. An example is a coefficient
    times `grad(u)`. The flux is differentiated automatically and exactly, with its coefficients.
    The sum is over the coordinates of space: a component of F along the time t, which `grad(u)`
    has, is left out.

    Args:
        field: the jet (values and derivatives) of a field, or the flux: a function (p, u, …) with
            the arguments of a problem's residual. The function computes F at each point from its
            arguments at this point. F has to be continuous. The function returns a tensor (n, d)
            or, for m equations, (n, d, m) with the components along the d coordinates on the second
            axis; or a tuple of these components, (n, 1) or (n, m) each. Components along the
            coordinates of space alone are enough.
        others: further jets of scalar fields; for a flux the n points, then the jets of the scalar
            fields.

    Returns:
        (n, 1), or (n, m) for a flux of m equations.

    Raises:
        InputError: for arguments of other kinds, for jets that do not have d components together,
            and for a flux of another shape or with derivatives of an order above 2.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import Channels, jet_of
        >>> p = kp.Points(torch.tensor([[1.0, 2.0]]), ("x", "y"))
        >>> kp.div(jet_of(lambda x: x**2, p.coords, Channels(p.names, gradient=True)))
        tensor([[6.]])
        >>> u = jet_of(lambda x: x[:, :1] ** 2, p.coords, Channels(p.names, second="hessian"))
        >>> kp.div(lambda p, u: u.value * kp.grad(u), p, u)  # (2 x³)' at x = 1
        tensor([[6.]])
    """
    if not isinstance(field, Jet) and callable(field):
        match others:
            case (Points() as p, *fields) if fields and all(isinstance(u, Jet) for u in fields):
                return _divergence(field, p, fields)  # type: ignore[arg-type]
        raise InputError(
            "div takes a flux with its points and the jets of its fields, div(flux, p, u), got "
            f"{', '.join(type(one).__name__ for one in others) or 'the flux alone'}"
        )
    for u in (field, *others):
        if not isinstance(u, Jet):
            raise InputError(
                "div takes jets, or a flux as a function with its points and fields, "
                f"div(flux, p, u), got {type(u).__name__}: the derivatives of a plain tensor are "
                "not known"
            )
    jets: list[Jet] = [field, *others]  # type: ignore[list-item]
    names, count = jets[0].channels.names, sum(u.value.shape[1] for u in jets)
    if count != len(names):
        raise InputError(f"div needs {len(names)} components, the field has {count}")
    columns = [c for u in jets for c in u.components()]
    return total(partial(u, name) for u, name in zip(columns, names, strict=True))


def normal_flux(law: Law | None, p: Points, fields: Sequence[Jet]) -> Tensor:
    """The normal component Σ_a n_a F_a of a flux at n boundary points, (n, m) for m equations.

    Args:
        law: the flux F as in `div`; None for ∇u of each field.
        p: the points, with normals. A component of a law along the time is left out.
        fields: the jets of the fields at the points.

    Raises:
        InputError: for a flux of another shape.
    """
    if law is None:
        return torch.cat([normal_derivative(u, p) for u in fields], dim=1)
    normals = p.outward[:, _space(p.names)]
    return torch.einsum("na,nam->nm", normals, _components(law, p, fields))


@dataclass(frozen=True, eq=False)
class Flux:
    """A flux at n points, as a function of the points and of all derivatives of the fields.

    Args:
        name: the name of the flux in messages.
        law: the function (p, u, …) as in `div`.
        p: the points.
        levels: for each order r = 0, 1, … a list with a tensor (n, d^r) for each field, which holds
            all its derivatives of order r.
        directions: channels with the directions along which the function takes derivatives of the
            fields.
    """

    name: str
    law: Law
    p: Points
    levels: Levels
    directions: Channels

    @property
    def entries(self) -> list[Tensor]:
        """The tensors of all levels in one list."""
        return [entry for level in self.levels for entry in level]

    def at(self, coords: Tensor, *entries: Tensor) -> Tensor:
        """Return the components of the flux along the s coordinates of space, (n, s, m).

        Args:
            coords: n points, (n, d), which may differ from `p`.
            entries: the derivatives of the fields at these points, in the order of the property
                `entries`.

        Raises:
            InputError: if the function raises an exception, or returns another shape than those in
                `div`.
            MissingChannel: if the function takes a derivative that is not among `levels`.
        """
        p, m = Points(coords, self.p.names), len(self.levels[0])
        p = p.with_numbers(self.p.numbers) if self.p.numbers else p
        levels = [entries[i : i + m] for i in range(0, len(entries), m)]
        given = f"points of the shape {tuple(coords.shape)}, other than those of the residual"
        with calling(self.name, given):
            return _components(self.law, p, jets_of_levels(levels, self.directions))


@contextmanager
def fluxes_seen() -> Iterator[list[Flux]]:
    """Yield a list to which `div` appends each flux that it differentiates within the block."""
    found: list[Flux] = []
    token = _seen.set(found)
    try:
        yield found
    finally:
        _seen.reset(token)


def _divergence(law: Law, p: Points, fields: Sequence[Jet]) -> Tensor:
    """Return the divergence of a flux over the coordinates of space, (n, m); see `div`.

    The flux is evaluated at s n points: at each point once for each of the s coordinates of space.
    A backward pass for each equation then gives the slopes of all components along their own
    coordinates.

    Raises:
        MissingChannel: if derivatives are needed that the jets of the fields do not carry.
    """
    space, recorded = _space(p.names), is_recorded(fields)
    kinds = ("hessian",) if len(space) > 1 else SECOND_KINDS
    order = int(all(u.second is not None and u.channels.second in kinds for u in fields))
    copies, name = len(space), f"the flux {getattr(law, '__name__', type(law).__name__)}"

    def evaluated(levels: Levels, directions: Channels) -> tuple[Flux, list[Tensor], Tensor]:
        flux = Flux(name, law, p, levels, directions)
        entries = [entry.repeat(copies, 1) for entry in (p.coords, *flux.entries)]
        entries = [one if one.requires_grad else one.requires_grad_() for one in entries]
        return flux, entries, flux.at(*entries).unflatten(0, (copies, -1))

    with torch.enable_grad():
        flux, entries, values = with_levels(evaluated, fields, name, order)
        units = torch.eye(len(p.names)).to(p.coords)[space].repeat_interleave(len(p), dim=0)
        rates = [units, *(_rates(u, r, space) for r, _ in enumerate(flux.levels) for u in fields)]
        if (seen := _seen.get()) is not None:
            seen.append(flux)
        along = total(values[i, :, i].sum(dim=0) for i in range(copies))
        columns = []
        for equation in along.unbind():
            slopes = slopes_of(equation, *entries, further=recorded)
            changes = (slope * rate for slope, rate in zip(slopes, rates, strict=True))
            columns.append(total(one.sum(dim=1) for one in changes))
        found = torch.stack(columns, dim=1).unflatten(0, (copies, -1)).sum(dim=0)
    return found if recorded else found.detach()


def is_recorded(fields: Sequence[Jet]) -> bool:
    """Return whether autograd records computations with the jets of the fields."""
    return torch.is_grad_enabled() and any(t.requires_grad for u in fields for t in u.parts())


def _rates(u: Jet, order: int, space: Sequence[int]) -> Tensor:
    """Return the slopes of a field's derivatives of one order along each coordinate of space.

    A flux does not depend on derivatives by the time, so 0 stands for the slopes of these.

    Args:
        u: the jet of the field.
        order: the order r of the derivatives.
        space: the indices of the s coordinates of space.

    Returns:
        (s n, d^r): for each coordinate, one after the other, n rows in the order of `derivatives`.
    """
    names, by = u.channels.names, functools.cache(functools.partial(partial, u))
    zero = torch.zeros_like(u.value)
    which = [*itertools.product(range(len(names)), repeat=order)]
    columns = [
        by(*(names[a] for a in sorted((axis, *axes)))) if {*axes} <= {*space} else zero
        for axes in which
        for axis in space
    ]
    return torch.cat([torch.cat(columns[i :: len(space)], dim=1) for i in range(len(space))])


def _space(names: Sequence[str]) -> list[int]:
    """Return the indices of the coordinates of space, which are those that are not the time t."""
    return [i for i, name in enumerate(names) if name != "t"]


def _components(law: Law, p: Points, fields: Sequence[Jet]) -> Tensor:
    """Return a flux as one tensor (n, s, m), for s coordinates of space.

    Args:
        law: the flux.
        p: the n points.
        fields: the jets of the fields at the points.

    Raises:
        InputError: if the shape is none of those in `div`.
    """
    space, n, values = _space(p.names), len(p), law(p, *fields)
    if isinstance(values, tuple | list) and all(isinstance(one, Tensor) for one in values):
        shapes = {tuple(one.shape) for one in values}
        values = torch.stack([*values], dim=1) if len(shapes) == 1 else values
    if isinstance(values, Tensor) and values.ndim in (2, 3) and len(values) == n:
        if values.shape[1] in (len(space), len(p.names)):
            values = values if values.shape[1] == len(space) else values[:, space]
            return values if values.ndim == 3 else values[..., None]
    shape = tuple(getattr(values, "shape", ())) or type(values).__name__
    raise InputError(
        f"the flux {getattr(law, '__name__', type(law).__name__)} must have shape "
        f"(n, {len(space)}) or (n, {len(space)}, equations) with n = {n} points here, got {shape}"
    )


def with_levels(
    evaluate: Callable[[Levels, Channels], T], fields: Sequence[Jet], what: str, order: int = 0
) -> T:
    """Return the result of a user's function of fields and of all their derivatives that it takes.

    The function is evaluated with derivatives of more and more orders until none is missing.

    Args:
        evaluate: evaluates the function with the jets that `jets_of_levels` makes of its arguments.
        fields: the jet of each field.
        what: the name of the function in messages.
        order: the order up to which the function gets derivatives at first.

    Raises:
        InputError: if the function takes third derivatives.
        MissingChannel: if derivatives are needed that the jets of the fields do not carry.
    """
    names = fields[0].channels.names
    directions = Channels(names)
    while True:
        levels = [[derivatives(u, r) for u in fields] for r in range(order + 1)]
        try:
            with refusing_changes(what):
                return evaluate(levels, directions)
        except MissingChannel as missing:
            needed, before = missing.needed, (order, directions)
            order = max(order, needed.derivative_order)
            directions |= Channels(names, directions=needed.directions, order=needed.order)
            if (order, directions) == before:  # it is missing in a jet that is no argument
                raise
        if order > 2:
            raise InputError(
                f"{what} takes derivatives of order {order}: functions of values and of "
                "derivatives up to second order are differentiated"
            )


def derivatives(u: Jet, order: int) -> Tensor:
    """Return all partial derivatives of one order of one field, (n, d^order).

    Args:
        u: the jet of the field.
        order: the order.

    Raises:
        MissingChannel: if the jet does not contain these derivatives.
    """
    names = u.channels.names
    if order == 0:
        return u.value
    by = functools.cache(functools.partial(partial, u))
    orders = itertools.product(names, repeat=order)
    return torch.cat([by(*sorted(which, key=names.index)) for which in orders], dim=1)


def jets_of_levels(levels: Levels, directions: Channels) -> list[Jet]:
    """Return the jets (values and derivatives) of fields from their partial derivatives.

    Args:
        levels: for each order r = 0, 1, … a list with a tensor (n, d^r) for each field, which holds
            all its derivatives of order r.
        directions: channels with further directions along which the jets contain derivatives.
    """
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
