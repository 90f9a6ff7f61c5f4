"""A discretized problem: a problem with its surrogate, collocation points and loss.

`discretize` checks that problem, network and settings of `solve` fit together.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

import torch

from kanpinn._support.distributed import share
from kanpinn._support.errors import InputError, instance, number, one_of
from kanpinn.accuracy.invariants import check_invariants
from kanpinn.geometry import Boundary, Points, Region
from kanpinn.geometry.sampling import Collocation, measure_in, sample, weighted_sample
from kanpinn.loss import terms as loss_terms
from kanpinn.loss.residuals import BALANCES, Residuals
from kanpinn.loss.scales import Scales, scales_of
from kanpinn.networks import Surrogate, constraints
from kanpinn.networks.layer import Enrichment, Function, Known
from kanpinn.networks.network import Constants, Network, check_width
from kanpinn.pde.boundary_value_problem import (
    BoundaryValueProblem,
    P,
    jumps,
    parameter_of,
    stated,
    with_parameter,
)
from kanpinn.pde.checks import check_well_posed
from kanpinn.pde.problem import Problem, Unknown, by_energy

EPOCHS_APART = 1_000_003  # the difference between the seeds of two epochs' points: a prime


@dataclass(frozen=True)
class Loss:
    """The loss of a solve: Σ weight · mean residual² over the equation and the conditions.

    Args:
        interior: the weight of the equation.
        boundary: the weight of the conditions.
        form: "strong" for the squared residual; "energy" minimises `problem.energy` instead of the
            squared residual. For a network in cells, "energy" means to solve the equation that is
            derived from the energy, see `Problem.energy`.
        balance: how the terms of the loss are brought to one scale; None for no scaling. "sizes"
            divides the residual of every equation and condition by the size of its terms, so that
            the result does not depend on the units of coordinates, fields and equations
            (`kanpinn.loss.scales`). "ntk" and "gradients" multiply the loss terms by factors, which
            are computed at the start and every 100 steps; reported losses omit these factors. The
            factors of "ntk" make the mean squared norm of a row of the Jacobian equal for all
            terms; the factors of "gradients" do so for the norm of the gradient. "ntk" and
            "gradients" are useful with first-order methods and penalised data.

    Raises:
        InputError: for a weight that is no number of at least 0, or an unknown form or balance.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> loss = kp.Loss(boundary=100)
        >>> solution = kp.solve(problem, kp.KAN(hidden=[32]), boundary="penalty", loss=loss)
        >>> solution.errors.l2_relative < 1e-3
        True
    """

    interior: float | int = 1.0
    boundary: float | int = 1.0
    form: str = "strong"
    balance: str | None = None

    def __post_init__(self) -> None:
        number("the weight of interior", self.interior)
        number("the weight of boundary", self.boundary)
        one_of("form", self.form, ("strong", "energy"))
        if self.balance is not None:
            one_of("balance", self.balance, (*BALANCES, "sizes"))

    def check_unweighted(self, network: Network) -> None:
        """Check that there are no weights and no balance if the network's method ignores them.

        Raises:
            InputError: if there is a weight other than 1, or a balance, for such a network.
        """
        why = network.unweighted
        for name, weight in {"interior": self.interior, "boundary": self.boundary}.items():
            if why and weight != 1:
                raise InputError(f"the weight of {name} must be left out, got {weight:g}: {why}")
        if why and self.balance is not None:
            raise InputError(f"balance must be left out, got {self.balance!r}: {why}")


@dataclass(frozen=True, kw_only=True)
class SolveSettings:
    """The arguments of `kanpinn.solve` by which a problem is discretized.

    Args:
        points: the collocation points; None for `default_points` of the network.
        boundary: how boundary data are imposed: "exact", "penalty" or "auto", see `solve`.
        loss: the weights, the form and the balance of the loss.
    """

    points: Collocation | None = None
    boundary: str = "auto"
    loss: Loss = Loss()


@dataclass(frozen=True)
class Discretization(Generic[P]):
    """A problem with its surrogate, which draws collocation points and builds loss terms.

    An epoch is a number of steps with the same collocation points.

    Args:
        problem: the equation, its domain and conditions.
        surrogate: the network, with the maps that make boundary and initial data exact.
        collocation: the number of points, their sampler, and the number of steps of an epoch.
        loss: the weights and the form of the loss, and the balance of its terms (`Loss.balance`).
        seed: the seed of the points.
        met: the indices of the conditions without a loss term: conditions that the surrogate
            satisfies exactly and, for an energy, natural boundary conditions.
        scales: the factors by which the residuals of equations and conditions are multiplied; None
            for 1.
    """

    problem: P
    surrogate: Surrogate
    collocation: Collocation
    loss: Loss
    seed: int
    met: frozenset[int] = frozenset()
    scales: Scales | None = None
    # The points of one epoch, kept because the network adapts to them before the terms use them.
    _drawn: dict[int, list[Points]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def points(self, epoch: int = 0) -> list[Points]:
        """Return the interior points of an epoch, followed by the points of each condition.

        Boundary points are distributed over the conditions in proportion to the measure of the
        surface of each condition, in coordinates in which the domain's bounding box is a cube. All
        points depend on the seed and the epoch alone.

        Args:
            epoch: the number of the epoch, from 0.

        Returns:
            The interior points, then the points of each condition in the order of
            `problem.conditions()`.
        """
        if epoch in self._drawn:
            return self._drawn[epoch]
        generator = torch.Generator().manual_seed(self.seed + EPOCHS_APART * epoch)
        conditions, chosen = self.problem.conditions(), self.collocation
        low, high = self.problem.domain.bounds
        units, surfaces = None, [c.surface for c in conditions]
        if float((high - low).max()) > (1 + 1e-9) * float((high - low).min()):
            units = high - low  # lengths may have different units, such as metres and seconds
            surfaces = [sum(measure_in(piece, units) for piece in c.seats) for c in conditions]
        total = sum(surfaces) or 1.0
        parts = [sample(self.problem.domain, chosen.interior, chosen.sampler, generator)]
        for c, surface in zip(conditions, surfaces, strict=True):
            parts.append(c.points(chosen, surface / total, generator, units))
        like = self.surrogate.low
        self._drawn.clear()
        self._drawn[epoch] = [p.to(like.dtype, like.device) for p in parts]
        return self._drawn[epoch]

    def terms(self, epoch: int = 0, interior: Points | None = None) -> list[loss_terms.Term]:
        """Return the loss terms of an epoch; conditions that hold exactly have no loss term.

        In the strong form the first term is the equation. In the energy form the first terms are
        integrals over domain and boundary, divided by the domain's measure, at quadrature points of
        their own. In the energy form the weight of a penalised condition is `loss.boundary` times
        1000 times the strength of the energy: 1000 a / L² for the density a |∇u|²/2 in a domain of
        the size 2 L. The penalty changes the solution by an amount proportional to the inverse of
        this weight, so the weight must be large. But if the network cannot satisfy the conditions,
        a much larger weight would prevent it from minimising the energy.

        Args:
            epoch: the number of the epoch, from 0.
            interior: interior points for the equation; None for the epoch's points. An energy does
                not use them.

        Raises:
            InputError: if a residual or a density has the wrong shape, or a residual contains a
                derivative that vanishes identically for the surrogate's splines.
        """
        problem, surrogate, chosen = self.problem, self.surrogate, self.collocation
        if self.loss.form == "strong":
            inside = self.points(epoch)[0] if interior is None else interior
            weight = float(self.loss.interior)
            term = loss_terms.residual_term(
                "interior", problem.equation, inside, surrogate, "residual", weight=weight
            )
            if self.scales is not None:
                term = term.times(self.scales.equations)
            return [term, *self.penalties(epoch)]
        assert isinstance(problem, Problem)
        regions: list[tuple[Sequence[Region | Boundary], int]] = [
            (problem.cells(), chosen.interior)
        ]
        regions += [([part], chosen.boundary) for part, _ in problem.boundary_energies()]
        generator = torch.Generator().manual_seed(self.seed + EPOCHS_APART * epoch)
        like, weighed = surrogate.low, []
        for cells, count in regions:
            p, weights = weighted_sample(cells, count, chosen.sampler, generator)
            means = weights[:, None] * (len(p) / problem.domain.measure)
            known = Points(p.coords, p.names, p.normals, means)
            weighed.append(known.to(like.dtype, like.device))
        inside, *sides = weighed
        energies = list(
            loss_terms.energy_terms(problem, surrogate, inside, sides, float(self.loss.interior))
        )
        if not (penalties := self.penalties(epoch)):
            return [*energies]
        # Measured on disks, disks with a hole and L-shapes: a third of this weight doubles the
        # errors of smooth solutions, three times this weight doubles those of rough solutions.
        strong = 1e3 * energies[0].strength(surrogate)
        weighed_penalties = (
            term if term.measured else replace(term, weight=strong * term.weight)
            for term in penalties
        )
        return [*energies, *weighed_penalties]

    def penalties(self, epoch: int = 0) -> list[loss_terms.ResidualTerm]:
        """Return the loss terms of the conditions that the surrogate does not satisfy exactly.

        Args:
            epoch: the number of the epoch, from 0.

        Raises:
            InputError: as for `terms`.
        """
        if len(self.met) == len(self.problem.conditions()):
            return []  # without drawing points
        pieces = [p[:0] if i in self.met else p for i, p in enumerate(self.points(epoch)[1:])]
        weight = float(self.loss.boundary)
        return loss_terms.condition_terms(self.problem, self.surrogate, pieces, weight, self.scales)

    def residuals(self, epoch: int = 0, interior: Points | None = None) -> Residuals:
        """Return the loss of an epoch, with the loss terms that `terms` returns.

        The loss has this object as its `family`, which evaluates the loss terms for other values of
        the problem's parameters.

        Args:
            epoch: the number of the epoch, from 0.
            interior: interior points for the equation; None for the epoch's points. An energy does
                not use them.
        """
        return Residuals(self.surrogate, self.terms(epoch, interior), self)

    @property
    def counted(self) -> list[int]:
        """The indices of the fields that enter error norms, see `Problem.error_fields`."""
        fields = self.problem.fields
        return [fields.index(name) for name in self.problem.error_fields or fields]

    def parameter(self, name: str) -> float:
        """Return the value of a parameter of the problem, such as a viscosity, by its name.

        Raises:
            InputError: if the problem has no parameter of that name.
        """
        return parameter_of(self.problem, name)

    def varied(self, name: str, value: float) -> list[loss_terms.Term]:
        """Return the loss terms of the first epoch for another value of a parameter of the problem.

        The points and the surrogate do not change: boundary data that are built into the surrogate
        do not vary with the parameter.

        Args:
            name: the name of the parameter.
            value: the other value of the parameter.

        Raises:
            InputError: if the problem has no parameter of that name.
        """
        self.points()
        view = replace(self, problem=with_parameter(self.problem, name, value))
        view._drawn.update(self._drawn)
        return view.terms()

    def prepare(self) -> None:
        """Adapt the network, such as the grids of a KAN, to the points of the first epoch."""
        # The points per condition and in the interior: enough for ranges of activations.
        most = max(2**13, min(2**20, 2**28 // (1 + self.surrogate.network.parameter_count)))
        coords = []
        for points in self.points():
            stride = -(-len(points) // most) or 1
            coords.append(points.coords[share(len(points))][::stride])
        self.surrogate.prepare(Points(torch.cat(coords), self.problem.domain.names))


def sized_for(problem: BoundaryValueProblem, network: Network) -> Network:
    """Give a network whose width was left out the inputs and outputs that a problem needs.

    The network gets one output per field of the problem, and is returned. A network that already
    has a width is returned unchanged.

    Args:
        problem: the problem.
        network: the network.
    """
    if network.unsized is None:
        return network
    inputs = input_counts(problem, inputs_of(problem, network.has_kinks))
    return network.sized(inputs[0], len(problem.fields))


def default_points(network: Network, each: float = 1.4) -> Collocation:
    """Return the default number of collocation points for a network, and their sampler.

    The number N of interior points is `each` times the number of coefficients of the output layer,
    at least 1681. For up to three inputs the points are Gauss points, with 4 √N points, at least
    164, on the boundary. For more inputs, where products of Gauss rules are too large, the points
    are Sobol points, with N / 4 points on the boundary. For networks in time windows with hidden
    layers the points are Sobol points, too, and the number of boundary points is twice the number
    of coefficients, at least 400. For cells, whose method has points of its own, N is 1681.

    Args:
        network: the network.
        each: the number of interior points for each coefficient of the output layer.
    """
    coefficients = sum(part.layers[-1].coefficients.numel() for part in network.parts)
    if network.estimates_error:
        coefficients = 0
    interior = max(1681, math.ceil(each * coefficients))
    if network.at_scattered_points:
        return Collocation(interior, max(400, 2 * coefficients), "sobol")
    if network.width[0] > 3:
        return Collocation(interior, math.ceil(interior / 4), "sobol")
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")


def inputs_of(problem: BoundaryValueProblem, has_kinks: bool) -> Function | None:
    """Return the function that computes a network's inputs from points; None for coordinates.

    A problem may have an input function with kinks at its interfaces, so that the network has kinks
    at the interfaces, too. A network that has kinks at interfaces by itself does not need this
    function and gets the coordinates as inputs.

    Args:
        problem: the problem.
        has_kinks: whether the network has kinks at interfaces by itself.

    Raises:
        InputError: if there is an interface, but neither the network nor an input has kinks.
    """
    kinks, known = any(condition.kinks for condition in problem.conditions()), problem.inputs()
    if kinks and has_kinks:
        return None
    if kinks and known is None and not problem.enrichment():
        raise InputError(
            f"{type(problem).__name__} has an interface, at which only cells have kinks: solve it "
            "with kp.Cells, or add the distance from the interface to the inputs() of the network"
        )
    return known


def discretize(
    problem: Problem, network: Network, settings: SolveSettings, seed: int = 0
) -> Discretization[Problem]:
    """Check the arguments of `solve` against each other and build the discretization.

    Args:
        problem: the equation, its domain and conditions.
        network: the network; the problem's known functions and unknown parameters are added to it
            as layers.
        settings: the collocation points, the way in which boundary data are imposed, and the loss.
        seed: the seed of the points.

    Raises:
        InputError: if problem, network and settings do not fit together.
    """
    problem, loss, scales = stated(problem, Problem), settings.loss, None
    sized_for(problem, network)
    points = default_points(network) if settings.points is None else settings.points
    instance("points", points, Collocation)
    if loss.form == "energy" and not network.minimises:
        # Cells solve the equation that is derived from an energy.
        problem, loss = by_energy(problem), replace(loss, form="strong")
    elif loss.form == "energy":
        problem.check_boundary_energies(problem.conditions())
        if problem.unknowns:
            raise InputError(
                f'form must be "strong" for {type(problem).__name__}, which has unknowns: an '
                "energy does not determine its own coefficients"
            )
    if problem.invariants is not None:
        check_invariants(problem)
    surrogate, met = build_surrogate(
        problem, network, settings.boundary, loss.form, problem.unknowns
    )
    numbers, present = problem.numbers if problem.unknowns else {}, network.constants
    if present is None or present.unknowns != numbers:  # otherwise the numbers keep their values
        network.constants = Constants(numbers, surrogate.low) if numbers else None
    loss.check_unweighted(network)
    if loss.balance == "sizes":  # residuals are scaled once, in place of factors during the solve
        if loss.form == "energy" or problem.unknowns:
            what = "an energy" if loss.form == "energy" else "a problem with unknowns"
            raise InputError(
                f'balance must not be "sizes" for {what}, whose loss has one scale only'
            )
        loss, scales = replace(loss, balance=None), scales_of(problem)
    if loss.form == "energy":
        met |= {i for i, c in enumerate(problem.conditions()) if c.is_natural}
    return Discretization(problem, surrogate, points, loss, seed, met, scales)


def build_surrogate(
    problem: BoundaryValueProblem,
    network: Network,
    boundary: str,
    form: str = "strong",
    unknowns: Mapping[str, Unknown] | None = None,
) -> tuple[Surrogate, frozenset[int]]:
    """Check that a problem is well posed, and return a surrogate with boundary data built in.

    Args:
        problem: the problem, as `stated` returns it.
        network: the network; the problem's known functions are added to it.
        boundary: how boundary data are imposed: "exact", "penalty" or "auto", see `solve`.
        form: the form of the loss, "strong" or "energy".
        unknowns: the unknowns of the problem, by name; None if it has none.

    Returns:
        The surrogate, and the indices of the conditions that it satisfies exactly for all
        coefficients of the network.

    Raises:
        InputError: if problem, network and boundary do not fit together.
    """
    inputs = inputs_of(problem, network.has_kinks)
    check_inputs_and_fields(problem, inputs, network.width)
    network.enrichment = None
    if functions := problem.enrichment():
        like = next(network.parameters())
        probe = sample(problem.domain, loss_terms.PROBE_POINTS, "uniform").to(
            like.dtype, like.device
        )
        network.enrichment = Enrichment(functions, probe, len(problem.fields))
    check_well_posed(problem, strong=form == "strong")
    found = jumps(problem) if len(problem.conditions()) > 1 else []
    if contradictions := [jump for jump in found if jump.contradictory]:
        raise InputError(f"{type(problem).__name__}: {contradictions[0]}")
    chosen = network.impose(problem, boundary, form) or constraints.choose_imposition(
        problem, boundary, found, rough=form == "energy"
    )
    if found:  # then no boundary values are built into the surrogate
        warnings.warn(f"{found[0]}: {chosen.follows}", stacklevel=4)
    met = chosen.met
    if inputs is None and network.width[0] > problem.domain.dim:  # circles for periodic axes
        names = (problem.domain.names[i] for i in constraints.periodic_axes(problem).values())
        inputs = constraints.Circles(problem.domain, frozenset(names), network.starts_at_zero)
        met |= constraints.periodic_numbers(problem, chosen.output)
    coefficients = [(unknowns or {}).get(name) for name in problem.fields]
    return Surrogate(network, problem.domain, chosen.output, inputs, coefficients), met


def check_inputs_and_fields(
    problem: BoundaryValueProblem, inputs: Function | None, width: Sequence[int]
) -> None:
    """Check that a network has as many inputs and outputs as a problem needs.

    For a periodic coordinate a network may have two inputs: the coordinates of a point on a circle.

    Args:
        problem: the problem.
        inputs: the function that computes the network's inputs; None for the coordinates.
        width: the numbers of units of the network's layers, inputs first.

    Raises:
        InputError: for a wrong number of inputs or outputs; the message has the right number.
    """
    fields, counts = problem.fields, input_counts(problem, inputs, width[0])
    of = f" inputs for the coordinates {', '.join(problem.domain.names)}"
    to = f" outputs for the fields {', '.join(fields)} of {type(problem).__name__}"
    check_width(width, counts, of, [len(fields)], to)


def input_counts(
    problem: BoundaryValueProblem, inputs: Function | None, given: int = 0
) -> list[int]:
    """Return the numbers of inputs that a network for a problem may have, the usual number first.

    Args:
        problem: the problem.
        inputs: the function that computes the network's inputs; None for the coordinates.
        given: the number of inputs of the network; 0 if its width is left out.
    """
    domain = problem.domain
    if inputs is not None:
        low, high = domain.bounds
        middle = Points((low + high)[None] / 2, domain.names)
        return [Known((inputs,), "inputs(p)").values(middle).shape[1]]
    if given > domain.dim:
        return [domain.dim, domain.dim + len({*constraints.periodic_axes(problem).values()})]
    return [domain.dim]
