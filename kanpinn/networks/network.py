"""The base class of networks, and constants that are found with a network."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError, integer
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Coordinates, Jet
from kanpinn.networks.layer import Enrichment, Layer, Sensitivities, Tape
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.problem import Unknown


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

    @property
    @torch.no_grad()
    def values(self) -> dict[str, float]:
        """The present values of the unknown numbers, by name."""
        both = zip(self.unknowns.items(), self.coefficients.unbind(), strict=True)
        return {name: float(unknown.value(coefficient)) for (name, unknown), coefficient in both}

    @property
    @torch.no_grad()
    def slopes(self) -> Tensor:
        """The derivatives of the values by the coefficients, (k,)."""
        both = zip(self.unknowns.values(), self.coefficients, strict=True)
        return torch.stack([unknown.slope(c) for unknown, c in both])

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


@runtime_checkable
class OutputMap(Protocol):
    """A map from the network's jet to the surrogate's jet, such as `ExactDirichlet`."""

    def apply(self, points: Points, jet: Jet) -> Jet:
        """The surrogate's jet at the points."""


@dataclass(frozen=True, eq=False)
class Imposition:
    """How boundary and initial data are imposed: built into the surrogate, or as terms of the loss.

    Args:
        output: the output map that builds data in; None where all data are terms of the loss.
        met: the indices of those `conditions()` that hold for every network and therefore have no
            term in the loss.
        why: the reason why data are not built in, where "auto" decided so; otherwise empty.
        follows: a clause for the warning of a jump in the data: what follows from it for the solve.
    """

    output: OutputMap | None
    met: frozenset[int] = frozenset()
    why: str = ""
    follows: str = "this limits the accuracy"


def check_width(
    width: Sequence[int],
    inputs: Sequence[int],
    of_inputs: str,
    outputs: Sequence[int],
    of_outputs: str,
) -> None:
    """Refuse units per layer whose ends are not the numbers of inputs and outputs.

    Args:
        width: the units per layer, inputs first.
        inputs, outputs: the possible numbers of inputs and of outputs, the usual number first.
        of_inputs, of_outputs: the text that follows the usual number in the message.

    Raises:
        InputError: for other numbers; the message says what they must be.
    """
    for end, counts, what in (
        (width[-1], outputs, f"end with {outputs[0]}{of_outputs}"),
        (width[0], inputs, f"start with {inputs[0]}{of_inputs}"),
    ):
        if end not in counts:
            raise InputError(f"network.width must {what}, got {list(width)}")


