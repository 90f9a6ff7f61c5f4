"""Networks of a window: functions of space times Legendre polynomials in time."""

import copy
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor

from kanpinn.evolution.time.timing import Inputs, time_of
from kanpinn.jets import Jet
from kanpinn.networks.basis import Basis, BSplines
from kanpinn.networks.kan import KAN
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.networks.layer import Layers, Tape
from kanpinn.networks.network import Network
from kanpinn.networks.product_layer import ProductLayer


class Separable(Network):
    """N(x, τ) = Σ_j P_j(τ) φ_j(x): functions φ_j of space, and Legendre polynomials of the time.

    The network is linear in the coefficients of its output layer. Unlike sums of functions of
    x + λτ, such products lose no digits as windows become short.

    modes: the number of Legendre polynomials. Last of the outputs of φ are the fields; there is an
    output for each pair of polynomial and field.

    Reference: Jacob, Howard and Stinis, SPIKANs: separable physics-informed Kolmogorov–Arnold
    networks (2024), for products of KANs.
    """

    layers: Sequence[KANLayer | ProductLayer]
    modes: int

    def jet(self, coordinates: Inputs, tape: Tape | None = None) -> Jet:
        found = super().jet(self.places(coordinates), tape)
        return product_in_time(found, time_of(coordinates), self.modes)

    @property
    @abstractmethod
    def bases(self) -> Sequence[Basis]:
        """The bases of all layers."""

    @property
    @abstractmethod
    def degree(self) -> int:
        """The degree of the splines of the output layer."""

    @abstractmethod
    def breaks(self) -> list[Tensor]:
        """The ends of the intervals of the output layer's splines for each input, (G + 1,) each."""

    @abstractmethod
    def place(self, splines: Sequence[BSplines]) -> None:
        """Take splines of each coordinate in space, for a network without hidden layers."""

    def with_outputs(self, modes: int, count: int) -> Self:
        """A network with the same functions of space, and other outputs, which are zero.

        Both share the tables of their bases.

        Args:
            modes: the number of its Legendre polynomials.
            count: the number of its outputs.
        """
        made = copy.deepcopy(self, {id(basis): basis for basis in self.bases})
        made.modes = modes
        made.layers[-1].reset_outputs(count)
        return made

    def like(self, tensor: Tensor) -> Self:
        """The network on the device and in the precision of a tensor: this one if it is there."""
        own = self.layers[-1].coefficients
        if (own.device, own.dtype) == (tensor.device, tensor.dtype):
            return self
        return copy.deepcopy(self).to(tensor.device, tensor.dtype)  # others share its tables

    def places(self, inputs: Inputs) -> Jet:
        """The inputs of φ: all inputs but the time, as a jet."""
        return inputs.dense().map(lambda t: t[..., :-1])


class SeparableKAN(Separable, KAN):
    """Its φ is a KAN. Without space, where time is the only input, φ is a constant of the input 0.

    Args:
        width: units per layer of φ: first the inputs without the time, last an output for each pair
            of polynomial and field.
        modes: the number of Legendre polynomials.
        settings: further arguments of `KAN`.
    """

    layers: Sequence[KANLayer]

    def __init__(self, width: Sequence[int], modes: int, **settings: Any) -> None:
        super().__init__([max(1, width[0]), *width[1:]], **settings)
        self.modes, self.in_space = modes, width[0] > 0

    @property
    def bases(self) -> Sequence[Basis]:
        return [layer.basis for layer in self.layers]

    @property
    def degree(self) -> int:
        return self.layers[-1].basis.degree

    def breaks(self) -> list[Tensor]:
        return list(self.layers[-1].basis.breaks)

    def place(self, splines: Sequence[BSplines]) -> None:
        (basis,) = splines
        self.layers[-1].reset(basis)

    def places(self, inputs: Inputs) -> Jet:
        return super().places(inputs) if self.in_space else inputs.dense() * 0.0

    def activations(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the inputs of one layer of φ after the other; x has the time as its last column."""
        return super().activations(x[:, :-1] if self.in_space else torch.zeros_like(x))


class SeparableProducts(Separable):
    """Its φ are sums of products of splines of each coordinate in space, see `ProductLayer`.

    Args:
        bases: the splines of each coordinate.
        outputs: one for each pair of polynomial and field.
        modes: the number of Legendre polynomials.
    """

    layers: Sequence[ProductLayer]

    def __init__(self, bases: Sequence[BSplines], outputs: int, modes: int) -> None:
        super().__init__()
        self.layers = cast(Sequence[ProductLayer], Layers([ProductLayer(bases, outputs)]))
        self.modes = modes

    @property
    def bases(self) -> Sequence[Basis]:
        return self.layers[0].bases

    @property
    def degree(self) -> int:
        return self.layers[0].basis.degree

    def breaks(self) -> list[Tensor]:
        return [basis.breaks[0] for basis in self.layers[0].bases]

    def place(self, splines: Sequence[BSplines]) -> None:
        self.layers[0].reset(splines)

    @property
    def width(self) -> tuple[int, ...]:
        (layer,) = self.layers
        return len(layer.bases), layer.coefficients.shape[2]

    @property
    def max_order(self) -> int:
        return min(basis.degree for basis in self.layers[0].bases)


def product_in_time(space: Jet, tau: Jet, modes: int) -> Jet:
    """The jets of Σ_j P_j(τ) φ_j: Legendre polynomials in time, and functions of space.

    Args:
        space: the φ_j, with a component for each pair of polynomial and field; the field varies
            fastest.
        tau: the window's time, a scalar jet.
        modes: the number of polynomials.
    """
    fields = space.value.shape[-1] // modes
    polynomials = legendre(tau, modes).map(lambda t: t.repeat_interleave(fields, dim=-1))
    product = polynomials * space
    return product.map(lambda t: t.unflatten(-1, (modes, -1)).sum(dim=-2))


def legendre(tau: Jet, count: int) -> Jet:
    """Return the jets of the Legendre polynomials P_0 … P_(count - 1) at a scalar jet τ.

    The recurrences are (j + 1) P_(j+1) = (2j + 1) τ P_j - j P_(j-1), and for each derivative
    P_(j+1)^(r) = P_(j-1)^(r) + (2j + 1) P_j^(r-1).
    """
    at, zero = tau.value, torch.zeros_like(tau.value)
    found = [zero + 1, at]
    for j in range(1, count - 1):
        found.append(((2 * j + 1) * at * found[-1] - j * found[-2]) / (j + 1))
    orders = [found]
    for _ in range(max(1, tau.channels.derivative_order)):
        below, own = orders[-1], [zero, orders[-1][0]]
        for j in range(1, count - 1):
            own.append(own[-2] + (2 * j + 1) * below[j])
        orders.append(own)
    values = [torch.cat(one[:count], dim=-1) for one in orders]
    return tau.map(lambda t: t.expand(*t.shape[:-1], count)).chain(values)
