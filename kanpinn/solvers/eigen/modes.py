"""Modes as the outputs of one network, side by side."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kanpinn.geometry import Points
from kanpinn.jets import Jet, join
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import OutputMap, Surrogate


@dataclass(frozen=True)
class Modes:
    """Eigenvalues and the output layer's coefficients of their modes.

    Args:
        values: (c,), a complex tensor only if some eigenvalues are complex.
        coefficients: (P, c), of the same kind.
    """

    values: Tensor
    coefficients: Tensor

    def __getitem__(self, which: Tensor) -> "Modes":
        return Modes(self.values[which], self.coefficients[:, which])

    @property
    def columns(self) -> Tensor:
        """The coefficients as real columns: (P, c), or (P, 2c) with all real parts first."""
        c = self.coefficients
        return torch.cat([c.real, c.imag], dim=1) if c.is_complex() else c


@dataclass(frozen=True, eq=False)
class Modewise:
    """The output map of several modes: `output` applied to each group of `fields` outputs."""

    output: OutputMap
    fields: int

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the jet of all modes from the jet of the network's outputs."""
        return join([self.output.apply(points, one) for one in modes_of(jet, self.fields)])


def modes_of(jet: Jet, fields: int) -> list[Jet]:
    """Split a jet of all modes into one jet of `fields` fields for each mode."""
    columns = range(0, jet.value.shape[-1], fields)
    return [jet.map(lambda t, c=c: t[..., c : c + fields]) for c in columns]  # type: ignore[misc]


def as_modes(columns: Tensor, values: Tensor) -> Tensor:
    """Return real columns as modes, (…, count): complex if the eigenvalues are.

    Args:
        columns: (…, count), or (…, 2 count) for complex modes, all real parts first.
        values: the eigenvalues, (count,).
    """
    count = len(values)
    if not values.is_complex():
        return columns[..., :count]
    return torch.complex(columns[..., :count], columns[..., count:])


def of_modes(equation: Callable[[Points, Jet], Tensor], p: Points, u: Jet, fields: int) -> Tensor:
    """Evaluate an equation for each mode of the jet, (n, equations, modes)."""
    return torch.stack([equation(p, one) for one in modes_of(u, fields)], dim=2)


def widened(surrogate: Surrogate, columns: Tensor, fields: int) -> Surrogate:
    """Return a copy of the surrogate with an output for each field of each mode.

    Args:
        surrogate: of one mode.
        columns: the output layer's coefficients of each mode, (P, modes).
        fields: the number m of fields; outputs j·m to (j+1)·m - 1 are those of mode j.
    """
    network: Network = copy.deepcopy(surrogate.network)
    layers, modes = network.output_layers, columns.shape[1]
    parts = columns.split([layer.coefficients.numel() for layer in layers])
    with torch.no_grad():
        for layer, part in zip(layers, parts, strict=True):
            shape = layer.coefficients.shape
            wide = part.view(*shape, modes).transpose(-1, -2).flatten(-2)
            layer.coefficients = nn.Parameter(wide.contiguous())
            if isinstance(kept := getattr(layer, "kept", None), Tensor):
                layer.kept = kept.repeat(1, modes)
    output = None if surrogate.output is None else Modewise(surrogate.output, fields)
    inputs = None if surrogate.inputs is None else surrogate.inputs.functions[0]
    return Surrogate(network, surrogate.domain, output, inputs)
