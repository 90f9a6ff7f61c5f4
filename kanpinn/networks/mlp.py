"""Multilayer perceptrons with the interface of KANs, so that optimizers of KANs train them, too."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError, number, one_of
from kanpinn.jets import Coordinates, Jet
from kanpinn.networks.layer import Layer, derivatives
from kanpinn.networks.network import Network

UNITS = ("tanh", "sine", "silu")


class DenseLayer(Layer):
    """The layer y = W σ(ω h) + b: an activation function followed by a linear map.

    Args:
        activation: the name of σ, "identity", "tanh", "sine" or "silu".
        n_in, n_out: the numbers of inputs h and of outputs y.
        dtype: the dtype of the coefficients.
        frequency: ω.

    Attributes:
        coefficients: Wᵀ, and the bias b in the last row, (n_in + 1, n_out).
    """

    def __init__(
        self, activation: str, n_in: int, n_out: int, dtype: torch.dtype, frequency: float = 1.0
    ) -> None:
        super().__init__()
        self.activation, self.frequency = activation, frequency
        self.coefficients = nn.Parameter(torch.zeros(n_in + 1, n_out, dtype=dtype))

    def evaluate(self, h: Jet | Coordinates) -> Jet:
        # The values and each kind of derivatives are mapped separately, which avoids the copies
        # that `product` makes for a Jacobian.
        weights = self.coefficients[:-1]

        def linear(channel: Tensor) -> Tensor:
            """The linear map applied to one tensor of the jet, (n, …, n_out)."""
            if channel.stride(0):
                return channel @ weights
            equal = channel[:1] @ weights  # all rows are equal
            return equal.expand(len(channel), *channel.shape[1:-1], -1)

        jet = self._activated(h).map(linear)
        return replace(jet, value=jet.value + self.coefficients[-1])

    def _activated(self, h: Jet | Coordinates) -> Jet:
        """The jet of σ(ω h) for the jet h of the inputs."""
        jet = h.dense()
        if self.activation == "identity":
            return jet
        if self.frequency != 1:
            jet = jet * self.frequency
        return jet.chain(derivatives(self.activation, jet.value, h.channels.derivative_order))

    def product(self, h: Jet | Coordinates, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        stacked = self._activated(h).stacked()
        bias = stacked.new_zeros(1, stacked.shape[1], 1)
        bias[:, 0] = 1  # the bias is added to the value and not to derivatives
        features = torch.cat([stacked, bias.expand(len(stacked), -1, -1)], dim=2)
        return features, features @ coefficients

    def jacobian(self, known: Tensor, delta: Tensor, out: Tensor) -> None:
        features, weights = (t.permute(1, 2, 0).contiguous() for t in (known, delta))
        # Points vary fastest, as in `out`; the results of one output fit into the cache.
        for o, rows in enumerate(out.view(features.shape[1], -1, len(known)).unbind(1)):
            for phi, weight in zip(features, weights[:, o], strict=True):
                rows.addcmul_(phi, weight)


class MLP(Network):
    """A multilayer perceptron with tanh, sine or silu units and a linear output.

    Initial weights are uniform with variance scale² / n_in for n_in inputs of a layer, and biases
    are uniform on the same range. An untrained hidden layer is already a usable random-feature
    basis.

    With a `frequency` ω the units are sin(ω h), and the initial weights follow Sitzmann et al.:
    they are uniform within ±1/n_in in the first layer and within ±√(6/n_in)/ω in later layers. The
    units of the first layer are then waves of frequency ω, and the arguments of later units have
    the same variance in all layers. Biases are uniform within ±1/√n_in.

    Args:
        width: the number of units of each layer, inputs first, such as [2, 50, 50, 1]. If `hidden`
            is given, `width` is left out.
        activation: the activation function of the hidden units, "tanh", "sine" or "silu".
        hidden: the number of units of each hidden layer, such as [64]; a solve then determines the
            numbers of inputs and outputs from the problem.
        scale: the factor of the initial weights relative to weights with the variance 1 / n_in.
        frequency: ω of sine units, such as 30 for images; None for units without a frequency.
        seed: the seed of the random initial coefficients.
        dtype: the dtype of the coefficients.

    Raises:
        InputError: for fewer than two widths, a width below 1, an unknown activation, or a
            frequency that is not positive, is given for units other than sines, or is given
            together with a scale.

    Reference: LeCun et al., Efficient backprop (1998), for the weights; Sitzmann et al., Implicit
    neural representations with periodic activation functions (2020), for the weights with a
    frequency.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.MLP([1, 40, 1], scale=2.0))
        >>> solution.errors.l2_relative < 1e-8
        True
    """

    layers: Sequence[DenseLayer]

    def __init__(
        self,
        width: Sequence[int] | None = None,
        activation: str = "tanh",
        *,
        hidden: Sequence[int] | None = None,
        scale: float = 1.0,
        frequency: float | int | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        later = {"activation": activation, "scale": scale, "frequency": frequency, "seed": seed}
        if (width := self._width_of(width, hidden, dtype=dtype, **later)) is None:
            return
        one_of("activation", activation, UNITS)
        if frequency is not None:
            number("frequency", frequency, above=True)
            if (activation, scale) != ("sine", 1.0):
                raise InputError(
                    "frequency is for sines, and gives their weights the scale: it goes with "
                    f'activation "sine" and no scale, got {activation!r} and {scale}'
                )
        names = ["identity"] + [activation] * (len(width) - 2)
        omega = 1.0 if frequency is None else float(frequency)
        frequencies = [1.0] + [omega] * (len(width) - 2)
        shapes = zip(names, width[:-1], width[1:], frequencies, strict=True)
        layers = nn.ModuleList(DenseLayer(name, i, o, dtype, w) for name, i, o, w in shapes)
        self.layers = cast(Sequence[DenseLayer], layers)
        generator = torch.Generator().manual_seed(seed)
        for depth, layer in enumerate(self.layers):
            c, n_in = layer.coefficients.detach(), layer.coefficients.shape[0] - 1
            c.copy_(torch.rand(c.shape, generator=generator, dtype=c.dtype) * 2 - 1)
            if frequency is None:
                c *= scale * (3 / n_in) ** 0.5
            else:
                c[:-1] *= (6 / n_in) ** 0.5 / omega if depth else 1 / n_in
                c[-1] *= n_in**-0.5

    @property
    def width(self) -> tuple[int, ...]:
        inputs = [layer.coefficients.shape[0] - 1 for layer in self.layers]
        return (*inputs, self.layers[-1].coefficients.shape[1])
