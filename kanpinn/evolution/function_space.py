"""The functions of space of a march: the equations in them, and the network of a window."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.grading import clamped_knots, graded_breaks, knots_around
from kanpinn.evolution.kinks import breaks_with, initial_kinks
from kanpinn.evolution.space.direct_system import direct_system
from kanpinn.evolution.space.element_space import (
    ElementSpace,
    at_places,
    global_space,
    moment_space,
    spline_space,
)
from kanpinn.evolution.space.product_space import ProductSpace
from kanpinn.evolution.space.product_system import product_system
from kanpinn.evolution.space.separable import Separable, SeparableKAN
from kanpinn.evolution.space.system import System
from kanpinn.evolution.terms.evolution_terms import EvolutionTerms, initial_values
from kanpinn.evolution.window.window import Window
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
        breaks: the ends of the intervals of splines in each coordinate of scaled space, (G + 1,)
            each; none for a network with hidden layers or without space.
        kinks: the places in scaled space where the initial values have kinks, (k,), all of them
            breaks; None if they are not known, or do not matter any more.
    """

    network: Windows
    surrogate: Surrogate
    terms: EvolutionTerms
    breaks: Sequence[Tensor]
    kinks: Tensor | None = None

    def __post_init__(self) -> None:
        for axis, breaks in enumerate(self.breaks):
            if len(breaks) - 1 < self._least(axis):
                raise InputError(
                    f"network.grid must be at least {self._least(axis)} for periodic splines of "
                    f"degree {self.degree}, got {len(breaks) - 1}"
                )

    @property
    def degree(self) -> int:
        """The degree of the splines, or that of the output layer."""
        return self.network.members[-1].degree

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of intervals of splines in each coordinate; () for other functions."""
        return tuple(len(breaks) - 1 for breaks in self.breaks)

    @property
    def count(self) -> int:
        """The number of products of intervals; 0 for other functions than splines."""
        return math.prod(self.counts) if self.breaks else 0

    @property
    def named(self) -> str:
        """The numbers of intervals in words; "" for other functions."""
        return " × ".join(map(str, self.counts)) + " intervals" if self.breaks else ""

    @property
    def is_finest(self) -> bool:
        """Whether a coordinate has as many intervals as `regraded` ever chooses."""
        return any(count >= self._most for count in self.counts)

    @property
    def _most(self) -> int:
        """The largest number of intervals of a coordinate."""
        return 3000 if len(self.breaks) == 1 else int(9e4 ** (1 / len(self.breaks)))

    def _least(self, axis: int) -> int:
        """The smallest number of intervals: around a circle each spline covers degree + 1."""
        return self.degree + 1 if axis in self.network.around else 1

    @cached_property
    def pattern(self) -> Separable:
        """A network for a window, with one polynomial, on these intervals."""
        made = self.network.member(1)
        if self.breaks:
            made.place(self._splines)
        elif self.network.in_space:
            made.prepare(self.surrogate.inputs_at(self.rule[0]))
        return made

    @cached_property
    def _splines(self) -> list[BSplines]:
        """The splines of each axis."""
        degree, around = self.degree, self.network.around
        extend = [knots_around if i in around else clamped_knots for i in range(len(self.breaks))]
        both = zip(extend, self.breaks, strict=True)
        return [BSplines(one(breaks, degree)[None], degree) for one, breaks in both]

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
    def system(self) -> System:
        """The equations in the space."""
        terms, surrogate, order = self.terms, self.surrogate, self.network.order
        if len(self.breaks) > 1:
            space_of(surrogate.domain)
            return product_system(surrogate, terms, self._splines, self.network.around, order)
        channels, pattern = terms.equation.channels, cast(SeparableKAN, self.pattern)
        if not self.network.in_space:
            space = moment_space(surrogate, pattern, channels)
        elif not self.breaks:
            space = global_space(surrogate, pattern, *self.rule, channels)
        else:
            space = spline_space(surrogate, pattern, channels, bool(self.network.around))
        return direct_system(surrogate, terms, pattern, space, order)

    def initial(self) -> tuple[Tensor, Tensor]:
        """The coefficients of the initial values, (order, n, m), and the errors in each element."""
        system = self.system
        points = system.interior.points(system.space.places.coords[:1, -1])
        data = system.interior.data(points)
        wanted = initial_values(self.terms.initial, points, system.fields)
        values = [wanted[0] - data.value]
        if system.order == 2:
            values.append(wanted[1] - data.gradient[:, -1])  # type: ignore[index]
        found, _ = self._projected(values)
        found = system.consistent(found, float(points.coords[0, -1]))
        return found, system.by_elements(system.space.values(found[:1]) - values[0])

    def moved(self, states: Tensor, old: "FunctionSpace") -> tuple[Tensor, Tensor]:
        """The coefficients of states of another space, and the first one's change in each element.

        states: (b, n, m).
        """
        values = self._values_of(states, old)
        return self._projected(list(values.unbind(0)))

    def _values_of(self, states: Tensor, old: "FunctionSpace") -> Tensor:
        """The values of states of another space at the places, (b, places, m)."""
        space, other = self.system.space, old.system.space
        if isinstance(space, ProductSpace) and isinstance(other, ProductSpace):
            return other.values_at(states, [axis.places for axis in space.line])
        channels = Channels(self.surrogate.domain.names)
        spread, pattern = cast(ElementSpace, other).spread, cast(SeparableKAN, old.pattern)
        there = at_places(self.surrogate, pattern, space.places, channels, spread)
        return there.values(states).unflatten(-1, (len(states), -1)).movedim(1, 0)

    def _projected(self, values: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The coefficients of values at the places, (b, n, m), and the first one's error."""
        system = self.system
        found = torch.stack([system.projection(one) for one in values])
        gap = system.space.values(found[:1]) - values[0]
        return found, system.by_elements(gap)

    def size(self, state: Tensor, time: float) -> float:
        """The root mean square of the solution at a time, with coefficients (order, n, m)."""
        interior = self.system.interior
        data = interior.data(interior.points(torch.tensor([time]).double()))
        return self.system.norm(self.system.space.values(state[:1]) + data.value)

    def error(self, errors: Tensor) -> float:
        """The root mean square over space of errors in each element, (E,)."""
        return float((self.system.shares * errors.square()).sum().sqrt())

    def regraded(self, errors: Tensor, error: float, smooth: bool = True) -> "FunctionSpace":
        """The space with intervals graded for a root mean square error of the splines.

        Args:
            errors: the present ones on each interval of one coordinate after the other, (Σ G,).
            error: the one to aim at.
            smooth: whether the error falls like that of splines for smooth functions; otherwise it
                is taken to be proportional to the width of an interval.
        """
        most, found = self._most, []
        for axis, (breaks, own) in enumerate(
            zip(self.breaks, errors.split(self.counts), strict=True)
        ):
            part, least = error / math.sqrt(len(self.breaks)), self._least(axis)
            degree = self.degree if smooth else 0
            found.append(graded_breaks(breaks, own, degree, part, most, least, self.kinks))
        return replace(self, breaks=found)

    def with_kinks(self) -> "FunctionSpace":
        """The space with breaks at the kinks of the initial values, in one coordinate."""
        if len(self.breaks) > 1:
            return self
        (breaks,) = self.breaks
        kinks = initial_kinks(self.terms.initial, self.surrogate, bool(self.network.around))
        return replace(self, breaks=[breaks_with(breaks, kinks)], kinks=kinks)

    @torch.no_grad()
    def member(self, window: Window) -> Separable:
        """The network of a window that has been solved, or of several copies of its fields."""
        series = window.series()
        flat = self.system.space.coefficients(series).permute(1, 0, 2).flatten(1)
        made = self.pattern.with_outputs(len(series), flat.shape[1])
        layer = made.layers[-1]
        layer.coefficients.copy_(flat.view_as(layer.coefficients))
        return made


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
