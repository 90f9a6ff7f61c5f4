"""What tests compare with: networks written out in plain torch, differentiated by torch.func.

The derivatives are nested reverse ones: nested forward ones take ten times as long, for each
operation of theirs runs meta kernels in Python.
"""

import math
import warnings

import torch
from torch import Tensor
from torch.func import grad, jacrev, jvp, vmap

from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Coordinates, Jet
from kanpinn.networks import KAN, Network

with warnings.catch_warnings():  # torch's own, at the first use of forward mode
    for kind in (DeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", kind)
    jvp(torch.sin, (torch.zeros(()),), (torch.ones(()),))


def distance(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest entry of b unless b is zero."""
    assert a.shape == b.shape
    a, b = a.detach(), b.detach()
    size = float(b.abs().max())
    return float((a - b).abs().max()) / (size or 1.0)


def spline_basis(x: Tensor, knots: Tensor, degree: int) -> Tensor:
    """B-splines (n_in, n_basis) at x (n_in,) inside the grid, by Cox and de Boor's recursion."""
    t = knots
    values = ((x[:, None] >= t[:, :-1]) & (x[:, None] < t[:, 1:])).to(x)
    for r in range(1, degree + 1):
        rising = (x[:, None] - t[:, : -r - 1]) / (t[:, r:-1] - t[:, : -r - 1])
        falling = (t[:, r + 1 :] - x[:, None]) / (t[:, r + 1 :] - t[:, 1:-r])
        values = rising * values[:, :-1] + falling * values[:, 1:]
    return values


def plain(network: Network):
    """f(coefficients, x): the network at one point, (d,) → (m,), without any code of its layers."""
    return _plain_kan(network) if isinstance(network, KAN) else _plain_mlp(network)


def _plain_kan(network: KAN):
    def function(coefficients, x: Tensor) -> Tensor:
        for layer, c in zip(network.layers, coefficients, strict=True):
            features = spline_basis(x, layer.basis.knots, layer.basis.degree)
            if layer.base == "silu":
                features = torch.cat([features, torch.nn.functional.silu(x)[:, None]], dim=1)
            x = (features[..., None] * c).sum(dim=(0, 1))
        return x

    return function


def _plain_mlp(network: Network):
    activations = {"tanh": torch.tanh, "sine": torch.sin, "identity": lambda x: x}

    def function(coefficients, x: Tensor) -> Tensor:
        for layer, c in zip(network.layers, coefficients, strict=True):
            x = activations[layer.activation](layer.frequency * x) @ c[:-1] + c[-1]
        return x

    return function


def coefficients_of(network: Network) -> list[Tensor]:
    return [layer.coefficients.detach() for layer in network.layers]


def jet_of_point(function, x: Tensor, names: tuple[str, ...]) -> Jet:
    """The jet with the full Hessian at points (n, d) of f: (d,) → (m,), by torch.func."""
    gradient = vmap(jacrev(function))(x).movedim(1, -1)
    second = vmap(jacrev(jacrev(function)))(x).movedim(1, -1).flatten(1, 2)
    return Jet(Channels(names, second="hessian"), vmap(function)(x), gradient, second)


def along(function, x: Tensor, direction: tuple[float, ...], order: int) -> Tensor:
    """∂_v, …, ∂_v^order of f at points (n, d), (n, order, m), by nested derivatives."""
    v = x.new_tensor(direction)

    def at(point: Tensor, component: Tensor) -> Tensor:
        def raised(lower):  # f^(r), (f', …, f^(r)) becomes f^(r+1), (f', …, f^(r+1))
            def derivatives(t: Tensor):
                slope, found = grad(lower, has_aux=True)(t)
                found = (*found, slope)
                return slope, found

            return derivatives

        line = lambda t: (function(point + t * v) @ component, ())  # noqa: E731
        for _ in range(order):
            line = raised(line)
        return torch.stack(line(torch.zeros((), dtype=x.dtype))[1])

    components = torch.eye(len(function(x[0])), dtype=x.dtype)
    return vmap(vmap(at, (None, 0), 1), (0, None))(x, components)


def coordinates(x: Tensor, channels: Channels) -> Coordinates:
    """The jet of unscaled coordinates."""
    return Coordinates(channels, x, x.new_ones(x.shape[1]))


@torch.no_grad()
def remove_edge(network, layer, i, o):
    """Remove the edge from input i to output o of a layer of a KAN, as pruning does."""
    network.layers[layer].kept[i, o] = False
    network.layers[layer].coefficients[i, :, o] = 0


def rows_by_torch_func(residuals, extension=None, factor=None):
    """The Jacobian and the residual of all terms, through the network written out.

    extension, factor: what the network is added to and multiplied by, functions of a point in the
    domain's coordinates and in those of the network.
    """
    domain, written = residuals.surrogate.domain, plain(residuals.surrogate.network)
    low, high = domain.bounds
    # A derived source takes derivatives of its own: a batch has it before torch.func begins.
    batches = [Batch.made_of(term.points) for term in residuals.terms]
    for term, batch in zip(residuals.terms, batches, strict=True):
        term.residual(residuals.surrogate, batch)

    def rows(coefficients):
        def function(x):
            xi = 2 * (x - low) / (high - low) - 1
            u = written(coefficients, xi)
            return u if factor is None else extension(x) + factor(xi) * u

        parts = []
        for term, batch in zip(residuals.terms, batches, strict=True):
            u = jet_of_point(function, term.points.coords, domain.names)
            scale = math.sqrt(term.weight / term.rows)
            parts += (scale * term.equation(batch, u)).unbind(1)
        return torch.cat(parts)

    coefficients = coefficients_of(residuals.surrogate.network)
    jacobian = torch.cat([part.flatten(1) for part in jacrev(rows)(coefficients)], dim=1)
    return jacobian, rows(coefficients)