class Network(nn.Module, ABC):
    """A map from (n, d) to (n, m) that also maps jets; `layers` run from input to output.

    Attributes:
        starts_at_zero: whether the last input runs from 0 to 2, not from -1 to 1, so that numbers
            near its beginning keep all their digits.
        solved_by: the class of the only method that can solve for the coefficients; empty if any
            method can.
        unweighted: the reason why the network's method ignores weights of the loss; empty if it
            uses them.
        threads: the number of threads of a solve; None for torch's present setting.
        in_windows: whether the network consists of one function for each window of time.
        has_kinks: whether the output has kinks at interfaces without inputs that have kinks.
        minimises: whether a solve in the energy form minimises the energy; otherwise it solves the
            equation that is derived from the energy.
        estimates_error: whether the network's method estimates the error of the solution.
        own_fields: the number of leading fields that a refinement makes more accurate; None for
            all fields.
        at_scattered_points: whether the network's method works better with points that share no
            coordinates, such as Sobol points, than with a grid.
    """

    starts_at_zero: ClassVar[bool] = False
    solved_by: ClassVar[str] = ""
    unweighted: ClassVar[str] = ""
    threads: ClassVar[int | None] = None
    in_windows: ClassVar[bool] = False
    has_kinks: ClassVar[bool] = False
    minimises: ClassVar[bool] = True
    estimates_error: ClassVar[bool] = False
    own_fields: int | None = None
    at_scattered_points: bool = False
    pieces: Tensor | None = None  # boxes in which the output is smooth, see `rule_of_pieces`
    levels: Tensor | None = None  # how often each of these boxes was halved, for pictures, (n,)
    layers: Sequence[Layer]  # an `nn.ModuleList`
    enrichment: Enrichment | None  # known functions added to the output
    constants: Constants | None  # unknown numbers appended to the outputs
    sensitivities: Sensitivities | None  # where the fields follow from the unknown numbers
    # Of a network without a width: the hidden units, and the other arguments of its class.
    unsized: tuple[list[int], dict[str, Any]] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.enrichment = None
        self.constants = None
        self.sensitivities = None

    def _width_of(
        self, width: Sequence[int] | None, hidden: Sequence[int] | None = (), **arguments: Any
    ) -> tuple[int, ...] | None:
        """The units per layer; None if the network is made later, by `sized`.

        Args:
            width: the units per layer; None to leave out the numbers of inputs and outputs.
            hidden: the units of the hidden layers if the width is left out; None if the user gave
                neither.
            arguments: the other arguments of the class.

        Raises:
            InputError: for both a width and hidden units, or neither, fewer than two sizes, or a
                size that is not an integer of at least 1.
        """
        if hidden is None if width is None else hidden:
            raise InputError(
                "either width, such as [2, 64, 1], or hidden, such as [64], must be given (hidden "
                "leaves inputs and outputs to the problem), got "
                f"width {width} and hidden {hidden}"
            )
        if width is None:
            self.unsized = list(hidden or ()), arguments
            return None
        if isinstance(width, str) or len(width) < 2:
            raise InputError(f"width must list at least an input and an output size, got {width!r}")
        return tuple(integer("width", w) for w in width)

    def sized(self, inputs: int, outputs: int) -> Self:
        """The network itself, made for these numbers of inputs and outputs if it has no width."""
        if self.unsized is not None:
            hidden, arguments = self.unsized
            self.__init__([inputs, *hidden, outputs], **arguments)  # type: ignore[misc]
            self.unsized = None
        return self

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        if self.unsized is not None:
            raise InputError(
                f"a {type(self).__name__} without a width has no coefficients yet: give it a dtype "
                "or a width"
            )
        return super()._apply(*args, **kwargs)

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
        """The layers in whose coefficients the output is linear.

        They are the last layer, then the enrichment and the unknown numbers, if there are any.
        Where the fields follow from the numbers, they are the sensitivities alone, whose last
        coefficients are changes of the unknown numbers.
        """
        if self.sensitivities is not None:
            return [self.sensitivities]
        layers = (self.layers[-1], self.enrichment, self.constants)
        return [layer for layer in layers if layer is not None]

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
        first, *later = self.layers
        h: Jet = first(coordinates, tape)
        for layer in later:
            h = layer(h, tape)
        return h

    def forward(self, x: Tensor) -> Tensor:
        """The values (n, m) of the output at inputs x (n, d)."""
        if x.ndim != 2 or x.shape[1] != self.width[0]:
            raise InputError(f"expected points of shape (n, {self.width[0]}), got {tuple(x.shape)}")
        names = tuple(f"x{i}" for i in range(x.shape[1]))
        return self.jet(Coordinates(Channels(names), x, x.new_ones(x.shape[1]))).value

    def activations(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the inputs of one layer after the other, (n, n_in) each, at inputs x (n, d)."""
        yield x
        names = tuple(f"x{i}" for i in range(x.shape[1]))
        h: Jet | Coordinates = Coordinates(Channels(names), x, x.new_ones(x.shape[1]))
        for layer in self.layers[:-1]:
            h = layer(h)
            yield h.value

    def impose(self, problem: BoundaryValueProblem, boundary: str, form: str) -> Imposition | None:
        """Prepare the network for a problem, and return how it imposes the conditions.

        Args:
            problem: the problem.
            boundary, form: the arguments of `solve`.

        Returns:
            The imposition; None if the network leaves the choice to `choose_imposition`.

        Raises:
            InputError: for a problem or settings that are not for such networks.
        """
        return None

    def refined(self) -> "Network | None":
        """A network for a finer solve by the same method, as an error estimate needs it.

        None if the estimate takes a random network with more functions instead.
        """
        return None

    def take(self, known: "Network") -> bool:
        """Take over the function of another network, if both are of a kind that permits this.

        Returns:
            Whether the function was taken over.
        """
        return False

    def prepare(self, x: Tensor) -> None:
        """Adapt to the inputs x (n, d) of a solve before it starts; a KAN places its grids."""

    def follow(self, x: Tensor) -> None:
        """Adapt to the activations at inputs x without changing the function; see `KAN.follow`."""

    @property
    def parameter_count(self) -> int:
        """The number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
