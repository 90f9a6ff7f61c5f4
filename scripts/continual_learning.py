"""Continual learning: five Gaussian peaks, one after the other (pykan's example 8).

What: networks of some 200 coefficients see the points of one peak at a time. A KAN [1,1], one
spline on 200 intervals, keeps what it has learned, for splines are local, unless least squares
takes the smallest coefficients; an MLP forgets, and so does a KAN with a hidden layer. With Adam,
L-BFGS, Levenberg–Marquardt and least squares, each started anew for each peak, three seeds.

How long: three minutes on one core; --smoke: some seconds, fewer points and steps, one seed.

Writes to --output (results/continual_learning): continual_learning.md; phases and errors as .png
and .pdf (the functions after each phase; the errors over the peaks seen); continual_learning.json;
and pieces/, the result of each network, optimizer and seed: a run that was stopped continues from
them.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from common import options, verdicts
from common.figures import save_figure
from common.pieces import Pieces
from continual.figures import draw_errors, draw_phases
from continual.learning import BORDER, study
from continual.page import judge, page

from kanpinn._support.files import write_text

POINTS, STEPS = 100, 100
SHOWN = "L-BFGS"  # pykan's


def main(given: Sequence[str] | None = None) -> None:
    name = Path(__file__).stem
    parser = options.parser(name, __doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    chosen = options.finish(name, parser.parse_args(given))
    output = chosen.output
    output.mkdir(parents=True, exist_ok=True)
    seeds, steps = (chosen.seeds[:1], 1) if chosen.smoke else (chosen.seeds, STEPS)
    results = study(seeds, POINTS, steps, Pieces.under(output, again=chosen.smoke))
    figures = judge(results)
    if chosen.smoke:
        figures = {name: {**figure, "met": None} for name, figure in figures.items()}
    verdicts.write(output / "continual_learning.json", figures)
    text = page(results, BORDER)
    write_text(output / "continual_learning.md", text)
    save_figure(draw_phases(results, SHOWN, POINTS), output / "phases", chosen.smoke)
    save_figure(draw_errors(results), output / "errors", chosen.smoke)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
