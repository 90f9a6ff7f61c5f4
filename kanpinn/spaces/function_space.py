"""The functions of space of an evolution that `March` solves, other than cells.

A march solves windows, spans of time, one after another. `FunctionSpace` has the functions of space
of a window: splines on intervals that are graded by errors, with breaks (ends of intervals) at
kinks of initial values; or the functions of a network's output layer.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Box, Points, Product
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.sampling import weighted_sample
from kanpinn.jets import Channels
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.basis import BSplines
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.evolution_terms import EvolutionTerms, initial_values
from kanpinn.spaces.galerkin import OutputFunctions, System
from kanpinn.spaces.products import ProductSpace, product_system
from kanpinn.spaces.windows import Separable, SeparableKAN, Windows


def graded_breaks(
    breaks: Tensor,
    errors: Tensor,
    degree: int,
    error: float,
    most: int,
    least: int = 1,
    kinks: Tensor | None = None,
) -> Tensor:
    """Choose intervals for splines such that the error is the same on every interval.

    The error of splines of degree k is proportional to the width of an interval to the power k + 1;
    beside a kink of the function it is taken to be proportional to the width. The ends of the
    intervals are called breaks.

    Args:
        breaks: the old breaks, (G + 1,).
        errors: the errors of splines on each old interval, (G,).
        degree: k.
        error: the root mean square error to aim at, on every interval.
        most, least: the largest and the smallest number of intervals.
        kinks: the old breaks at which the function has a kink, which stay; None if there are none.

    Returns:
        The new breaks, from the first to the last old break. Neighbouring intervals differ in width
        by a factor of at most 1.5. The widest interval is at most an eighth of the whole, and the
        narrowest at least 1e-13 of the whole. If their number would exceed `most` or be less than
        `least`, all widths are multiplied by a common factor, and the errors differ from `error`.
    """
    widest, narrowest, ratio, narrower, wider = 1 / 8, 1e-13, 1.5, 10.0, 3.0
    widths, whole = breaks.diff(), float(breaks[-1] - breaks[0])
    orders, ends = torch.full_like(widths, degree + 1), breaks[[0, -1]]
    if kinks is not None:
        orders[torch.isin(breaks[:-1], kinks) | torch.isin(breaks[1:], kinks)] = 1
        ends = torch.cat([ends, kinks]).unique()
    factors = (error / errors.clamp_min(1e-300)) ** (1 / orders)
    aims = (widths * factors.clamp(1 / narrower, wider)).clamp(narrowest * whole, widest * whole)
    # The width may change by the factor `ratio` from one interval to the next. This is a Lipschitz
    # condition on the width as a function of the place.
    middle = (breaks[1:] + breaks[:-1]) / 2
    aims = (aims + (ratio - 1) * (middle[:, None] - middle).abs()).amin(dim=1)
    numbers = torch.cat([breaks.new_zeros(1), (widths / aims).cumsum(0)])
    numbers *= min(most, max(least, float(numbers[-1]))) / float(numbers[-1])
    places = numbers[torch.searchsorted(breaks, ends)].tolist()
    parts = [breaks[:1]]
    for (low, high), end in zip(itertools.pairwise(places), ends[1:], strict=True):
        count = max(1, math.ceil((high - low) * (1 - 1e-12)))
        levels = torch.linspace(low, high, count + 1, dtype=breaks.dtype)[1:-1]
        right = torch.searchsorted(numbers, levels).clamp(1, len(numbers) - 1)
        share = (levels - numbers[right - 1]) / (numbers[right] - numbers[right - 1])
        parts += [breaks[right - 1] + share * (breaks[right] - breaks[right - 1]), end[None]]
    return torch.cat(parts)


Values = Callable[[Tensor], Tensor]  # places (n,) → values (n, c)


def kinks_of(values: Values, low: float, high: float) -> Tensor:
    """The points between two ends where a function or its first derivative jumps.

    The interval is divided into many parts. In each part the half with the largest fourth
    difference is chosen again and again, down to rounding. With the distance w of neighbouring
    sample points, fourth differences fall like w⁴ where the function is smooth, like w at a kink,
    and not at all at a jump. Kinks are found to some 1e-12 of the length.

    Args:
        values: the function, from points (n,) between low and high to values (n, c).
        low, high: the ends.

    Returns:
        The points, in increasing order, (k,). The result is empty if there are more than 20 points,
        as then the function is hardly smooth anywhere.
    """
    parts, coarse, fine, last, most = 320, 10, 20, 40, 20
    ends = torch.linspace(low, high, parts + 1, dtype=torch.float64)
    ends[1:-1] += 0.0137 * (high - low) / parts  # not at round numbers, where kinks often lie
    start, width, eps = ends[:-1].clone(), ends.diff(), torch.finfo(ends.dtype).eps
    size, nine = values(ends).abs().amax(), torch.arange(9, dtype=ends.dtype) / 8
    before = torch.zeros_like(start)
    for halvings in range(last):
        rest = width.isfinite()
        x = start[:, None] + width[:, None] * nine  # nine values in each part
        samples = values(x.flatten()).unflatten(0, x.shape)  # (parts, 9, c)
        fourth, where = samples.diff(n=4, dim=1).abs().amax(dim=2).max(dim=1)
        slopes = samples.diff(dim=1).abs().amax(dim=(1, 2)) / width * 8
        rounding = 64 * eps * (size + x.abs().amax() * slopes)
        fourth = torch.where(fourth > rounding, fourth, 0.0)
        if halvings == coarse:
            before = fourth
        if halvings == fine:
            rest = fourth > before * 2.0 ** (-1.5 * (fine - coarse))
        elif halvings < fine:
            rest = fourth > 0
        going = fourth > 0
        start = torch.where(going, start + where * width / 8, start)
        width = torch.where(going, width / 2, width)
        start, width, before = start[rest], width[rest], before[rest]
        if not len(start):
            return start
    kinks = (start + width / 2).sort().values
    return kinks if len(kinks) <= most else kinks[:0]


def initial_kinks(initial: Sequence[ResidualTerm], surrogate: Surrogate, periodic: bool) -> Tensor:
    """The points where initial values in one space coordinate, or their first derivatives, jump.

    Args:
        initial: the initial conditions.
        surrogate: gives the coordinates and the number of fields.
        periodic: whether the coordinate is periodic. If the common end point has a kink, the result
            contains both -1 and 1.

    Returns:
        The points in the coordinate scaled to [-1, 1], in increasing order, (k,).
    """
    (low, first), (high, _) = (corner.tolist() for corner in surrogate.domain.bounds)
    fields, seam = surrogate.network.width[-1], 1e-9

    def values(xi: Tensor) -> Tensor:
        """The initial values of all fields at points of the scaled coordinate, (n,) → (n, c)."""
        x = low + (torch.where(xi > 1, xi - 2, xi) + 1) / 2 * (high - low)
        points = Points(torch.stack([x, torch.full_like(x, first)], dim=1), surrogate.domain.names)
        return initial_values(initial, points, fields).movedim(0, 1).flatten(1)

    shift = 0.01 if periodic else 0.0  # around a circle, the ends may be kinks like other places
    places = kinks_of(values, -1 + shift, 1 + shift)
    at_seam = (places - 1).abs() < seam
    inner = torch.where(places > 1, places - 2, places)[~at_seam]
    ends = torch.tensor([-1.0, 1.0] if at_seam.any() else []).double()
    return torch.cat([inner, ends]).sort().values


def breaks_with(breaks: Tensor, kinks: Tensor) -> Tensor:
    """Add kinks to the breaks (ends of intervals) of splines; return all in increasing order.

    An inner break is removed if its distance to a kink is at most 0.3 of the shortest interval.

    Args:
        breaks: the old breaks in increasing order, (G + 1,).
        kinks: the points with kinks in increasing order, (k,). Those at or beyond the first and the
            last break are left out.
    """
    kinks = kinks[(kinks > breaks[0]) & (kinks < breaks[-1])]
    inner, close = breaks[1:-1], 0.3 * float(breaks.diff().min())
    if len(kinks):
        inner = inner[(inner[:, None] - kinks).abs().amin(dim=1) > close]
    return torch.cat([breaks[:1], torch.cat([inner, kinks]).sort().values, breaks[-1:]])


@dataclass(frozen=True, eq=False)
class FunctionSpace:
    """The functions of space in a window of time, and the equations tested with them.

    A window is a span of time that is solved at once. Several windows may share an object.

    Args:
        network: the solution as a network for each window.
        surrogate: the solution.
        terms: the equation, the initial values and the conditions on the boundary.
        breaks: the ends of the spline intervals in each coordinate of scaled space, (G + 1,)
            each; empty for a network with hidden layers or without space.
        kinks: the points in scaled space where the initial values have kinks, (k,), all of them
            breaks; None if they are not known, or no longer matter.
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
        """The degree of the splines, or of the output layer."""
        return self.network.members[-1].layers[-1].basis.degree

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of intervals of splines in each coordinate; () for other functions."""
        return tuple(len(breaks) - 1 for breaks in self.breaks)

    @property
    def is_finest(self) -> bool:
        """True if some coordinate has the largest number of intervals that `regraded` chooses."""
        return any(count >= self._most for count in self.counts)

    @property
    def _most(self) -> int:
        """The largest number of intervals of a coordinate: 3000 for d = 1, otherwise 9e4^(1/d)."""
        return 3000 if len(self.breaks) == 1 else int(9e4 ** (1 / len(self.breaks)))

    def _least(self, axis: int) -> int:
        """The smallest number of intervals of a coordinate: 1, or degree + 1 if it is periodic.

        A spline extends over degree + 1 intervals, and a periodic one must not overlap itself.

        Args:
            axis: the index of the coordinate.
        """
        return self.degree + 1 if axis in self.network.around else 1

    @cached_property
    def pattern(self) -> Separable:
        """A network of these functions of space with one polynomial in time; `member` copies it."""
        pattern = self.network.member(1)
        if self.breaks:
            splines = self._splines
            pattern.layers[0].reset(splines if len(splines) > 1 else splines[0])  # type: ignore[arg-type]
        elif self.network.in_space:
            pattern.prepare(self.surrogate.inputs_at(self.rule[0]))
        return pattern

    @cached_property
    def _splines(self) -> list[BSplines]:
        """The splines of each coordinate in space."""
        degree, splines = self.degree, []
        for axis, breaks in enumerate(self.breaks):
            before, after = breaks[:1].repeat(degree), breaks[-1:].repeat(degree)
            if axis in self.network.around:  # the knots go on around a circle
                length = breaks[-1] - breaks[0]
                before, after = breaks[-degree - 1 : -1] - length, breaks[1 : degree + 1] + length
            splines.append(BSplines(torch.cat([before, breaks, after])[None], degree))
        return splines

    @cached_property
    def rule(self) -> tuple[Points, Tensor]:
        """The quadrature points over space at the initial time, and their weights, (P,).

        This rule is for the functions of a network with hidden layers, which vanish nowhere.
        Splines have Gauss rules in their intervals instead.
        """
        count = 2 * self.network.layers[-1].coefficients[..., 0].numel()
        domain = self.surrogate.domain
        points, weights = weighted_sample([space_of(domain)], count, "gauss", torch.Generator())
        first = torch.full_like(points.coords[:, :1], domain.time_span[0])
        return Points(torch.cat([points.coords, first], dim=1), domain.names), weights

    @cached_property
    def system(self) -> System[Any]:
        """The equation, tested with these functions of space, and the boundary conditions.

        The functions are products of splines in several dimensions, splines in one dimension, the
        functions of a network with hidden layers, or the constant function in time alone.
        """
        terms, surrogate, order = self.terms, self.surrogate, self.network.order
        if len(self.breaks) > 1:
            space_of(surrogate.domain)
            return product_system(surrogate, terms, self._splines, self.network.around, order)
        channels, functions = terms.equation.channels, self._functions
        if not self.network.in_space:
            space = functions.at_moment(channels)
        elif not self.breaks:
            space = functions.everywhere(*self.rule, channels)
        else:
            space = functions.on_intervals(channels, bool(self.network.around))
        return functions.system(terms, space, order)

    @property
    def _functions(self) -> OutputFunctions:
        """The functions of the output layer, unless they are products of splines."""
        return OutputFunctions(self.surrogate, cast(SeparableKAN, self.pattern))

    def initial(self) -> tuple[Tensor, Tensor]:
        """Project the initial values onto these functions of space.

        Returns:
            The coefficients of the value and, for second order, the rate, (order, n, m), for n
            functions and m fields; and the root mean square error of the value in each element,
            (E,).
        """
        system = self.system
        states, values = system.initial(self.terms.initial)
        states = system.consistent(states, self.surrogate.domain.time_span[0])
        return states, system.by_elements(system.space.values(states[:1]) - values[0])

    def moved(self, states: Tensor, old: "FunctionSpace") -> tuple[Tensor, Tensor]:
        """Project states (values or rates of the fields) from another function space to this one.

        Args:
            states: the coefficients of b states of m fields in the n functions of the other space,
                (b, n, m).
            old: the other space.

        Returns:
            The coefficients in this space, (b, n, m), and the root mean square change of the first
            state in each element, (E,).
        """
        system, space, other = self.system, self.system.space, old.system.space
        if isinstance(space, ProductSpace) and isinstance(other, ProductSpace):
            values = other.values_at(states, [axis.places for axis in space.line])
        else:
            channels = Channels(self.surrogate.domain.names)
            there = old._functions.at_places(space.places, channels, other.spread)
            values = there.values(states).unflatten(-1, (len(states), -1)).movedim(1, 0)
        moved = torch.stack([system.projection(value) for value in values])
        return moved, system.by_elements(space.values(moved[:1]) - values[0])

    def error(self, errors: Tensor) -> float:
        """The root mean square error over all of space, from the errors in elements.

        Args:
            errors: the root mean square errors in each element, (E,).
        """
        return float((self.system.shares * errors.square()).sum().sqrt())

    def regraded(self, errors: Tensor, error: float, smooth: bool = True) -> "FunctionSpace":
        """A space of splines on new intervals, chosen for a root mean square error of the splines.

        Args:
            errors: the present errors on each interval, (Σ G,): for each coordinate its G
                intervals, one coordinate after another.
            error: the error to aim at. In each of the d coordinates, 1 / √d of this error is aimed
                at.
            smooth: whether the error falls like that of splines for smooth functions; otherwise it
                is taken to be proportional to the width of an interval.
        """
        most, regraded = self._most, []
        degree, part = self.degree if smooth else 0, error / math.sqrt(len(self.breaks))
        for axis, present in enumerate(errors.split(self.counts)):
            breaks, least = self.breaks[axis], self._least(axis)
            regraded.append(graded_breaks(breaks, present, degree, part, most, least, self.kinks))
        return replace(self, breaks=regraded)

    def with_kinks(self) -> "FunctionSpace":
        """The space with ends of spline intervals at the kinks of the initial values.

        In several dimensions the space stays as it is.
        """
        if len(self.breaks) > 1:
            return self
        (breaks,) = self.breaks
        kinks = initial_kinks(self.terms.initial, self.surrogate, bool(self.network.around))
        return replace(self, breaks=[breaks_with(breaks, kinks)], kinks=kinks)

    @torch.no_grad()
    def member(self, series: Tensor) -> Separable:
        """The network of one window of time, from its coefficients in this space.

        Args:
            series: the Legendre series in time of the fields, (modes, n, m); there may be several
                copies of the fields.
        """
        flat = self.system.space.coefficients(series).permute(1, 0, 2).flatten(1)
        network = self.pattern.with_outputs(len(series), flat.shape[1])
        layer = network.layers[-1]
        layer.coefficients.copy_(flat.view_as(layer.coefficients))
        return network


def space_of(domain: Domain) -> Domain:
    """The spatial domain of a domain in space and time, whose last coordinate is the time.

    Raises:
        InputError: for a domain that is not a product of space and time.
    """
    if isinstance(domain, Product):
        return domain.space
    if isinstance(domain, Box):
        return Box(**dict([(name, ends) for name, *ends in domain.ranges][:-1]))
    raise InputError(f"march is for boxes and domains over a time, got {domain!r}")
