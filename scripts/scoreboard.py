"""The scoreboard: every problem of problems/, beside its target and the best published errors.

What: runs each file of a solve or an eigenvalue problem as `kanpinn solve problems/NAME.toml --seed
N --json --quiet` in a process of its own. It reports relative L2 and H1 errors, for a system also
those of each field, for an eigenvalue problem those of the eigenvalues, the unknowns of inverse
problems with their 95% intervals, coefficients and seconds (run.json's total, without imports and
figures): medians and ranges over the seeds. The verdict is that of the median, and "median" if the
worst seed misses the target. Variants of the poster's problem may have 100 times the error of
poisson2d, which is measured with them. If kanpinn estimates its error, the table has the ratio of
the estimated to the true one.

--auto: each problem is also solved without its network, points, weights and optimizers, which are
then found by trials, for run.tolerance = the hand-set error (at least 1e-13) and run.budget_seconds
= twice the hand-set seconds (at least 5). The table has the ratios to both.

It can be stopped at any time. Runs that are done, by the same code from the same files, are not
made again, unless --again is given; failed runs are. Rows of earlier calls stay: --only NAME ...
completes a table.

How long: an hour and a half on two idle cores with --workers 2, three times as long with --auto;
--smoke: half a minute.

Writes to --output: runs.csv (a row for each problem, mode and seed), pictures/NAME.npz (the field
of the first seed), and from all of it scoreboard.md, scoreboard.csv, scoreboard.json,
scoreboard.png (the solutions) and scoreboard_errors.png (the errors beside published ones). Failed
solves are listed at the end, and the exit code is then 1.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common import options, verdicts
from scoreboards import errors_chart, files, judging, pictures, table
from scoreboards.measuring import Study
from scoreboards.rows import Row
from scoreboards.summaries import Summary, summarize
from scoreboards.targets import DIRICHLET, TARGETS

from kanpinn.plotting.style import save

NAME = Path(__file__).stem
SMOKE, SMOKE_AUTO = ("poisson5d", "inverse_navier_stokes"), ("poisson5d",)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    there, missing = files.library()
    parser = options.parser(NAME, __doc__)
    names = [*TARGETS, *(name for name in there if name not in TARGETS)]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help="problems (all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each if > 1")
    parser.add_argument("--auto", action="store_true", help="also with everything left to trials")
    parser.add_argument("--again", action="store_true", help="measure anew what is done")
    chosen = options.finish(NAME, parser.parse_args(given))
    if chosen.workers < 1:
        parser.error(f"--workers {chosen.workers}: expected 1 or more")
    if chosen.smoke:
        chosen.only, chosen.seeds, chosen.workers = SMOKE, chosen.seeds[:1], 2
    for name in missing:
        print(f"note: problems/{name}.toml is not there and is left out", file=sys.stderr)
    chosen.problems = problems(there, chosen.only)
    chosen.automatic = SMOKE_AUTO if chosen.smoke else chosen.problems if chosen.auto else ()
    return chosen


def problems(there: Sequence[str], only: Sequence[str] | None) -> list[str]:
    """Return the chosen problems in order, with the Dirichlet problem if a variant needs it."""
    wanted = set(only or there)
    if any(name in TARGETS and TARGETS[name].variant for name in wanted):
        wanted.add(DIRICHLET)
    return [name for name in there if name in wanted]


def write(output: Path, summaries: Sequence[Summary], study: Study) -> str:
    """Write the table's files and both figures; return the table."""
    lines = table.cells(summaries)
    text = table.markdown(lines)
    (output / f"{NAME}.md").write_text(text, encoding="utf-8")
    table.write_csv(output / f"{NAME}.csv", lines)
    save(errors_chart.draw(summaries), output / f"{NAME}_errors.png")
    kept = [(study.picture(s.problem), title(s)) for s in summaries]
    kept = [(path, said) for path, said in kept if path.is_file()]
    if kept:
        save(pictures.page(kept), output / f"{NAME}.png")
    return text


def title(s: Summary) -> str:
    """Return the problem and its error."""
    error = s.hand.spread("error")
    return f"{s.problem}\n" + (f"{error.median:.1e}" if error else "error not known")


def failures(rows: Sequence[Row]) -> list[Row]:
    found = [row for row in rows if row.failed]
    for row in found:
        print(f"error: {row.problem} seed {row.seed}, {row.mode}: {row.status}", file=sys.stderr)
    return found


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    study = Study(chosen.output, chosen.seeds, chosen.workers, chosen.automatic, chosen.again)
    for _ in range(2 if chosen.smoke else 1):  # the second time all runs are done already
        rows = study.measure(chosen.problems)
    summaries = summarize(rows, files.library()[0])
    text = write(chosen.output, summaries, study)
    figures = judging.figures(summaries)
    if chosen.smoke:
        figures = {name: {**figure, "met": None} for name, figure in figures.items()}
    verdicts.write(chosen.output / f"{NAME}.json", figures)
    print(f"\n{text}")
    return 1 if failures(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
