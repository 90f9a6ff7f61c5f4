"""The terms of a loss as the equation, initial values and boundary conditions of an evolution.

The module also checks the order of the equation in time, and finds how fast the data of the terms
change in time, which limits the windows (spans of time that are solved at once).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Coordinates, Jet, Linearised, zero_jet
from kanpinn.loss.terms import PROBE_POINTS, ResidualTerm, Term
from kanpinn.networks.surrogate import Surrogate
from kanpinn.spaces.jets_in_time import at_times, powers_in_time
from kanpinn.spaces.time_schemes import Stages


@dataclass(frozen=True, eq=False)
class EvolutionTerms:
    """The terms of a loss by their role in an evolution; their points are in float64 on the CPU.

    Args:
        equation: the equation.
        initial: the initial conditions.
        boundary: the conditions that hold at all times, with one point in space and time for each
            point in space.
        algebraic: the indices of the fields of which no equation has a derivative in time.
    """

    equation: ResidualTerm
    initial: Sequence[ResidualTerm]
    boundary: Sequence[ResidualTerm]
    algebraic: Sequence[int] = ()


def as_residual_term(term: Term, method: str) -> ResidualTerm:
    """Return a term of the loss unchanged, or refuse it if it is not a sum of squared residuals.

    Args:
        term: a term of the loss.
        method: the name of the method that needs a sum of squares, for the error message.

    Raises:
        InputError: for an energy.
    """
    if not isinstance(term, ResidualTerm):
        raise InputError(f"{method}: the term {term.name} is no mean of squared residuals")
    return term


def sorted_terms(terms: Sequence[Term], surrogate: Surrogate) -> EvolutionTerms:
    """Sort the terms of a loss into the equation, initial conditions and boundary conditions.

    Args:
        terms: the terms, the equation first.
        surrogate: gives the domain.

    Raises:
        InputError: for a term on data, for a term at one time other than the initial time, or for a
            term that couples different times; the message names the term.
    """
    low, high = surrogate.domain.time_span
    precision = torch.finfo(terms[0].points.coords.dtype).eps
    same = max(1e-9 * (high - low), 4 * precision * max(abs(low), abs(high)))
    known = [as_residual_term(term, "march") for term in terms]
    equation, *others = [replace(t, points=t.points.to(torch.float64, "cpu")) for t in known]
    initial, boundary = [], []
    for term in others:
        moments, why = term.points.coords[:, -1].view(-1, term.sites), ""
        lasts = float(moments.max() - moments.min()) > same or len(moments) == 1
        if term.points.data is not None:
            why = "it is about data at given points"
        elif bool(((moments - moments[:, :1]).abs() > same).any()):
            why = "it ties different times together"
        elif float((moments - low).abs().max()) <= same:
            initial.append(term)
        elif not lasts:
            why = "it is about one moment"
        elif not _holds_at_all_times(term, low, high):
            why = "it does not hold at all times"
        else:  # keep one point for each place in space
            places = term.points.coords[:, :-1].reshape(term.rows, -1).numpy()
            first = np.unique(places, axis=0, return_index=True)[1] if places.size else [0]
            boundary.append(term.chosen(torch.as_tensor(first)))
        if why:
            raise InputError(f"the term {term.name} cannot be solved in windows of time: {why}")
    if not initial:
        raise InputError(
            "march starts from initial values, such as kp.Initial(domain, value): the problem has "
            f"none where {surrogate.domain.names[-1]}, the last coordinate, begins"
        )
    return EvolutionTerms(equation, initial, boundary)


def _holds_at_all_times(term: ResidualTerm, low: float, high: float) -> bool:
    """Return whether a condition holds from the initial to the final time.

    A condition on pieces of the boundary in space and time holds if each piece lasts for 0.95 of
    the duration or more. Pieces at the initial or final time alone do not count. Of other
    conditions only the points are known. With n ≥ 8 points, they must extend over the fraction 1 -
    12/n of the time (at least 0.25), since random points would hardly leave more time free.

    Args:
        term: the condition.
        low, high: the initial and the final time.
    """
    if not term.pieces:
        moments = term.points.coords[:, -1]
        gap = min(0.75, 12 / len(moments))
        return len(moments) < 8 or float(moments.max() - moments.min()) >= (1 - gap) * (high - low)
    nodes, gap = 8, 0.05  # the first node of Gauss is at 2 % of an interval
    each = [piece.quadrature(nodes)[0].coords[:, -1] for piece in term.pieces]
    lengths = [float(t.max() - t.min()) / (high - low) for t in each]
    lasting = [length for length in lengths if length > 1e-9]
    return bool(lasting) and min(lasting) >= 1 - gap


def initial_values(terms: Sequence[ResidualTerm], points: Points, fields: int) -> Tensor:
    """The values and rates that initial conditions prescribe for the fields at given points.

    At each point the result is the least-squares solution of least norm, so that values that are
    not prescribed are zero.

    Args:
        terms: the initial conditions.
        points: n points at the initial time.
        fields: the number of fields m.

    Returns:
        The values and the rates, (2, n, m).
    """
    matrices, values = zip(*(linear_in_state(term, points, fields) for term in terms), strict=True)
    states = torch.linalg.pinv(torch.cat(matrices, dim=1)) @ torch.cat(values, dim=1)[..., None]
    return -states[..., 0].unflatten(1, (2, fields)).movedim(1, 0)


def linear_in_state(term: ResidualTerm, points: Points, fields: int) -> tuple[Tensor, Tensor]:
    """The matrices and constants of an initial condition, which is linear in values and rates.

    Args:
        term: the initial condition, which contains no other derivatives.
        points: n points at the initial time.
        fields: the number of fields m.

    Returns:
        At each point the matrix of the values, followed by the rates, (n, equations, 2 m); and the
        residuals for fields that are zero, (n, equations).
    """
    backwards = torch.zeros_like(points.coords)
    backwards[:, -1] = -1
    channels = term.channels | Channels(points.names, gradient=True)
    linear = Linearised.at_zero(term.equation, replace(points, normals=backwards), channels, fields)
    return linear.slopes[:, :, [0, channels.dim]].flatten(2), linear.values


def with_orders(terms: EvolutionTerms, fields: int, order: int, scheme: Stages) -> EvolutionTerms:
    """Check the order in time of an evolution's equation, and find its algebraic fields.

    An algebraic field, such as the pressure, has no derivative in time in any equation.

    Args:
        terms: the terms of the evolution.
        fields: the number of fields.
        order: 2 with initial rates, 1 without.
        scheme: the collocation method in time.

    Returns:
        The terms with the indices of the algebraic fields.

    Raises:
        InputError: for an equation whose order in time is above `order`, or below 2 with initial
            rates, or for algebraic fields if the method does not damp stiff components.
    """
    # The sizes of the coefficients of the derivatives in time, (orders, equations, fields), from a
    # linearisation around a wave.
    equation, points = terms.equation, terms.equation.points[:PROBE_POINTS]
    channels, name = equation.channels, points.names[-1]
    slopes = Linearised.at(equation.equation, points, _wave(points, channels, fields)).slopes
    powers = powers_in_time(_wave(points, channels, fields, 0.0), channels.derivative_order)
    parts = [(slopes * power.stacked()[:, None]).sum(dim=2) for power in powers]
    sizes = torch.stack([part.abs().amax(dim=0) for part in parts])
    small = 1e-8  # relative to the largest coefficient of the equation
    occurs = (sizes > small * sizes.amax(dim=(0, 2), keepdim=True)).any(dim=2).any(dim=1)
    highest = int(occurs.nonzero().max()) if occurs.any() else 0
    if highest < order == 2:
        raise InputError(
            f"the initial rates are for an equation of order 2 in {name}, and this one has order "
            f"{highest}; kp.laplacian(u) contains the second derivative in {name}, too"
        )
    if highest > order:
        raise InputError(
            f"the equation has a derivative of order {highest} in {name}, "
            + (
                "and march is for equations of order 1 or 2"
                if highest > 2
                else "so that march needs initial rates, such as kp.Initial(domain, value, rate)"
            )
        )
    # Coefficients of derivatives that occur may be tiny; those of other derivatives are zero.
    absent = ~(sizes[1:] > 0).any(dim=0).any(dim=0)
    algebraic = absent.nonzero().flatten().tolist() if order == 1 else []
    if algebraic and not scheme.damps:
        raise InputError(
            'scheme must be "radau" where no equation has a derivative in time of a field, as here '
            f"of field number {algebraic[0] + 1}, got {scheme.kind!r}: only a method that damps "
            "finds it"
        )
    return replace(terms, algebraic=algebraic)


def _wave(points: Points, channels: Channels, fields: int, in_time: float = 1.0) -> Jet:
    """The values and derivatives of fields c_f e^(Σ x_i / scale_i), which are nowhere zero.

    They serve as test functions that have all derivatives. The factors c_f, from 1 to 2, differ
    from field to field: a force between two bodies is infinite where their places are equal.

    Args:
        points: the points; scale_i is their largest |x_i|.
        channels: the derivatives that the result carries.
        fields: the number of fields.
        in_time: 1, or 0 for fields that are constant in time.
    """
    factors = 1 / points.coords.abs().amax(dim=0).clamp_min(1e-300)
    factors[-1] *= in_time
    coordinates = Coordinates(channels, points.coords, torch.ones_like(factors)).dense()
    exponent = coordinates.map(lambda t: (t * factors).sum(dim=-1, keepdim=True))
    wave = exponent.chain([exponent.value.exp()] * 5)
    return wave.map(lambda t: t * (1 + torch.arange(fields) / fields).to(t))


@dataclass(frozen=True)
class TimeScales:
    """Intervals of time on each of which polynomials of low degree fit the data of a problem.

    They limit the lengths of windows (spans of time that are solved at once).

    Args:
        ends: the initial time and the ends of the intervals, in increasing order; empty if nothing
            limits the windows.
        share: the largest length per stage of a window that begins in an interval or reaches into
            this interval, as a fraction of the interval's length.
    """

    ends: tuple[float, ...] = ()
    share: float = 0.4

    @classmethod
    def of_samples(cls, samples: Tensor, begin: float, duration: float, small: float) -> Self:
        """Find the intervals for functions of time that are sampled at equal distances.

        The samples are at the middles of equal parts of the time. The whole time is halved again
        and again until polynomials of degree 6 fit all functions in an interval, or until the
        interval has 8 samples.

        Args:
            samples: the values of c functions, (parts, c); `parts` is a power of two, at least 8.
            begin, duration: the initial time and the duration.
            small: the largest permitted error of the polynomials.
        """
        degree, least = 6, 8
        parts = len(samples)
        if not samples.shape[1]:
            return cls()
        starts, stops, width = torch.zeros(1, dtype=torch.long), list[Tensor](), parts
        while len(starts):
            pieces = samples.unflatten(0, (-1, width))[starts // width]
            places = (np.arange(width) + 0.5) / width * 2 - 1
            powers = np.polynomial.legendre.legvander(places, degree)
            basis = torch.from_numpy(np.linalg.qr(powers)[0])
            left = pieces - basis @ (basis.T @ pieces)
            done = (left.abs().amax(dim=(1, 2)) <= small) | (width <= least)
            stops.append(starts[done] + width)
            halves = starts[~done, None] + torch.tensor([0, width // 2])
            starts, width = halves.flatten(), width // 2
        ends = torch.cat(stops).sort().values.double() / parts
        return cls((begin, *(begin + duration * ends).tolist()))

    def reach(self, time: float, length: float, stages: int) -> float:
        """The length of the next window of time: the wanted length, or less if intervals limit it.

        A window that has a part in an interval of length h may have the length share · stages · h.
        If the interval begins after the window does, the window may also end where the interval
        begins, whatever its length.

        Args:
            time: the time at which the window begins.
            length: the wanted length.
            stages: the number of collocation stages of the window.
        """
        for start, end in pairwise(self.ends):
            if start >= time + length:
                break
            if end > time:
                length = min(length, max(start - time, self.share * stages * (end - start)))
        return length


@torch.no_grad()
def time_scales_of(
    terms: EvolutionTerms, surrogate: Surrogate, fields: int, tolerance: float
) -> TimeScales:
    """The intervals of time that resolve the data of a problem, such as sources that vary in time.

    The residuals of all terms, for fields that are constant in time, are sampled at 2048 times and
    at most 16 points in space. A pulse is missed if it is shorter than the time between two
    samples, or zero at all of these points.

    Args:
        terms: the terms.
        surrogate: gives the domain and the boundary data that are built in.
        fields: the number of fields m.
        tolerance: the tolerance of the march. Polynomials in the intervals fit each sampled
            function to a tenth of the tolerance, but at least 1e-6 and at most 1e-3, in units of
            the function's range.
    """
    moments, places = 2048, 16
    low, high = surrogate.domain.time_span
    parts = (torch.arange(moments, dtype=torch.float64) + 0.5) / moments
    times = low + (high - low) * parts
    every = terms.equation, *terms.boundary
    samples = [_samples(term, surrogate, fields, times, places) for term in every]
    small = min(1e-3, max(tolerance / 10, 1e-6))
    return TimeScales.of_samples(torch.cat(samples, dim=1), low, high - low, small)


def _samples(
    term: ResidualTerm, surrogate: Surrogate, fields: int, times: Tensor, most: int
) -> Tensor:
    """The residuals of a term over time, for fields that are constant in time.

    The fields are zero in one case and the wave of `_wave` in another case.

    Args:
        term: the term.
        surrogate: gives the boundary data that are built into the solution.
        fields: the number of fields.
        times: the k times, (k,).
        most: the largest number of points in space.

    Returns:
        A table (k, c). Its columns are the residuals of the zero fields, then the residuals of the
        wave minus those of the zero fields. Each column is in units of its range. Infinite
        residuals are left out, and residuals that are constant up to rounding, such as a source
        whose terms cancel.
    """
    chosen = torch.randperm(term.rows, generator=torch.Generator().manual_seed(0))[:most]
    places, rounding = term.chosen(chosen).points, 1e-9
    still = zero_jet(term.channels, places.coords, fields), _wave(places, term.channels, fields)

    def over(times: Tensor, jet: Jet) -> Tensor:
        """The residuals of fields that are constant in time, (k, c)."""
        points, count = at_times(places, times), len(times)
        jet = jet.map(lambda t: t.repeat(count, *(1 for _ in t.shape[1:])))
        if surrogate.output is not None:
            jet = surrogate.output.apply(points, jet)
        return term.equation(points, jet).reshape(count, -1)

    # A term may divide by a field. At times that differ by rounding, only rounding errors differ.
    zero, again = (
        over(t, still[0]).nan_to_num(0.0, 0.0, 0.0) for t in (times, times * (1 + 1e-14))
    )
    wave, size, noise = over(times, still[1]), zero.abs().amax(dim=0), (again - zero).abs().amax(0)
    both = torch.cat([zero, wave - zero], dim=1)
    sizes = torch.cat([size + 1e4 * noise / rounding, size + wave.abs().amax(dim=0)])
    ranges = both.amax(dim=0) - both.amin(dim=0)
    moving = ranges.isfinite() & (ranges > rounding * sizes)
    return both[:, moving] / ranges[moving]
