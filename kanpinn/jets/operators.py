"""Differential operators on jets, from which residuals are composed.

A jet has the values of a field and some derivatives at points. Each operator takes the jet of a
field with m components at n points and returns a plain tensor, (n, m) unless stated otherwise. A
derivative that the jet does not carry raises `MissingChannel`; the caller of the residual then
supplies a jet with this derivative. So a problem need not declare the derivatives in its
equations.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets.jet import SECOND_KINDS, Channels, Jet, MissingChannel, total


def grad(u: Jet) -> Tensor:
    """The gradient, (n, d) for a scalar field, (n, d, m) for m > 1 components.

    Time is one of the d coordinates.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import Channels, jet_of
        >>> slopes = Channels(("x", "y"), gradient=True)
        >>> u = jet_of(lambda x: x[:, :1] * x[:, 1:], torch.tensor([[2.0, 3.0]]), slopes)
        >>> kp.grad(u)
        tensor([[3., 2.]])
    """
    _require_jet(u, "grad")
    gradient = _gradient(u)
    return gradient[..., 0] if gradient.shape[-1] == 1 else gradient


def laplacian(u: Jet) -> Tensor:
    """Δu = Σ_a ∂_aa u, (n, m), the sum over all coordinates.

    Time is one of the coordinates. In a problem with a time, name the coordinates of space:
    `partial(u, "x", "x") + partial(u, "y", "y")`.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import Channels, jet_of
        >>> second = Channels(("x", "y"), second="laplacian")
        >>> u = jet_of(lambda x: (x**2).sum(1, keepdim=True), torch.ones(1, 2), second)
        >>> kp.laplacian(u)
        tensor([[4.]])
    """
    _require_jet(u, "laplacian")
    second = u.second
    if second is None:
        raise MissingChannel(Channels(u.channels.names, second="laplacian"))
    if u.channels.second == "hessian":
        second = second.unflatten(1, (u.channels.dim, -1)).diagonal(dim1=1, dim2=2).transpose(1, 2)
    return second.sum(dim=1)


def hessian(u: Jet) -> Tensor:
    """The Hessian matrix, (n, d, d) for a scalar field, (n, d, d, m) for m > 1 components.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import Channels, jet_of
        >>> second = Channels(("x", "y"), second="hessian")
        >>> u = jet_of(lambda x: x[:, :1] * x[:, 1:] ** 2, torch.tensor([[2.0, 3.0]]), second)
        >>> kp.hessian(u)
        tensor([[[0., 6.],
                 [6., 4.]]])
    """
    _require_jet(u, "hessian")
    full = _second(u, "hessian").unflatten(1, (u.channels.dim, -1))
    return full[..., 0] if full.shape[-1] == 1 else full


def normal_derivative(u: Jet, p: Points) -> Tensor:
    """The normal derivative ∂u/∂n = n·∇u at points with outward unit normals, (n, m).

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import Channels, jet_of
        >>> right = torch.tensor([[1.0, 0.0]])
        >>> p = kp.Points(torch.tensor([[1.0, 3.0]]), ("x", "y"), normals=right)
        >>> slopes = Channels(("x", "y"), gradient=True)
        >>> u = jet_of(lambda x: x[:, :1] * x[:, 1:], p.coords, slopes)
        >>> kp.normal_derivative(u, p)
        tensor([[3.]])
    """
    _require_jet(u, "normal_derivative")
    if not isinstance(p, Points):
        raise InputError(
            "normal_derivative takes a jet and its points, normal_derivative(u, p), got "
            f"{type(p).__name__} in place of the points"
        )
    if p.normals is None:
        raise InputError("normal_derivative needs points on a boundary, which carry normals")
    return (p.normals[:, :, None] * _gradient(u)).sum(dim=1)


def partial(u: Jet, *names: str) -> Tensor:
    """A partial derivative of order 1 to 4, (n, m): `partial(u, "x", "x", "y")` is ∂_xxy u.

    Mixed derivatives of third and fourth order are sums of directional derivatives (polarisation).

    Args:
        u: the jet of the field.
        names: one to four names of coordinates, which may repeat.

    Raises:
        InputError: for an unknown coordinate, or more than four names.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import Channels, jet_of
        >>> second = Channels(("x", "y"), second="hessian")
        >>> u = jet_of(lambda x: x[:, :1] * x[:, 1:] ** 2, torch.tensor([[2.0, 3.0]]), second)
        >>> kp.partial(u, "x", "y")
        tensor([[6.]])
    """
    _require_jet(u, "partial")
    axes = [_axis(u, name) for name in names]
    if len(axes) == 1:
        return _gradient(u)[:, axes[0]]
    if len(axes) == 2:
        a, b = axes
        if a == b and u.channels.dim == 1:
            return laplacian(u)
        if a == b:
            second = _second(u, "diagonal")
            return second[:, a * (u.channels.dim + 1) if u.channels.second == "hessian" else a]
        return _second(u, "hessian")[:, a * u.channels.dim + b]
    if len(axes) not in (3, 4):
        raise InputError(f"partial takes 1 to 4 coordinate names, got {names}")
    return _along_lines(u, _polarisation(axes, u.channels.dim), len(axes))


def directional(u: Jet, direction: Sequence[float | int], order: int = 1) -> Tensor:
    """The derivative ∂_v^order u of order 1 to 4 along a constant direction v, (n, m).

    Args:
        u: the jet of the field.
        direction: the d components of v, which need not be a unit vector.
        order: the order of the derivative.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import Channels, jet_of
        >>> along = Channels(("x", "y"), directions=((1.0, 1.0),), order=1)
        >>> u = jet_of(lambda x: x[:, :1] * x[:, 1:], torch.tensor([[2.0, 3.0]]), along)
        >>> kp.directional(u, (1, 1))
        tensor([[5.]])
    """
    _require_jet(u, "directional")
    if len(direction) != u.channels.dim or not 1 <= order <= 4:
        raise InputError(
            f"directional takes {u.channels.dim} numbers and an order of 1 to 4, "
            f"got {direction}, {order}"
        )
    return _along_lines(u, {tuple(float(c) for c in direction): 1.0}, order)


def biharmonic(u: Jet) -> Tensor:
    """Δ²u = Σ_ab ∂_aabb u, (n, m).

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.jets import Channels, jet_of
        >>> four = Channels(("x",), directions=((1.0,),), order=4)
        >>> kp.biharmonic(jet_of(lambda x: x**4, torch.ones(1, 1), four))
        tensor([[24.]])
    """
    _require_jet(u, "biharmonic")
    dim = u.channels.dim
    terms: dict[tuple[float, ...], float] = {}
    for a, b in itertools.product(range(dim), repeat=2):
        for v, weight in _polarisation([a, a, b, b], dim).items():
            terms[v] = terms.get(v, 0.0) + weight
    return _along_lines(u, terms, 4)


def _polarisation(axes: list[int], dim: int) -> dict[tuple[float, ...], float]:
    """Write the partial derivative ∂_{a_1} … ∂_{a_n} as a sum Σ_v w_v ∂_v^n along directions v.

    The directions v are Σ_i ε_i e_{a_i} for all signs ε_i = ±1, with the unit vectors e and the
    weights w_v = Π_i ε_i / (2^n n!). Parallel directions are combined.

    Args:
        axes: the indices a_1 … a_n of coordinates.
        dim: the number d of coordinates.

    Returns:
        The weight w_v of each direction v, which has d components.
    """
    n = len(axes)
    terms: dict[tuple[float, ...], float] = {}
    for signs in itertools.product((1, -1), repeat=n):
        v = [0] * dim
        for sign, axis in zip(signs, axes, strict=True):
            v[axis] += sign
        size = math.gcd(*v)
        if size == 0:
            continue
        size *= 1 if next(c for c in v if c) > 0 else -1
        key = tuple(float(c // size) for c in v)
        terms[key] = terms.get(key, 0.0) + math.prod(signs) * size**n / (2**n * math.factorial(n))
    return {v: weight for v, weight in terms.items() if abs(weight) > 1e-14}


def _along_lines(u: Jet, weights: Mapping[tuple[float, ...], float], order: int) -> Tensor:
    """Return Σ_v w_v ∂_v^order u, (n, m).

    Args:
        u: the jet of the field.
        weights: the weight w_v of each direction v.
        order: the order of the derivatives.
    """
    known, lines = u.channels.directions, u.lines
    if lines is None or not {*weights} <= {*known} or u.channels.order < order:
        raise MissingChannel(Channels(u.channels.names, directions=tuple(weights), order=order))
    return total(w * lines[:, known.index(v), order - 1] for v, w in weights.items())


def _gradient(u: Jet) -> Tensor:
    """The gradient of a jet, (n, d, m); `MissingChannel` is raised if the jet does not carry it."""
    if u.gradient is None:
        raise MissingChannel(Channels(u.channels.names, gradient=True))
    return u.gradient


def _second(u: Jet, kind: str) -> Tensor:
    """The second derivatives that a jet carries, as stored, (n, s, m) with s = 1, d or d².

    Args:
        u: the jet of the field.
        kind: the derivatives that are needed: "laplacian", "diagonal" or "hessian".

    Raises:
        MissingChannel: if the jet does not carry second derivatives of this kind.
    """
    if u.second is None or SECOND_KINDS.index(u.channels.second) < SECOND_KINDS.index(kind):
        raise MissingChannel(Channels(u.channels.names, second=kind))
    return u.second


def _axis(u: Jet, name: str) -> int:
    """The index of a coordinate among the names of a jet's coordinates.

    Raises:
        InputError: for an unknown name.
    """
    if name not in u.channels.names:
        raise InputError(
            f"unknown coordinate {name!r}: the problem has {', '.join(u.channels.names)}"
        )
    return u.channels.names.index(name)


def _require_jet(u: object, operator: str) -> None:
    """Refuse an argument of an operator that is not a jet.

    Raises:
        InputError: if `u` is not a jet.
    """
    if not isinstance(u, Jet):
        raise InputError(
            f"{operator} takes the jet of a field, got {type(u).__name__}: "
            "the derivatives of a plain tensor are not known"
        )
