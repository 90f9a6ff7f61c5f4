"""Draws of the noise for the four numbers of Lotka's and Volterra's equations, and their bound."""

import time
from typing import Any

import numpy as np
import torch
from common.pieces import Row
from common.problem_files import solve_job
from inverse.sensitivity import cramer_rao
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor


def numbers(seed: int) -> Row:
    """Solve one draw for the four numbers."""
    begun = time.process_time()
    solution = _job(seed).run(assessed=False)
    found = list(solution.estimated.values())
    return {
        "held": [one.exact is not None and one.low <= one.exact <= one.high for one in found],
        "half_width": [(one.high - one.low) / 2 for one in found],
        "value": [one.value for one in found],
        "seconds": time.process_time() - begun,
        "status": solution.status,
    }


def bound_of_numbers(seed: int, smoke: bool = False) -> tuple[Tensor, float]:
    """Return the Cramér–Rao bounds (4,) on the deviations, and the error of the sensitivities.

    The sensitivities solve the variational equations by a Runge–Kutta method.
    """
    problem: Any = _job(seed).problem
    fine, coarse = (_sensitivities(problem, tolerance) for tolerance in (1e-11, 1e-8))
    identity = torch.eye(4, dtype=torch.float64)
    error = float((fine - coarse).norm() / fine.norm())
    return cramer_rao(fine, problem.noise, identity), error


def _job(seed: int) -> Any:
    return solve_job("inverse_lotka_volterra", [f"problem.parameters.seed={seed}"])


def _sensitivities(problem: Any, tolerance: float) -> Tensor:
    """The derivatives of both species at all times by the numbers, (2 n, 4)."""
    growth, predation, death, gain = problem.truth.values()

    def rates(_: float, state: NDArray[np.float64]) -> NDArray[np.float64]:
        (x, y), s = state[:2], state[2:].reshape(2, 4)
        slopes = np.array([[growth - predation * y, -predation * x], [gain * y, gain * x - death]])
        by_numbers = np.array([[x, -x * y, 0.0, 0.0], [0.0, 0.0, -y, x * y]])
        own = [growth * x - predation * x * y, gain * x * y - death * y]
        return np.concatenate([own, (slopes @ s + by_numbers).ravel()])

    first = np.concatenate([[1.5, 1.0], np.zeros(8)])
    times = problem.at[:, 0].numpy()
    settings = {"method": "DOP853", "rtol": tolerance, "atol": tolerance}
    run = solve_ivp(rates, (0.0, float(times[-1])), first, t_eval=times, **settings)
    return torch.from_numpy(run.y[2:].reshape(2, 4, -1)).movedim(1, 2).flatten(0, 1)
