"""The functions of space of a march: the equations in them, and the network of a window."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.direct_system import DirectSystem, condition_rows, ties_of
from kanpinn.evolution.element_space import at_places, global_space, moment_space, spline_space
from kanpinn.evolution.evolution_terms import EvolutionTerms, initial_values
from kanpinn.evolution.grading import graded_breaks
from kanpinn.evolution.polynomials import at_moments
from kanpinn.evolution.separable import SeparableKAN
from kanpinn.evolution.stages import stages
from kanpinn.evolution.term_in_space import MomentsInTime, TermInSpace
from kanpinn.evolution.window_solve import Window
from kanpinn.evolution.windows import Windows
from kanpinn.geometry import Box, Points, Product
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.jets import Channels
from kanpinn.networks.basis import BSplines
from kanpinn.networks.surrogate import Space as Coordinates
from kanpinn.networks.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class FunctionSpace:
    """The functions of space of some windows, and the equations in them.

    Args:
        network: the network in windows.
        surrogate: the solution.
        terms: the equation, the initial values and the conditions at walls.
        breaks: the ends of the intervals of splines in scaled space, (G + 1,); None for a network
            with hidden layers, with several coordinates in space, or with none.
        most: the largest number of intervals that `regraded` chooses.
    """

    network: Windows
    surrogate: Surrogate
    terms: EvolutionTerms
    breaks: Tensor | None
    most: int = 3000

    def __post_init__(self) -> None:
        if self.breaks is not None and self.count < self.least:
            raise InputError(
                f"network.grid must be at least {self.least} for periodic splines of degree "
                f"{self.degree}, got {self.count}"
            )

    @property
    def degree(self) -> int:
        """The degree of the splines, or that of the output layer."""
        return self.network.layers[-1].basis.degree

    @property
    def least(self) -> int:
        """The smallest number of intervals: around a circle each spline covers degree + 1."""
        return self.degree + 1 if self.network.periodic else 1

    @cached_property
    def pattern(self) -> SeparableKAN:
        """A network for a window, with one polynomial, on these intervals."""
        return self._member(1)

    def _member(self, modes: int) -> SeparableKAN:
        made = self.network.member(modes)
        if self.breaks is not None:
            layer = made.layers[-1]
            degree = layer.basis.degree
            extend = _around if self.network.periodic else _clamped
            layer.reset(BSplines(extend(self.breaks, degree)[None], degree))
        elif made.in_space:
            made.prepare(self.surrogate.inputs_at(self.rule[0]))
        return made

    @cached_property
    def rule(self) -> tuple[Points, Tensor]:
        """Places at the first moment, and their weights, for functions that vanish nowhere."""
        count = 2 * self.network.layers[-1].coefficients[..., 0].numel()
        domain = self.surrogate.domain
        points, weights = weighted_sample([space_of(domain)], count, "gauss", torch.Generator())
        first = torch.full_like(points.coords[:, :1], float(domain.bounds[0][-1]))
        coords = torch.cat([points.coords, first], dim=1)
        return Points(coords, domain.names), weights

    @cached_property
    def system(self) -> DirectSystem:
        """The equations in the space."""
        terms, surrogate = self.terms, self.surrogate
        channels = terms.equation.channels
        if not self.pattern.in_space:
            space = moment_space(surrogate, self.pattern, channels)
        elif self.breaks is None:
            space = global_space(surrogate, self.pattern, *self.rule, channels)
        else:
            space = spline_space(surrogate, self.pattern, channels, self.network.periodic)
        if terms.walls and self.breaks is None:
            raise InputError(
                f"march cannot impose the term {terms.walls[0].name} with several coordinates in "
                "space or with hidden layers: there it takes prescribed values that can be built "
                'in, boundary = "exact", and periodic inputs'
            )
        interior = TermInSpace(surrogate, terms.equation, space)
        walls = [
            TermInSpace(
                surrogate,
                term,
                at_places(surrogate, self.pattern, term.points, term.channels, space.spread),
            )
            for term in terms.walls
        ]
        made = DirectSystem(interior, walls, self.network.order)
        if not walls:
            return made
        order, start = made.order, float(surrogate.domain.bounds[0][-1])
        rates = at_moments(stages(1), np.zeros(1), 1.0, order, made.highest).rates
        moments = MomentsInTime(
            torch.tensor([start]).double(), [torch.from_numpy(t) for t in rates]
        )
        first, _ = self._initial(made)
        states = torch.cat([first, torch.zeros_like(first[:1])])
        rows = condition_rows(walls, made.unknowns, moments, states)
        return DirectSystem(interior, walls, order, ties_of(rows, 1.0))

    def initial(self) -> tuple[Tensor, Tensor]:
        """The coefficients of the initial values, (order, n, m), and the errors in each element."""
        return self._initial(self.system)

    def _initial(self, system: DirectSystem) -> tuple[Tensor, Tensor]:
        points = system.interior.points(system.space.places.coords[:1, -1])
        data = system.interior.data(points)
        wanted = initial_values(self.terms.initial, points, system.fields)
        values = [wanted[0] - data.value]
        if system.order == 2:
            values.append(wanted[1] - data.gradient[:, -1])  # type: ignore[index]
        return _projected(system, values)

    def moved(self, states: Tensor, old: "FunctionSpace") -> tuple[Tensor, Tensor]:
        """The coefficients of states of another space, and the first one's change in each element.

        states: (b, n, m).
        """
        places, channels = self.system.space.places, Channels(self.surrogate.domain.names)
        spread = old.system.space.spread
        there = at_places(self.surrogate, old.pattern, places, channels, spread)
        values = there.jet(states).value.unflatten(-1, (len(states), -1))
        return _projected(self.system, list(values.unbind(1)))

    def size(self, state: Tensor, time: float) -> float:
        """The root mean square of the solution at a time, with coefficients (order, n, m)."""
        interior = self.system.interior
        data = interior.data(interior.points(torch.tensor([time]).double()))
        return self.system.norm(self.system.space.jet(state[:1]).value + data.value)

    def error(self, errors: Tensor) -> float:
        """The root mean square over space of errors in each element, (E,)."""
        return float((self.system.shares * errors.square()).sum().sqrt())

    @property
    def count(self) -> int:
        """The number of intervals of splines; 0 for other functions."""
        return 0 if self.breaks is None else len(self.breaks) - 1

    def regraded(self, errors: Tensor, error: float) -> "FunctionSpace":
        """The space with intervals graded for a root mean square error of the splines.

        errors: the present ones on each interval, (G,).
        """
        assert self.breaks is not None
        breaks = graded_breaks(self.breaks, errors, self.degree, error, self.most, self.least)
        return replace(self, breaks=breaks)

    def halved(self) -> "FunctionSpace":
        """The space with twice as many intervals."""
        assert self.breaks is not None
        middle = (self.breaks[1:] + self.breaks[:-1]) / 2
        return replace(self, breaks=torch.cat([self.breaks, middle]).sort().values)

    @torch.no_grad()
    def member(self, window: Window) -> SeparableKAN:
        """The network of a window that has been solved."""
        series = window.series()
        made = self._member(len(series))
        layer = made.layers[-1]
        flat = self.system.space.coefficients(series).permute(1, 0, 2).flatten(1)
        layer.coefficients.copy_(flat.view_as(layer.coefficients))
        made.placed = True
        return made


def _projected(system: DirectSystem, values: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The coefficients of values at the places, (b, n, m), and the first one's error, (E,)."""
    found = torch.stack([system.projection(one) for one in values])
    gap = system.space.jet(found[:1]).value - values[0]
    return found, system.by_elements(gap)


def space_of(domain: Coordinates) -> Domain:
    """The domain in space of a domain over a time, which is its last coordinate.

    Raises:
        InputError: for a domain that is not a product of space and time.
    """
    if isinstance(domain, Product):
        return domain.space
    if isinstance(domain, Box):
        ranges = [(name, ends) for name, *ends in domain.ranges]
        return Box(**dict(ranges[:-1]))
    raise InputError(f"march is for boxes and domains over a time, got {domain!r}")


def _clamped(breaks: Tensor, degree: int) -> Tensor:
    """Knots of splines that end at the first and the last break."""
    return torch.cat([breaks[:1].repeat(degree), breaks, breaks[-1:].repeat(degree)])


def _around(breaks: Tensor, degree: int) -> Tensor:
    """Knots that go on around a circle, of which there are degree + 1 breaks or more."""
    length = breaks[-1] - breaks[0]
    return torch.cat([breaks[-degree - 1 : -1] - length, breaks, breaks[1 : degree + 1] + length])
