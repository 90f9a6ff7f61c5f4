"""Anderson localization: edges of mobility of quasiperiodic chains, learned by KANs.

What: eigenstates of Mosaic chains (κ = 2, 3), of the generalised (GAAM) and the modified (MAAM)
Aubry–André model, rings of 377 to 987 sites with random parameters and phases. A state is called
localized where its fractal dimension D = -log IPR / log N is below the D at which the
distributions of D of shorter and longer rings cross. A KAN learns the classes from E, the
parameters and the phase (which does not matter; pruning finds that); its zero set is the edge of
mobility, which is read as a formula: coefficients of a polynomial, reduced and rounded, or edges
snapped to a library. Nothing is set by hand; theory is used to judge only.

How: three seeds, each with chains and networks of its own; states to judge by are of chains of
their own. All parts are in scripts/anderson_localization.

How long: some five minutes of one core; --smoke: ten seconds, its numbers mean nothing.

Writes to --output (results/anderson): anderson.md; anderson_edges and anderson_accuracies as .png
and .pdf; anderson.json; and pieces/, the results of each model and seed: a run that was stopped
continues from them.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from anderson_localization import figures, report
from anderson_localization.chains import MODELS
from anderson_localization.study import SMOKE, Size, run
from common import options, verdicts
from common.figures import save_figure
from common.pieces import Pieces

from kanpinn._support.files import write_text


def main(given: Sequence[str] | None = None) -> None:
    name = Path(__file__).stem
    chosen = options.finish(name, options.parser(name, __doc__).parse_args(given))
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    results = run(MODELS, SMOKE if chosen.smoke else Size(), pieces)
    chosen.output.mkdir(parents=True, exist_ok=True)
    drawn = {
        "anderson_edges": figures.draw_edges(results),
        "anderson_accuracies": figures.draw_accuracies(results),
    }
    for stem, figure in drawn.items():
        save_figure(figure, chosen.output / stem, chosen.smoke)
    text = report.page(results)
    write_text(chosen.output / "anderson.md", text)
    judged = report.judge(results)
    if chosen.smoke:
        judged = {name: {**figure, "met": None} for name, figure in judged.items()}
    verdicts.write(chosen.output / "anderson.json", judged)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
