"""The terms of a loss in one time window: points mapped into it and stretched, residuals scaled."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.stretches import Stretches, unstretched, widths
from kanpinn.geometry import Box, Points, Product
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.geometry.times import at_all_times
from kanpinn.loss.term_sizes import inside_factors, outside_factors, reach, slopes
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.surrogate import Space, Surrogate


def as_residual_term(term: Term, method: str) -> ResidualTerm:
    """Return the term if it is a sum of squared residuals.

    Args:
        term: a term of the loss.
        method: the name of the method that needs such a term, for the error message.

    Raises:
        InputError: for an energy.
    """
    if not isinstance(term, ResidualTerm):
        raise InputError(f"{method}: the term {term.name} is no mean of squared residuals")
    return term


def terms_at_all_times(
    terms: Sequence[Term], surrogate: Surrogate, times: int
) -> list[ResidualTerm]:
    """Return the terms, those with few points extended to more times, so that a window has enough.

    Args:
        terms: terms with points at times over the whole duration.
        surrogate: gives the range of time.
        times: the number of Gauss points in time of a window.

    Raises:
        InputError: for a term on data, at a single time, or that couples different times.
    """
    low, high = _time_range(surrogate)
    same = 1e-9 * (high - low)
    found = []
    for term in terms:
        p = term.points
        moments = p.coords[:, -1].view(-1, term.sites)
        why = ""
        if p.data is not None:
            why = "it is about data at given points"
        elif bool(((moments - moments[:, :1]).abs() > same).any()):
            why = "it ties different times together"
        elif float(moments.max() - moments.min()) < same:
            why = "it is about one moment"
        if why:
            raise InputError(f"the term {term.name} cannot be solved in windows of time: {why}")
        found.append(_held(as_residual_term(term, "march"), surrogate, times))
    return found


def _time_range(surrogate: Surrogate) -> tuple[float, float]:
    low, high = surrogate.domain.bounds
    return float(low[-1]), float(high[-1])


def _held(term: ResidualTerm, surrogate: Surrogate, times: int) -> ResidualTerm:
    """Extend a term of fewer than 2 · times rows to 2 · times Gauss points in time at each place.

    If boundary values are not imposed densely in time, the errors of a window grow without bound.
    """
    if term.rows >= 2 * times:
        return term
    p, sites = term.points, term.sites
    low, high = _time_range(surrogate)
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
    """Return `count` points or a few more: Gauss points in space, each at `times` Gauss points.

    Raises:
        InputError: for a domain that is not a product of space and time.
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


def points_in_window(
    points: Points, surrogate: Surrogate, start: float, end: float, stretches: Stretches | None
) -> Points:
    """Return the points with their times mapped into a window and their places stretched.

    Args:
        points: points with times over the whole duration.
        surrogate: gives the bounds of the coordinates.
        start, end: the window, in scaled time from -1 to 1.
        stretches: of all coordinates; None for none.
    """
    low, high = _time_range(surrogate)
    placed = points if stretches is None else stretched_points(points, surrogate, stretches)
    share = (points.coords[:, -1:] - low) / (high - low)
    time = low + (start + 1 + share * (end - start)) / 2 * (high - low)
    return replace(points, coords=torch.cat([placed.coords[:, :-1], time], dim=1))


def stretched_points(points: Points, surrogate: Surrogate, stretches: Stretches) -> Points:
    """Return points whose stretched coordinates s are the given points' scaled coordinates.

    Coordinates on the boundary of the bounding box are not changed.
    """
    low, high = surrogate.low, surrogate.high
    s = 2 * (points.coords - low) / (high - low) - 1
    coords = low + (unstretched(stretches, s) + 1) / 2 * (high - low)
    on_wall = (points.coords == low) | (points.coords == high)
    return replace(points, coords=torch.where(on_wall, points.coords, coords))


def in_solution_units(
    terms: Sequence[ResidualTerm], surrogate: Surrogate, duration: float, order: int
) -> list[ResidualTerm]:
    """Return the terms with residuals scaled to the changes of u that they correspond to.

    Args:
        terms: the term of the interior first.
        surrogate: the solution u.
        duration: the length of the window in time.
        order: the order of the equation in time.
    """
    size = float((surrogate.high - surrogate.low)[:-1].max())
    found = [slopes(term, surrogate) for term in terms]
    near = reach(found[0], duration, order, size)
    made = []
    for number, (term, jets) in enumerate(zip(terms, found, strict=True)):
        factors = outside_factors(jets, near, size)
        if number == 0:
            inside = inside_factors(jets, duration, order)
            factors = [b if a is None else a for a, b in zip(inside, factors, strict=True)]
        made.append(term.times(surrogate.low.new_tensor(factors)))
    return made


def mean_over_space(
    term: ResidualTerm, surrogate: Surrogate, stretches: Stretches | None
) -> ResidualTerm:
    """Return the term, with points that are even in s, weighted so that it is a mean over space."""
    if stretches is None:
        return term
    mean = _widths(term.points, surrogate, stretches).mean().sqrt()

    def root(p: Points) -> Tensor:
        return p.once("widths", lambda: _widths(p, surrogate, stretches).sqrt() / mean)

    equation = term.equation
    return replace(term, equation=lambda p, u: equation(p, u) * root(p))


def solution_size(points: Points, surrogate: Surrogate, stretches: Stretches | None) -> float:
    """Return the root mean square of the solution over space, from points that are even in s."""
    squares = surrogate(points).square().sum(dim=1, keepdim=True)
    if stretches is None:
        return float(squares.mean().sqrt())
    weights = _widths(points, surrogate, stretches)
    return float(((weights * squares).sum() / weights.sum()).sqrt())


def _widths(p: Points, surrogate: Surrogate, stretches: Stretches) -> Tensor:
    low, high = surrogate.low, surrogate.high
    return widths(stretches, 2 * (p.coords - low) / (high - low) - 1)
