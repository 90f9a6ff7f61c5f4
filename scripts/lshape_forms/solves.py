"""Solves of the L-shape's forms, their errors, and the reference solution for these errors."""

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
    """The errors of one solve; coefficients: those of the output layer, which are solved for."""

    case: str
    width: int
    grid: int
    seed: int
    coefficients: int
    l2: float
    h1: float
    seconds: float


@dataclass(frozen=True)
class Size:
    """How much is done.

    networks: width and grid of each network. reference: those of the reference solution, which is
    judged at nodes² points of each of the problem's cells. levels: of the quadrature for errors.
    points: the least numbers in the domain and on its boundary, energy_points: in the domain for an
    energy. inward, outward: singular functions of the inward and of each other corner.
    """

    networks: tuple[tuple[int, int], ...] = ((8, 2), (12, 3), (16, 4), (24, 6), (32, 8), (48, 12))
    reference: tuple[int, int] = (64, 10)
    nodes: int = 24
    levels: int = 7
    points: tuple[int, int] = (600, 400)
    energy_points: int = 12000
    inward: int = 10
    outward: int = 3


SMOKE = Size(((3, 1), (4, 2)), (8, 2), 4, 1, (60, 24), 300, 1, 1)


def strong(
    width: int, grid: int, seed: int, size: Size, inward: bool = True, outward: bool = True
) -> kp.Solution:
    """Solve the form of problems/lshape_singular.toml with points in proportion to coefficients.

    inward, outward: whether these corners' singular functions stand beside the network.
    """
    network = kp.KAN([2, width, 1], degree=9, grid=[INNER, grid], seed=seed)
    count = network.layers[-1].coefficients.numel()
    interior, boundary = size.points
    points = kp.Collocation(
        max(interior, 2 * count), max(boundary, math.ceil(8 * count**0.5)), "gauss"
    )
    return kp.solve(
        LShapeSingular(size.inward * inward, size.outward * outward),
        network,
        points=points,
        boundary="penalty",
        weights=WEIGHTS,
        errors=False,
        verified=False,  # errors are measured, and no status is read
        seed=seed,
    )


def energy(
    width: int, grid: int, seed: int, size: Size, finest: float | None = None
) -> kp.Solution:
    """Solve the form of problems/lshape.toml; finest: the size of the stretch at the corner.

    An energy that is integrated too coarsely lies below the true one, and its minimiser can be
    anything: with 26 points for each coefficient L2 errors are 17 times as large as with 53.
    """
    network = kp.KAN([2, width, 1], degree=7, grid=[INNER, grid], seed=seed)
    count = network.layers[-1].coefficients.numel()
    return kp.solve(
        LShape(finest),
        network,
        points=kp.Collocation(max(size.energy_points, 60 * count), size.points[1], "gauss"),
        boundary="exact",
        form="energy",
        errors=False,
        verified=False,  # errors are measured, and no status is read
        seed=seed,
    )


CASES: dict[str, Callable[..., kp.Solution]] = {
    "plain strong form": partial(strong, inward=False, outward=False),
    "energy": energy,
    "energy, stretched": partial(energy, finest=0.005),
    "r^(2j/3)": partial(strong, outward=False),
    "r^(2j/3) and r² ln r": strong,
}


class Known(kp.Reference):
    """A solution with all singular functions, against which the others are measured.

    bound: an upper bound of |e| at any point. By the maximum principle |e| ≤ max |e on the
    boundary| + max |r| / 2, because (1 - x²) / 2 has Laplacian -1, is at most 1/2 and not negative
    in [-1, 1]². The two maxima are taken over dense points, nodes² of them in each part of each of
    the problem's cells.
    """

    source = "a solution with all singular functions"

    def __init__(self, seed: int, size: Size) -> None:
        self.solution = strong(*size.reference, seed, size)
        problem = self.solution.problem
        edge, _ = problem.domain.boundary.quadrature(400)
        inside = torch.cat([cell.quadrature(size.nodes)[0].coords for cell in problem.cells()])
        self.boundary_error = float(self.solution(edge).abs().max())
        residuals = [self.solution.residual(x).abs().max() for x in inside.split(CHUNK)]
        self.largest_residual = float(torch.stack(residuals).max())
        self.bound = self.boundary_error + self.largest_residual / 2

    def jet(self, points: kp.Points, channels: kp.Channels) -> kp.Jet:
        return self.solution.surrogate.evaluate(points, channels)


def measure(case: str, width: int, grid: int, seed: int, norm: ErrorNorm, size: Size) -> Result:
    """Solve one form and return its errors."""
    solution = CASES[case](width, grid, seed, size)
    count = solution.network.layers[-1].coefficients.numel()
    errors = norm(solution.surrogate.evaluate)
    known = errors.l2_relative, errors.h1_relative
    return Result(case, width, grid, seed, count, *known, solution.seconds)
