"""Solves of the L-shape's forms, their errors, and the solution that these are measured against."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

import kanpinn as kp
from kanpinn.accuracy import ErrorNorm

sys.path.append(str(Path(__file__).parents[2] / "problems"))
from lshape import LShape as LShape
from lshape_singular import LShapeSingular

INNER = 4  # intervals of the inner functions
WEIGHTS = {"interior": 0.01, "boundary": 1.0}
CHUNK = 4096  # points at once
REFERENCE_SEEDS = (1000, 1001)  # none of the runs'


@dataclass(frozen=True)
class Result:
    """One solve; coefficients are those of the output layer, which are solved for."""

    case: str
    width: int
    grid: int
    seed: int
    coefficients: int
    l2: float
    h1: float
    seconds: float


def strong(width: int, grid: int, seed: int, inward: int = 10, outward: int = 3) -> kp.Solution:
    """The form of problems/lshape_singular.toml, points in proportion to the coefficients."""
    network = kp.KAN([2, width, 1], degree=9, grid=[INNER, grid], seed=seed)
    count = network.layers[-1].coefficients.numel()
    points = kp.Collocation(max(600, 2 * count), max(400, math.ceil(8 * count**0.5)), "gauss")
    return kp.solve(
        LShapeSingular(inward, outward),
        network,
        points=points,
        boundary="penalty",
        weights=WEIGHTS,
        errors=False,
        seed=seed,
    )


def energy(width: int, grid: int, seed: int, least: int, size: float | None = None) -> kp.Solution:
    """The form of problems/lshape.toml, with at least so many points in the domain.

    An energy that is integrated too coarsely is less than the true one, and its minimum anything:
    with 26 points for a coefficient L2 errors are 17 times as large as with 53.
    """
    network = kp.KAN([2, width, 1], degree=7, grid=[INNER, grid], seed=seed)
    count = network.layers[-1].coefficients.numel()
    return kp.solve(
        LShape(size),
        network,
        points=kp.Collocation(max(least, 60 * count), 400, "gauss"),
        boundary="exact",
        form="energy",
        errors=False,
        seed=seed,
    )


CASES: dict[str, Callable[..., kp.Solution]] = {
    "plain strong form": partial(strong, inward=0, outward=0),
    "energy": energy,
    "energy, stretched": partial(energy, size=0.005),
    "r^(2j/3)": partial(strong, outward=0),
    "r^(2j/3) and r² ln r": strong,
}


class Known(kp.Reference):
    """A solution with all singular functions, against which the others are measured.

    bound: of |e| at any point. By the maximum principle |e| ≤ max |e on the boundary| + max |r| / 2
    as (1 - x²) / 2 has Laplacian -1, is at most 1/2 and not negative in [-1, 1]²; the two maxima
    are over dense points, nodes² of them in each part of each of the problem's cells.
    """

    source = "a solution with all singular functions"

    def __init__(self, width: int, grid: int, seed: int, nodes: int) -> None:
        self.solution = strong(width, grid, seed)
        problem = self.solution.problem
        edge, _ = problem.domain.boundary.quadrature(400)
        inside = torch.cat([cell.quadrature(nodes)[0].coords for cell in problem.cells()])
        self.boundary_error = float(self.solution(edge).abs().max())
        residuals = [self.solution.residual(x).abs().max() for x in inside.split(CHUNK)]
        self.largest_residual = float(torch.stack(residuals).max())
        self.bound = self.boundary_error + self.largest_residual / 2

    def jet(self, points: kp.Points, channels: kp.Channels) -> kp.Jet:
        return self.solution.surrogate.evaluate(points, channels)


def measure(
    case: str, width: int, grid: int, seed: int, norm: ErrorNorm, energy_points: int
) -> Result:
    """The errors of one form; energy_points: the least number of points for an energy."""
    least = {"least": energy_points} if case.startswith("energy") else {}
    solution = CASES[case](width, grid, seed, **least)
    count = solution.network.layers[-1].coefficients.numel()
    errors = norm(solution.surrogate.evaluate)
    known = errors.l2_relative, errors.h1_relative
    return Result(case, width, grid, seed, count, *known, solution.seconds)
