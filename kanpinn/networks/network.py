"""The base class of networks, unknown scalar parameters that are solved for, imposed conditions."""

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
    """A layer of k unknown parameters, scalar parameters of the equation that a solve determines.

    Its coefficients (k,) are the c in `Unknown`. They start at zero, and are determined together
    with the coefficients of the output layer.

    Args:
        unknowns: the unknown parameters by name, in the order of the residual's arguments.
        like: a tensor with the dtype and device of the network.
    """

    def __init__(self, unknowns: Mapping[str, Unknown], like: Tensor) -> None:
        super().__init__()
        self.unknowns = dict(unknowns)
        self.coefficients = nn.Parameter(like.new_zeros(len(unknowns)))

    @property
    @torch.no_grad()
    def values(self) -> dict[str, float]:
        """The present values of the unknown parameters, by name."""
        both = zip(self.unknowns.items(), self.coefficients.unbind(), strict=True)
        return {name: float(unknown.value(coefficient)) for (name, unknown), coefficient in both}

    @property
    @torch.no_grad()
    def slopes(self) -> Tensor:
        """The derivative of each unknown parameter with respect to its coefficient, (k,)."""
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
    """A map from a network's output to the fields, such as `ExactDirichlet`."""

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the jet (values and derivatives) of the fields at points.

        Args:
            jet: the jet of the network's output at the points.
        """


@dataclass(frozen=True, eq=False)
class Imposition:
    """The choice of which conditions are built into the surrogate; the others are loss terms.

    Args:
        output: the output map that builds data in; None if all data are terms of the loss.
        met: the indices of those `conditions()` that hold for every network and therefore have no
            term in the loss.
        why: the reason why data are not built in, if the choice "auto" was made; otherwise empty.
        follows: the consequence of a jump in the data for the solve, as a clause for the warning.
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
    """Refuse a network whose numbers of inputs or outputs do not fit a problem.

    Args:
        width: the number of units of each layer of the network, inputs first.
        inputs: the possible numbers of inputs, the usual number first.
        of_inputs: the text that follows the usual number of inputs in the message.
        outputs: the possible numbers of outputs, the usual number first.
        of_outputs: the text that follows the usual number of outputs in the message.

    Raises:
        InputError: for other numbers; the message says the usual numbers.
    """
    for end, counts, what in (
        (width[-1], outputs, f"end with {outputs[0]}{of_outputs}"),
        (width[0], inputs, f"start with {inputs[0]}{of_inputs}"),
    ):
        if end not in counts:
            raise InputError(f"network.width must {what}, got {list(width)}")


