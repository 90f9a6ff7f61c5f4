"""Steady flows in cells beside published numbers: a driven cavity, a cylinder, a step.

What: the least and greatest velocities on the middle lines of the cavity at Re = 100 and 1000,
drag, lift and pressure difference of the cylinder at Re = 20, and where the flow behind the step at
Re = 800 separates and reattaches; with estimated errors, unknowns and processor seconds.

How long: five minutes of one core; --smoke: seconds, its numbers mean nothing.

Writes to --output: flows.md, flows.json.

References: Botella and Peyret, Benchmark spectral results on the lid-driven cavity flow (1998);
Nabh, On high order methods for the stationary incompressible Navier-Stokes equations (1998);
Gartling, A test problem for outflow boundary conditions (1990), with three digits.
"""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from common import options, verdicts
from common.problem_files import solve_job

import kanpinn as kp
from kanpinn._support.files import write_text

NAME = Path(__file__).stem
HEAD = (
    "| flow | quantity | found | published | difference | estimated | unknowns | seconds |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True)
class Published:
    """A published number, and the difference that is wanted at most."""

    name: str
    value: float
    wanted: float


@dataclass(frozen=True)
class Flow:
    """A flow of problems/: its file, tolerance and parameters, and what is published of it.

    measured: gives the numbers of a solution, in the order of `published`.
    parameters: those that differ from the file's.
    first: the Reynolds number from which continuation starts; None without one.
    degree: of the polynomials; None for that of the file.
    """

    name: str
    file: str
    tolerance: float
    published: Sequence[Published]
    measured: Callable[[kp.Solution], Sequence[float]]
    parameters: Mapping[str, float] = field(default_factory=dict)
    first: float | None = None
    degree: int | None = None


@dataclass(frozen=True)
class Solved:
    """A flow with the numbers that were found, and what they took."""

    flow: Flow
    found: Sequence[float]
    estimated: float
    unknowns: int
    seconds: float


def on_middle_lines(solution: kp.Solution) -> tuple[float, float, float]:
    """The least u on x = 1/2, the least and the greatest v on y = 1/2."""
    count = 4001
    along, half = torch.linspace(0, 1, count).double(), torch.full((count,), 0.5).double()
    u = solution(torch.stack([half, along], dim=1))[:, 0]
    v = solution(torch.stack([along, half], dim=1))[:, 1]
    return float(u.min()), float(v.min()), float(v.max())


def of_cylinder(solution: kp.Solution) -> tuple[float, float, float]:
    """The drag and lift coefficients and the difference of the pressure."""
    problem: Any = solution.problem
    drag, lift, fall = problem.coefficients(solution)
    return drag, lift, fall


def behind_step(solution: kp.Solution) -> tuple[float, float, float]:
    """Where ∂u/∂y changes its sign: last on the lower wall, twice on the upper one; NaN if not."""
    lower, upper = (_sign_changes(solution, y) for y in (-0.5, 0.5))
    separates, reattaches = (*upper, math.nan, math.nan)[:2]
    return lower[-1], separates, reattaches


def _sign_changes(solution: kp.Solution, y: float) -> list[float]:
    low, high = (float(corner[0]) for corner in solution.problem.domain.bounds)
    x = torch.linspace(low + 0.5, high, 6001).double()
    slope = solution.gradient(torch.stack([x, torch.full_like(x, y)], dim=1))[:, 1, 0]
    at = (slope[1:] * slope[:-1] < 0).nonzero()[:, 0]
    part = slope[at] / (slope[at] - slope[at + 1])
    return (x[at] + part * (x[at + 1] - x[at])).tolist() or [math.nan]


FLOWS = (
    Flow(
        "cavity, Re = 100",
        "cavity",
        1e-6,
        (
            Published("least u", -0.2140424, 1e-6),
            Published("least v", -0.2538030, 1e-6),
            Published("greatest v", 0.1795728, 1e-6),
        ),
        on_middle_lines,
    ),
    Flow(
        "cavity, Re = 1000",
        "cavity",
        1e-4,
        (
            Published("least u", -0.3885698, 1e-4),
            Published("least v", -0.5270771, 1e-4),
            Published("greatest v", 0.3769447, 1e-4),
        ),
        on_middle_lines,
        {"reynolds": 1000.0},
        first=100.0,
    ),
    Flow(
        "cylinder, Re = 20",
        "cylinder",
        1e-6,
        (
            Published("drag", 5.57953523384, 1e-6),
            Published("lift", 0.010618948146, 1e-5),
            Published("pressure difference", 0.11752016697, 1e-6),
        ),
        of_cylinder,
    ),
    Flow(
        "step, Re = 800",
        "backward_step",
        1e-4,
        (
            Published("reattachment, lower wall", 6.10, 1e-2),
            Published("separation, upper wall", 4.85, 1e-2),
            Published("reattachment, upper wall", 10.48, 1e-2),
        ),
        behind_step,
    ),
)
# The parameters of a smoke run, by file: small Reynolds numbers, and a short channel.
EASIER = {"cavity": {"reynolds": 120.0}, "backward_step": {"reynolds": 100.0, "length": 8.0}}


def flows(smoke: bool) -> list[Flow]:
    """The flows; those of a smoke run have easy parameters, a large tolerance and a low degree."""
    if not smoke:
        return list(FLOWS)
    return [
        replace(flow, tolerance=0.5, degree=4, parameters=EASIER.get(flow.file, {}))
        for flow in FLOWS
    ]


def solved(flow: Flow) -> Solved:
    """Solve for a flow by the network of its file."""
    given = {f"problem.parameters.{name}": value for name, value in flow.parameters.items()}
    if flow.degree is not None:
        given["network.degree"] = flow.degree
    job = solve_job(flow.file, [f"{key}={value}" for key, value in given.items()])
    methods: list[kp.optimizers.Method] = [kp.Dissection(flow.tolerance)]
    if flow.first is not None:
        methods.insert(0, kp.Continuation("reynolds", flow.first))
    begun = time.process_time()
    solution = kp.solve(job.problem, job.network, methods, errors=False, verified=False)
    seconds = time.process_time() - begun
    estimated = solution.history.rows[-1].get("estimated_error", math.nan)
    return Solved(flow, flow.measured(solution), estimated, solution.parameters, seconds)


def lines(one: Solved) -> str:
    """The rows of a flow in the table."""
    last = f"{one.estimated:.1e} | {one.unknowns} | {one.seconds:.0f} |\n"
    return "".join(
        f"| {one.flow.name} | {known.name} | {value:.10g} | {known.value:.10g} | "
        f"{value - known.value:.1e} | {last}"
        for known, value in zip(one.flow.published, one.found, strict=True)
    )


def judged(found: Sequence[Solved]) -> dict[str, verdicts.Figure]:
    """Each number beside the published one."""
    return {
        f"{one.flow.name}: {known.name}": {
            "value": value,
            "target": f"{known.value:.10g} up to {known.wanted:g}",
            "met": abs(value - known.value) <= known.wanted,
        }
        for one in found
        for known, value in zip(one.flow.published, one.found, strict=True)
    }


def main(given: Sequence[str] | None = None) -> None:
    chosen = options.finish(NAME, options.parser(NAME, __doc__).parse_args(given))
    chosen.output.mkdir(parents=True, exist_ok=True)
    found = [solved(flow) for flow in flows(chosen.smoke)]
    text = HEAD + "".join(map(lines, found))
    write_text(chosen.output / f"{NAME}.md", text)
    verdicts.write(chosen.output / f"{NAME}.json", judged(found))
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
