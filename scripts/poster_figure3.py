"""Figure 3.3 of the KAN paper, the poster's Poisson problem: scaling laws of KANs and MLPs.

What: u_xx + u_yy = f on [-1, 1]², u = 0 on the boundary, u = sin(πx) sin(πy²).
  kan       the poster's protocol (L-BFGS, G = 2, 4, 6, 8, 10), KANs [2,w,1] of degree 3
  mlp       the same loss, points and number of steps for MLPs of depth 2 to 5
  fair-kan  Levenberg–Marquardt on all layers of the same KANs, with the poster's loss and with
            exact boundary values, degree 3; degrees 5 and 7 for w = 10 with exact values
  fair-mlp  the same optimizer for MLPs of up to 500 weights
  structure variable projection, KANs [2,2,1] of degree 3, 5, 7 found from random starts
  fit       the same KANs fitted to the solution: what is lost to the equation's norm
  figures   draws what there is

How long: on one quiet core, with the defaults, kan 30 minutes, mlp 70, fair-kan 40, fair-mlp 20,
fit 5, structure 4; figures seconds. Each part is a resumable study: a call that is stopped goes on
when it is made again, and calls with further --widths, --depths or --seeds add to what is there.
--mlp-widths 100,200 take hours.

Writes to --output the studies, poster_figure3_{dynamics,scaling,fair,orders}.{png,pdf},
poster_figure3.csv (all numbers), figure3.md (beside the paper's) and poster_figure3.json (figures
with their targets). --smoke: all parts at a size that only shows that they work, under a minute.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from common import script
from poster import figure3

from kanpinn.runs.study import Tally

NAME = Path(__file__).stem
PARTS = ("kan", "mlp", "fair-kan", "fair-mlp", "structure", "fit", "figures")
FAIR_SHAPES = ((2, 10), (2, 20), (3, 5), (3, 10), (4, 5), (2, 50), (4, 10), (2, 100), (3, 20))


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    chosen = script.options(
        NAME,
        __doc__,
        given,
        part=dict(choices=[*PARTS, "all"], default="all"),
        widths=dict(type=_numbers, default="10,7,5", help="of KANs (10,7,5)"),
        seeds=dict(type=_numbers, default="0,1,2", help="of KANs (0,1,2)"),
        depths=dict(type=_numbers, default="2,3,4,5", help="of MLPs (2,3,4,5)"),
        mlp_widths=dict(type=_numbers, default="5,10,20,50", help="(5,10,20,50)"),
        mlp_seeds=dict(type=_numbers, default="0", help="(0)"),
        workers=dict(type=int, help="processes of one core (as many as cores)"),
    )
    if chosen.smoke:
        chosen.widths, chosen.seeds = [5], [0]
        chosen.depths, chosen.mlp_widths, chosen.mlp_seeds = [2], [10], [0]
    return chosen


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers like 0,1,2") from None


def run(part: str, chosen: argparse.Namespace, executor: Executor | None) -> None:
    """Run the studies of one part."""
    size = figure3.SMOKE if chosen.smoke else figure3.Size()
    options: dict[str, Any] = {
        "output": chosen.output,
        "workers": chosen.workers,
        "executor": executor,
        "observers": [Progress(part)],
    }
    widths, seeds = chosen.widths, chosen.seeds
    if part == "kan":
        figure3.poster_kan(widths, seeds, size, **options)
    elif part == "mlp":
        shapes = [(depth, width) for width in chosen.mlp_widths for depth in chosen.depths]
        figure3.poster_mlp(shapes, chosen.mlp_seeds, size, **options)
    elif part == "fair-kan":
        figure3.fair_kan(widths, [3], figure3.VARIANTS, seeds, size, **options)
        if 10 in widths:
            figure3.fair_kan([10], [5, 7], ["exact"], seeds, size, **options)
    elif part == "fair-mlp":
        shapes = [shape for shape in FAIR_SHAPES if shape[0] in chosen.depths]
        shapes = shapes[:1] if chosen.smoke else shapes
        figure3.fair_mlp(shapes, figure3.VARIANTS, chosen.mlp_seeds, size, **options)
    elif part == "structure":
        figure3.structure(seeds, size, **options)
    elif part == "fit":
        figure3.fit(widths[:1], [3], seeds, size, **options)


class Progress:
    """An observer that prints a line when another run is done."""

    def __init__(self, part: str) -> None:
        self.part, self.done = part, -1

    def __call__(self, tally: Tally) -> None:
        if tally.done != self.done:
            self.done = tally.done
            left = "" if not tally.left else f", about {tally.left / 60:.0f} min left"
            print(f"{self.part}: {tally.done} of {tally.total} runs{left}", flush=True)


def publish(output: Path, smoke: bool) -> None:
    """Write figures, page, numbers and verdicts of all runs in the output folder."""
    runs = figure3.read(output)
    figure3.write(runs, output / "poster_figure3.csv")
    figure3.draw(runs, output, smoke)
    (output / "figure3.md").write_text(figure3.page(runs), encoding="utf-8")
    script.write_verdicts(output / "poster_figure3.json", figure3.verdicts(runs))
    print(f"{output / 'figure3.md'}, {output / 'poster_figure3.json'}")


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    parts = PARTS[:-1] if chosen.part == "all" else (chosen.part,)
    # In a smoke run the start of a process for each study would take most of the time.
    with ThreadPoolExecutor(1) if chosen.smoke else nullcontext() as executor:
        for part in parts:
            if part != "figures":
                run(part, chosen, executor)
    publish(chosen.output, chosen.smoke)
    return 0


if __name__ == "__main__":
    sys.exit(main())
