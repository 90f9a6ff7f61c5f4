"""The KAN paper's fifteen special functions, fitted from random points.

What: test RMSE (absolute, on 4000 fresh uniform points) of KANs and MLPs for scipy.special's
ellipj (sn), ellipkinc, ellipeinc, jv, yv, kv, iv, lpmv (m = 0, 1, 2) and the real part of sph_harm
(m, n) = (0,1), (1,1), (0,2), (1,2), (2,2), beside the paper's best KAN and MLP (its Table 1).

The paper does not print its ranges, nor does pykan hold them. Here: elliptic φ in [0, π/2] (u in
[0, 5] for sn), m in [0, 0.9]; J and Y: ν in [0, 2], x in [1, 10]; K and I: ν in [0, 2], x in
[1, 5]; P_ν^m: ν in [0, 4], x in [-0.5, 0.9]; spherical harmonics: the whole sphere. All away from
singularities; so a comparison with the paper's numbers is one of figures, not of equal tasks, and
the MLPs here, on the same points, are the honest yardstick.

How: 1000 uniform points, 3000 of them (the paper does not say how many it has), and 1000 with the
density of Chebyshev's nodes (the cosine of a uniform angle), which leave no gap along the boundary.
Grids cover the function's domain, not the points' range. Wide KANs have random inner functions and
one least-squares solve of the output layer, with tanh features beside them; a small KAN is trained
by variable projection, then Levenberg–Marquardt on nested grids; MLPs by Levenberg–Marquardt,
L-BFGS and Adam, with as many seconds each. Settings are chosen from one short list for all
functions by a fifth of the points, never by the test. Medians of three seeds (of points and
networks).

How long: some 12 minutes of one core; --smoke: some seconds, three functions.

Writes to --output (results/fit_special_functions): special.md, special.csv, special.png and .pdf,
pieces/ (a JSON file for each fit: a run that is stopped goes on where it was),
fit_special_functions.json.
"""

import sys
from pathlib import Path

from common import options, verdicts
from common.figures import save_figure
from common.pieces import Pieces
from function_fitting.rows import write_csv
from function_fitting.special import FUNCTIONS
from function_fitting.special_figure import draw
from function_fitting.special_page import judge, page
from function_fitting.special_runs import METHODS, SMOKE, measure

from kanpinn._support.files import write_text

SHOWN = ("ellipj", "lpmv 1", "sph_harm 1,2")  # by a smoke run: one of each way to define them


def main() -> None:
    name = Path(__file__).stem
    chosen = options.finish(name, options.parser(name, __doc__).parse_args())
    functions, methods = list(FUNCTIONS.values()), METHODS
    seeds: tuple[int, ...] = (0, 1, 2)
    if chosen.smoke:
        functions, methods, seeds = [FUNCTIONS[name] for name in SHOWN], SMOKE, (0,)
    rows = []
    for row in measure(functions, methods, seeds, Pieces.under(chosen.output, again=chosen.smoke)):
        rows.append(row)
        sys.stderr.write("{function} {method} {points}: {test_rmse:.1e}\n".format(**row))
    text = page(rows)
    write_text(chosen.output / "special.md", text)
    write_csv(chosen.output / "special.csv", rows)
    save_figure(draw(rows), chosen.output / "special", chosen.smoke)
    verdicts.write(chosen.output / "fit_special_functions.json", judge(rows))
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
