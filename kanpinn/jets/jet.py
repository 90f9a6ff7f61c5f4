"""Jets, which hold a field's values and the derivatives that are needed, and their algebra.

A `Jet` holds, at n points and for m components, the value and optionally the gradient, one kind
of second derivatives and derivatives along lines up to fourth order. Sums, products and
compositions of jets are plain algebra on these tensors (Leibniz, Faà di Bruno): no nested
differentiation.
"""

import functools
import math
import operator
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from kanpinn.jets.channels import Channels


@dataclass(frozen=True)
class Jet:
    """A field with its derivatives at n points.

    value: (n, m); gradient: (n, d, m); second: (n, s, m) with s = 1, d or d², depending on
    `channels.second`; lines: (n, directions, order, m), the derivatives ∂_v, ∂_v², … along each
    direction. Arithmetic with jets and numbers gives jets. Arithmetic with a plain tensor, whose
    derivatives are not known, gives a plain tensor of values.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import jet_of
        >>> x = torch.tensor([[1.0, 2.0]])
        >>> u = jet_of(lambda x: x[:, :1] * x[:, 1:], x, kp.Channels(("x", "y"), gradient=True))
        >>> (u * u).gradient.flatten()
        tensor([8., 4.])
    """

    channels: Channels
    value: Tensor
    gradient: Tensor | None = None
    second: Tensor | None = None
    lines: Tensor | None = None

    @cached_property
    def known(self) -> dict[Hashable, Any]:
        """A cache, empty at first, of results that depend on this jet alone, by key.

        A network stores here what it computes from its inputs without its coefficients.
        """
        return {}

    def parts(self) -> list[Tensor]:
        """The tensors of this jet, the value first."""
        return [t for t in (self.value, self.gradient, self.second, self.lines) if t is not None]

    def with_parts(self, parts: Sequence[Tensor]) -> "Jet":
        """A jet with the same channels and the given tensors, in the order of `parts()`."""
        rest = iter(parts[1:])
        slots = (self.gradient, self.second, self.lines)
        return Jet(self.channels, parts[0], *(None if t is None else next(rest) for t in slots))

    def map(self, function: Callable[[Tensor], Tensor]) -> "Jet":
        """The jet with a linear function of the last axis, or of the rows, applied to all parts."""
        rest = (self.gradient, self.second, self.lines)
        parts = (None if t is None else function(t) for t in rest)
        return Jet(self.channels, function(self.value), *parts)

    def stacked(self) -> Tensor:
        """All parts side by side, the value first, (n, parts, m)."""
        flat = [part.reshape(len(part), -1, part.shape[-1]) for part in self.parts()]
        return torch.cat(flat, dim=1)

    def unstacked(self, rows: Tensor) -> "Jet":
        """The jet with the same channels whose `stacked` parts are `rows`, with any components."""
        shapes = [part.shape[1:-1] for part in self.parts()]
        split = rows.split([shape.numel() for shape in shapes], dim=1)
        both = zip(split, shapes, strict=True)
        return self.with_parts([part.reshape(len(part), *shape, -1) for part, shape in both])

    def __getitem__(self, component: int) -> "Jet":
        """One component of the field as a scalar jet."""
        return self.map(lambda t: t[..., component : component + 1])

    def components(self) -> Sequence["Jet"]:
        """The scalar jets of all components: of a jet that `join` has made, the jets it joined."""
        count = self.value.shape[-1]
        return self.known.get("components") or [self[i] for i in range(count)]

    def rows(self, index: Tensor | slice) -> "Jet":
        """The jet at some of the points; index: their indices, a mask or a slice."""
        return self.map(lambda t: t[index])

    def affine(self, factor: Tensor, shift: Tensor) -> "Jet":
        """The jet of factor · h + shift, both (m,)."""
        return replace(self.map(lambda t: t * factor), value=self.value * factor + shift)

    def dense(self) -> "Jet":
        """The jet itself, for the same interface as `Coordinates`."""
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
        # Zero factors are treated apart, as 0 · value ** (power - r) would be 0 · inf at value 0.
        terms = [
            f * self.value ** (power - r) if f else self.value * 0 for r, f in enumerate(factors)
        ]
        return self.chain(terms)

    __radd__ = __add__
    __rmul__ = __mul__

    def chain(self, outer: Sequence[Tensor]) -> "Jet":
        """The jet of φ(u), where self is u.

        Args:
            outer: φ, φ', φ'', … at the values of u, (n, m) each, up to the order of `channels`.
        """
        return self._compose(outer, lambda phi, inner: phi.reshape(_spread(phi, inner)) * inner)

    def sum_of_edges(self, edges: Tensor) -> "Jet":
        """The jet of Σ_i φ_io(h_i), the output of a layer of edge functions, where self is h.

        Args:
            edges: φ, φ', φ'', … at the values of h, (n, r, n_in, n_out).
        """
        outer = edges.unbind(1)  # slices would have gradients padded with zeros
        composed = self._compose(
            outer,
            # Σ_i φ_io h_i of every channel: (n, i, o) and (n, …, i) give (n, …, o).
            lambda phi, inner: torch.bmm(inner.flatten(1, -2), phi).view(
                *inner.shape[:-1], phi.shape[-1]
            ),
        )
        return replace(composed, value=outer[0].sum(dim=1))

    def _compose(self, outer: Sequence[Tensor], apply: Callable[[Tensor, Tensor], Tensor]) -> "Jet":
        gradient = second = lines = None
        if self.gradient is not None:
            gradient = apply(outer[1], self.gradient)
        if self.second is not None:
            curved = apply(outer[2], _quadratic(self, self))
            second = apply(outer[1], self.second) + curved
        if self.lines is not None:
            lines = torch.stack(
                [total(apply(outer[r], t) for r, t in terms) for terms in _bell(self.lines)], dim=2
            )
        return Jet(self.channels, outer[0], gradient, second, lines)


