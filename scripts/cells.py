"""Networks in cells: peaks, fronts, layers, corners and waves, to a tolerance.

What: relative L2 errors, estimated errors, unknowns and processor seconds of `kp.Cells` from 4 × 4
cells with `kp.Dissection` on two peaks, a circular front, a boundary layer, an oscillation that
becomes faster towards a corner, corners that point inwards, one of them with a reaction, all to
1e-8, and on Helmholtz' equation with wave numbers 40, 100 and 200 close to a resonance, to 1e-8 and
1e-12. Six of these are also solved in cells to larger tolerances and by quartic finite elements of
scikit-fem, whose triangles are refined where the true error is largest.

How long: half an hour of one core; --smoke: seconds, its numbers mean nothing.

Writes to --output: cells.md, cells.png, cells.json, and pieces/, the solves: a run that was stopped
continues from them.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from boxes.measuring import Solved, all_ways, seconds_of_elements
from boxes.problems import Case, cases
from common import options, verdicts
from common.pieces import Pieces
from matplotlib.figure import Figure

from kanpinn._support.files import write_text
from kanpinn.plotting.style import MARKERS, PALETTE, new_figure, save, tidy

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
    rougher, limit = ((), 0.1) if chosen.smoke else ((1e-5, 1e-6, 1e-7), 60.0)
    found = all_ways(wanted, rougher, limit, Pieces.under(chosen.output, again=chosen.smoke))
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
        own = [s for s in found if s.case == case.name]
        (one,) = (s for s in own if s.tolerance == case.tolerance)
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
        figures |= {
            f"{case.name}: P4 over cells, at {cells.tolerance:g}": _beside(cells, own)
            for cells in own
            if case.weak and cells.way == "cells"
        }
    return figures


def _beside(cells: Solved, own: Sequence[Solved]) -> verdicts.Figure:
    """The ratio of the seconds of finite elements to those of cells, for the same error."""
    elements = [s for s in own if s.way == "P4"]
    ratio = seconds_of_elements(elements, cells.error) / cells.seconds
    return {"value": ratio, "target": "at least 1", "met": ratio >= 1}


def draw(wanted: Sequence[Case], found: Sequence[Solved]) -> Figure:
    """Draw errors over seconds: cells of all cases, and finite elements as lines."""
    figure = new_figure(7.5, 4.2)
    axes = figure.subplots()
    for number, case in enumerate(wanted):
        turn, which = divmod(number, len(PALETTE))
        color, marker = PALETTE[which], MARKERS[turn % len(MARKERS)]
        own = [s for s in found if s.case == case.name]
        cells, elements = ([s for s in own if s.way == way] for way in ("cells", "P4"))
        axes.plot(
            [s.seconds for s in cells],
            [s.error for s in cells],
            marker=marker,
            color=color,
            label=case.name,
        )
        axes.plot([s.seconds for s in elements], [s.error for s in elements], "--", color=color)
    axes.set(xscale="log", yscale="log", xlabel="processor seconds", ylabel="relative $L^2$ error")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    axes.grid(linewidth=0.4, color="#dddddd")
    tidy(axes)
    return figure


if __name__ == "__main__":
    main()
