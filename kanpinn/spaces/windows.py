"""Networks for evolutions: for each window of time, polynomials in time times functions of space.

A window is a span of time that is solved at once. The functions of space are a KAN or products of
splines.
"""

import copy
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Generic, Self, TypeVar, cast

import torch
from torch import Tensor, nn

from kanpinn._support.errors import InputError, integer, of_class
from kanpinn.jets import Jet, Linearised, coefficients_along, random_jets
from kanpinn.networks.basis import Basis, BSplines
from kanpinn.networks.constraints import choose_imposition, periodic_axes, refuse_unfit
from kanpinn.networks.kan import KAN, KANLayer, ProductLayer
from kanpinn.networks.layer import Layer, Sensitivities, Tape
from kanpinn.networks.network import Imposition, Network
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.spaces.jets_in_time import Inputs, by_windows


class Separable(Network):
    """N(x, τ) = Σ_j P_j(τ) φ_j(x): Legendre polynomials P_j of time, functions φ_j of space.

    It is the solution in one window, a span of time that is solved at once; τ in [-1, 1] is the
    window's time. The network is linear in the coefficients of its output layer. Unlike sums of
    functions of x + λτ, these products lose no digits as windows become short.

    Attributes:
        modes: the number of Legendre polynomials. The functions φ have an output for each pair of
            polynomial and field; the field varies fastest.

    Reference: Jacob, Howard and Stinis, SPIKANs: separable physics-informed Kolmogorov–Arnold
    networks (2024), for products of KANs.
    """

    layers: Sequence[KANLayer | ProductLayer]
    modes: int

    def jet(self, coordinates: Inputs, tape: Tape | None = None) -> Jet:
        return product_in_time(super().jet(self.places(coordinates), tape), coordinates, self.modes)

    def with_outputs(self, modes: int, count: int) -> Self:
        """A copy of the network with another number of outputs, whose output coefficients are zero.

        The copy shares the precomputed tables of its bases with this network.

        Args:
            modes: the number of Legendre polynomials of the new network.
            count: the number of outputs of the new network.
        """
        bases = [module for module in self.modules() if isinstance(module, Basis)]
        network = copy.deepcopy(self, {id(basis): basis for basis in bases})
        network.modes = modes
        network.layers[-1].reset(outputs=count)
        return network

    def places(self, inputs: Inputs) -> Jet:
        """The space coordinates, as a jet: all inputs of the network except the time."""
        return inputs.dense().map(lambda t: t[..., :-1])


class SeparableKAN(Separable, KAN):
    """A `Separable` network whose φ is a KAN.

    Without space, with time as the only input, φ is constant: its input is 0.

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

    def places(self, inputs: Inputs) -> Jet:
        return super().places(inputs) if self.in_space else inputs.dense() * 0.0

    def activations(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the inputs of each layer of the KAN φ; the last column of x is the time."""
        return super().activations(x[:, :-1] if self.in_space else torch.zeros_like(x))


class SeparableProducts(Separable):
    """A `Separable` network whose φ are sums of products of splines, see `ProductLayer`.

    Args:
        bases: the splines of each coordinate in space.
        outputs: the number of outputs, one for each pair of polynomial and field.
        modes: the number of Legendre polynomials.
    """

    layers: Sequence[ProductLayer]

    def __init__(self, bases: Sequence[BSplines], outputs: int, modes: int) -> None:
        super().__init__()
        self.layers = cast(Sequence[ProductLayer], nn.ModuleList([ProductLayer(bases, outputs)]))
        self.modes = modes

    @property
    def width(self) -> tuple[int, ...]:
        (layer,) = self.layers
        return len(layer.bases), layer.coefficients.shape[2]

    @property
    def max_order(self) -> int:
        return min(basis.degree for basis in self.layers[0].bases)


def product_in_time(space: Jet, inputs: Inputs, modes: int) -> Jet:
    """The values and derivatives of Σ_j P_j(τ) φ_j(x), for Legendre polynomials P_j.

    Args:
        space: the jet of the φ_j, with a component for each pair of polynomial and field; the field
            varies fastest.
        inputs: the jet of the inputs, the last of which is the window's time τ in [-1, 1].
        modes: the number of polynomials.
    """
    fields, tau = space.value.shape[-1] // modes, inputs.dense()[inputs.value.shape[1] - 1]
    product = legendre(tau, modes).map(lambda t: t.repeat_interleave(fields, dim=-1)) * space
    return product.map(lambda t: t.unflatten(-1, (modes, -1)).sum(dim=-2))


