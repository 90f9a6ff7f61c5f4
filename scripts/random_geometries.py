"""Networks in cells on ten kinds of random domains in the plane, for five equations.

What: relative L2 errors, estimated errors, unknowns and processor seconds of `kp.Cells` of degree
12 with `kp.Dissection` to 1e-8, for each pair of a kind of domain and an equation. Domain and
solution are drawn at random, twice for each pair: kanpinn was tuned on the first half, and the
second half was kept aside.

How long: six minutes of one core; --smoke: seconds, its numbers mean nothing.

Writes to --output: random_geometries.md, random_geometries.png, random_geometries.json, and
pieces/, the solves: a run that was stopped continues from them.
"""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from common import options, verdicts
from common.pieces import Pieces
from drawn.equations import NAMES, Drawn
from drawn.geometries import KINDS
from matplotlib.figure import Figure

import kanpinn as kp
from kanpinn._support.files import write_text
from kanpinn.plotting.style import BLUE, GREY, VERMILLION, new_figure, save, tidy

NAME = Path(__file__).stem
HEAD = (
    "| half | domain | equation | unknowns | relative L2 error | estimated | seconds | status |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
HALVES = {1: BLUE, 2: VERMILLION}


@dataclass(frozen=True)
class Solved:
    """A solve on a random domain, of the first or of the second half; NaN where it was refused."""

    half: int
    domain: str
    equation: str
    unknowns: int
    error: float
    estimated: float
    seconds: float
    status: str


def solved(half: int, domain: int, equation: int, degree: int, tolerance: float) -> Solved:
    """Draw a domain of a kind and a solution of an equation, and solve by cells of a degree."""
    draw = np.random.default_rng([half, domain, equation])
    problem = Drawn(NAMES[equation], KINDS[domain](draw), draw)
    names, begun = (KINDS[domain].__name__, NAMES[equation]), time.process_time()
    network, settings = kp.Cells([2, 1], degree, 4), kp.Dissection(tolerance)
    try:
        solution = kp.solve(problem, network, settings, verified=False)
    except kp.InputError as refused:
        seconds = time.process_time() - begun
        return Solved(half, *names, 0, math.nan, math.nan, seconds, str(refused))
    seconds = time.process_time() - begun
    assert solution.errors is not None
    estimated = solution.history.rows[-1].get("estimated_error", math.nan)
    size, error, status = solution.parameters, solution.errors.l2_relative, solution.status
    return Solved(half, *names, size, error, estimated, seconds, status)


def judged(found: Sequence[Solved], tolerance: float) -> dict[str, verdicts.Figure]:
    """The worst figures of each half beside their targets."""
    figures: dict[str, verdicts.Figure] = {}
    slack = 3  # estimates are right up to this factor
    for half in HALVES:
        own = [one for one in found if one.half == half]
        solves = [one for one in own if not math.isnan(one.error)]
        ratios = [one.estimated / one.error for one in solves if one.error > tolerance / 100]
        ratios = ratios or [1.0]  # all errors are rounding
        converged = sum(one.status.startswith("converged") for one in own)
        wrong = sum(
            one.status.startswith("converged") and one.error > slack * tolerance for one in own
        )
        seconds = [one.seconds for one in own]
        figures |= {
            f"half {half}: converged": _figure(
                f"{converged} of {len(own)}", "all", converged == len(own)
            ),
            f"half {half}: converged with an error above {slack:g} tolerances": _figure(
                wrong, "none", wrong == 0
            ),
            f"half {half}: least estimate over error": _figure(
                min(ratios), f"at least 1/{slack}", min(ratios) >= 1 / slack
            ),
            f"half {half}: greatest estimate over error": _figure(
                max(ratios), f"at most {slack}", max(ratios) <= slack
            ),
            f"half {half}: median of the seconds": _figure(median(seconds), "none", None),
            f"half {half}: most seconds": _figure(max(seconds), "at most 30", max(seconds) <= 30),
        }
    return figures


def _figure(value: object, target: str, met: bool | None) -> verdicts.Figure:
    return {"value": value, "target": target, "met": met}


def draw(found: Sequence[Solved], tolerance: float) -> Figure:
    """Draw errors over estimated errors, and errors over seconds."""
    figure = new_figure(7.0, 3.2)
    left, right = figure.subplots(1, 2, sharey=True)
    for half, color in HALVES.items():
        own = [one for one in found if one.half == half]
        errors = [one.error for one in own]
        label = "first half" if half == 1 else "second half"
        left.plot([one.estimated for one in own], errors, "o", color=color, markersize=3.5)
        right.plot(
            [one.seconds for one in own], errors, "o", color=color, markersize=3.5, label=label
        )
    least = min(min(one.error, one.estimated) for one in found if not math.isnan(one.error))
    left.plot([least, tolerance], [least, tolerance], color=GREY, linewidth=0.8, zorder=0)
    left.set(xscale="log", yscale="log", xlabel="estimated error", ylabel="relative $L^2$ error")
    right.set(xscale="log", xlabel="processor seconds")
    right.axhline(tolerance, color=GREY, linewidth=0.8, zorder=0)
    right.legend(fontsize=7, frameon=False, loc="lower right")
    for axes in (left, right):
        axes.grid(linewidth=0.4, color="#dddddd")
        tidy(axes)
    return figure


def main(given: Sequence[str] | None = None) -> None:
    chosen = options.finish(NAME, options.parser(NAME, __doc__).parse_args(given))
    chosen.output.mkdir(parents=True, exist_ok=True)
    pairs = [(i, j) for i in range(len(KINDS)) for j in range(len(NAMES))]
    if chosen.smoke:
        pairs = [(i, (i + 2) % len(NAMES)) for i in range(len(KINDS))]  # quick ones
    degree, tolerance = (4, 1e-1) if chosen.smoke else (12, 1e-8)
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    found = []
    for half in HALVES:
        for i, j in pairs[: 1 if chosen.smoke and half == 2 else None]:
            key = {"half": half, "domain": KINDS[i].__name__, "equation": NAMES[j]}
            one = pieces.records(Solved, key, lambda: [solved(half, i, j, degree, tolerance)])[0]  # noqa: B023
            found.append(one)
            sys.stderr.write(_line(one))
    write_text(chosen.output / f"{NAME}.md", HEAD + "".join(map(_line, found)))
    save(draw(found, tolerance), chosen.output / f"{NAME}.png")
    verdicts.write(chosen.output / f"{NAME}.json", judged(found, tolerance))
    for name, figure in judged(found, tolerance).items():
        sys.stdout.write(f"{name}: {figure['value']} ({figure['target']})\n")


def _line(one: Solved) -> str:
    return (
        f"| {one.half} | {one.domain} | {one.equation} | {one.unknowns} | {one.error:.1e} | "
        f"{one.estimated:.1e} | {one.seconds:.2f} | {one.status} |\n"
    )


if __name__ == "__main__":
    main()
