"""A discretized problem: its surrogate, its collocation points and its loss terms."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Generic

import torch

from kanpinn._support.distributed import share
from kanpinn.geometry import Boundary, Points, Region
from kanpinn.geometry.sampling import Collocation, measure_in, sample, weighted_sample
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.scales import Scales
from kanpinn.loss.terms import ResidualTerm, Term, condition_terms, energy_terms, residual_term
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.boundary_value_problem import P, parameter_of, with_parameter
from kanpinn.pde.problem import Problem

EPOCHS_APART = 1_000_003  # between the seeds of the points of two epochs: a prime


@dataclass(frozen=True)
class Discretization(ABC, Generic[P]):
    """A problem with its surrogate, and its loss for any epoch of collocation points.

    Args:
        problem: the equation, its domain and conditions.
        surrogate: the network, with the maps that make boundary and initial data exact.
        collocation: how many points, by which sampler, and after how many steps they are replaced.
        weights: the weights of the loss terms, "interior" and "boundary".
        seed: the seed of the points.
        met: indices of the conditions that need no loss term, because they hold exactly.
        scales: of fields and equations, by which residuals are multiplied; None for 1.
        balance: how the factors of the terms are adapted, see `balance_factors`; None for 1.
    """

    form: ClassVar[str]  # the form of the loss by its name in `solve`

    problem: P
    surrogate: Surrogate
    collocation: Collocation
    weights: dict[str, float]
    seed: int
    met: frozenset[int] = frozenset()
    scales: Scales | None = None
    balance: str | None = None
    # The points of one epoch, kept because the network adapts to them before the terms use them.
    _drawn: dict[int, list[Points]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def points(self, epoch: int = 0) -> list[Points]:
        """The interior points of an epoch, followed by the points of each condition.

        Boundary points are distributed over the conditions in proportion to their surface, in
        coordinates in which the bounding box is a cube. All points depend on the seed and the epoch
        alone.
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

    @abstractmethod
    def terms(self, epoch: int = 0, interior: Points | None = None) -> list[Term]:
        """The loss terms of an epoch; conditions that hold exactly have no term.

        Args:
            epoch: the number of the epoch, from 0.
            interior: interior points in place of the epoch's own.

        Raises:
            InputError: if a residual has the wrong shape, or contains a derivative that vanishes
                identically for the surrogate's splines.
        """

    def penalties(self, epoch: int = 0) -> list[ResidualTerm]:
        """The loss terms of the conditions that do not hold exactly.

        Raises:
            InputError: as for `terms`.
        """
        if len(self.met) == len(self.problem.conditions()):
            return []  # no points have to be drawn
        pieces = [p[:0] if i in self.met else p for i, p in enumerate(self.points(epoch)[1:])]
        weight = self.weights["boundary"]
        return condition_terms(self.problem, self.surrogate, pieces, weight, self.scales)

    def residuals(self, epoch: int = 0, interior: Points | None = None) -> Residuals:
        """The loss of an epoch, with this discretization as its `family`.

        The arguments are those of `terms`.
        """
        return Residuals(self.surrogate, self.terms(epoch, interior), self)

    @property
    def counted(self) -> list[int]:
        """The numbers of the fields whose errors count, see `Problem.error_fields`."""
        fields = self.problem.fields
        return [fields.index(name) for name in self.problem.error_fields or fields]

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

    def prepare(self) -> None:
        """Let the network adapt to the points of the first epoch."""
        most = 2**20  # points of each kind, which tell the ranges of activations; more cost memory
        strides = [-(-len(p) // most) or 1 for p in self.points()]
        both = zip(self.points(), strides, strict=True)
        coords = torch.cat([p.coords[share(len(p))][::stride] for p, stride in both])
        self.surrogate.prepare(Points(coords, self.problem.domain.names))


@dataclass(frozen=True)
class StrongDiscretization(Discretization[P]):
    """The strong form: the loss is the mean squared residual of the equation and the conditions."""

    form: ClassVar[str] = "strong"

    def terms(self, epoch: int = 0, interior: Points | None = None) -> list[Term]:
        inside = self.points(epoch)[0] if interior is None else interior
        equation, weight = self.problem.equation, self.weights["interior"]
        term = residual_term(
            "interior", equation, inside, self.surrogate, "residual", weight=weight
        )
        if self.scales is not None:
            term = term.times(self.scales.equations)
        return [term, *self.penalties(epoch)]


@dataclass(frozen=True)
class EnergyDiscretization(Discretization[Problem]):
    """The energy form: the loss is the energy of the problem and the penalised conditions.

    A penalty has the weight of the boundary times 1000 times the strength of the energy: for
    a |∇u|²/2 in a domain of the size 2 L, that is 1000 a / L². It changes the solution by its
    inverse, so it must be large, but one that is larger still would have a network that cannot
    satisfy the conditions attend to nothing else.
    """

    form: ClassVar[str] = "energy"

    def terms(self, epoch: int = 0, interior: Points | None = None) -> list[Term]:
        """The energy's terms, then those of the penalised conditions at the epoch's points.

        The energy's terms are integrals over domain and boundary, divided by the domain's measure,
        at quadrature points of their own; `interior` is not used.

        Raises:
            InputError: if a density or a residual has the wrong shape.
        """
        problem, surrogate, chosen = self.problem, self.surrogate, self.collocation
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
        inside, *walls = weighed
        energies = list(energy_terms(problem, surrogate, inside, walls, self.weights["interior"]))
        penalties = self.penalties(epoch)
        if penalties:
            # Measured on disks, a disk's hole and L-shapes: a third of it doubles the errors of
            # smooth solutions, three times as much those of rough ones.
            weight = 1e3 * energies[0].strength(surrogate)
            penalties = [
                one if one.measured else replace(one, weight=weight * one.weight)
                for one in penalties
            ]
        return [*energies, *penalties]
