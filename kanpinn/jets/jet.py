"""Jets, which hold a field's values and the derivatives that are needed, and their algebra.

A `Jet` holds, at n points and for m components, the value and optionally the gradient, one kind
of second derivatives and derivatives along lines up to fourth order; `Channels` says which. Sums,
products and compositions of jets are plain algebra on these tensors (Leibniz, Faà di Bruno): no
nested differentiation. `Coordinates` is the jet of the coordinates, and `jet_of` gives the jet of
any function.
A stacked jet is one tensor (n, parts, m) with the value and all derivatives side by side; each of
them is called a part. `derivatives_of_parts` says which derivative a part is.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NoReturn

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, KanpinnError

SECOND_KINDS = ("none", "laplacian", "diagonal", "hessian")


@dataclass(frozen=True)
class Channels:
    """The derivatives that a jet carries.

    Args:
        names: the names of the d coordinates.
        gradient: whether the first derivatives are carried.
        second: the second derivatives: "laplacian" carries the sum Δu, "diagonal" all ∂_aa u,
            "hessian" all ∂_ab u; each kind contains the kinds before it and implies the gradient.
            "none" carries none.
        directions: constant directions of directional derivatives, d numbers each.
        order: the highest order of the directional derivatives, at most 4; all lower orders are
            carried too.

    Attributes:
        dim: the number of coordinates d.
        derivative_order: the highest derivative in the jet, 0 … 4.
        second_count: the number of second derivatives in the jet: 0, 1, d or d².

    Raises:
        InputError: for an unknown kind of second derivatives.

    Example:
        >>> from kanpinn.jets import Channels
        >>> carried = Channels(("x", "y"), second="laplacian")
        >>> carried.gradient, carried.second_count, carried.derivative_order
        (True, 1, 2)
    """

    names: tuple[str, ...]
    gradient: bool = False
    second: str = "none"
    directions: tuple[tuple[float, ...], ...] = ()
    order: int = 0
    dim: int = field(init=False, repr=False, compare=False)
    derivative_order: int = field(init=False, repr=False, compare=False)
    second_count: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.second not in SECOND_KINDS:
            raise InputError(f"second must be one of {SECOND_KINDS}, got {self.second!r}")
        d, second = len(self.names), self.second != "none"
        gradient = self.gradient or second
        counts = {"none": 0, "laplacian": 1, "diagonal": d, "hessian": d * d}
        order = max(int(gradient), 2 * second, self.order)
        vars(self).update(
            gradient=gradient, dim=d, derivative_order=order, second_count=counts[self.second]
        )

    def __or__(self, other: "Channels") -> "Channels":
        """The channels with every derivative that at least one of the operands carries."""
        return Channels(
            self.names,
            self.gradient or other.gradient,
            max(self.second, other.second, key=SECOND_KINDS.index),
            tuple(dict.fromkeys(self.directions + other.directions)),
            max(self.order, other.order),
        )


@dataclass(eq=False)
class MissingChannel(KanpinnError):
    """Raised for a derivative that a jet does not carry.

    Args:
        needed: channels that contain this derivative.
    """

    needed: Channels


def second_of_diagonal(diagonal: Tensor, kind: str) -> Tensor:
    """Second derivatives of Σ_a f_a(x_a), a sum of functions of one coordinate each, as a tensor.

    Args:
        diagonal: the second derivative f_a'' of each function, (n, d, m).
        kind: which second derivatives, as `Channels.second`: "laplacian", "diagonal" or "hessian".

    Returns:
        The derivatives in the layout of `Jet.second`, (n, s, m), with s = 1, d or d².
    """
    if kind == "laplacian":
        return diagonal.sum(dim=1, keepdim=True)
    if kind == "diagonal":
        return diagonal
    return torch.diag_embed(diagonal.transpose(1, 2)).movedim(1, -1).flatten(1, 2)


@dataclass(frozen=True)
class Jet:
    """A field of m components in d coordinates, with its derivatives at n points.

    Arithmetic with jets and numbers gives jets. Arithmetic with a plain tensor, whose derivatives
    are not known, gives a plain tensor of values.

    Args:
        value: (n, m).
        gradient: (n, d, m).
        second: (n, s, m) with s = 1, d or d², depending on `channels.second`.
        lines: (n, directions, order, m), the derivatives ∂_v, ∂_v², … along each direction.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import Channels, jet_of
        >>> x = torch.tensor([[1.0, 2.0]])
        >>> u = jet_of(lambda x: x[:, :1] * x[:, 1:], x, Channels(("x", "y"), gradient=True))
        >>> (u * u).gradient.flatten()
        tensor([8., 4.])
    """

    channels: Channels
    value: Tensor
    gradient: Tensor | None = None
    second: Tensor | None = None
    lines: Tensor | None = None
    joined: "Sequence[Jet]" = field(default=(), init=False, repr=False, compare=False)

    def parts(self) -> list[Tensor]:
        """The tensors of this jet: the value, then the derivatives that the jet carries."""
        return [t for t in (self.value, self.gradient, self.second, self.lines) if t is not None]

    def with_parts(self, parts: Sequence[Tensor]) -> "Jet":
        """A jet with the channels of this jet and other values and derivatives.

        Args:
            parts: the value, then the derivatives, one tensor for each tensor of `self.parts()`.
        """
        rest = iter(parts[1:])
        slots = (self.gradient, self.second, self.lines)
        return Jet(self.channels, parts[0], *(None if t is None else next(rest) for t in slots))

    def map(self, function: Callable[[Tensor], Tensor]) -> "Jet":
        """The jet after a function is applied to its value and to each of its derivatives.

        Args:
            function: maps a tensor (n, …, m) to a tensor; it has to be linear in the components
                (the last axis), or to select points, since it is applied to derivatives, too.
        """
        return self.with_parts([function(part) for part in self.parts()])

    def stacked(self) -> Tensor:
        """The value and all derivatives side by side, the value first, (n, parts, m)."""
        flat = [
            part.reshape(len(part), part.shape[1:-1].numel(), part.shape[-1])
            for part in self.parts()
        ]
        return torch.cat(flat, dim=1)

    def unstacked(self, rows: Tensor) -> "Jet":
        """The jet with the channels of this jet, from values and derivatives in one tensor.

        Args:
            rows: the value and the derivatives side by side, as from `stacked`, (n, parts, any m).
        """
        shapes = [part.shape[1:-1] for part in self.parts()]
        both = zip(rows.split([shape.numel() for shape in shapes], dim=1), shapes, strict=True)
        return self.with_parts(
            [part.reshape(len(part), *shape, part.shape[2:].numel()) for part, shape in both]
        )

    def __getitem__(self, component: int) -> "Jet":
        """One component of the field as a scalar jet."""
        return self.map(lambda t: t[..., component : component + 1])

    def __call__(self, *_: Any) -> NoReturn:
        """Refuse a call such as u(p.t - 1): a jet holds the field at its own points only.

        Raises:
            InputError: always.
        """
        raise InputError(
            "u(...) asks for a field at another place or time, but a residual gets the fields at "
            "its own points only. For a delay solve one span of it after the other (the method of "
            "steps), with the known solution of the span before as a coefficient"
        )

    def components(self) -> Sequence["Jet"]:
        """The scalar jets of all components; for a result of `join`, the jets that were joined."""
        if self.joined:
            return self.joined
        count = self.value.shape[-1]
        return [self] if count == 1 else [self[i] for i in range(count)]

    def groups(self, fields: int) -> list["Jet"]:
        """The jets of each group of `fields` consecutive components, in order."""
        starts = range(0, self.value.shape[-1], fields)
        return [self.map(lambda t, i=i: t[..., i : i + fields]) for i in starts]  # type: ignore[misc]

    def rows(self, index: Tensor | slice) -> "Jet":
        """The jet at some of the points.

        Args:
            index: the indices of the points, a mask or a slice.
        """
        return self.map(lambda t: t[index])

    def affine(self, factor: Tensor, shift: Tensor) -> "Jet":
        """The jet of factor · h + shift, where self is h; factor and shift: (m,) each."""
        return replace(self.map(lambda t: t * factor), value=self.value * factor + shift)

    def dense(self) -> "Jet":
        """Return this jet, unchanged. `Coordinates.dense` returns coordinates as a `Jet`."""
        return self

    def __add__(self, other: Any) -> Any:
        match other:
            case Jet():
                both = zip(self.parts(), other.parts(), strict=True)
                return self.with_parts([a + b for a, b in both])
            case Tensor():
                return self.value + other
            case _:
                return replace(self, value=self.value + other)

    def __mul__(self, other: Any) -> Any:
        match other:
            case Jet():
                f, g = self.value, other.value
                gradient = second = lines = None
                if self.gradient is not None and other.gradient is not None:
                    gradient = f[:, None] * other.gradient + g[:, None] * self.gradient
                if self.second is not None and other.second is not None:
                    second = f[:, None] * other.second + g[:, None] * self.second
                    second = second + 2 * _quadratic(self, other)
                if self.lines is not None and other.lines is not None:
                    lines = _leibniz(f, self.lines, g, other.lines)
                return Jet(self.channels, f * g, gradient, second, lines)
            case Tensor():
                return self.value * other
            case _:
                return self.map(lambda t: t * other)

    def __neg__(self) -> "Jet":
        return self.map(torch.neg)

    def __sub__(self, other: Any) -> Any:
        return self + -1 * other

    def __rsub__(self, other: Any) -> Any:
        return self * -1 + other

    def __truediv__(self, other: Any) -> Any:
        return self * other**-1

    def __rtruediv__(self, other: Any) -> Any:
        return self**-1 * other

    def __pow__(self, power: float | int) -> "Jet":
        factors = [math.prod(power - j for j in range(r)) for r in range(5)]
        # Factors of zero are a separate case: 0 · value ** (power - r) would be 0 · inf at value 0.
        terms = [
            f * self.value ** (power - r) if f else self.value * 0 for r, f in enumerate(factors)
        ]
        return self.chain(terms)

    __radd__ = __add__
    __rmul__ = __mul__

    def chain(self, outer: Sequence[Tensor]) -> "Jet":
        """The jet of φ(u) for a univariate function φ, where self is u.

        Args:
            outer: φ, φ', φ'', … at the values of u, (n, m) each, up to the order of `channels`.
        """
        return self._compose(
            outer, lambda phi, inner: phi[(slice(None), *[None] * (inner.ndim - 2))] * inner
        )

    def sum_of_edges(self, edges: Tensor) -> "Jet":
        """The jet of Σ_i φ_io(h_i) for o = 1 … n_out, the output of a KAN layer, where self is h.

        Args:
            edges: φ, φ', φ'', … at the values of h, (n, r, n_in, n_out).
        """
        outer = edges.unbind(1)  # the gradients of slices would be padded with zeros
        composed = self._compose(
            outer,
            # Σ_i φ_io h_i of every channel: (n, i, o) and (n, …, i) give (n, …, o).
            lambda phi, inner: torch.bmm(inner.flatten(1, -2), phi).view(
                *inner.shape[:-1], phi.shape[-1]
            ),
        )
        return replace(composed, value=outer[0].sum(dim=1))

    def _compose(self, outer: Sequence[Tensor], apply: Callable[[Tensor, Tensor], Tensor]) -> "Jet":
        """The jet of φ(h) for h = self, by the chain rule and Faà di Bruno's formula.

        Args:
            outer: φ, φ', φ'', … at h, in any layout that `apply` takes.
            apply: multiplies a derivative of φ, in the layout of `outer`, by the value or a
                derivative of h.
        """
        gradient = second = lines = None
        if self.gradient is not None:
            gradient = apply(outer[1], self.gradient)
        if self.second is not None:
            second = apply(outer[1], self.second) + apply(outer[2], _quadratic(self, self))
        if self.lines is not None:
            lines = torch.stack(
                [total(apply(outer[r], t) for r, t in terms) for terms in _bell(self.lines)], dim=2
            )
        return Jet(self.channels, outer[0], gradient, second, lines)


def join(fields: Sequence[Jet]) -> Jet:
    """One jet with the components of several jets, which have the same points and channels."""
    parts = zip(*(field.parts() for field in fields), strict=True)
    joined = fields[0].with_parts([torch.cat(same, dim=-1) for same in parts])
    if joined.value.shape[-1] == len(fields):
        vars(joined)["joined"] = fields
    return joined


def stack(blocks: Sequence[Jet]) -> Jet:
    """One jet at the points of several jets, which have the same components and channels."""
    parts = zip(*(block.parts() for block in blocks), strict=True)
    return blocks[0].with_parts([torch.cat(same) for same in parts])


def stack_equations(residual: object, n: int, what: str, columns: str = "1") -> Tensor:
    """Return a residual, whatever its form, as one tensor (n, equations).

    Args:
        residual: the result of a problem's function: a tensor (n, equations), a jet, or a tuple or
            list of tensors and jets.
        n: the number of points, which is the number of rows.
        what: the name of the residual in messages.
        columns: the expected number of columns, for messages.

    Raises:
        InputError: for another shape, such as (n,), which would broadcast to (n, n), and for
            numbers that are not real.
    """
    parts = residual if isinstance(residual, (tuple, list)) else (residual,)
    values: list[Any] = [getattr(part, "value", part) for part in parts]  # the values of jets
    for part in values or (None,):
        shape = tuple(getattr(part, "shape", ()))
        if not isinstance(part, Tensor) or len(shape) != 2 or shape[0] != n or not shape[1]:
            got = shape or type(part).__name__
            raise InputError(
                f"{what} must have shape (n, {columns}) with n = {n} points here, got {got}"
            )
        if part.is_complex():
            raise InputError(
                f"{what} must be real, got complex numbers: return a column for the real part and "
                "one for the imaginary part, of two fields"
            )
    return torch.cat(values, dim=1)


def _leibniz(f: Tensor, f_lines: Tensor, g: Tensor, g_lines: Tensor) -> Tensor:
    """The derivatives of a product f g along lines, from order 1, (n, lines, order, m).

    Args:
        f, g: the values of the factors, (n, m) each.
        f_lines, g_lines: the derivatives of the factors along the lines, (n, lines, order, m) each.
    """
    rows, lines, order, _ = f_lines.shape
    a = torch.cat([f[:, None, None].expand(rows, lines, 1, -1), f_lines], dim=2)
    b = torch.cat([g[:, None, None].expand(rows, lines, 1, -1), g_lines], dim=2)
    terms = [
        total(math.comb(r, j) * a[:, :, j] * b[:, :, r - j] for j in range(r + 1))
        for r in range(1, order + 1)
    ]
    return torch.stack(terms, dim=2)


def _quadratic(f: Jet, g: Jet) -> Tensor:
    """The products (∂_a f ∂_b g + ∂_b f ∂_a g) / 2, in the layout of `Jet.second`, (n, s, m)."""
    assert f.gradient is not None and g.gradient is not None
    kind = f.channels.second
    if kind == "hessian":
        outer = f.gradient[:, :, None] * g.gradient[:, None]
        return ((outer + outer.transpose(1, 2)) / 2).flatten(1, 2)
    products = f.gradient * g.gradient
    return products.sum(dim=1, keepdim=True) if kind == "laplacian" else products


def _bell(lines: Tensor) -> list[list[tuple[int, Tensor]]]:
    """Faà di Bruno's formula for the derivatives of φ(h) along a line.

    Args:
        lines: the derivatives of h along the lines, (n, lines, order, m).

    Returns:
        For each order of the derivative, pairs (r, factor of φ^(r)).
    """
    h = lines.unbind(dim=2)
    orders: list[list[tuple[int, Tensor]]] = [[(1, h[0])]]
    if len(h) > 1:
        orders.append([(1, h[1]), (2, h[0] ** 2)])
    if len(h) > 2:
        orders.append([(1, h[2]), (2, 3 * h[0] * h[1]), (3, h[0] ** 3)])
    if len(h) > 3:
        second = 4 * h[0] * h[2] + 3 * h[1] ** 2
        orders.append([(1, h[3]), (2, second), (3, 6 * h[0] ** 2 * h[1]), (4, h[0] ** 4)])
    return orders


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one or more tensors of one shape."""
    return functools.reduce(operator.add, terms)


