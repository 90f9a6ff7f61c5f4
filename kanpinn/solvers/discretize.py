"""The discretization of a problem from the settings of `solve`, which are checked against
problem and network.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kanpinn._support.errors import InputError, number, of_class
from kanpinn.accuracy.invariants import check_invariants
from kanpinn.geometry import Box, Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.loss.residuals import BALANCES
from kanpinn.loss.scales import scales_of
from kanpinn.loss.terms import PROBE_POINTS
from kanpinn.networks.constraints import (
    Imposition,
    choose_imposition,
    circles_for,
    periodic_coordinates,
    periodic_numbers,
)
from kanpinn.networks.enrichment import Function, Known, enrichment_of
from kanpinn.networks.network import Constants, Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, jumps, stated
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.pde.energies import check_boundary_energies
from kanpinn.pde.problem import Problem, by_energy
from kanpinn.pde.unknown import Unknown
from kanpinn.pde.well_posed import check_well_posed
from kanpinn.solvers.discretization import (
    Discretization,
    EnergyDiscretization,
    StrongDiscretization,
)
from kanpinn.spaces.cell_windows import CellWindows
from kanpinn.spaces.cells.cells import Cells
from kanpinn.spaces.cells.geometry.regions import regions_of
from kanpinn.spaces.evolution_terms import order_in_time
from kanpinn.spaces.windows import Windows


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


def inputs_of(problem: BoundaryValueProblem, in_cells: bool) -> Function | None:
    """The function that computes a network's inputs from points; None for the coordinates.

    Functions of inputs give networks a kink at an interface. A network in cells has this kink
    without them, so it takes the coordinates if the problem has interfaces.

    Args:
        problem: the problem.
        in_cells: whether it is a network in cells.
    """
    has_kinks = any(condition.kinks for condition in problem.conditions())
    return None if in_cells and has_kinks else problem.inputs()


def refuse_unfit(
    problem: BoundaryValueProblem, functions: Mapping[str, object], form: str, network: str
) -> None:
    """Refuse problems with functions that such networks cannot use, and energies.

    Args:
        problem: the problem.
        functions: those that such networks cannot use, by name, as far as the problem has them.
        form: the argument `form` of `solve`.
        network: what kind of network it is, for messages.

    Raises:
        InputError: see above.
    """
    for name, given in functions.items():
        if given:
            raise InputError(
                f"{type(problem).__name__} has {name}(), which {network} cannot use: take another "
                "network"
            )
    if form == "energy":
        raise InputError(f'form must be "strong" for {network}')


def refuse_weights(problem: BoundaryValueProblem, network: Network) -> None:
    """Refuse weights of conditions for a network whose method ignores them.

    Raises:
        InputError: for a weight other than 1.
    """
    for i, condition in enumerate(problem.conditions()):
        if condition.weight != 1:
            raise InputError(
                f"the weight of conditions()[{i}] must be left out, got {condition.weight:g}: "
                f"{network.unweighted}"
            )


def periodic_axes(problem: BoundaryValueProblem) -> dict[int, int]:
    """The indices of periodic conditions on all fields, with those of their coordinates."""
    named = {i: c.periodic_in for i, c in enumerate(problem.conditions())}
    names = problem.domain.names
    return {i: names.index(name) for i, name in named.items() if name is not None}


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


def in_cells(problem: BoundaryValueProblem, network: Cells, boundary: str, form: str) -> Imposition:
    """Return how the conditions of a problem are imposed on a network in cells: as residuals.

    Cells at both ends of a periodic coordinate are neighbours, and need no condition.

    Args:
        problem: the problem.
        network: gets the coordinates that go around a circle, and the regions of the domain.
        boundary, form: the arguments of `solve`.

    Raises:
        InputError: for what is not for such networks.
    """
    functions = {"inputs": inputs_of(problem, in_cells=True)}
    refuse_unfit(problem, functions, form, "a network in cells")
    if boundary not in ("auto", "penalty"):
        raise InputError(
            f'boundary must be "auto" or "penalty" for a network in cells, got {boundary!r}: cells '
            "have the conditions in their least-squares problem"
        )
    refuse_weights(problem, network)
    _refuse_numbers(problem)
    _refuse_coefficients(problem, network)
    around = periodic_axes(problem)
    axes = frozenset(around.values())
    kinks = [piece for condition in problem.conditions() for piece in condition.kinks]
    _refuse_together(problem, network, axes, bool(kinks))
    network.layer.go_around(axes)
    network.layer.divide(regions_of(problem.domain, kinks))
    return Imposition(None, met=frozenset(around))


def _refuse_numbers(problem: BoundaryValueProblem) -> None:
    """Refuse unknown numbers in conditions elsewhere than on boundaries and interfaces."""
    for i, condition in enumerate(problem.conditions()):
        if condition.numbers and not (condition.pieces or condition.kinks):
            raise InputError(
                f"conditions()[{i}], {of_class(condition)}, depends on unknown numbers: in "
                "cells only conditions on boundaries and interfaces may do so"
            )


def _refuse_coefficients(problem: BoundaryValueProblem, network: Cells) -> None:
    """Refuse coefficient fields without a network of their own, and conditions that prescribe them.

    Raises:
        InputError: naming the fields, or the condition and the field.
    """
    unknowns = problem.unknowns if isinstance(problem, Problem) else {}
    others = [name for name in problem.fields if name in unknowns]
    if others != list(problem.fields[network.own_fields :]):
        names = ", ".join(others) or "none"
        raise InputError(
            "in cells unknown coefficient fields are the last fields and have a network of their "
            "own, as in Cells([2, 2], coefficient=KAN([2, 1])): the coefficient fields of "
            f"{type(problem).__name__} are {names}"
        )
    for i, condition in enumerate(problem.conditions()):
        about = {*condition.about, *(one.field for one in condition.prescribed(problem.fields))}
        if not condition.measurements and (found := [name for name in others if name in about]):
            raise InputError(
                f"conditions()[{i}], {of_class(condition)}, is about the unknown "
                f"coefficient {found[0]}: in cells such a field takes measurements, kp.Observed"
            )


def _refuse_together(
    problem: BoundaryValueProblem, network: Cells, axes: frozenset[int], divided: bool
) -> None:
    """Refuse what cells do not take together.

    Args:
        problem: the problem.
        network: the network.
        axes: the coordinates that are periodic.
        divided: whether interfaces divide the domain.

    Raises:
        InputError: for a single cell along a periodic coordinate, known functions with any of the
            others, and an interface with a periodic coordinate.
    """
    name = type(problem).__name__
    for axis in axes:
        if network.tree.roots[axis] < 2:
            raise InputError(
                f"network.cells must be at least 2 along {problem.domain.names[axis]}, which is "
                "periodic, got 1"
            )
    if problem.enrichment() and (divided or axes or isinstance(problem, EigenProblem)):
        raise InputError(
            f"{name} has enrichment(), which cells take neither with an Interface nor with a "
            "periodic coordinate, nor for eigenvalues"
        )
    if divided and axes:
        raise InputError(
            f"{name} has an Interface and a periodic coordinate, which cells do not take together"
        )


def in_windows(
    problem: BoundaryValueProblem, network: Windows, boundary: str, form: str
) -> Imposition:
    """Prepare a network in time windows for a problem, and return how data on walls are imposed.

    With splines in space a march imposes all conditions exactly, and splines that go on around a
    circle are periodic with all of their derivatives.

    Args:
        problem: the problem.
        network: gets the order in time, and the coordinates that go around a circle.
        boundary, form: the arguments of `solve`.

    Raises:
        InputError: for what is not for such networks, or for this one.
    """
    refuse_unfit(problem, _functions(problem), form, "a network in time windows")
    if boundary == "penalty":
        raise InputError(
            'boundary must be "exact" or "auto" for a network in time windows, got "penalty": '
            "a march satisfies conditions at walls exactly"
        )
    last = problem.domain.dim - 1
    for i, condition in enumerate(problem.conditions()):
        if condition.numbers and any(piece.side == (last, False) for piece in condition.pieces):
            raise InputError(
                f"conditions()[{i}], {of_class(condition)}, has initial values that depend "
                "on unknown numbers: a march takes unknown numbers in the equation and at walls"
            )
    follows = "a march takes short windows and intervals for it if the equation smooths it"
    network.order = order_in_time(problem)
    if network.in_space and not network.of_splines:
        return replace(choose_imposition(problem, boundary, (), walls=True), follows=follows)
    dim, domain = problem.domain.dim, problem.domain
    if dim > 2 and not (isinstance(domain, Box) and network.width[0] == dim):
        raise InputError(
            f"network.width must have a hidden layer here, such as {[dim, 64, network.width[-1]]}, "
            f"got {list(network.width)}: without one it stands for products of splines in a box"
        )
    around = periodic_axes(problem)
    network.around = frozenset(around.values())
    chosen = "penalty" if boundary in ("auto", "exact") else boundary  # nothing is built in
    found = choose_imposition(problem, chosen, ())
    return replace(found, met=frozenset(around), follows=follows)


def in_cell_windows(
    problem: BoundaryValueProblem, network: CellWindows, boundary: str, form: str
) -> Imposition:
    """Prepare a network in time windows with cells, and say how data on walls are imposed.

    Args:
        problem: the problem.
        network: its cells become neighbours across the ends of periodic coordinates.
        boundary, form: the arguments of `solve`.

    Raises:
        InputError: for a boundary or form, a weight of a condition, or an interface that a march
            with cells does not support.
    """
    refuse_unfit(problem, _functions(problem), form, "a network in time windows")
    if boundary not in ("auto", "penalty"):
        raise InputError(
            f'boundary must be "auto" or "penalty" for CellWindows, got {boundary!r}: '
            "the conditions are part of the least-squares problems in cells"
        )
    refuse_weights(problem, network)
    if any(condition.kinks for condition in problem.conditions()):
        raise InputError(
            f"{type(problem).__name__} has an Interface: a march with cells expects none"
        )
    network.order = order_in_time(problem)
    around = periodic_axes(problem)
    network.go_around(frozenset(around.values()))
    follows = "a march takes short windows and small cells for it if the equation smooths it"
    return Imposition(None, met=frozenset(around), follows=follows)


def _functions(problem: BoundaryValueProblem) -> dict[str, object]:
    """The functions of a problem that networks in windows cannot use, by name."""
    return {"inputs": problem.inputs(), "enrichment": problem.enrichment()}


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
    if isinstance(network, Cells):
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
    inputs = inputs_of(problem, isinstance(network, Cells))
    check_inputs_and_fields(problem, inputs, network.width)
    network.enrichment = None
    if functions := problem.enrichment():
        like = next(network.parameters())
        probe = sample(problem.domain, PROBE_POINTS, "uniform").to(like.dtype, like.device)
        network.enrichment = enrichment_of(functions, probe, len(problem.fields))
    check_well_posed(problem, strong=form == "strong")
    found = jumps(problem) if len(problem.conditions()) > 1 else []
    if contradictions := [jump for jump in found if jump.contradictory]:
        raise InputError(f"{type(problem).__name__}: {contradictions[0]}")
    if isinstance(network, Windows):
        chosen = in_windows(problem, network, boundary, form)
    elif isinstance(network, CellWindows):
        chosen = in_cell_windows(problem, network, boundary, form)
    elif isinstance(network, Cells):
        chosen = in_cells(problem, network, boundary, form)
    else:
        chosen = choose_imposition(problem, boundary, found, rough=form == "energy")
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
    domain = problem.domain
    counts = [domain.dim]
    if inputs is not None:
        low, high = domain.bounds
        middle = Points((low + high)[None] / 2, domain.names)
        counts = [Known((inputs,), "inputs(p)").values(middle).shape[1]]
    elif width[0] > domain.dim:
        counts.append(domain.dim + len(periodic_coordinates(problem)))
    if width[0] not in counts:
        raise InputError(
            f"network.width must start with {counts[0]} inputs for the coordinates "
            f"{', '.join(domain.names)}, got {list(width)}"
        )


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
