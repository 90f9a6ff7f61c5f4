"""The errors of the problem library: every file of problems/ that has a figure, beside it.

What: runs each as `kanpinn solve problems/NAME.toml --seed N --json --quiet` in a process of its
own and tells relative L2 and H1 errors, of a system also each field's, coefficients and seconds
(run.json's total, without imports and figures): medians and ranges over the seeds. A verdict
is the median's: "median" stands where the worst seed misses it. Variants of the poster's problem
may lose a factor of 100 against poisson2d, which is measured with them. Where kanpinn estimates its
error, the table has the ratio of that to the true one.

How long: half an hour on two idle cores, one process at a time; --smoke: half a minute.

Writes to --output: runs.csv (one row for each problem and seed; rows of earlier calls stay unless
measured again, so --only NAME ... completes or renews a table), and from all of it
measure_problems.md, measure_problems.csv, measure_problems.json. A solve that fails is told at the
end, and the exit code is 1.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import options, verdicts
from library import solves, table
from library.targets import DIRICHLET, TARGETS

NAME = Path(__file__).stem
SMOKE = ("poisson5d", "poisson100d")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = options.parser(NAME, __doc__)
    parser.add_argument("--only", nargs="+", choices=TARGETS, metavar="NAME", help="problems (all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each if > 1")
    chosen = options.finish(NAME, parser.parse_args(given))
    if chosen.workers < 1:
        parser.error(f"--workers {chosen.workers}: expected 1 or more")
    if chosen.smoke:
        chosen.only, chosen.seeds = SMOKE, chosen.seeds[:1]
    return chosen


def problems(only: Sequence[str] | None) -> list[str]:
    """The chosen ones in their order, with the Dirichlet problem where a variant needs it."""
    wanted = set(only or TARGETS)
    if any(TARGETS[name].variant for name in wanted):
        wanted.add(DIRICHLET)
    return [name for name in TARGETS if name in wanted]


def measure(chosen: argparse.Namespace) -> list[solves.Row]:
    """The rows of this call and of earlier ones; runs.csv is written after each solve."""
    path = chosen.output / "runs.csv"
    known = {(row.problem, row.seed): row for row in solves.read(path)}
    tasks = [(name, seed) for name in problems(chosen.only) for seed in chosen.seeds]
    threads = 1 if chosen.workers > 1 else None
    with ThreadPoolExecutor(chosen.workers) as pool:
        for row in pool.map(lambda task: solves.solve(*task, threads), tasks):
            known[row.problem, row.seed] = row
            solves.write(path, known.values())
            said = row.status if row.l2 is None else f"{row.l2:.1e} in {row.seconds:.2g} s"
            print(f"{row.problem} seed {row.seed}: {said}", flush=True)
    return list(known.values())


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    rows = measure(chosen)
    summaries = table.summarize(rows)
    lines = table.cells(summaries)
    text = table.markdown(lines)
    (chosen.output / "measure_problems.md").write_text(text, encoding="utf-8")
    table.write_csv(chosen.output / "measure_problems.csv", lines)
    figures = table.figures(summaries)
    if chosen.smoke:
        figures = {name: {**figure, "met": None} for name, figure in figures.items()}
    verdicts.write(chosen.output / "measure_problems.json", figures)
    print(f"\n{text}")
    failures = [row for row in rows if row.l2 is None]
    for row in failures:
        print(f"error: {row.problem} seed {row.seed}: {row.status}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
