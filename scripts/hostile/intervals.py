"""Whether the 95% intervals of inverse problems hold the truth as often as they say.

problems/inverse_navier_stokes.toml (a number, the viscosity), inverse_diffusion.toml (a coefficient
field, at 81 points) and inverse_lotka_volterra.toml (four numbers, by marches) are solved for many
draws of the noise, each draw of the first two with measurements at other points and other inner
functions of the network, each from the start: no draw knows of another. Reported are the share of
intervals that hold the truth, of a field on average over its points, and the half-widths over 1.96
times the Cramér–Rao bound for the measurements' points of the first draws. That bound comes from
the exact solution's sensitivity, which solves a problem of its own, not from the Jacobian that the
intervals come from.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from common import script
from common.pieces import Row
from common.script import solve_job
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

import kanpinn as kp
from kanpinn.jets import Channels, jet_of
from kanpinn.runs.config import SolveJob

WIDTHS, DEGREE, GRID = (24, 32), 9, (4, 4)
SMOKE = (6, 8)
Function = Callable[[Tensor], Tensor]


def jet_at(function: Function, p: kp.Points) -> kp.Jet:
    """Return a function's jet at points."""
    return jet_of(function, p.coords, Channels(p.names, second="laplacian"))


class DiffusionSensitivity(kp.Problem):
    """-div(a ∇w) = div(b ∇u) on the domain of a diffusion problem, w = 0 on the boundary.

    w is the change of u with the coefficient a in the direction b.
    """

    def __init__(self, of: Any, direction: Function) -> None:
        self.of, self.direction, self.domain = of, direction, of.domain

    def residual(self, p, w):
        u, a = self._exact(p, 0), self._exact(p, 1)
        b = jet_at(self.direction, p)
        return -_diffused(a, w) - _diffused(b, u)

    def _exact(self, p, field):
        return jet_at(lambda x: self.of.exact(kp.Points(x, p.names))[field], p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


def _diffused(a: kp.Jet, u: kp.Jet) -> Tensor:
    """Return div(a ∇u), (n, 1)."""
    return a.value * kp.laplacian(u) + (kp.grad(a) * kp.grad(u)).sum(dim=1, keepdim=True)


class FlowSensitivity(kp.Problem):
    """The Navier–Stokes equations linearised about a flow, forced by its Laplacian.

    The solution is the change of the flow with the viscosity.
    """

    fields = ("u", "v", "q")
    free_constant = ("q",)

    def __init__(self, of: Any) -> None:
        self.of, self.domain = of, of.domain

    def residual(self, p, u, v, q):
        known = (self._exact(p, 0), self._exact(p, 1))
        lines = []
        for w, w0, axis in ((u, known[0], "x"), (v, known[1], "y")):
            moved = _advected(w, *known) + _advected(w0, u, v)
            drag = self.of.viscosity * kp.laplacian(w) + kp.laplacian(w0)
            lines.append(moved + kp.partial(q, axis) - drag)
        return (*lines, kp.div(u, v))

    def _exact(self, p, field):
        return jet_at(lambda x: self.of.exact(kp.Points(x, p.names))[field], p)

    def conditions(self):
        boundary = self.domain.boundary
        walls = [kp.Dirichlet(boundary, 0.0, field=name) for name in ("u", "v")]
        return [*walls, kp.Integral(self.domain, 0.0, field="q")]


def _advected(w, u, v):
    return u.value * kp.partial(w, "x") + v.value * kp.partial(w, "y")


def solved(
    problem: kp.Problem, at: Tensor, widths: tuple[int, int] = WIDTHS
) -> tuple[Tensor, float]:
    """Return a sensitivity at points, (n, fields), and its distance to a smaller network's."""
    found = []
    for width in widths:
        network = kp.KAN([2, width, len(problem.fields)], DEGREE, GRID)
        points = kp.Collocation(25 * width, 100)
        # Two widths are compared, and no status is read.
        solution = kp.solve(problem, network, points=points, boundary="exact", verified=False)
        found.append(solution(at))
    coarse, fine = found
    return fine, float((coarse - fine).norm() / fine.norm())


def cramer_rao(sensitivities: Tensor, noise: float, gradients: Tensor) -> Tensor:
    """The least standard deviation (q,) of an unbiased estimate of quantities.

    Args:
        sensitivities: of the n data to the parameters, (n, P).
        noise: standard deviation of the data.
        gradients: of the quantities with respect to the parameters, (q, P).

    Parameters that no data tell apart are left out, as far as the quantities do not see them.
    """
    _, s, vh = torch.linalg.svd(sensitivities / noise, full_matrices=False)
    kept = s > 1e-9 * s[0]
    return torch.linalg.vector_norm((gradients @ vh[kept].T) / s[kept], dim=1)


def numbers(name: str, seed: int, smoke: bool = False) -> Row:
    """Solve one draw of problems/`name`.toml for its unknown parameters."""
    begun = time.process_time()
    solution = job(name, seed, smoke).run(assessed=False)
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
    problem: Any = job("inverse_lotka_volterra", seed).problem
    fine, coarse = (_sensitivities(problem, tolerance) for tolerance in (1e-11, 1e-8))
    identity = torch.eye(4, dtype=torch.float64)
    error = float((fine - coarse).norm() / fine.norm())
    return cramer_rao(fine, problem.noise, identity), error


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


NODES = 9  # per axis, of the points at which a coefficient field's intervals are judged
EDGE = 0.05  # of the domain, within which they lie
Draw = Callable[[int, bool], Row]
QUICK = {  # settings of a smoke run
    "inverse_lotka_volterra": ["optimizer[0].tolerance=1e-2"],
    "inverse_navier_stokes": ["network.hidden=[8]", "network.degree=5", "points.interior=100"],
    "inverse_diffusion": ["points.interior=225", "optimizer[0].steps=5"],
}


def job(name: str, seed: int, smoke: bool = False) -> SolveJob:
    """Return the solve of problems/`name`.toml with other noise and other inner functions."""
    pairs = [f"problem.parameters.seed={seed}", f"run.seed={seed}"]
    return solve_job(name, pairs + (QUICK[name] if smoke else []))


def coefficient(seed: int, smoke: bool = False) -> Row:
    """Solve one draw for the coefficient field of a diffusion problem, judged on a grid."""
    begun = time.process_time()
    solution = job("inverse_diffusion", seed, smoke).run(assessed=False)
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
    "viscosity": partial(numbers, "inverse_navier_stokes"),
    "coefficient": coefficient,
    "species": partial(numbers, "inverse_lotka_volterra"),
}
BOUNDS: Mapping[str, Callable[[int, bool], tuple[Tensor, float]]] = {
    "viscosity": bound_of_viscosity,
    "coefficient": bound_of_coefficient,
    "species": bound_of_numbers,
}


