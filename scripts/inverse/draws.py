"""Solves of the inverse problems for many draws of the noise, and whether intervals hold."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from common.pieces import Row
from common.problem_files import solve_job
from inverse import species
from inverse.sensitivity import (
    SMOKE,
    WIDTHS,
    DiffusionSensitivity,
    FlowSensitivity,
    cramer_rao,
    solved,
)
from torch import Tensor

import kanpinn as kp
from kanpinn.runs.config import SolveJob

NODES = 9  # per axis, of the points at which a coefficient field's intervals are judged
EDGE = 0.05  # of the domain, within which they lie
STEP = 1e-3  # of coefficients, by which functions linear in them are differenced
Draw = Callable[[int], Row]


def job(name: str, seed: int) -> SolveJob:
    """Return the solve of problems/`name`.toml with other noise and other inner functions."""
    pairs = [f"problem.parameters.seed={seed}", f"run.seed={seed}"]
    return solve_job(name, pairs)


def viscosity(seed: int) -> Row:
    """Solve one draw for the viscosity of the Navier–Stokes equations."""
    begun = time.process_time()
    solution = job("inverse_navier_stokes", seed).run(assessed=False)
    found = solution.estimated["viscosity"]
    return {
        "held": [found.exact is not None and found.low <= found.exact <= found.high],
        "half_width": [(found.high - found.low) / 2],
        "value": found.value,
        "seconds": time.process_time() - begun,
        "status": solution.status,
    }


def coefficient(seed: int) -> Row:
    """Solve one draw for the coefficient field of a diffusion problem, judged on a grid."""
    begun = time.process_time()
    solution = job("inverse_diffusion", seed).run(assessed=False)
    low, high = solution.interval(judged_points(), field="a")
    problem: Any = solution.problem
    exact = problem.exact(kp.Points(judged_points(), ("x", "y")))[1][:, 0]
    return {
        "held": ((low <= exact) & (exact <= high)).tolist(),
        "half_width": ((high - low) / 2).tolist(),
        "seconds": time.process_time() - begun,
        "status": solution.status,
    }


def judged_points() -> Tensor:
    """Return a grid of points (n, 2) in the unit square."""
    axis = torch.linspace(EDGE, 1 - EDGE, NODES, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis)


def bound_of_viscosity(seed: int, smoke: bool = False) -> tuple[Tensor, float]:
    """Return the Cramér–Rao bound (1,) on the deviation, and the sensitivity's own error."""
    problem: Any = job("inverse_navier_stokes", seed).problem
    widths = SMOKE if smoke else WIDTHS
    found, error = solved(FlowSensitivity(problem), problem.at, widths)
    data = found[:, :2].reshape(-1, 1)
    return cramer_rao(data, problem.noise, torch.ones(1, 1, dtype=torch.float64)), error


def bound_of_coefficient(seed: int, smoke: bool = False) -> tuple[Tensor, float]:
    """Return the bound (n,) at the judged points, for the coefficient's own parametrisation.

    A smoke run uses small networks and two of the parameters.
    """
    made = job("inverse_diffusion", seed)
    problem: Any = made.problem
    network = made.network.parts[1]
    assert isinstance(network, kp.KAN)
    changes = directions(network)[: 2 if smoke else None]
    widths = SMOKE if smoke else WIDTHS
    both = [solved(DiffusionSensitivity(problem, c), problem.at, widths) for c in changes]
    data = torch.cat([found for found, _ in both], dim=1)
    gradients = torch.cat([change(judged_points()) for change in changes], dim=1)
    return cramer_rao(data, problem.noise, gradients), max(error for _, error in both)


def directions(network: kp.KAN) -> list[Callable[[Tensor], Tensor]]:
    """Return the function that each coefficient of a KAN without hidden layers multiplies.

    The functions are defined on [0, 1]².
    """
    (layer,) = network.layers

    def change(index: int) -> Callable[[Tensor], Tensor]:
        def function(x: Tensor) -> Tensor:
            coefficients = torch.zeros_like(layer.coefficients).flatten()
            coefficients[index] = 1.0
            held = {"layers.0.coefficients": coefficients.view_as(layer.coefficients)}
            return torch.func.functional_call(network, held, (2 * x - 1,))

        return function

    return [change(index) for index in range(layer.coefficients.numel())]


DRAWS: Mapping[str, Draw] = {
    "viscosity": viscosity,
    "coefficient": coefficient,
    "species": species.numbers,
}
BOUNDS: Mapping[str, Callable[[int, bool], tuple[Tensor, float]]] = {
    "viscosity": bound_of_viscosity,
    "coefficient": bound_of_coefficient,
    "species": species.bound_of_numbers,
}
