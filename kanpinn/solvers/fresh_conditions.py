"""The residuals of a solution's conditions at fresh points, which no step has seen."""

import math
from dataclasses import replace

import torch

from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.term_values import rows_of


@torch.no_grad()
def misfits(
    discretization: Discretization, surrogate: Surrogate
) -> list[tuple[ResidualTerm, float]]:
    """Return the conditions at fresh points, each with its mean squared residual.

    Conditions that hold exactly have none, and measurements are left out. In the terms the weight
    of the boundary is 1.
    """
    terms = [one for one in _fresh_conditions(discretization) if not one.measured]
    squares = [rows_of(one, surrogate, one.points).square().sum(dim=1).mean() for one in terms]
    return list(zip(terms, map(float, squares), strict=True))


def boundary_misfit(discretization: Discretization) -> float:
    """Return the root mean square residual of the penalised conditions at fresh points.

    It is 0 where all conditions hold exactly.
    """
    found = misfits(discretization, discretization.surrogate)
    return math.sqrt(sum(one.weight * square for one, square in found))


def _fresh_conditions(discretization: Discretization) -> list[ResidualTerm]:
    """Return the terms of the conditions at fresh points, with the weight of the boundary as 1."""
    chosen = discretization.collocation
    count = max(4 * chosen.boundary, 4096)
    points = replace(chosen, boundary=count, sampler="uniform", resample=0, adapt=None)
    even, seed = dict.fromkeys(discretization.weights, 1.0), discretization.seed + 23
    return replace(discretization, collocation=points, seed=seed, weights=even).penalties()


def misfit_of_spikes(discretization: Discretization) -> float:
    """The part of the loss of the conditions where their data are far steeper than elsewhere.

    Fresh points may miss a spike in data on a wall. On the walls of domains with two coordinates
    the data of all conditions are therefore scanned at equal distances; the residual is evaluated
    at all points of those short stretches whose values differ ten times as much as they usually do.
    """
    count, stretch, few = 2**16, 64, 8
    if discretization.problem.domain.dim != 2:
        return 0.0
    chosen = discretization.collocation
    points = replace(chosen, boundary=count, sampler="grid", resample=0, adapt=None)
    even = dict.fromkeys(discretization.weights, 1.0)
    total, surrogate = 0.0, discretization.surrogate
    for term in replace(discretization, collocation=points, weights=even).penalties():
        if term.measured or term.sites > 1 or len(term.points) < few * stretch:
            continue
        data = rows_of(term, surrogate, term.points, zero=True)
        whole = len(data) // stretch
        boxes = data[: whole * stretch].unflatten(0, (whole, stretch))
        spans = boxes.amax(dim=1) - boxes.amin(dim=1)
        usual = spans.quantile(0.9, dim=0) + 1e-12 * data.abs().amax(dim=0) + 1e-300
        steepness, steepest = (spans / usual).amax(dim=1).topk(few)
        for box in steepest[steepness > 10].tolist():
            inside = term.points[box * stretch : (box + 1) * stretch]
            squares = rows_of(term, surrogate, inside).square().sum()
            total += term.weight * float(squares) / len(data)
    return total
