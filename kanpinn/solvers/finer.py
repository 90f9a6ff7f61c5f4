"""Finer discretizations than that of a solution, for the estimate of its error."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kanpinn.cells import Cells, Dissection
from kanpinn.evolution import Equidistribute
from kanpinn.evolution.march import March
from kanpinn.evolution.network_of_windows import NetworkOfWindows
from kanpinn.evolution.numbers.shooting import Shooting
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, Network
from kanpinn.networks.similar import random_like
from kanpinn.optimizers import LeastSquares, Method
from kanpinn.pde.problem import Problem
from kanpinn.solvers.defaults import default_points
from kanpinn.solvers.solution import Solution


@dataclass(frozen=True)
class Finer:
    """The network, the optimizers, the points and the form of the conditions of a finer solve."""

    network: Network
    optimizers: Sequence[Method]
    points: Collocation
    boundary: str


def finer_solves(solution: Solution, factor: float, seed: int) -> Iterator[Finer]:
    """Yield finer discretizations, from cheap to expensive.

    They have more points, other ones, and the solution's hidden functions beside random ones. A
    network with few hidden units, which is one that was trained, gets a few more units and a finer
    grid of its output layer, and then 64 units. Time windows get a smaller tolerance, from which
    their grids in space and their stages follow. Networks in cells get a higher degree. A KAN
    without hidden units gets finer grids. Coordinates that the solution has stretched are stretched
    again by the finer one.

    Args:
        solution: the solution.
        factor: by which there are more hidden units, grid intervals and points.
        seed: of the random functions.
    """
    network, own = solution.network, solution.discretization.collocation
    if isinstance(network, NetworkOfWindows):
        yield _finer_windows(solution, network)
        return
    if isinstance(network, Cells):
        dissection = solution.optimizers[-1]
        assert isinstance(dissection, Dissection)
        yield Finer(network.richer(), [dissection.finer()], own, "penalty")
        return
    hidden, methods = network.width[1:-1], list[Method]([LeastSquares()])
    boundary = "penalty" if solution.surrogate.output is None else "exact"
    if isinstance(network, KAN) and network.stretched:
        networks = [_stretched(network, factor, seed)]
        methods = [m for m in solution.optimizers if isinstance(m, Equidistribute)] or methods
    elif isinstance(network, KAN) and len(hidden) == 1:
        networks = _with_more_units(network, factor, seed)
    else:
        networks = [_other(network, factor, seed)]
    for made in networks:
        points = replace(
            own,
            interior=max(math.ceil(factor * own.interior), default_points(made).interior),
            boundary=math.ceil(factor * own.boundary),
            resample=0,
            adapt=None,
        )
        yield Finer(made, methods, points, boundary)


def why_not_finer(solution: Solution) -> str:
    """Return why no finer discretization shows a solution's error; empty if one may."""
    network = solution.network
    if not isinstance(network, Cells) or network.coefficient is None:
        return ""
    names = ", ".join(solution.fields[network.own_fields :])
    return (
        f"an estimate refines the cells, but not the network of the coefficient {names}, whose 95% "
        "intervals say how well it is known"
    )


def with_more_singular_functions(problem: Problem, factor: float) -> Problem:
    """Return the problem with more of its known functions where their number can be changed.

    What the solution's own functions cut off is seen by their successors only.
    """
    more = [f.richer(factor) if hasattr(f, "richer") else f for f in problem.enrichment()]
    made = copy.copy(problem)
    vars(made)["enrichment"] = lambda: more
    return made


def _finer_windows(solution: Solution, network: NetworkOfWindows[Network]) -> Finer:
    march = solution.optimizers[-1]
    assert isinstance(march, March | Shooting)
    return Finer(network.anew(), [march.finer()], solution.discretization.collocation, "auto")


def _stretched(network: KAN, factor: float, seed: int) -> KAN:
    """Return a KAN with the coordinates that a network stretches, and more units or finer grids."""
    inputs, *hidden, outputs = network.width[1:]
    own = network.layers[-1].basis.intervals
    intervals, units = (own, [math.ceil(factor * hidden[-1])]) if hidden else (own * factor, [])
    width = [inputs, *units, outputs]
    return random_like(network, width, seed, intervals=math.ceil(intervals), first=1, stretch=True)


def _with_more_units(network: KAN, factor: float, seed: int) -> list[KAN]:
    """Return KANs with the hidden functions of one with a single hidden layer, and random ones."""
    inputs, units, outputs = network.width
    more, least = math.ceil(factor * units), 64
    sizes = [(max(more, least), 1.0)]
    if more <= least:  # a trained network: a finer grid at first
        sizes.insert(0, (more, factor))
    intervals = network.layers[-1].basis.intervals
    return [
        random_like(
            network,
            [inputs, count, outputs],
            seed,
            intervals=math.ceil(finer * intervals),
            own=True,
        )
        for count, finer in sizes
    ]


def _other(network: Network, factor: float, seed: int) -> KAN:
    """Return a random KAN for a network of another kind, or with none or several hidden layers."""
    inputs, *hidden, outputs = network.width
    least = 64  # hidden units
    if not isinstance(network, KAN):
        like = next(network.parameters())
        made = KAN([inputs, least, outputs], 9, [4, 10], seed=seed)
        return made.to(like.device, like.dtype)
    if not hidden:
        finer = math.ceil(factor * network.layers[-1].basis.intervals)
        return random_like(network, [inputs, outputs], seed, intervals=finer)
    units = max(math.ceil(factor * hidden[-1]), least)
    return random_like(network, [inputs, units, outputs], seed)
