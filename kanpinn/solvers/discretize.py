"""The discretization of a problem: its surrogate, its collocation points and its loss terms."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real

import torch

from kanpinn._support.distributed import share
from kanpinn._support.errors import InputError
from kanpinn.evolution.windows import Windows
from kanpinn.geometry import Boundary, Points, Region
from kanpinn.geometry.sampling import Collocation, sample, weighted_sample
from kanpinn.loss.energy import EnergyTerm, energy_terms
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import PROBE_POINTS, Term, build_terms, condition_terms
from kanpinn.networks.constants import Constants
from kanpinn.networks.constraints.boundary_data import Form, choose_form
from kanpinn.networks.constraints.initial_data import choose_started_form, order_in_time
from kanpinn.networks.constraints.periodic_inputs import circles_for, periodic_numbers
from kanpinn.networks.enrichment import enrichment_of
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.jumps import Jump, jumps
from kanpinn.pde.problem import Problem, parameter_of, stated, with_parameter
from kanpinn.pde.well_posed import check_well_posed

FORMS = ("strong", "energy")
LOSS_TERMS = ("interior", "boundary")


@dataclass(frozen=True)
class Discretization:
    """A problem with its surrogate, and its loss for any epoch of collocation points.

    Args:
        problem: the equation, its domain and conditions.
        surrogate: the network, with the maps that make boundary and initial data exact.
        collocation: how many points, by which sampler, and after how many steps they are replaced.
        weights: the weights of the loss terms, "interior" and "boundary".
        seed: the seed of the points.
        form: "strong" for the squared residual, "energy" for `problem.energy`.
        met: indices of the conditions that need no loss term, because they hold exactly.
    """

    problem: Problem
    surrogate: Surrogate
    collocation: Collocation
    weights: dict[str, float]
    seed: int
    form: str = "strong"
    met: frozenset[int] = frozenset()
    # The points of one epoch, kept because the network adapts to them before the terms use them.
    _drawn: dict[int, list[Points]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def points(self, epoch: int = 0) -> list[Points]:
        """The interior points of an epoch, followed by the points of each condition.

        Boundary points are distributed over the conditions in proportion to their surface. All
        points depend on the seed and the epoch alone.
        """
        if epoch in self._drawn:
            return self._drawn[epoch]
        generator = self._generator(epoch)
        conditions, chosen = self.problem.conditions(), self.collocation
        total = sum(c.surface for c in conditions)
        parts = [sample(self.problem.domain, chosen.interior, chosen.sampler, generator)]
        parts += [c.points(chosen, c.surface / (total or 1.0), generator) for c in conditions]
        like = self.surrogate.low
        self._drawn.clear()
        self._drawn[epoch] = [p.to(like.dtype, like.device) for p in parts]
        return self._drawn[epoch]

    def terms(self, epoch: int = 0, interior: Points | None = None) -> list[Term]:
        """The loss terms of an epoch; conditions that hold exactly have no term.

        Args:
            epoch: the number of the epoch, from 0.
            interior: interior points in place of the epoch's own.

        Raises:
            InputError: if a residual has the wrong shape, or contains a derivative that vanishes
                identically for the surrogate's splines.
        """
        first, *pieces = self.points(epoch)
        interior = first if interior is None else interior
        pieces = [p[:0] if number in self.met else p for number, p in enumerate(pieces)]
        problem, surrogate, weights = self.problem, self.surrogate, self.weights
        if self.form == "strong":
            return [*build_terms(problem, surrogate, interior, pieces, weights)]
        penalties = condition_terms(problem, surrogate, pieces, weights["boundary"])
        return [*self._energies(epoch), *penalties]

    def residuals(self, epoch: int = 0, interior: Points | None = None) -> Residuals:
        """The loss of an epoch, with this discretization as its `family`.

        The arguments are those of `terms`.
        """
        return Residuals(self.surrogate, self.terms(epoch, interior), self)

    def parameter(self, name: str) -> float:
        """The value of a parameter of the problem, by its name.

        Raises:
            InputError: if the problem has no parameter of that name.
        """
        return parameter_of(self.problem, name)

    def varied(self, name: str, value: float) -> list[Term]:
        """The first epoch's terms for another value of a parameter, at the same points.

        The surrogate is not changed: data that it satisfies exactly stay those of the problem's
        own value.

        Raises:
            InputError: if the problem has no parameter of that name.
        """
        self.points()
        view = replace(self, problem=with_parameter(self.problem, name, value))
        view._drawn.update(self._drawn)
        return view.terms()

    def _energies(self, epoch: int) -> list[EnergyTerm]:
        """The energy's terms: integrals over domain and boundary, over the domain's measure."""
        generator, chosen = self._generator(epoch), self.collocation
        domain, parts = self.problem.domain, self.problem.boundary_energies()
        regions: list[tuple[Sequence[Region | Boundary], int]] = [
            (self.problem.cells(), chosen.interior)
        ]
        regions += [([part], chosen.boundary) for part, _ in parts]
        like, weighed = self.surrogate.low, []
        for cells, count in regions:
            p, weights = weighted_sample(cells, count, chosen.sampler, generator)
            means = weights[:, None] * (len(p) / domain.measure)
            known = Points(p.coords, p.names, p.normals, means)
            weighed.append(known.to(like.dtype, like.device))
        inside, *pieces = weighed
        weight = self.weights["interior"]
        return [*energy_terms(self.problem, self.surrogate, inside, pieces, weight)]

    def _generator(self, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed + 1_000_003 * epoch)

    def prepare(self) -> None:
        """Let the network adapt to the points of the first epoch."""
        coords = torch.cat([p.coords[share(len(p))] for p in self.points()])
        self.surrogate.prepare(Points(coords, self.problem.domain.names))


def discretize(
    problem: Problem,
    network: Network,
    points: Collocation | None,
    boundary: str,
    weights: Mapping[str, float | int] | None,
    seed: int,
    form: str = "strong",
) -> Discretization:
    """Check the arguments of `solve` against each other and build the discretization.

    Raises:
        InputError: if problem, network, form, boundary or weights do not fit together.
    """
    problem = stated(problem)
    if form not in FORMS:
        raise InputError(f'form must be "strong" or "energy", got {form!r}')
    _check_outputs(problem, network)
    if form == "energy":
        _check_natural(problem)
        if problem.unknowns:
            raise InputError(
                f'form must be "strong" for {type(problem).__name__}, which has unknowns: '
                "an energy says nothing of the coefficients in it"
            )
    _enrich(network, problem)
    _add_numbers(network, problem)
    check_well_posed(problem, strong=form == "strong")
    found = jumps(problem)
    chosen = _data_form(problem, network, boundary, found, form)
    if found:  # then no boundary values are built into the surrogate
        warnings.warn(f"{found[0]}: this limits the accuracy", stacklevel=3)
    met, inputs = chosen.met, problem.inputs()
    if form == "energy":
        met |= {i for i, c in enumerate(problem.conditions()) if c.is_natural}
    if inputs is None and network.width[0] > problem.domain.dim:
        inputs = circles_for(problem, network)
        if inputs is not None:
            met |= periodic_numbers(problem, chosen.output)
    coefficients = [problem.unknowns.get(name) for name in problem.fields]
    surrogate = Surrogate(network, problem.domain, chosen.output, inputs, coefficients)
    points = default_points(network) if points is None else points
    return Discretization(problem, surrogate, points, _weights(weights), seed, form, met)


def _data_form(
    problem: Problem, network: Network, boundary: str, found: Sequence[Jump], form: str
) -> Form:
    """How boundary and initial data enter: built into the surrogate, or as loss terms."""
    if not isinstance(network, Windows):
        return choose_form(problem, boundary, found, rough=form == "energy")
    if form == "energy":
        raise InputError('form must be "strong" for a network in time windows')
    network.order = order_in_time(problem)
    return choose_started_form(problem, boundary, found)


def default_points(network: Network) -> Collocation:
    """The default number of collocation points, and their sampler, for a network.

    There are 1.4 interior points per coefficient of the output layer, and at least 1681. Up to
    three inputs they are Gauss points, with 4 √(interior) points, at least 164, on the boundary.
    Above, where products of Gauss rules are too large, they are Sobol points, with a quarter as
    many on the boundary as in the interior.
    """
    coefficients = sum(part.layers[-1].coefficients.numel() for part in network.parts)
    interior = max(1681, math.ceil(1.4 * coefficients))
    if network.width[0] > 3:
        return Collocation(interior, math.ceil(interior / 4), "sobol")
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")


def _check_outputs(problem: Problem, network: Network) -> None:
    fields = problem.fields
    if network.width[-1] != len(fields):
        raise InputError(
            f"network.width must end with {len(fields)} outputs for the fields {', '.join(fields)} "
            f"of {type(problem).__name__}, got {list(network.width)}"
        )


def _check_natural(problem: Problem) -> None:
    """Check that the energy has a boundary density for every natural condition that needs one.

    Raises:
        InputError: if a condition's boundary has no density; the message names the condition.
    """
    covered = {piece for part, _ in problem.boundary_energies() for piece in part.pieces}
    for index, condition in enumerate(problem.conditions()):
        if condition.needs_energy and not covered.issuperset(condition.pieces):
            raise InputError(
                f"conditions()[{index}], a {type(condition).__name__}, is natural in the form "
                f'"energy", but {type(problem).__name__}.boundary_energies() has no density there'
            )


def _enrich(network: Network, problem: Problem) -> None:
    """Add the problem's known functions to the network's output."""
    functions, like = problem.enrichment(), next(network.parameters())
    probe = sample(problem.domain, PROBE_POINTS, "uniform").to(like.dtype, like.device)
    network.enrichment = enrichment_of(functions, probe, len(problem.fields)) if functions else None


def _add_numbers(network: Network, problem: Problem) -> None:
    """Add the problem's unknown numbers to the network; keep the values of equal ones in it."""
    numbers, known = problem.numbers, network.constants
    if isinstance(known, Constants) and known.unknowns == numbers:
        return
    like = next(network.parameters())
    network.constants = Constants(numbers, like) if numbers else None


def _weights(weights: Mapping[str, float | int] | None) -> dict[str, float]:
    chosen: dict[str, float | int] = dict.fromkeys(LOSS_TERMS, 1.0) | dict(weights or {})
    for name, value in chosen.items():
        if name not in LOSS_TERMS:
            raise InputError(f"weights has no term {name!r}: the terms are {', '.join(LOSS_TERMS)}")
        if not (isinstance(value, Real) and math.isfinite(value) and value >= 0):
            raise InputError(f"the weight of {name} must be a number >= 0, got {value!r}")
    return {name: float(value) for name, value in chosen.items()}