class Network(nn.Module, ABC):
    """Base class of networks, maps from (n, d) to (n, m) that also map jets.

    A jet is a value with derivatives with respect to the coordinates.

    Attributes:
        starts_at_zero: whether the last input is from 0 to 2 and not from -1 to 1, so that values
            near the lower end keep all their digits.
        solved_by: the name of the only method class that can solve for the coefficients; empty if
            any method can.
        unweighted: the reason, as text, why the network's method ignores weights of the loss; empty
            if it uses the weights.
        threads: the number of threads of a solve; None for torch's present setting.
        in_windows: whether the network consists of one function for each window, a part of the
            time interval.
        has_kinks: whether the output has kinks at interfaces even if no input has kinks.
        minimises: whether a solve in the energy form minimises the energy; otherwise the solve uses
            the equation that is derived from the energy.
        estimates_error: whether the network's method estimates the error of the solution.
        own_fields: the number of leading fields that a refinement makes more accurate; None for
            all fields.
        at_scattered_points: whether the network's method works better with points that have no
            coordinates in common, such as Sobol points, than with a grid.
        pieces: the corners of boxes in which the output is smooth, see `rule_of_pieces`, or None.
        better: the network of a better solution of the same problem, and the factor by which errors
            may exceed the differences between the two solutions; None if there is none.
        levels: the number of times that each of the n boxes `pieces` was halved, (n,), or None.
        layers: the layers from input to output.
        enrichment: the layer of known functions that are added to the output, or None.
        constants: the layer of unknown parameters, or None.
        sensitivities: the layer for the derivatives of the fields by the unknown parameters, from
            which the covariances of the parameters are computed. None unless the fields were
            computed by solving the equation for given parameters.
        unsized: if the network has no width yet, the numbers of hidden units and the other
            arguments of its class; otherwise None.
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
    pieces: Tensor | None = None
    levels: Tensor | None = None
    # A pair is no submodule, so that it is neither saved nor trained.
    better: "tuple[Network, float] | None" = None
    layers: Sequence[Layer]  # an `nn.ModuleList`
    enrichment: Enrichment | None
    constants: Constants | None
    sensitivities: Sensitivities | None
    unsized: tuple[list[int], dict[str, Any]] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.enrichment = None
        self.constants = None
        self.sensitivities = None

    def _width_of(
        self, width: Sequence[int] | None, hidden: Sequence[int] | None = (), **arguments: Any
    ) -> tuple[int, ...] | None:
        """Return the number of units of each layer; None if `sized` makes the network later.

        Args:
            width: the number of units of each layer; None if the argument was left out.
            hidden: the number of units of each hidden layer; None if the argument was left out.
            arguments: the other arguments of the class.

        Raises:
            InputError: if both `width` and `hidden` are given, or neither, if `width` has fewer
                than two numbers, or a number is not an integer of at least 1.
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
        """Return the network, made with given numbers of inputs and outputs if it had no width.

        A network that has a width is returned unchanged.

        Args:
            inputs, outputs: the numbers of inputs and outputs.
        """
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
        """The number of units of each layer, inputs first."""

    @property
    def max_order(self) -> int | None:
        """The highest order of derivatives that do not vanish everywhere; None for no limit."""
        return None

    @property
    def output_layers(self) -> list[Layer]:
        """The layers in whose coefficients the output is linear.

        These are the last layer, then the layers `enrichment` and `constants`, if there are any. A
        network with `sensitivities` has this layer alone in the list; its last coefficients are
        changes of the unknown scalar parameters.
        """
        if self.sensitivities is not None:
            return [self.sensitivities]
        layers = (self.layers[-1], self.enrichment, self.constants)
        return [layer for layer in layers if layer is not None]

    @property
    def parts(self) -> "list[Network]":
        """The networks of which this network consists, by default only this network itself."""
        return [self]

    @property
    def all_layers(self) -> list[Layer]:
        """The layers from input to output, then the layers `enrichment` and `constants`, if any."""
        return [*self.layers[:-1], *self.output_layers]

    def jet(self, coordinates: Jet | Coordinates, tape: Tape | None = None) -> Jet:
        """Return the jet of the output, with the derivatives that `coordinates.channels` names.

        Args:
            coordinates: the jet of the inputs.
            tape: the tape that records the evaluation of layers for a Jacobian, or None.
        """
        first, *later = self.layers
        h: Jet = first(coordinates, tape)
        for layer in later:
            h = layer(h, tape)
        return h

    def forward(self, x: Tensor) -> Tensor:
        """Return the values (n, m) of the output at inputs x (n, d)."""
        if x.ndim != 2 or x.shape[1] != self.width[0]:
            raise InputError(f"expected points of shape (n, {self.width[0]}), got {tuple(x.shape)}")
        names = tuple(f"x{i}" for i in range(x.shape[1]))
        return self.jet(Coordinates(Channels(names), x, x.new_ones(x.shape[1]))).value

    def activations(self, x: Tensor) -> Iterator[Tensor]:
        """Yield for each layer in order its inputs (n, n_in), at the network's inputs x (n, d)."""
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
            InputError: for a problem or arguments that the network cannot treat.
        """
        return None

    def refined(self) -> "Network | None":
        """Return a finer network, whose solution an error estimate compares with the present one.

        None if the network cannot refine itself; the error estimate then solves for a larger KAN.
        """
        return None

    def take(self, known: "Network") -> bool:
        """Set the network's function to the function of another network, if this is possible.

        By default it is not possible.

        Args:
            known: the other network.

        Returns:
            Whether the function was set.
        """
        return False

    def prepare(self, x: Tensor) -> None:
        """Adapt to the inputs x (n, d) of a solve, before the solve starts; see `KAN.prepare`."""

    def follow(self, x: Tensor) -> None:
        """Adapt to the activations at inputs x (n, d); the function stays. See `KAN.follow`."""

    @property
    def parameter_count(self) -> int:
        """The number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
