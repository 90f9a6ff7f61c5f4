"""The discretization of a problem from the settings of `solve`, which are checked against
problem and network.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kanpinn._support.errors import InputError, number
from kanpinn.accuracy.invariants import check_invariants
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.loss.residuals import BALANCES
from kanpinn.loss.scales import scales_of
from kanpinn.loss.terms import PROBE_POINTS
from kanpinn.networks.constraints import (
    choose_imposition,
    circles_for,
    periodic_axes,
    periodic_numbers,
)
from kanpinn.networks.enrichment import Enrichment, Function, Known
from kanpinn.networks.network import Constants, Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, jumps, stated
from kanpinn.pde.checks import check_well_posed
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.pde.energies import check_boundary_energies
from kanpinn.pde.problem import Problem, by_energy
from kanpinn.pde.unknown import Unknown
from kanpinn.solvers.discretization import (
    Discretization,
    EnergyDiscretization,
    StrongDiscretization,
)


@dataclass(frozen=True, kw_only=True)
class SolveSettings:
    """How a problem is discretized: arguments of `kanpinn.solve`, which describes them.

    Args:
        points: the collocation points.
        boundary: "exact", "penalty" or "auto".
        weights: the weights of the loss terms "interior" and "boundary"; None for 1.
        balance: how factors bring the loss terms to one scale; None for no factors.
        form: "strong" for the squared residual, "energy" for `problem.energy`.
    """

    points: Collocation
    boundary: str = "auto"
    weights: Mapping[str, float | int] | None = None
    balance: str | None = None
    form: str = "strong"


def sized_for(problem: BoundaryValueProblem, network: Network) -> Network:
    """The network, with the inputs and outputs of a problem if its width was left out."""
    if network.unsized is None:
        return network
    inputs = input_counts(problem, inputs_of(problem, network.has_kinks))
    return network.sized(inputs[0], len(problem.fields))


def default_points(network: Network) -> Collocation:
    """The default number of collocation points, and their sampler, for a network.

    There are 1.4 interior points per coefficient of the output layer, and at least 1681. Up to
    three inputs they are Gauss points, with 4 √(interior) points, at least 164, on the boundary.
    Above, where products of Gauss rules are too large, they are Sobol points, with a quarter as
    many on the boundary as in the interior. Networks in time windows with hidden layers take Sobol
    points, too, with twice as many on the boundary as there are coefficients, and at least 400.
    """
    coefficients = sum(part.layers[-1].coefficients.numel() for part in network.parts)
    interior = max(1681, math.ceil(1.4 * coefficients))
    if network.at_scattered_points:
        return Collocation(interior, max(400, 2 * coefficients), "sobol")
    if network.width[0] > 3:
        return Collocation(interior, math.ceil(interior / 4), "sobol")
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")


def inputs_of(problem: BoundaryValueProblem, has_kinks: bool) -> Function | None:
    """The function that computes a network's inputs from points; None for the coordinates.

    Functions of inputs give networks a kink at an interface. Networks with `has_kinks` take the
    coordinates if the problem has interfaces.
    """
    divided = has_kinks and any(condition.kinks for condition in problem.conditions())
    return None if divided else problem.inputs()


def check_unweighted(why: str, weights: Mapping[str, float], balance: str | None) -> None:
    """Refuse weights of the loss for a network to whose method they mean nothing.

    Args:
        why: the reason, see `Network.unweighted`.
        weights: of the terms of the loss.
        balance: how they are adapted.

    Raises:
        InputError: for a weight other than 1, or a balance.
    """
    for name, weight in weights.items():
        if weight != 1:
            raise InputError(f"the weight of {name} must be left out, got {weight:g}: {why}")
    if balance is not None:
        raise InputError(f"balance must be left out, got {balance!r}: {why}")


FORMS = ("strong", "energy")
LOSS_TERMS = ("interior", "boundary")


def discretize(
    problem: Problem,
    network: Network,
    settings: SolveSettings,
    seed: int = 0,
) -> Discretization[Problem]:
    """Check the arguments of `solve` against each other and build the discretization.

    Args:
        problem: the equation, its domain and conditions.
        network: gets the problem's known functions and unknown numbers as further layers.
        settings: the points, how boundary data are imposed, and the loss.
        seed: the seed of the points.

    Raises:
        InputError: if problem, network and settings do not fit together.
    """
    if isinstance(problem, EigenProblem):
        raise InputError(
            f"{type(problem).__name__} is no problem for kanpinn.solve: expected "
            "kanpinn.eigen(problem, network)"
        )
    problem, form = _in_form(stated(problem, Problem), network, settings.form)
    if problem.invariants is not None:
        check_invariants(problem)
    balance = settings.balance
    if balance not in (None, "sizes", *BALANCES):
        known = ", ".join((*BALANCES, "sizes"))
        raise InputError(f"balance must be one of {known}, got {balance!r}")
    surrogate, met = build_surrogate(problem, network, settings.boundary, form, problem.unknowns)
    numbers, present = problem.numbers if problem.unknowns else {}, network.constants
    if present is None or present.unknowns != numbers:  # otherwise they keep their values
        network.constants = Constants(numbers, surrogate.low) if numbers else None
    points, weights, scales = settings.points, checked_weights(settings.weights), None
    if network.unweighted:
        check_unweighted(network.unweighted, weights, balance)
    if balance == "sizes":  # the residuals are scaled once, in place of factors during the solve
        if form == "energy" or problem.unknowns:
            what = "an energy" if form == "energy" else "a problem with unknowns"
            raise InputError(
                f'balance must not be "sizes" for {what}, whose loss has one scale only'
            )
        balance, scales = None, scales_of(problem)
    if form == "strong":
        return StrongDiscretization(problem, surrogate, points, weights, seed, met, scales, balance)
    met |= {i for i, c in enumerate(problem.conditions()) if c.is_natural}
    return EnergyDiscretization(problem, surrogate, points, weights, seed, met, scales, balance)


def _in_form(problem: Problem, network: Network, form: str) -> tuple[Problem, str]:
    """Return the problem and the form in which a network solves it.

    Cells solve the equation that is derived from an energy.

    Raises:
        InputError: for an unknown form, or an energy that cannot be minimised.
    """
    if form not in FORMS:
        raise InputError(f'form must be "strong" or "energy", got {form!r}')
    if form == "strong":
        return problem, form
    if not network.minimises:
        return by_energy(problem), "strong"
    name, parts = type(problem).__name__, problem.boundary_energies()
    check_boundary_energies(problem.conditions(), parts, problem.fields, name)
    if problem.unknowns:
        raise InputError(
            f'form must be "strong" for {name}, which has unknowns: an energy does not determine '
            "its own coefficients"
        )
    return problem, form


def build_surrogate(
    problem: BoundaryValueProblem,
    network: Network,
    boundary: str,
    form: str = "strong",
    unknowns: Mapping[str, Unknown] | None = None,
) -> tuple[Surrogate, frozenset[int]]:
    """Return a network with the problem's data built in, and which conditions hold exactly.

    Args:
        problem: as `stated` returned it; it is checked to be well posed.
        network: gets the problem's known functions.
        boundary: how boundary conditions are met, as for `solve`.
        form: "strong" or "energy".
        unknowns: the unknowns of the problem, by name.

    Returns:
        The surrogate, and the indices of the conditions that every such surrogate satisfies.

    Raises:
        InputError: if problem, network and boundary do not fit together.
    """
    inputs = inputs_of(problem, network.has_kinks)
    sized_for(problem, network)
    check_inputs_and_fields(problem, inputs, network.width)
    network.enrichment = None
    if functions := problem.enrichment():
        like = next(network.parameters())
        probe = sample(problem.domain, PROBE_POINTS, "uniform").to(like.dtype, like.device)
        network.enrichment = Enrichment(functions, probe, len(problem.fields))
    check_well_posed(problem, strong=form == "strong")
    found = jumps(problem) if len(problem.conditions()) > 1 else []
    if contradictions := [jump for jump in found if jump.contradictory]:
        raise InputError(f"{type(problem).__name__}: {contradictions[0]}")
    rough = form == "energy"
    chosen = network.impose(problem, boundary, form)
    chosen = chosen or choose_imposition(problem, boundary, found, rough=rough)
    if found:  # then no boundary values are built into the surrogate
        warnings.warn(f"{found[0]}: {chosen.follows}", stacklevel=4)
    met = chosen.met
    if inputs is None and network.width[0] > problem.domain.dim:
        inputs = circles_for(problem, network)
        if inputs is not None:
            met |= periodic_numbers(problem, chosen.output)
    coefficients = [(unknowns or {}).get(name) for name in problem.fields]
    return Surrogate(network, problem.domain, chosen.output, inputs, coefficients), met


def check_inputs_and_fields(
    problem: BoundaryValueProblem, inputs: Function | None, width: Sequence[int]
) -> None:
    """Refuse a network's width whose ends are not the numbers of inputs and fields of a problem.

    A network may have one more input for each periodic coordinate.

    Args:
        problem: the problem.
        inputs: the function that computes the network's inputs; None for the coordinates.
        width: the units per layer, inputs first.

    Raises:
        InputError: for other numbers; the message says what they must be.
    """
    if width[-1] != len(problem.fields):
        raise InputError(
            f"network.width must end with {len(problem.fields)} outputs for the fields "
            f"{', '.join(problem.fields)} of {type(problem).__name__}, got {list(width)}"
        )
    counts = input_counts(problem, inputs, width[0])
    if width[0] not in counts:
        raise InputError(
            f"network.width must start with {counts[0]} inputs for the coordinates "
            f"{', '.join(problem.domain.names)}, got {list(width)}"
        )


def input_counts(
    problem: BoundaryValueProblem, inputs: Function | None, given: int = 0
) -> list[int]:
    """The numbers of inputs that a network for a problem may have, the usual one first.

    Args:
        problem, inputs: as for `check_inputs_and_fields`.
        given: the number that it has; 0 if it may have any.
    """
    domain = problem.domain
    if inputs is not None:
        low, high = domain.bounds
        middle = Points((low + high)[None] / 2, domain.names)
        return [Known((inputs,), "inputs(p)").values(middle).shape[1]]
    if given > domain.dim:
        return [domain.dim, domain.dim + len({*periodic_axes(problem).values()})]
    return [domain.dim]


def checked_weights(weights: Mapping[str, float | int] | None) -> dict[str, float]:
    """Return the weight of every loss term, 1 where none is given.

    Raises:
        InputError: for a term that does not exist, or a weight that is no number of at least 0.
    """
    chosen: dict[str, float | int] = dict.fromkeys(LOSS_TERMS, 1.0) | dict(weights or {})
    for name, value in chosen.items():
        if name not in LOSS_TERMS:
            raise InputError(f"weights has no term {name!r}: the terms are {', '.join(LOSS_TERMS)}")
        number(f"the weight of {name}", value)
    return {name: float(value) for name, value in chosen.items()}