@dataclass(frozen=True)
class Coordinates:
    """The jet of the (scaled) coordinates; its gradient ∂_a x_i = scale_i δ_ai is not stored.

    Args:
        channels: the derivatives that the jet has.
        value: the coordinates of n points, (n, d).
        scale: the constant derivative of each coordinate, (d,).
    """

    channels: Channels
    value: Tensor
    scale: Tensor

    def sum_of_edges(self, edges: Tensor) -> Jet:
        """The jet of Σ_i φ_io(x_i) for o = 1 … n_out, the output of a KAN layer.

        Args:
            edges: φ, φ', φ'', … at the coordinates, (n, r, d, n_out).
        """
        gradient = second = lines = None
        channels, scale = self.channels, self.scale[:, None]
        outer = edges.unbind(1)
        if channels.gradient:
            gradient = outer[1] * scale
        if channels.second != "none":
            second = second_of_diagonal(outer[2] * scale**2, channels.second)
        if channels.directions:
            steps = self.value.new_tensor(channels.directions) * self.scale
            powers = torch.stack([steps**r for r in range(1, channels.order + 1)], dim=1)
            lines = torch.einsum("nrio,lri->nlro", edges[:, 1 : channels.order + 1], powers)
        return Jet(channels, outer[0].sum(dim=1), gradient, second, lines)

    def parts(self) -> list[Tensor]:
        """The tensors that depend on the point: the value alone, as the gradient is constant."""
        return [self.value]

    def rows(self, index: Tensor | slice) -> "Coordinates":
        """The coordinates of some of the points.

        Args:
            index: the indices of the points, a mask or a slice.
        """
        return replace(self, value=self.value[index])

    def affine(self, factor: Tensor, shift: Tensor) -> "Coordinates":
        """The coordinates factor · x + shift, where self is x; factor and shift: (d,) each."""
        return replace(self, value=self.value * factor + shift, scale=self.scale * factor)

    def dense(self) -> Jet:
        """The coordinates as a `Jet`, whose d × d gradient is a view without storage of its own."""
        identity = torch.diag(self.scale).expand(self.value.shape[0], -1, -1)
        channels, n, d = self.channels, *self.value.shape
        second = lines = None
        if channels.second != "none":
            second = self.value.new_zeros(1, channels.second_count, d).expand(n, -1, -1)
        if channels.directions:
            first = self.value.new_tensor(channels.directions) * self.scale
            lines = torch.zeros_like(first)[:, None].repeat(1, channels.order, 1)
            lines[:, 0] = first
            lines = lines.expand(n, -1, -1, -1)
        return Jet(channels, self.value, identity if channels.gradient else None, second, lines)


