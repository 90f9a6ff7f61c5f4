"""Anderson localization: edges of mobility of quasiperiodic chains, learned by KANs.

What: eigenstates of Mosaic chains (κ = 2, 3), of the generalised (GAAM) and the modified (MAAM)
Aubry–André model, rings of 377 to 987 sites with random parameters and phases. A state is called
localized where its fractal dimension D = -log IPR / log N is below the valley between the two
peaks of D. A KAN learns the classes from E, the parameters and the phase (which does not matter;
pruning finds that); its zero set is the edge of mobility, which is read as a formula: coefficients
of a polynomial, reduced and rounded, or edges snapped to a library. Nothing is set by hand; theory
is used to judge only.

How: three seeds, each with chains and networks of its own; states to judge by are of chains of
their own. All parts are in scripts/anderson_localization.

How long: some 15 minutes on two cores; --smoke: half a minute, its numbers mean nothing.

Writes to --output (results/anderson): anderson.md; anderson_edges and anderson_accuracies as .png
and .pdf; anderson.json.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from anderson_localization import report
from anderson_localization.chains import MODELS
from anderson_localization.study import SMOKE, Size, run
from common import verdicts

from kanpinn.files import write_text
from kanpinn.plotting.style import save


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="results/anderson")
    parser.add_argument("--smoke", action="store_true", help="a quick check of the script itself")
    chosen = parser.parse_args(given)
    folder = "anderson_smoke" if chosen.smoke else "anderson"
    chosen.output = chosen.output or Path("results") / folder
    return chosen


def main() -> None:
    chosen = arguments()
    results = run(MODELS, SMOKE if chosen.smoke else Size())
    chosen.output.mkdir(parents=True, exist_ok=True)
    drawn = {
        "anderson_edges": report.draw_edges(results),
        "anderson_accuracies": report.draw_accuracies(results),
    }
    for name, figure in drawn.items():
        for suffix in ("png", "pdf"):
            save(figure, chosen.output / f"{name}.{suffix}")
    text = report.page(results)
    write_text(chosen.output / "anderson.md", text)
    verdicts.write(chosen.output / "anderson.json", report.judge(results))
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