def legendre(tau: Jet, count: int) -> Jet:
    """Return the Legendre polynomials P_0 … P_(count - 1) of τ, with their derivatives, as a jet.

    The recurrences are (j + 1) P_(j+1) = (2j + 1) τ P_j - j P_(j-1), and for each derivative
    P_(j+1)^(r) = P_(j-1)^(r) + (2j + 1) P_j^(r-1).

    Args:
        tau: the jet of τ, which is in [-1, 1].
        count: the number of polynomials, which are the components of the result.
    """
    at, zero = tau.value, torch.zeros_like(tau.value)
    p = [zero + 1, at]
    for j in range(1, count - 1):
        p.append(((2 * j + 1) * at * p[-1] - j * p[-2]) / (j + 1))
    orders = [p]
    for _ in range(max(1, tau.channels.derivative_order)):
        below, d = orders[-1], [zero, orders[-1][0]]
        for j in range(1, count - 1):
            d.append(d[-2] + (2 * j + 1) * below[j])
        orders.append(d)
    values = [torch.cat(each[:count], dim=-1) for each in orders]
    return tau.map(lambda t: t.expand(*t.shape[:-1], count)).chain(values)


Member = TypeVar("Member", bound=Network)


def like(member: Member, tensor: Tensor) -> Member:
    """Return a network with the device and the precision of a tensor.

    A network that has them already is returned itself, another network as a copy.
    """
    present = member.layers[-1].coefficients
    if (present.device, present.dtype) == (tensor.device, tensor.dtype):
        return member
    return copy.deepcopy(member).to(tensor.device, tensor.dtype)  # other networks share its tables


def with_initial_rates(problem: BoundaryValueProblem) -> Tensor:
    """A mask (m,) of the fields whose derivative in time is in an initial condition.

    Args:
        problem: the problem, with m fields.
    """
    found = torch.zeros(len(problem.fields), dtype=torch.bool)
    for condition in filter(lambda one: one.is_initial, problem.conditions()):
        points, residual = condition.few_points(), condition.stacked_residual
        jet, _ = random_jets(residual, points, len(found) + len(condition.numbers))
        slopes, axis = Linearised.at(residual, points, jet).slopes, len(points.names) - 1
        by_rate = coefficients_along(slopes, jet.channels, axis, order=1)
        found |= (by_rate[..., : len(found)] != 0).any(dim=0).any(dim=0)
    return found