def jet_of(function: Callable[[Tensor], Tensor], coords: Tensor, channels: Channels) -> Jet:
    """The jet of any differentiable function by nested automatic differentiation.

    This is slower than a network's own jets, but needs no formulas. Many functions of few
    coordinates are differentiated in forward mode, with a pass for each coordinate instead of a
    pass for each function.

    Args:
        function: maps (n, d) to (n, m), each row independently of other rows.
        coords: the points, (n, d).
        channels: the derivatives that the jet carries.
    """
    x = coords.detach().clone().requires_grad_()
    gradients: list[Tensor] = []
    seconds: list[Tensor] = []
    lines: list[Tensor] = []
    with torch.enable_grad():
        value = function(x)
        if value.ndim == 2 and value.shape[1] > 2 * channels.dim:
            return _forward_jet(function, x.detach(), channels)
        for j in range(value.shape[1]):
            u = value[:, [j]]
            if channels.gradient:
                (first,) = slopes_of(u, x, further=channels.second != "none")
                gradients.append(first[..., None])
            if channels.second != "none":
                rows = [slopes_of(first[:, [a]], x)[0] for a in range(channels.dim)]
                if channels.second == "hessian":
                    seconds.append(torch.cat(rows, dim=1)[..., None])
                else:
                    diagonal = torch.stack([row[:, a] for a, row in enumerate(rows)], dim=1)
                    seconds.append(second_of_diagonal(diagonal[..., None], channels.second))
            if channels.directions:
                steps = x.new_tensor(channels.directions)
                along = [_line(u, x, step, channels.order) for step in steps]
                lines.append(torch.stack(along, dim=1))
    parts = (
        torch.cat(part, dim=-1).detach() if part else None for part in (gradients, seconds, lines)
    )
    return Jet(channels, value.detach(), *parts)


