"""kanpinn itself, from problems/poisson2d*.toml, and MLPs by the same code and optimizers.

Rows `default` and `random-features` are series of widths, every point a solve of its own: random
inner functions (splines; tanh units), and one least-squares solve of the output layer. `small` (a
hundred parameters, by variable projection) and `mlp` (jinns' network, by Levenberg-Marquardt on all
layers) are timelines.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from common.script import solve_job
from peers.measuring import Timeline, options, source

import kanpinn as kp
from kanpinn.jets import Channels

CHUNK = 4_000
"""Points evaluated at a time while measuring."""


class Poisson(kp.Problem):
    """The problem without its exact solution, so that kanpinn measures no errors of its own."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1))

    def residual(self, p, u):
        return kp.laplacian(u) - source(p.x, p.y, xp=torch)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]


def solution_field(evaluate: Callable, gradient: Callable) -> Callable:
    """Return values (n, 1) and gradients (n, 2) of tensors of points as a numpy field."""

    def field(coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chunks = torch.tensor(coords).split(CHUNK)
        values, slopes = ([f(chunk).numpy() for chunk in chunks] for f in (evaluate, gradient))
        return np.concatenate(values)[:, 0], np.concatenate(slopes)

    return field


def surrogate_field(surrogate) -> Callable:
    """Return the surrogate of an unfinished solve as a numpy field."""
    names = Poisson.domain.names
    channels = Channels(names, gradient=True)

    @torch.no_grad()
    def gradient(chunk: torch.Tensor) -> torch.Tensor:
        return surrogate.jet(kp.Points(chunk, names), channels).gradient[..., 0]

    return solution_field(lambda chunk: surrogate(kp.Points(chunk, names)), gradient)


def follow(timeline: Timeline) -> Callable:
    """Return an observer that measures errors when due, and ends a solve whose budget is spent."""

    def observer(run) -> None:
        timeline.parameters = run.surrogate.network.parameter_count  # grids may be refined
        timeline.record_if_due(surrogate_field(run.surrogate))
        if timeline.exhausted:
            timeline.finish(surrogate_field(run.surrogate))
            run.interrupted = True

    return observer


def random_features(width: int, seed: int) -> kp.Solution:
    """Solve with tanh units whose weights and biases are random in [-2, 2]."""
    glorot = (6 / (2 + width)) ** 0.5
    return kp.solve(Poisson(), kp.MLP([2, width, 1], scale=2 / glorot, seed=seed), seed=seed)


def default_kan(width: int, seed: int) -> kp.Solution:
    """Solve problems/poisson2d.toml with another width, with more points for many coefficients."""
    overrides = [f"network.hidden=[{width}]", f"run.seed={seed}"]
    if width > 64:
        overrides += ["points.interior=3721", "points.boundary=244"]
    job = solve_job("poisson2d", overrides)
    return replace(job, problem=Poisson()).run()


SERIES = {
    "default": ("kanpinn KAN [2,W,1], least squares", default_kan, (16, 24, 32, 48, 64, 96, 128)),
    "random-features": (
        "kanpinn MLP [2,W,1], least squares",
        random_features,
        (50, 100, 200, 300, 600, 1200),
    ),
}
GROWTH = 4
"""The next width takes at most so many times as long."""


def run_series(budget: float, seed: int, row: str) -> None:
    label, solve, widths = SERIES[row]
    solve(widths[0], seed)  # loads what torch imports late
    timeline = Timeline(label, "kanpinn", budget)
    for width in widths:
        if not timeline.allows_another(GROWTH):
            return
        timeline.restart()
        solution = solve(width, seed)
        timeline.parameters = solution.parameters
        timeline.record(solution_field(solution, solution.gradient))


def run_small(budget: float, seed: int) -> None:
    timeline = Timeline("kanpinn KAN (poisson2d_small), variable projection", "kanpinn", budget)
    job = solve_job("poisson2d_small", [f"run.seed={seed}"])
    timeline.parameters = job.network.parameter_count
    run_timeline(timeline, replace(job, problem=Poisson()).run)


def run_mlp(budget: float, seed: int) -> None:
    timeline = Timeline("kanpinn MLP [2,32,32,1], Levenberg-Marquardt", "kanpinn", budget)
    network = kp.MLP([2, 32, 32, 1], seed=seed)
    timeline.parameters = network.parameter_count
    optimizer = kp.LevenbergMarquardt(steps=10**6, tolerance=1e-12)
    run_timeline(timeline, partial(kp.solve, Poisson(), network, optimizer, seed=seed))


def run_timeline(timeline: Timeline, solve: Callable[..., kp.Solution]) -> None:
    solution = solve(observers=[follow(timeline)])
    if not solution.status.startswith("stopped: interrupted"):  # else its end has been measured
        timeline.finish(solution_field(solution, solution.gradient))


if __name__ == "__main__":
    given = options()
    torch.set_num_threads(given.threads)
    if given.row in SERIES:
        run_series(given.budget, given.seed, given.row)
    else:
        {"small": run_small, "mlp": run_mlp}[given.row](given.budget, given.seed)