def join(fields: Sequence[Jet]) -> Jet:
    """The jet of the components of several jets, which have the same channels."""
    parts = zip(*(field.parts() for field in fields), strict=True)
    joined = fields[0].with_parts([torch.cat(same, dim=-1) for same in parts])
    if joined.value.shape[-1] == len(fields):
        joined.known["components"] = fields
    return joined


def stack(blocks: Sequence[Jet]) -> Jet:
    """The jet at the points of several jets, one after another, with the same channels."""
    parts = zip(*(block.parts() for block in blocks), strict=True)
    return blocks[0].with_parts([torch.cat(same) for same in parts])


def _leibniz(f: Tensor, f_lines: Tensor, g: Tensor, g_lines: Tensor) -> Tensor:
    rows, lines, order, _ = f_lines.shape
    a = torch.cat([f[:, None, None].expand(rows, lines, 1, -1), f_lines], dim=2)
    b = torch.cat([g[:, None, None].expand(rows, lines, 1, -1), g_lines], dim=2)
    terms = [
        total(math.comb(r, j) * a[:, :, j] * b[:, :, r - j] for j in range(r + 1))
        for r in range(1, order + 1)
    ]
    return torch.stack(terms, dim=2)


def _quadratic(f: Jet, g: Jet) -> Tensor:
    """The symmetric product of ∇f and ∇g in the layout of the second derivatives, (n, s, m)."""
    assert f.gradient is not None and g.gradient is not None
    kind = f.channels.second
    if kind == "hessian":
        outer = f.gradient[:, :, None] * g.gradient[:, None]
        return ((outer + outer.transpose(1, 2)) / 2).flatten(1, 2)
    products = f.gradient * g.gradient
    return products.sum(dim=1, keepdim=True) if kind == "laplacian" else products


def _bell(lines: Tensor) -> list[list[tuple[int, Tensor]]]:
    """Faà di Bruno's formula along a line: for each order, pairs (r, factor of φ^(r))."""
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


def _spread(phi: Tensor, inner: Tensor) -> tuple[int, ...]:
    """The shape with which φ (n, m) is broadcast to a channel (n, …, m)."""
    return (phi.shape[0], *(1,) * (inner.ndim - 2), phi.shape[1])
