"""The base classes of networks, which are chains of layers, each linear in its coefficients."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError
from kanpinn.jets import Channels, Coordinates, Jet


class Layer(nn.Module, ABC):
    """A layer Y = combine(S, h), where the product S = Φ(h) C is linear in the coefficients C.

    For a residual r at one point with δ = ∂r/∂S, the row of the Jacobian ∂r/∂C is therefore Φᵀδ.
    """

    coefficients: nn.Parameter

    @abstractmethod
    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The product S, preceded by the tensor from which `jacobian` computes Φᵀδ.

        The first axis of both runs over the points.
        """

    @abstractmethod
    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        """The output jet from the product and the input jet."""

    @abstractmethod
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        """Write Φᵀδ of each point into `out`, zeros of shape (coefficients.numel(), n)."""

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        """The output jet, computed in the fastest way that does not give a Jacobian."""
        return self.combine(self.product(h, self.coefficients)[1], h)

    def forward(self, h: Jet | Coordinates, tape: "Tape | None" = None) -> Jet:
        """The output jet; if the tape contains this layer, it records what the Jacobian needs."""
        if tape is None or not any(self is wanted for wanted in tape.layers):
            return self.evaluate(h)
        known, product = self.product(h, self.coefficients.detach())
        tape.record(self, known, product)
        return self.combine(product, h)


@dataclass(frozen=True)
class Record:
    """One evaluation of a layer: data for Φᵀδ, and the product S = Φ C, a node of the graph."""

    layer: Layer
    known: Tensor
    product: Tensor


class Tape:
    """The records of one evaluation of the layers whose Jacobian is wanted, in order."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)
        self.records: list[Record] = []

    def record(self, layer: Layer, known: Tensor, product: Tensor) -> None:
        """Record an evaluation of a layer; its product becomes a node of the graph."""
        if not product.requires_grad:
            product.requires_grad_()
        self.records.append(Record(layer, known.detach(), product))

    def jacobian(
        self, residual: Tensor, scale: float = 1.0, retain: bool = False, sites: int = 1
    ) -> Tensor:
        """The Jacobian of one equation's residuals with respect to the layers' coefficients.

        One batched reverse pass gives δ = ∂r/∂S for all points, because each residual depends on
        its own `sites` consecutive points only; the Jacobian is Φᵀδ, summed over the sites.

        Args:
            residual: the residuals, (n,).
            scale: a factor of the result.
            retain: whether to keep the graph for another equation.
            sites: the number of points of each residual.

        Returns:
            scale · ∂r/∂coefficients, (n, parameters), stored by columns as LAPACK needs it.
        """
        deltas = torch.autograd.grad(
            residual,
            [r.product for r in self.records],
            torch.full_like(residual, scale),
            retain_graph=retain,
            allow_unused=True,
        )
        sizes = [r.layer.coefficients.numel() for r in self.records]
        columns = self.records[0].product.new_zeros(sum(sizes), len(residual) * sites)
        for record, delta, out in zip(self.records, deltas, columns.split(sizes), strict=True):
            if delta is not None:
                record.layer.jacobian(record.known, delta, out)
        return (columns if sites == 1 else columns.unflatten(1, (-1, sites)).sum(dim=2)).T


class Layers(nn.ModuleList):
    """A ModuleList that is typed as a sequence of layers."""


Sequence.register(Layers)


class Network(nn.Module, ABC):
    """A map from (n, d) to (n, m) that also maps jets; `layers` run from input to output."""

    layers: Sequence[Layer]  # an instance of `Layers`
    enrichment: Layer | None  # known functions added to the output, see `Enrichment`
    constants: Layer | None  # unknown numbers appended to the outputs, see `Constants`

    def __init__(self) -> None:
        super().__init__()
        self.enrichment = None
        self.constants = None

    @property
    @abstractmethod
    def width(self) -> tuple[int, ...]:
        """Units per layer, inputs first."""

    @property
    def max_order(self) -> int | None:
        """The order of the highest derivative that does not vanish identically; None: no limit."""
        return None

    @property
    def output_layers(self) -> list[Layer]:
        """The layers in whose coefficients the output is linear."""
        return [self.layers[-1], *self._extra]

    @property
    def _extra(self) -> list[Layer]:
        """The enrichment and the unknown numbers, in this order, if there are any."""
        beside = (self.enrichment, self.constants)
        return [layer for layer in beside if layer is not None]

    @property
    def parts(self) -> "list[Network]":
        """The networks that this one consists of: by default itself alone."""
        return [self]

    @property
    def all_layers(self) -> list[Layer]:
        """The layers from input to output, then the enrichment and the unknown numbers, if any."""
        return [*self.layers[:-1], *self.output_layers]

    def jet(self, coordinates: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        """The jet of the output, with the derivatives that `coordinates.channels` names.

        Args:
            coordinates: the jet of the inputs.
            tape: records the layers whose Jacobian is wanted.
        """
        h: Jet | Coordinates = coordinates
        for layer in self.layers:
            h = layer(h, tape)
        assert isinstance(h, Jet)
        return h

    def forward(self, x: Tensor) -> Tensor:
        """The values (n, m) of the output at inputs x (n, d)."""
        if x.ndim != 2 or x.shape[1] != self.width[0]:
            raise InputError(f"expected points of shape (n, {self.width[0]}), got {tuple(x.shape)}")
        names = tuple(f"x{i}" for i in range(x.shape[1]))
        return self.jet(Coordinates(Channels(names), x, x.new_ones(x.shape[1]))).value

    def prepare(self, coordinates: Coordinates) -> None:
        """Adapt to the points of a solve before it starts; a KAN places its grids."""

    def seen(self, coordinates: Coordinates) -> Coordinates:
        """The inputs of the first layer: by default all."""
        return coordinates

    def follow(self, coordinates: Coordinates) -> None:
        """Adapt to the present activations without changing the function; see `KAN.follow`."""

    @property
    def parameter_count(self) -> int:
        """The number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def get_coefficients(layers: Sequence[Layer]) -> Tensor:
    """The coefficients of the layers as one vector, in the order of the Jacobian's columns."""
    return torch.cat([layer.coefficients.detach().flatten() for layer in layers])


@torch.no_grad()
def set_coefficients(layers: Sequence[Layer], vector: Tensor) -> None:
    """Set the coefficients of the layers from a vector in the order of `get_coefficients`."""
    parts = vector.split([layer.coefficients.numel() for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.coefficients.copy_(part.view_as(layer.coefficients))
