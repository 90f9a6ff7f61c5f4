"""The workers' tasks: timed steps, solves to compare, and a fold whose bytes are counted."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from common.problem_files import solve_job
from machinery import cases
from torch import Tensor

import kanpinn as kp
from kanpinn._support.distributed import world
from kanpinn.linalg import fold
from kanpinn.loss import Residuals
from kanpinn.optimizers.output_layer import solve_output

LEAST_SQUARES, MARQUARDT, GRADIENT = "least squares", "Levenberg-Marquardt", "gradient"
PROBES = 3  # losses of a Levenberg-Marquardt step


@cache
def system(task: str, points: int, width: int, ranks: int) -> Residuals:
    """Return residuals of Poisson's equation, cached for each number of ranks."""
    grid = [4, 16] if task == LEAST_SQUARES else [5, 5]
    degree = 7 if task == LEAST_SQUARES else 3
    return cases.residuals(kp.KAN([2, width, 1], degree=degree, grid=grid, seed=0), points)


def parameters(task: str, width: int) -> int:
    """Return the number of columns that are folded, or the length of the gradient."""
    layers = system(task, 100, width, 1).surrogate.network.layers
    return sum(x.coefficients.numel() for x in (layers[-1:] if task == LEAST_SQUARES else layers))


def timed(task: str, points: int, width: int, threads: int) -> float:
    """Return the seconds of one step, which all ranks start together."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    residuals = system(task, points, width, world())
    if world() > 1:
        dist.barrier()
    begun = time.perf_counter()
    STEPS[task](residuals)
    return time.perf_counter() - begun


def _least_squares(residuals: Residuals) -> None:
    solve_output(residuals, linear=True)


def _marquardt(residuals: Residuals) -> None:
    fold(residuals.rows(residuals.surrogate.network.layers)).damped().step(1e-6)
    for _ in range(PROBES):
        residuals.surrogate.follow(residuals.points)
        residuals.loss()


def _gradient(residuals: Residuals) -> None:
    residuals.backward()


STEPS: dict[str, Callable[[Residuals], None]] = {
    LEAST_SQUARES: _least_squares,
    MARQUARDT: _marquardt,
    GRADIENT: _gradient,
}

LBFGS = '{type = "lbfgs", steps = 3, iterations = 5}'
SOLVES = {
    "least squares": ["network.width=[2,64,1]"],
    "Levenberg-Marquardt, 4 steps": [
        *("network.width=[2,8,1]", "network.degree=5", "network.boundary=penalty"),
        'optimizer=[{type = "levenberg_marquardt", steps = 4}]',
    ],
    "variable projection, 10 steps": [
        *("network.width=[2,2,1]", "network.degree=[3,7]", "network.grid=[1,12]"),
        "network.boundary=penalty",
        'optimizer=[{type = "variable_projection", steps = 10, rounds = 2, starts = 4}]',
    ],
    "L-BFGS, 15 iterations": [
        *("network.width=[2,8,1]", "network.degree=5", "network.boundary=penalty"),
        f"optimizer=[{LBFGS}]",
    ],
}


def solved(name: str, small: bool) -> Tensor:
    """Return values of the solution of problems/poisson2d.toml at 1000 points."""
    torch.set_num_threads(1)
    reduced = ["points.interior=100", "points.boundary=40"] if small else []
    if small and name == "least squares":  # more points than coefficients: then it is one step
        reduced += ["network.width=[2,8,1]", "points.interior=400"]
    solution = solve_job("poisson2d", [*SOLVES[name], *reduced]).run()
    x = torch.rand(1000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return solution(2 * x - 1).detach()


def counted(columns: int) -> tuple[int, int]:
    """Return the bytes of triangles that this rank sends and receives in one fold."""
    given = taken = 0

    def watch(name: str, giving: Callable[[], bool]) -> Any:
        call = getattr(dist, name)

        def counting(tensor: Tensor, peer: int) -> Any:
            nonlocal given, taken
            size = tensor.numel() * tensor.element_size()
            given, taken = (given + size, taken) if giving() else (given, taken + size)
            return call(tensor, peer)

        return patch.object(dist, name, counting)

    generator = torch.Generator().manual_seed(dist.get_rank())
    rows = torch.randn(2 * columns, columns + 1, dtype=torch.float64, generator=generator)
    send, receive = watch("send", lambda: True), watch("recv", lambda: False)
    with send, receive, watch("broadcast", lambda: dist.get_rank() == 0):
        fold([(rows[:, :-1], rows[:, -1])])
    return given, taken
