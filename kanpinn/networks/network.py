"""What every network is: a chain of layers, each linear in its coefficients."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError
from kanpinn.jets import Channels, Coordinates, Jet


class Layer(nn.Module, ABC):
    """One layer Y = combine(S, h): a product S = Φ(h) C with the coefficients, then plain algebra.

    S is linear in C, so with δ = ∂r/∂S of a residual r at one point the row of its Jacobian is Φᵀδ.
    """

    coefficients: nn.Parameter

    @abstractmethod
    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """What `jacobian` needs to know of Φ(h), and S; the first axis runs over the points."""

    @abstractmethod
    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        """The output jet from the product and the input jet."""

    @abstractmethod
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        """Write Φᵀδ of each point into zeros, (coefficients.numel(), n)."""

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        """The output jet, by whichever way is fastest without a Jacobian."""
        return self.combine(self.product(h, self.coefficients)[1], h)

    def forward(self, h: Jet | Coordinates, tape: "Tape | None" = None) -> Jet:
        """The output jet; a tape that wants this layer records what its Jacobian needs."""
        if tape is None or not any(self is wanted for wanted in tape.layers):
            return self.evaluate(h)
        known, product = self.product(h, self.coefficients.detach())
        tape.record(self, known, product)
        return self.combine(product, h)


@dataclass(frozen=True)
class Record:
    """What a layer did: what is known of Φ and the product S = Φ C, a node of the graph."""

    layer: Layer
    known: Tensor
    product: Tensor


class Tape:
    """Collects the records of the layers whose Jacobian is wanted, in order."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)
        self.records: list[Record] = []

    def record(self, layer: Layer, known: Tensor, product: Tensor) -> None:
        """Keep what a layer did; its product becomes a node of the graph."""
        if not product.requires_grad:
            product.requires_grad_()
        self.records.append(Record(layer, known.detach(), product))

    def jacobian(
        self, residual: Tensor, scale: float = 1.0, retain: bool = False, sites: int = 1
    ) -> Tensor:
        """scale · ∂r_p/∂coefficients of one equation's residuals (n,): (n, parameters), by columns.

        One batched reverse pass gives δ = ∂r/∂S for all points (each residual depends on its own
        `sites` points only, which follow each other), the rest is Φᵀδ, summed over the sites. The
        points run fastest in memory, as LAPACK wants it.
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
    """A ModuleList that passes for what it is, a sequence of layers."""


Sequence.register(Layers)


class Network(nn.Module, ABC):
    """A map from (n, d) to (n, m) that carries jets; `layers` run from input to output."""

    layers: Sequence[Layer]  # made of `Layers`
    enrichment: Layer | None  # known functions beside the output layer, see `Enrichment`
    constants: Layer | None  # unknown numbers beside the outputs, see `Constants`

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
        """The highest derivative that does not vanish identically (None: any)."""
        return None

    @property
    def output_layers(self) -> list[Layer]:
        """The layers in whose coefficients the output is linear."""
        return [self.layers[-1], *self._extra]

    @property
    def _extra(self) -> list[Layer]:
        """What is beside the last layer; the numbers are last."""
        beside = (self.enrichment, self.constants)
        return [layer for layer in beside if layer is not None]

    @property
    def parts(self) -> "list[Network]":
        """The chains of layers that it is made of: itself, as a rule."""
        return [self]

    @property
    def all_layers(self) -> list[Layer]:
        """The layers from input to output, and what is beside the last one."""
        return [*self.layers[:-1], *self.output_layers]

    def jet(self, coordinates: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        """The output with its derivatives, those that `coordinates.channels` names."""
        h: Jet | Coordinates = coordinates
        for layer in self.layers:
            h = layer(h, tape)
        assert isinstance(h, Jet)
        return h

    def forward(self, x: Tensor) -> Tensor:
        """Values (n, m) at x (n, d)."""
        if x.ndim != 2 or x.shape[1] != self.width[0]:
            raise InputError(f"expected points of shape (n, {self.width[0]}), got {tuple(x.shape)}")
        names = tuple(f"x{i}" for i in range(x.shape[1]))
        return self.jet(Coordinates(Channels(names), x, x.new_ones(x.shape[1]))).value

    def prepare(self, coordinates: Coordinates) -> None:
        """Adapt to the points a solve will use, before it starts (a KAN places its grids)."""

    def seen(self, coordinates: Coordinates) -> Coordinates:
        """What of the inputs the first layer sees."""
        return coordinates

    def follow(self, coordinates: Coordinates) -> None:
        """Adapt to where the activations have gone, the function unchanged (see KAN.follow)."""

    @property
    def parameter_count(self) -> int:
        """The number of trainable numbers."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def get_coefficients(layers: Sequence[Layer]) -> Tensor:
    """All coefficients of the layers in one vector, in the order of the Jacobian's columns."""
    return torch.cat([layer.coefficients.detach().flatten() for layer in layers])


@torch.no_grad()
def set_coefficients(layers: Sequence[Layer], vector: Tensor) -> None:
    """Write a vector of `get_coefficients` back."""
    parts = vector.split([layer.coefficients.numel() for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.coefficients.copy_(part.view_as(layer.coefficients))
