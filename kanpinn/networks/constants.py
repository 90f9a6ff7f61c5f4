"""Unknown numbers, appended to a network's outputs as constant fields."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kanpinn.jets import Coordinates, Jet, join
from kanpinn.networks.layer import Layer, Tape
from kanpinn.pde.unknown import Unknown


class Constants(Layer):
    """A layer of k unknown numbers; its coefficients (k,), c in `Unknown`, start at zero.

    They are solved for together with the coefficients of the output layer.

    Args:
        unknowns: the unknown numbers by name, in the order of the residual's arguments.
        like: a tensor with the dtype and device of the network.
    """

    def __init__(self, unknowns: Mapping[str, Unknown], like: Tensor) -> None:
        super().__init__()
        self.unknowns = dict(unknowns)
        self.coefficients = nn.Parameter(like.new_zeros(len(unknowns)))

    def beside(self, fields: Jet, tape: Tape | None = None) -> Jet:
        """The jet of the fields followed by the jets of the unknown numbers.

        Args:
            fields: the jet of the fields.
            tape: records the layers whose Jacobian is wanted.
        """
        return join([fields, self(fields, tape)])

    @property
    @torch.no_grad()
    def values(self) -> dict[str, float]:
        """The present values of the unknown numbers, by name."""
        c = self.coefficients
        both = zip(self.unknowns.items(), c.unbind(), strict=True)
        return {name: float(unknown.value(one)) for (name, unknown), one in both}

    @property
    @torch.no_grad()
    def slopes(self) -> Tensor:
        """The derivatives of the values by the coefficients, (k,)."""
        both = zip(self.unknowns.values(), self.coefficients, strict=True)
        return torch.stack([unknown.slope(c) for unknown, c in both])

    def limited(self, old: Tensor, change: Tensor) -> Tensor:
        """The nearest change of the coefficients (k,) that is not too large for positive numbers.

        A change multiplies a positive number by a factor from 1/10 to 10, and all changes together
        by one from 1e-12 to 1e12.

        Args:
            old: the coefficients before, (k,).
            change: the wanted change, (k,).
        """
        step, most, new = math.log(10), math.log(1e12), old + change
        for i, unknown in enumerate(self.unknowns.values()):
            if unknown.positive:
                new[i] = (old[i] + change[i].clamp(-step, step)).clamp(-most, most)
        return new - old

    def random(self, generator: torch.Generator) -> Tensor:
        """Coefficients (k,) for random multiples of the start values, see `Unknown`."""
        spread = 30.0
        found = [one.random_start(spread, generator) for one in self.unknowns.values()]
        return self.coefficients.new_tensor(found)

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        ones = h.value.new_ones(len(h.value), 1)
        return ones, ones * coefficients

    def combine(self, product: Tensor, h: Jet | Coordinates) -> Jet:
        h = h.dense()
        columns = zip(self.unknowns.values(), product.split(1, dim=1), strict=True)
        value = torch.cat([unknown.value(c) for unknown, c in columns], dim=1)
        rest = [part.new_zeros(*part.shape[:-1], value.shape[1]) for part in h.parts()[1:]]
        return h.with_parts([value, *rest])

    @torch.no_grad()
    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        out.copy_(delta.T)
