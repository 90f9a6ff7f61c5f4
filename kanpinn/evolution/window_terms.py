"""The terms of a loss, drawn for all times, within one window of time."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.stretches import Stretches, unstretched, widths
from kanpinn.geometry import Box, Points, Product
from kanpinn.geometry.product import at_all_times
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.loss.term_sizes import inside_factors, outside_factors, reach, slopes
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.surrogate import Space, Surrogate

SAME = 1e-9  # of the time's length


def check_terms(terms: Sequence[Term], surrogate: Surrogate, times: int) -> list[ResidualTerm]:
    """The terms, each with points at enough moments; what does not hold at all times is refused.

    Raises:
        InputError: naming the term.
    """
    low, high = (float(corner[-1]) for corner in surrogate.domain.bounds)
    found = []
    for term in terms:
        p, why = term.points, ""
        moments = p.coords[:, -1].view(-1, term.sites)
        if not isinstance(term, ResidualTerm):
            why = "it is no mean of squared residuals"
        elif p.data is not None:
            why = "it is about data at given points"
        elif bool(((moments - moments[:, :1]).abs() > SAME * (high - low)).any()):
            why = "it ties different times together"
        elif float(moments.max() - moments.min()) < SAME * (high - low):
            why = "it is about one moment"
        if isinstance(term, ResidualTerm):
            found.append(term if why else _held(term, surrogate, times))
        if why:
            raise InputError(f"the term {term.name} cannot be solved in windows of time: {why}")
    return found


def _held(term: ResidualTerm, surrogate: Surrogate, times: int) -> ResidualTerm:
    """A term with few points has each of its places at so many Gauss points in time, twice over.

    A wall whose values are not held at every moment of a window lets errors grow without bound.
    """
    if term.rows >= 2 * times:
        return term
    p, sites = term.points, term.sites
    low, high = (float(corner[-1]) for corner in surrogate.domain.bounds)
    places = p.coords[:, :-1].reshape(term.rows, -1)
    _, which = torch.unique(places, dim=0, return_inverse=True)
    order = torch.arange(term.rows, device=which.device)
    first = which.new_full((int(which.max()) + 1,), term.rows)
    first = first.scatter_reduce(0, which, order, "amin")
    moments = low + gauss_legendre(2 * times)[0].to(p.coords) * (high - low)
    rows = first.repeat_interleave(len(moments))
    spots = (rows[:, None] * sites + torch.arange(sites, device=rows.device)).flatten()
    chosen = p[spots]
    coords = chosen.coords.clone()
    coords[:, -1] = moments.repeat(len(first)).repeat_interleave(sites)
    return replace(term, points=replace(chosen, coords=coords))


def interior_points(domain: Space, count: int, times: int) -> Points:
    """Gauss points in space, each at so many Gauss points in time, `count` or a few more.

    Raises:
        InputError: for domains that are not space times time.
    """
    if not isinstance(domain, Box | Product):
        raise InputError(f"march is for boxes and domains over a time, got {domain!r}")
    if isinstance(domain, Product):
        space, time = domain.space, domain.time
    else:
        ranges = [(name, ends) for name, *ends in domain.ranges]
        space, time = Box(**dict(ranges[:-1])), Box(**dict(ranges[-1:]))
    places = space.gauss(math.ceil(count / times))
    return at_all_times(places, time, gauss_legendre(times)[0])


def in_window(
    points: Points, surrogate: Surrogate, start: float, end: float, stretches: Stretches | None
) -> Points:
    """The points with their times mapped into a window of the scaled time, places stretched."""
    low, high = (float(corner[-1]) for corner in surrogate.domain.bounds)
    placed = points if stretches is None else stretched(points, surrogate, stretches)
    share = (points.coords[:, -1:] - low) / (high - low)
    time = low + (start + 1 + share * (end - start)) / 2 * (high - low)
    return replace(points, coords=torch.cat([placed.coords[:, :-1], time], dim=1))


def stretched(points: Points, surrogate: Surrogate, stretches: Stretches) -> Points:
    """The points at the places to which stretches map what they were; walls stay where they are."""
    low, high = surrogate.low, surrogate.high
    s = 2 * (points.coords - low) / (high - low) - 1
    coords = low + (unstretched(stretches, s) + 1) / 2 * (high - low)
    on_wall = (points.coords == low) | (points.coords == high)
    return replace(points, coords=torch.where(on_wall, points.coords, coords))


def scaled(
    terms: Sequence[ResidualTerm], surrogate: Surrogate, duration: float, order: int
) -> list[ResidualTerm]:
    """The terms, the interior first, in units of the solution: what a residual changes u by."""
    size = float((surrogate.high - surrogate.low)[:-1].max())
    found = [slopes(term, surrogate) for term in terms]
    near = reach(found[0], duration, order, size)
    made = []
    for number, (term, jets) in enumerate(zip(terms, found, strict=True)):
        factors = outside_factors(jets, near, size)
        if number == 0:
            inside = inside_factors(jets, duration, order)
            factors = [b if a is None else a for a, b in zip(inside, factors, strict=True)]
        made.append(_times(term, surrogate.low.new_tensor(factors)))
    return made


def _times(term: ResidualTerm, factors: Tensor) -> ResidualTerm:
    equation = term.equation
    return replace(term, equation=lambda p, u: equation(p, u) * factors)


def weighted(term: ResidualTerm, surrogate: Surrogate, stretches: Stretches | None) -> ResidualTerm:
    """The term as a mean over space as it is; its points are even in the stretched one."""
    if stretches is None:
        return term
    mean = _widths(term.points, surrogate, stretches).mean().sqrt()

    def root(p: Points) -> Tensor:
        return p.once("widths", lambda: _widths(p, surrogate, stretches).sqrt() / mean)

    equation = term.equation
    return replace(term, equation=lambda p, u: equation(p, u) * root(p))


def size_within(points: Points, surrogate: Surrogate, stretches: Stretches | None) -> float:
    """The root of the solution's mean square over space."""
    squares = surrogate(points).square().sum(dim=1, keepdim=True)
    if stretches is None:
        return float(squares.mean().sqrt())
    weights = _widths(points, surrogate, stretches)
    return float(((weights * squares).sum() / weights.sum()).sqrt())


def _widths(p: Points, surrogate: Surrogate, stretches: Stretches) -> Tensor:
    low, high = surrogate.low, surrogate.high
    return widths(stretches, 2 * (p.coords - low) / (high - low) - 1)
