"""Networks in cells: peaks, fronts, layers, corners and waves, to a tolerance.

What: relative L2 errors, estimated errors, unknowns and processor seconds of `kp.Cells` from 4 × 4
cells with `kp.Dissection` on two peaks, a circular front, a boundary layer, an oscillation that
becomes faster towards a corner, corners that point inwards, all to 1e-8, and on Helmholtz' equation
with wave numbers 40, 100 and 200 close to a resonance, to 1e-8 and 1e-12; and of quartic finite
elements on even meshes, by scikit-fem, for two peaks and the front.

How long: half an hour of one core; --smoke: seconds, its numbers mean nothing.

Writes to --output: cells.md, cells.png, cells.json, and pieces/, the solves: a run that was stopped
continues from them.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from boxes.measuring import Solved, all_ways
from boxes.problems import Case, cases
from common import options, verdicts
from common.pieces import Pieces
from matplotlib.figure import Figure

from kanpinn._support.files import write_text
from kanpinn.plotting.style import BLUE, VERMILLION, new_figure, save, tidy

NAME = Path(__file__).stem
HEAD = (
    "| problem | way | cells | unknowns | relative L2 error | estimated | seconds |\n"
    "|---|---|---|---|---|---|---|\n"
)


def main(given: Sequence[str] | None = None) -> None:
    parser = options.parser(NAME, __doc__)
    parser.add_argument("--only", default="", help="cases whose names contain this")
    chosen = options.finish(NAME, parser.parse_args(given))
    wanted = [case for case in cases(chosen.smoke) if chosen.only in case.name]
    if not wanted:
        parser.error(f"--only {chosen.only}: no case's name contains it")
    chosen.output.mkdir(parents=True, exist_ok=True)
    meshes = (4, 8) if chosen.smoke else (16, 32, 64, 128)
    found = all_ways(wanted, meshes, Pieces.under(chosen.output, again=chosen.smoke))
    text = HEAD + "".join(map(_line, found))
    write_text(chosen.output / f"{NAME}.md", text)
    save(draw(wanted, found), chosen.output / f"{NAME}.png")
    verdicts.write(chosen.output / f"{NAME}.json", judged(wanted, found))
    sys.stdout.write(text)


def _line(one: Solved) -> str:
    return (
        f"| {one.case} | {one.way} | {one.cells} | {one.unknowns} | {one.error:.1e} | "
        f"{one.estimated:.1e} | {one.seconds:.2f} |\n"
    )


def judged(wanted: Sequence[Case], found: Sequence[Solved]) -> dict[str, verdicts.Figure]:
    """Return error, estimate and seconds of each solve in cells beside its targets."""
    figures: dict[str, verdicts.Figure] = {}
    for case in wanted:
        (one,) = (s for s in found if s.case == case.name and s.way == "cells")
        slack = 3  # estimates are right up to this factor
        figures[f"{case.name}: error"] = {
            "value": one.error,
            "target": f"at most {case.tolerance:g}",
            "met": one.error <= case.tolerance,
        }
        figures[f"{case.name}: estimate over error"] = {
            "value": one.estimated / one.error,
            "target": f"within a factor of {slack}",
            "met": 1 / slack <= one.estimated / one.error <= slack,
        }
        figures[f"{case.name}: seconds"] = {
            "value": one.seconds,
            "target": f"at most {case.seconds:g}",
            "met": one.seconds <= case.seconds,
        }
    return figures


def draw(wanted: Sequence[Case], found: Sequence[Solved]) -> Figure:
    """Draw errors over seconds: cells of all cases, and finite elements as lines."""
    figure = new_figure(6.0, 4.0)
    axes = figure.subplots()
    for case in wanted:
        own = [s for s in found if s.case == case.name]
        cells, elements = ([s for s in own if s.way == way] for way in ("cells", "P4"))
        axes.plot([s.seconds for s in cells], [s.error for s in cells], "o", color=BLUE)
        for one in cells:
            place = (one.seconds, one.error)
            axes.annotate(case.name, place, (5, 3), textcoords="offset points", fontsize=7)
        if elements:
            line = [s.seconds for s in elements], [s.error for s in elements]
            axes.plot(*line, "s--", color=VERMILLION, markersize=4)
            place = (line[0][-1], line[1][-1])
            label = f"{case.name}, P4 elements"
            axes.annotate(label, place, (6, -3), textcoords="offset points", fontsize=7)
    axes.set(xscale="log", yscale="log", xlabel="processor seconds", ylabel="relative $L^2$ error")
    axes.margins(x=0.25, y=0.1)
    axes.grid(linewidth=0.4, color="#dddddd")
    tidy(axes)
    return figure


if __name__ == "__main__":
    main()
