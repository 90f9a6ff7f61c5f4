"""The KAN paper's toy functions (its Figure 3.1): orders of cubic KANs, MLPs beside.

What: J0(20 x) by [1,1], exp(sin πx + y²) by [2,1,1], xy by [2,2,1], exp(Σ sin²(πx_i/2)/100) by
[100,1,1] and exp((sin π(x1²+x2²) + sin π(x3²+x4²))/2) by [4,2,1,1], k = 3 and 5: test RMSE
(absolute, on 4000 fresh uniform points) on grids from 3 intervals on, the orders in which it falls,
and MLPs of three sizes with three optimizers; the paper's values in the same figure.

How: [1,1] is one least-squares solve on each grid. The deep ones are found by variable projection
from random starts on a coarse grid; then knots are inserted and all layers go on, by variable
projection and Levenberg–Marquardt. [100,1,1] starts from the separable fit Σ φ_i(x_i), which is one
linear solve. 1000 points as in the paper, or three for each parameter of the finest grid where that
is more, with the density of Chebyshev's nodes (no gap along the boundary); for 100 variables they
are uniform, and 1000 beside, which is interpolation. The MLPs are trained by Levenberg–Marquardt,
L-BFGS and Adam, some 4 s each. Three seeds, of points and networks.

How long: some 17 minutes of one core; --smoke: ten seconds, of two functions.

Writes to --output (results/fit_toy_functions): toy.md, toy.csv, toy.png and .pdf, pieces/ (a JSON
file for each run: a study that is stopped goes on where it was), fit_toy_functions.json.
"""

import sys
from pathlib import Path

from common import options, verdicts
from common.figures import save_figure
from common.pieces import Pieces
from function_fitting.rows import write_csv
from function_fitting.toy_figure import draw
from function_fitting.toy_page import judge, page
from function_fitting.toy_runs import SMOKE, Size, measure

from kanpinn._support.files import write_text

DEGREES = (3, 5)


def main() -> None:
    name = Path(__file__).stem
    chosen = options.finish(name, options.parser(name, __doc__).parse_args())
    size, degrees = (SMOKE, (3,)) if chosen.smoke else (Size(), DEGREES)
    rows = []
    for row in measure(size, degrees, Pieces.under(chosen.output, again=chosen.smoke)):
        rows.append(row)
        sys.stderr.write("{function} {network} seed {seed}: {test_rmse:.1e}\n".format(**row))
    text = page(rows)
    write_text(chosen.output / "toy.md", text)
    write_csv(chosen.output / "toy.csv", rows)
    save_figure(draw(rows), chosen.output / "toy", chosen.smoke)
    verdicts.write(chosen.output / "fit_toy_functions.json", judge(rows))
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