BOUNDED = 3  # draws that are compared with the bound
COVERED = (0.90, 0.99)
WIDE = 1.5  # times the bound
QUANTILE = 1.959964


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, script.Verdict]:
    """Solve for all draws, and compare the intervals with the truth and with the bound."""
    found: dict[str, script.Verdict] = {}
    for name, draw in DRAWS.items():
        rows = [draw(seed, chosen.smoke) for seed in range(chosen.noises)]
        held = [x for row in rows for x in row["held"]]
        share = sum(held) / len(held)
        met = COVERED[0] <= share <= COVERED[1]
        if not met:
            failures.append(f"intervals of the {name} hold the truth in {share:.0%}")
        found[f"{name}_coverage"] = script.verdict(share, "0.90 to 0.99 over 200 draws", met)
        found[f"{name}_width"] = _width(name, rows[:BOUNDED], chosen.smoke)
        found[f"{name}_seconds"] = script.verdict(
            statistics.median(row["seconds"] for row in rows),
            "processor seconds of one draw, median: no target",
        )
    return found


def _width(name: str, rows: list[dict], smoke: bool) -> script.Verdict:
    """Return the half-widths over those of the bound, over draws and points."""
    ratios: list[float] = []
    error = 0.0
    for seed, row in enumerate(rows):
        bound, own = BOUNDS[name](seed, smoke)
        half_widths = torch.tensor(row["half_width"], dtype=torch.float64)
        ratios += (half_widths / (QUANTILE * bound)).tolist()
        error = max(error, own)
    found = {
        "median": statistics.median(ratios),
        "least": min(ratios),
        "largest": max(ratios),
        "relative_error_of_sensitivities": error,
    }
    met = 1 / WIDE <= found["median"] <= WIDE
    return script.verdict(found, f"median between 1/{WIDE} and {WIDE}", met)
