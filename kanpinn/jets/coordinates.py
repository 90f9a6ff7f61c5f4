"""The jet of the coordinates themselves, whose derivatives are constants."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from kanpinn.jets.channels import Channels, second_of_diagonal
from kanpinn.jets.jet import Jet


@dataclass(frozen=True)
class Coordinates:
    """The jet of the (scaled) coordinates; its gradient ∂_a x_i = scale_i δ_ai is not stored.

    value: (n, d); scale: the constant derivative of each coordinate, (d,).
    """

    channels: Channels
    value: Tensor
    scale: Tensor

    @cached_property
    def known(self) -> dict[Hashable, Any]:
        """A cache, empty at first, of results that depend on this jet alone, by key.

        A network stores here what it computes from its inputs without its coefficients.
        """
        return {}

    def sum_of_edges(self, edges: Tensor) -> Jet:
        """The jet of Σ_i φ_io(x_i), the output of a layer of edge functions.

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
        """The tensors that depend on the point: the value alone."""
        return [self.value]

    def rows(self, index: Tensor | slice) -> "Coordinates":
        """The coordinates of some of the points; index: their indices, a mask or a slice."""
        return replace(self, value=self.value[index])

    def affine(self, factor: Tensor, shift: Tensor) -> "Coordinates":
        """The coordinates factor · x + shift, both (d,)."""
        return replace(self, value=self.value * factor + shift, scale=self.scale * factor)

    def dense(self) -> Jet:
        """The same as a `Jet`, whose d × d gradient is a view without storage of its own."""
        one = torch.diag(self.scale).expand(len(self.value), -1, -1)
        channels, n, d = self.channels, *self.value.shape
        gradient = one if channels.gradient else None
        second = lines = None
        if channels.second != "none":
            second = self.value.new_zeros(1, channels.second_count, d).expand(n, -1, -1)
        if channels.directions:
            first = self.value.new_tensor(channels.directions) * self.scale
            lines = torch.zeros_like(first)[:, None].repeat(1, channels.order, 1)
            lines[:, 0] = first
            lines = lines.expand(n, -1, -1, -1)
        return Jet(channels, self.value, gradient, second, lines)
