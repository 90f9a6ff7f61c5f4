"""Table 1 of the KAN poster: scaling exponents, measured.

What: (1) the C^m errors of spline KANs that approximate functions with a smooth KAN representation,
k = 1 … 5 and m = 0, 1, 2 (m ≤ k), against G^-(k+1-m). (2) The poster's Poisson problem for degrees
3, 5, 7: orders in L2 and H1 of networks [2,3,1] that variable projection finds from random starts,
three seeds, beside those of the best approximation, k+1 and k, and what a residual guarantees, k-1.
(3) What is missing, and where: with the inner functions given, best approximations in L2 and H1
against the least-squares residual by penalty, boundary weight, points and exact boundary data; and
the paper's network [2,10,1] by Levenberg–Marquardt from random starts, at once and from coarse to
fine grids, against a constructed one.

How: studies of kanpinn.sweep in OUTPUT/studies, one process each with --workers 1 (the default). A
run that is killed goes on where it was.

How long: some 20 minutes on one core; --smoke: ten seconds, its numbers mean nothing.

Writes to --output (results/poster_table1): table1.md; table1_cm_exponential, table1_cm_product,
table1_orders and table1_reasons as .png and .pdf; poster_table1.json.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import script
from matplotlib.figure import Figure
from poster import table1 as figures
from poster.table1 import (
    EXPONENTIAL,
    PRODUCT,
    SMOKE,
    Series,
    Size,
    approximation,
    find,
    judge,
    measure,
    page,
    poisson,
)

from kanpinn._support.processes import Processes

NAME = Path(__file__).stem
DEGREES = (1, 2, 3, 4, 5)
GRIDS = (8, 12, 16, 24, 32, 48, 64, 96, 128)
NODES = 201  # of each axis, where the C^m norms are taken


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    chosen = script.options(
        NAME,
        __doc__,
        given,
        workers=dict(type=int, default=1, help="processes for the studies (1)"),
    )
    if chosen.workers < 1:
        chosen.error(f"--workers {chosen.workers}: expected 1 or more")
    return chosen


def main() -> None:
    chosen = arguments()
    size = SMOKE if chosen.smoke else Size()
    series = measured(size, chosen)
    seeds = len(size.seeds)
    script.publish(chosen, page(series, seeds), judge(series), drawn(series, seeds), page="table1")


def measured(size: Size, chosen: argparse.Namespace) -> list[Series]:
    """Return all errors, of approximants and of studies."""
    degrees, grids, nodes = (DEGREES, GRIDS, NODES) if not chosen.smoke else ((1, 3), (12, 16), 41)
    series = approximation(measure(degrees, grids, nodes))
    studies = {}
    # In a smoke run the start of a process would take most of the time.
    executor = ThreadPoolExecutor(1) if chosen.smoke else Processes(chosen.workers)
    for name, study in size.run(chosen.output / "studies", executor):
        sys.stderr.write(f"{name}: {len(study.rows)} runs\n")
        studies[name] = study
    return series + poisson(studies)


def drawn(series: Sequence[Series], seeds: int) -> dict[str, Figure]:
    """Draw every figure."""
    return {
        "table1_cm_exponential": figures.draw_approximation(find(series, setting=EXPONENTIAL.name)),
        "table1_cm_product": figures.draw_approximation(find(series, setting=PRODUCT.name)),
        "table1_orders": figures.draw_orders(series, seeds),
        "table1_reasons": figures.draw_reasons(series),
    }


if __name__ == "__main__":
    main()
