"""Steady flows in cells beside published numbers: a driven cavity, a cylinder, a step.

What: the least and greatest velocities on the middle lines of the cavity at Re = 100, 1000 and
3200, velocities at points of these lines at Re = 5000, drag, lift and pressure difference of the
cylinder at Re = 20, and where the flow behind the step at Re = 800 separates and reattaches; with
estimated errors, unknowns and processor seconds.

How long: seven minutes of one core; --smoke: seconds, its numbers mean nothing.

Writes to --output: flows.md, flows.json.

References: Botella and Peyret, Benchmark spectral results on the lid-driven cavity flow (1998);
Ghia, Ghia and Shin, High-Re solutions for incompressible flow (1982), whose values at Re = 1000
are wrong by 1e-2; Erturk, Corke and Gökçöl, Numerical solutions of 2-D steady incompressible driven
cavity flow at high Reynolds numbers (2005), on 601 × 601 points;
Nabh, On high order methods for the stationary incompressible Navier-Stokes equations (1998);
Gartling, A test problem for outflow boundary conditions (1990), with three digits.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from common import script
from common.script import solve_job

import kanpinn as kp

NAME = Path(__file__).stem
HEAD = (
    "| flow | quantity | found | published | difference | estimated | unknowns | seconds | "
    "status |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True)
class Published:
    """The published value of a quantity, and the difference that is wanted at most.

    at: the number of a field and a point, whose value is compared; None for the quantity of the
    problem with this name.
    """

    name: str
    value: float
    wanted: float
    at: tuple[int, tuple[float, float]] | None = None

    def of(self, solution: kp.Solution) -> float:
        """The value that a solution has for it."""
        if self.at is None:
            return solution.quantities[self.name]
        field, point = self.at
        return float(solution(torch.tensor([point]).double())[0, field])


@dataclass(frozen=True)
class Flow:
    """A flow of problems/: its file, tolerance and parameters, and what is published of it.

    parameters: those that differ from the file's.
    first: the Reynolds number from which continuation starts; None without one.
    tiny: whether it has four cells of degree 4 instead of the file's, as in a smoke run.
    """

    name: str
    file: str
    tolerance: float
    published: Sequence[Published]
    parameters: Mapping[str, float] = field(default_factory=dict)
    first: float | None = None
    tiny: bool = False


@dataclass(frozen=True)
class Solved:
    """A flow with the quantities that were found, what they took, and how the solve ended."""

    flow: Flow
    found: Mapping[str, float]
    estimated: float
    unknowns: int
    seconds: float
    status: str


def cavity(reynolds: float, tolerance: float, extremes: Sequence[float], within: float) -> Flow:
    """Return the flow in the cavity with its extremes on the middle lines and their error."""
    names = ("least u on x = 1/2", "least v on y = 1/2", "greatest v on y = 1/2")
    published = [Published(*known, within) for known in zip(names, extremes, strict=True)]
    flow = Flow(f"cavity, Re = {reynolds:g}", "cavity", tolerance, published)
    if reynolds == 100:  # that of the file
        return flow
    return replace(flow, parameters={"reynolds": reynolds}, first=100.0)


FLOWS = (
    cavity(100.0, 1e-6, (-0.2140424, -0.2538030, 0.1795728), 1e-6),
    cavity(1000.0, 1e-4, (-0.3885698, -0.5270771, 0.3769447), 1e-4),
    cavity(3200.0, 1e-3, (-0.41933, -0.54053, 0.42768), 3e-2),
    Flow(
        "cavity, Re = 5000",
        "cavity",
        1e-3,
        (
            Published("u at (0.5, 0.08)", -0.4419, 1e-2, (0, (0.5, 0.08))),
            Published("v at (0.955, 0.5)", -0.5700, 1e-2, (1, (0.955, 0.5))),
            Published("v at (0.075, 0.5)", 0.4426, 1e-2, (1, (0.075, 0.5))),
        ),
        {"reynolds": 5000.0},
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
    ),
)
EASIER = {"reynolds": 120.0}  # parameters of a smoke run


def flows(smoke: bool) -> list[Flow]:
    """The flows; a smoke run has those in the cavity, easy ones, of a low degree."""
    if not smoke:
        return list(FLOWS)
    by_way = {flow.first: flow for flow in FLOWS if flow.file == "cavity"}
    return [replace(flow, tolerance=0.5, tiny=True, parameters=EASIER) for flow in by_way.values()]


def solved(flow: Flow) -> Solved:
    """Solve for a flow by the network of its file."""
    given = {f"problem.parameters.{name}": value for name, value in flow.parameters.items()}
    if flow.tiny:
        given |= {"network.degree": 4, "network.cells": 2}
    job = solve_job(flow.file, [f"{key}={value}" for key, value in given.items()])
    methods: list[kp.optimizers.Method] = [kp.AdaptiveLeastSquares(flow.tolerance)]
    if flow.first is not None:
        methods.insert(0, kp.Continuation("reynolds", flow.first))
    begun = time.process_time()
    solution = kp.solve(job.problem, job.network, methods, errors=False, verified=False)
    seconds = time.process_time() - begun
    estimated = solution.history.rows[-1].get("estimated_error", math.nan)
    found = {known.name: known.of(solution) for known in flow.published}
    return Solved(flow, found, estimated, solution.parameters, seconds, solution.status)


def lines(one: Solved) -> str:
    """The rows of a flow in the table."""
    last = f"{one.estimated:.1e} | {one.unknowns} | {one.seconds:.0f} | {one.status} |\n"
    return "".join(
        f"| {one.flow.name} | {known.name} | {one.found[known.name]:.10g} | {known.value:.10g} | "
        f"{one.found[known.name] - known.value:.1e} | {last}"
        for known in one.flow.published
    )


def judged(found: Sequence[Solved]) -> dict[str, script.Verdict]:
    """Each number beside the published one; those of a solve that failed are not met."""
    return {
        f"{one.flow.name}: {known.name}": script.verdict(
            one.found[known.name],
            f"{known.value:.10g} up to {known.wanted:g}",
            one.status == "converged" and abs(one.found[known.name] - known.value) <= known.wanted,
        )
        for one in found
        for known in one.flow.published
    }


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(NAME, __doc__, given)
    found = [solved(flow) for flow in flows(chosen.smoke)]
    script.publish(chosen, HEAD + "".join(map(lines, found)), judged(found))


if __name__ == "__main__":
    main()