class NetworkOfWindows(Network, Generic[Member]):
    """A list of networks, one for each window of time; the scaled time is the last input.

    A window is a span of time that is solved at once. Scaled time runs from 0 to 2. After the last
    window the output is constant in time. `layers` are the layers of the last window.

    Attributes:
        ends: the start of the first window and the ends of all windows in scaled time,
            (windows + 1,), from 0 up to 2.
        order: the order of the equation in time: 2 if initial conditions contain derivatives in
            time, otherwise 1.
    """

    ends: Tensor
    order: int
    _of: nn.ModuleList
    starts_at_zero = True
    solved_by = "March"
    in_windows = True

    @property
    def members(self) -> list[Member]:
        """The networks of the windows, in the order of time."""
        return list(cast(Sequence[Member], self._of))

    @property
    def parts(self) -> list[Network]:
        return list(self.members)

    @property
    def layers(self) -> Sequence[Layer]:  # type: ignore[override]
        """The layers of the last window's network."""
        return self.members[-1].layers

    @property
    def count(self) -> int:
        """The number of windows."""
        return len(self._of)

    def breaks(self, number: int = -1) -> list[Tensor]:
        """The ends of the spline intervals in each space coordinate, in one window, (G + 1,) each.

        The list is empty if the functions of space are not splines.

        Args:
            number: the index of the window, by default the last one.
        """
        return []

    @property
    def parameter_count(self) -> int:
        """The number of coefficients of all windows, and of unknown parameters."""
        layers: list[Layer] = [layer for member in self.members for layer in member.layers]
        if self.constants is not None:
            layers.append(self.constants)
        return sum(layer.coefficients.numel() for layer in layers)

    def _take_order(self, problem: BoundaryValueProblem, form: str) -> None:
        """Set `order` for a problem: 2 if initial conditions contain rates in time, otherwise 1.

        Args:
            problem: the problem.
            form: the argument `form` of `solve`.

        Raises:
            InputError: for settings that networks in windows cannot use, or if only some fields
                have initial rates.
        """
        unusable = {"inputs": problem.inputs(), "enrichment": problem.enrichment()}
        refuse_unfit(problem, unusable, form, "a network in time windows")
        rates = set(with_initial_rates(problem).tolist())
        if len(rates) > 1:
            raise InputError(
                f"a network in time windows takes initial rates for all fields or for none, "
                f"{type(problem).__name__} has them for some"
            )
        self.order = 2 if rates.pop() else 1

    @abstractmethod
    def anew(self) -> Self:
        """A new network with the settings of this network, with one window and no solution."""

    @abstractmethod
    def member(self, modes: int) -> Member:
        """A new network for one window of time, with `modes` polynomials in time."""

    def refined(self) -> Self:
        return self.anew()

    @torch.no_grad()
    def add(self, end: float, member: Member, first: bool = False) -> None:
        """Add a window that begins at the end of the last window.

        Args:
            end: the end of the new window, in scaled time up to 2.
            member: the network of the new window.
            first: whether the new window replaces all windows so far.
        """
        if first:
            self._of, self.ends = nn.ModuleList(), self.ends[:1]
        else:
            self._of[-1].requires_grad_(False)
        self._of.append(like(member, self.ends))
        self.ends = torch.cat([self.ends, self.ends.new_tensor([end])])

    def _take(self, ends: Sequence[float], members: Sequence[Member]) -> None:
        """Replace all windows; the arguments are those of `Windows.follow_numbers`."""
        self._of = nn.ModuleList(like(member, self.ends) for member in members)
        self._of[:-1].requires_grad_(False)
        self._of[-1].requires_grad_(True)
        self.ends = self.ends.new_tensor(ends)

    def _modes(self, state: Mapping[str, Any], prefix: str) -> list[int]:
        """For each window of a saved network, the number of its polynomials in time.

        Args:
            state: the saved tensors by name.
            prefix: the beginning of the names of this network's tensors.
        """
        last, fields = f"layers.{len(self.layers) - 1}.coefficients", self.width[-1]
        windows = range(len(state[prefix + "ends"]) - 1)
        return [state[f"{prefix}_of.{i}.{last}"].shape[2] // fields for i in windows]

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        # A saved network may have another number of windows, and layers of other shapes. The layers
        # adopt these shapes by themselves.
        members = [self.member(modes) for modes in self._modes(state, prefix)]
        self._take(state[prefix + "ends"].tolist(), members)
        super()._load_from_state_dict(state, prefix, *args)

    def jet(self, coordinates: Inputs, tape: Tape | None = None) -> Jet:
        members, last = self.members, self.count - 1
        return by_windows(
            coordinates,
            self.ends.tolist(),
            lambda i, inside: members[i].jet(inside, tape if i == last else None),
        )

    def _up_to_end(self, pieces: list[Tensor]) -> Tensor:
        """Join the boxes of all windows, and append boxes for the time after the last window.

        Nothing is appended if the last window ends at the final time.

        Args:
            pieces: for each window its boxes in space and time, (c, 2, d), as fractions of the
                domain; the last window at the end of the list.
        """
        end = self.ends[-1].cpu() / 2
        if end < 1:  # after the last window the output is constant in time
            rest = pieces[-1].clone()
            rest[..., -1] = torch.stack([end, end.new_ones(())])
            pieces = [*pieces, rest]
        return torch.cat(pieces)


class Windows(NetworkOfWindows[Separable]):
    """The solution of an evolution, as one network for each window of time. `March` adds windows.

    A window is a span of time that is solved at once. The last input is the time, scaled to [0, 2].
    In each window the output is Σ_j P_j(τ) φ_j(x): a KAN φ of space, and Legendre polynomials P_j
    of the window's time τ in [-1, 1] (see `Separable`). A window starts with the value at which the
    window before it ends, up to rounding, or up to the error of a projection if the knots differ.
    After the last window the output is constant in time. A new network has one window. `layers` are
    the layers of the last window. Without hidden layers φ consists of splines, and in a box of
    several coordinates of products of splines of each coordinate (see `ProductLayer`).

    Args:
        width: units per layer, the inputs first, with time as the last input: [2, 1] in one space
            dimension, [3, 1] in a rectangle, [4, 1] in a box in space, [3, 48, 1] in other domains
            of the plane, [1, 2] for two fields in time; by default the numbers of inputs and
            outputs of the problem, without hidden layers.
        degree: the spline degree of each layer, or one number for all layers; not used without
            space.
        grid: the number of spline intervals of each layer (without hidden layers of each
            coordinate), or one number for all; not used without space.
        hidden: the units of the hidden layers, such as [48], in place of `width`: a solve takes the
            numbers of inputs and outputs from the problem.
        seed: the seed of the random coefficients.
        dtype: the type of the coefficients.

    Raises:
        InputError: for settings that a `KAN` refuses.

    Reference: Krishnapriyan et al., Characterizing possible failure modes in physics-informed
    neural networks (2021), and Penwarden et al., A unified scalable framework for causal sweeping
    strategies (2023), for windows.

    Example:
        >>> import kanpinn as kp
        >>> network = kp.Windows([2, 1], degree=9, grid=40)
        >>> network.width
        (2, 1)
    """

    unweighted = "March does not weigh the equation against the conditions, it satisfies both"

    def __init__(
        self,
        width: Sequence[int] | None = None,
        degree: int | Sequence[int] = 9,
        grid: int | Sequence[int] = 40,
        *,
        hidden: Sequence[int] = (),
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        later: dict[str, Any] = {"degree": degree, "grid": grid, "seed": seed, "dtype": dtype}
        if (units := self._width_of(width, hidden, **later)) is None:
            return
        inputs, *rest = units
        self.seed = integer("seed", seed, least=0)
        self.order, self.around = 1, frozenset[int]()
        self._width = (inputs, *rest)
        # in_space: whether there are inputs besides the time. of_splines: whether the functions of
        # space are splines or products of splines, which is so without hidden layers.
        self.in_space = inputs > 1
        self.of_splines = self.in_space and len(rest) == 1
        if not self.in_space:  # a constant, which needs the fewest splines
            degree, grid = 1, 1
        self._settings: dict[str, Any] = {"degree": degree, "grid": grid, "dtype": dtype}
        self._of = nn.ModuleList([self.member(2)])
        self._directions = nn.ModuleList()  # the sensitivities in each window
        self.register_buffer("ends", torch.tensor([0.0, 2.0], dtype=dtype))

    def member(self, modes: int, copies: int = 1) -> Separable:
        """A new network for one window of time, with the hidden layers of the other windows.

        Its functions of space are products of splines for several space coordinates without hidden
        layers, otherwise a KAN.

        Args:
            modes: the number of Legendre polynomials in time.
            copies: how many times the network has all fields among its outputs.
        """
        (_, *hidden, fields), inputs = self._width, self._width[0] - 1
        outputs = fields * copies * modes
        if inputs > 1 and not hidden:
            kan = KAN([inputs, 1], **self._settings)
            bases = [kan.layers[0].basis.of_inputs([i]) for i in range(inputs)]
            return SeparableProducts(cast(Sequence[BSplines], bases), outputs, modes)
        return SeparableKAN([inputs, *hidden, outputs], modes, seed=self.seed, **self._settings)

    @property
    def width(self) -> tuple[int, ...]:
        return self._width

    @property
    def max_order(self) -> int | None:
        return self.members[-1].max_order if self.in_space else 4

    def breaks(self, number: int = -1) -> list[Tensor]:
        if not self.of_splines:
            return []
        return [
            basis.breaks[0] for basis in self.members[number].modules() if isinstance(basis, Basis)
        ]

    @property
    def pieces(self) -> Tensor:  # type: ignore[override]
        """The boxes in space and time on each of which the output is smooth, (c, 2, 1 or 2).

        The result holds the lower and the upper corner of each box, as fractions of the domain. The
        boxes are the windows of time, divided by the intervals of splines if there is one
        coordinate in space. If there are more than 2^14 boxes, neighbouring intervals are joined.
        """
        most, parts = 2**14, []
        ends = self.ends.cpu() / 2
        breaks: list[Tensor] = []
        if len(self.breaks()) == 1:
            breaks = [(member.layers[0].basis.breaks[0].cpu() + 1) / 2 for member in self.members]
        stride = -(-sum(map(len, breaks)) // most) or 1
        for number, (start, end) in enumerate(pairwise(ends)):
            times = torch.stack([start, end])[None, :, None]
            if breaks:
                kept = torch.cat([breaks[number][:-1:stride], breaks[number][-1:]])
                space = torch.stack([kept[:-1], kept[1:]], dim=1)[..., None]
                times = torch.cat([space, times.expand(len(space), 2, 1)], dim=2)
            parts.append(times)
        return self._up_to_end(parts)

    @property
    def at_scattered_points(self) -> bool:  # type: ignore[override]
        """True if boundary conditions are evaluated at scattered points instead of grid points.

        A march uses each point of the boundary in space once, even if several of the given points
        in space and time lie above it. Scattered points therefore give more points than a grid.
        """
        return self.in_space and not self.of_splines

    def impose(self, problem: BoundaryValueProblem, boundary: str, form: str) -> Imposition:
        """Prepare the network for a problem, and return how it imposes the boundary conditions.

        With hidden layers, boundary values are built into the surrogate where possible, see
        `choose_imposition` with `in_windows`. Without hidden layers (splines in space, or time
        alone) nothing is built in, since `March` satisfies all conditions itself. Splines of a
        periodic coordinate are periodic with all of their derivatives. The network stores the order
        of the equation in time and, without hidden layers, which coordinates are periodic. The
        arguments are those of `Network.impose`.

        Raises:
            InputError: for a `boundary` other than "exact" and "auto", initial values that depend
                on unknown parameters, a domain that needs a hidden layer, or settings that networks
                in windows cannot use.
        """
        self._take_order(problem, form)
        if boundary not in ("exact", "auto"):
            raise InputError(
                'boundary must be "exact" or "auto" for a network in time windows, got '
                f"{boundary!r}: a march satisfies boundary conditions exactly"
            )
        domain, dim = problem.domain, problem.domain.dim
        for condition in problem.conditions():
            if condition.numbers and any(piece.is_initial for piece in condition.pieces):
                raise InputError(
                    f"{condition.title}, {of_class(condition)}, has initial values that depend on "
                    "unknown parameters: a march takes them in the equation and in boundary "
                    "conditions"
                )
        follows = "a march takes short windows and intervals for it if the equation smooths it"
        if self.at_scattered_points:
            chosen = choose_imposition(problem, boundary, (), in_windows=True)
            return replace(chosen, follows=follows)
        if dim > 2 and not (domain.is_box and self.width[0] == dim):
            fitting = [dim, 64, self.width[-1]]
            raise InputError(
                f"network.width must have a hidden layer here, such as {fitting}, got "
                f"{list(self.width)}: without one there are products of splines, which need a box"
            )
        around = periodic_axes(problem)
        self.around = frozenset(around.values())
        return Imposition(None, met=frozenset(around), follows=follows)

    def anew(self) -> "Windows":
        """A new network with the settings of this network, with one window and no solution."""
        settings = self._settings | {"dtype": self.ends.dtype}
        return Windows(self.width, seed=self.seed, **settings).to(self.ends.device)

    @torch.no_grad()
    def follow_numbers(
        self,
        ends: Sequence[float],
        members: Sequence[Separable],
        directions: Sequence[Separable],
        sensitivities: Sensitivities,
    ) -> None:
        """Replace the networks of all windows by those solved for the present unknown parameters.

        Args:
            ends: the ends of the windows in scaled time, from 0 up to 2.
            members: the network of each window.
            directions: for each window the network of the derivatives of all fields by each unknown
                parameter of the problem, in the order of the parameters.
            sensitivities: the layer that sums these derivatives, times changes of the parameters.
        """
        self._take(ends, members)
        self._directions = nn.ModuleList([like(member, self.ends) for member in directions])
        self.sensitivities = sensitivities.to(self.ends.device, self.ends.dtype)

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *args: Any) -> None:
        self.sensitivities, self._directions = None, nn.ModuleList()
        if (numbers := state.get(f"{prefix}sensitivities.coefficients")) is not None:
            directions = [self.member(modes, len(numbers)) for modes in self._modes(state, prefix)]
            self._directions = nn.ModuleList(like(direction, self.ends) for direction in directions)
            self.sensitivities = Sensitivities(numbers).to(self.ends.device, self.ends.dtype)
        super()._load_from_state_dict(state, prefix, *args)

    def jet(self, coordinates: Inputs, tape: Tape | None = None) -> Jet:
        jet = super().jet(coordinates, tape)
        if self.sensitivities is None or tape is None:  # sensitivities add only a Jacobian
            return jet
        directions = cast(Sequence[Separable], self._directions)
        by_number = by_windows(
            coordinates, self.ends.tolist(), lambda i, inside: directions[i].jet(inside)
        )
        return jet + self.sensitivities(by_number, tape)


def require_windows(network: Network) -> Windows:
    """Return the network if it is a `Windows`.

    Raises:
        InputError: for another kind of network.
    """
    if not isinstance(network, Windows):
        raise InputError(
            'march is for networks in time windows, network.type = "windows", or "cell_windows" '
            f"for cells and no unknown parameters: this one is a {type(network).__name__}"
        )
    return network