def _forward_jet(function: Callable[[Tensor], Tensor], x: Tensor, channels: Channels) -> Jet:
    """The jet of a function by forward-mode differentiation, with the arguments of `jet_of`."""

    def along(f: Callable[[Tensor], Tensor], v: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the derivative of f in the direction v, as a function of points."""
        return lambda y: torch.func.jvp(f, (y,), (v.expand_as(y),))[1]

    axes = torch.eye(channels.dim).to(x)
    slopes = [along(function, e) for e in axes]
    gradient = second = lines = None
    if channels.gradient:
        gradient = torch.stack([slope(x) for slope in slopes], dim=1)
    if channels.second == "hessian":
        second = torch.stack([along(slope, e)(x) for slope in slopes for e in axes], dim=1)
    elif channels.second != "none":
        diagonal = [along(slope, e)(x) for slope, e in zip(slopes, axes, strict=True)]
        second = second_of_diagonal(torch.stack(diagonal, dim=1), channels.second)
    if channels.directions:
        steps = x.new_tensor(channels.directions)
        lines = torch.stack([_powers(function, v, channels.order, along, x) for v in steps], dim=1)
    return Jet(channels, function(x), gradient, second, lines)


def _powers(
    function: Callable[[Tensor], Tensor], v: Tensor, order: int, along: Callable, x: Tensor
) -> Tensor:
    """The derivatives ∂_v f, ∂_v² f, … of a function at x, (n, order, m)."""
    terms = []
    for _ in range(order):
        function = along(function, v)
        terms.append(function(x))
    return torch.stack(terms, dim=1)


def _line(u: Tensor, x: Tensor, step: Tensor, order: int) -> Tensor:
    """The derivatives ∂_v u, ∂_v² u, … at n points by reverse-mode differentiation, (n, order, 1).

    Args:
        u: the values, (n, 1), computed from x.
        x: the points, (n, d).
        step: the direction v, (d,).
        order: the highest order.
    """
    terms = []
    for k in range(1, order + 1):
        u = slopes_of(u, x, further=k < order)[0] @ step[:, None]
        terms.append(u)
    return torch.stack(terms, dim=1)


def slopes_of(values: Tensor, *entries: Tensor, further: bool = False) -> list[Tensor]:
    """The derivatives of a sum of values by tensors, in their shapes; zero without a dependence.

    If each value depends on one row of the tensors, the rows are the derivatives of this value.

    Args:
        values: the values, computed from the tensors with gradients enabled.
        entries: the tensors.
        further: whether the derivatives are differentiated, too.
    """
    if not values.requires_grad:
        return [torch.zeros_like(entry) for entry in entries]
    sums = values.sum(), entries
    return list(
        torch.autograd.grad(*sums, create_graph=further, retain_graph=True, materialize_grads=True)
    )


def orders_of_parts(channels: Channels) -> Tensor:
    """The order of the derivative in each row of a stacked jet, 0 for the value, (parts,).

    Args:
        channels: the derivatives that the jet carries.
    """
    return torch.tensor([sum(terms[0][0]) for terms in derivatives_of_parts(channels)])


def largest_of_orders(sizes: Tensor, channels: Channels) -> Tensor:
    """For each order of derivatives, the largest of some numbers for derivatives of this order.

    Args:
        sizes: a number for the value and for each derivative of a jet, (..., parts, m), in the
            order of `Jet.stacked`.
        channels: the derivatives that the jet carries.

    Returns:
        The largest numbers, (..., orders, m), from order 0 to `channels.derivative_order`.
    """
    orders = orders_of_parts(channels)
    counted = range(channels.derivative_order + 1)
    return torch.stack([sizes[..., orders == r, :].amax(dim=-2) for r in counted], dim=-2)


def of_lower_order(slopes: Tensor, channels: Channels) -> Tensor:
    """Return the coefficients of linear equations below the highest order; the others are zero.

    The coefficients of values count always. Those of a derivative count if the same equation has a
    higher derivative of the same field. Only with such terms can a function that is not zero nearly
    solve an elliptic equation with zero data, as at a resonance or with a layer in the interior.

    Args:
        slopes: the equations' coefficients of the value and of each derivative in a jet at n
            points, (n, k, parts, m), in the order of `Jet.stacked`.
        channels: the derivatives that the jet carries.

    Returns:
        The coefficients, (n, k, parts, m).
    """
    orders = orders_of_parts(channels)[:, None]
    highest = (orders * (slopes != 0).any(dim=0)).amax(dim=1, keepdim=True)
    return torch.where((orders == 0) | (orders < highest), slopes, 0.0)


def parts_along(channels: Channels, axis: int) -> list[tuple[int, int, float]]:
    """Find the derivatives by one coordinate that a jet carries, alone or within a sum.

    For example, the Laplacian contains ∂_xx.

    Args:
        channels: the derivatives that the jet carries.
        axis: the index of the coordinate.

    Returns:
        For each value or derivative (part) of a stacked jet that contains a derivative by the
        coordinate: its index in `Jet.stacked`, the order of the derivative by the coordinate, and
        the factor of this derivative. A mixed second derivative counts as a first derivative. The
        value, with its index and order 0, comes first.
    """
    parts = [(0, 0, 1.0)]
    for part, terms in enumerate(derivatives_of_parts(channels)):
        orders, factor = max(terms, key=lambda term: term[0][axis])
        if orders[axis]:
            parts.append((part, orders[axis], factor))
    return parts


def coefficients_along(slopes: Tensor, channels: Channels, axis: int, order: int) -> Tensor:
    """Return the coefficients of the pure derivative ∂_a^order u in linear equations.

    They do not depend on how an equation takes this derivative: from the Laplacian, from the
    Hessian or along a direction.

    Args:
        slopes: the equations' coefficients of the value and of each derivative in a jet,
            (..., parts, m), in the order of `Jet.stacked`.
        channels: the derivatives that the jet carries.
        axis: the index a of the coordinate.
        order: the order of the derivative.

    Returns:
        The coefficients, (..., m).
    """
    pure = tuple(order * (i == axis) for i in range(channels.dim))
    shares = [dict(terms).get(pure, 0.0) for terms in derivatives_of_parts(channels)]
    return torch.einsum("...pm,p->...m", slopes, slopes.new_tensor(shares))


def parts_of_wave(channels: Channels, kappa: Tensor) -> Tensor:
    """The value and the derivatives of the wave exp(κ·x) at x = 0, for s vectors κ.

    They are powers and products of the components of κ, and stand side by side as in a stacked jet
    (`Jet.stacked`): first the value 1, then the derivatives that the channels name.

    Args:
        channels: the derivatives that the jet carries.
        kappa: the s vectors κ, (s, d).

    Returns:
        (s, parts), with one part for the value and for each derivative.
    """
    parts = [torch.ones_like(kappa[:, :1])]
    if channels.gradient:
        parts.append(kappa)
    if channels.second != "none":
        squares = kappa[:, :, None] * kappa[:, None]
        if channels.second != "hessian":
            squares = squares.diagonal(dim1=1, dim2=2)
        if channels.second == "laplacian":
            squares = squares.sum(dim=1, keepdim=True)
        parts.append(squares.flatten(1))
    if channels.directions:
        along = kappa @ kappa.new_tensor(channels.directions).T
        powers = [along**r for r in range(1, channels.order + 1)]
        parts.append(torch.stack(powers, dim=2).flatten(1))
    return torch.cat(parts, dim=1)


MultiIndex = tuple[int, ...]  # the order of the derivative in each coordinate


@lru_cache(maxsize=100)
def derivatives_of_parts(channels: Channels) -> list[list[tuple[MultiIndex, float]]]:
    """Write the value and each derivative of a jet as a weighted sum of partial derivatives.

    For example, the Laplacian is the sum of ∂_xx and ∂_yy with weights 1.

    Args:
        channels: the derivatives that the jet carries.

    Returns:
        For the value and each derivative, in the order of `Jet.stacked`, a list of pairs: the
        orders of a partial derivative by the d coordinates, and its weight.
    """
    dim = channels.dim
    units = [tuple(int(i == axis) for i in range(dim)) for axis in range(dim)]

    def both(first: int, other: int) -> tuple[int, ...]:
        """Return the orders of the second derivative along two axes."""
        return tuple(a + b for a, b in zip(units[first], units[other], strict=True))

    parts: list[list[tuple[tuple[int, ...], float]]] = [[((0,) * dim, 1.0)]]
    if channels.gradient:
        parts += [[(unit, 1.0)] for unit in units]
    if channels.second == "laplacian":
        parts.append([(both(i, i), 1.0) for i in range(dim)])
    elif channels.second == "diagonal":
        parts += [[(both(i, i), 1.0)] for i in range(dim)]
    elif channels.second == "hessian":
        parts += [[(both(i, j), 1.0)] for i in range(dim) for j in range(dim)]
    for direction in channels.directions:
        for order in range(1, channels.order + 1):
            parts.append(_along(direction, order))
    return parts


def _along(direction: Sequence[float], order: int) -> list[tuple[tuple[int, ...], float]]:
    """Write the derivative of an order along a direction as a weighted sum of partial derivatives.

    Returns:
        For each partial derivative its orders by the d coordinates, and its weight.
    """
    terms = []
    for orders in itertools.product(range(order + 1), repeat=len(direction)):
        powers = math.prod(v**n for v, n in zip(direction, orders, strict=True))
        if sum(orders) == order and powers:
            count = math.factorial(order) // math.prod(map(math.factorial, orders))
            terms.append((orders, count * powers))
    return terms


def zero_jet(channels: Channels, like: Tensor, fields: int) -> Jet:
    """The jet of m fields that vanish at n points.

    Args:
        channels: the derivatives that the jet carries.
        like: a tensor (n, …) with the number of points, the dtype and the device.
        fields: the number m of fields.
    """
    gradient = second = lines = None
    if channels.gradient:
        gradient = like.new_zeros(len(like), channels.dim, fields)
    if channels.second_count:
        second = like.new_zeros(len(like), channels.second_count, fields)
    if channels.directions:
        lines = like.new_zeros(len(like), len(channels.directions), channels.order, fields)
    return Jet(channels, like.new_zeros(len(like), fields), gradient, second, lines)


def jet_of_stacked(channels: Channels, rows: Tensor) -> Jet:
    """The jet of m fields at n points, from a tensor with its values and derivatives.

    Args:
        channels: the derivatives that the jet carries.
        rows: the value and the derivatives side by side, as from `Jet.stacked`, (n, parts, m).
    """
    return zero_jet(channels, rows, 1).unstacked(rows)


def parts_from(channels: Channels, derivative: Callable[[MultiIndex], Tensor]) -> Tensor:
    """The values and derivatives of a function, side by side as in `Jet.stacked`, (n, parts, …).

    Args:
        channels: the derivatives that are wanted.
        derivative: gives the function's partial derivative of a multi-index, (n, …).
    """
    rows = []
    for terms in derivatives_of_parts(channels):
        each = ((derivative(index), factor) for index, factor in terms)
        rows.append(total(values if factor == 1 else factor * values for values, factor in each))
    return torch.stack(rows, dim=1)


def coefficients_of_derivatives(slopes: Tensor, channels: Channels) -> dict[MultiIndex, Tensor]:
    """The coefficients of partial derivatives in equations with Laplacians or line derivatives.

    Args:
        slopes: the equations' coefficients of the value and of each derivative in a jet,
            (…, parts, m), in the order of `Jet.stacked`.
        channels: the derivatives in the jet.

    Returns:
        The coefficients (…, m) of each partial derivative in the jet, by multi-index.
    """
    coefficients: dict[MultiIndex, Tensor] = {}
    for part, terms in enumerate(derivatives_of_parts(channels)):
        for index, factor in terms:
            value = factor * slopes[..., part, :]
            coefficients[index] = coefficients[index] + value if index in coefficients else value
    return coefficients
