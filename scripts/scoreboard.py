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

from common import script
from scoreboards import pages, solves
from scoreboards.solves import DIRICHLET, TARGETS, Row, Study, Summary, summarize

from kanpinn.plotting.style import save

NAME = Path(__file__).stem
SMOKE, SMOKE_AUTO = ("poisson5d", "inverse_lotka_volterra"), ("poisson5d",)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    there, missing = solves.library()
    names = [*TARGETS, *(name for name in there if name not in TARGETS)]
    chosen = script.options(
        NAME,
        __doc__,
        given,
        only=dict(nargs="+", choices=names, metavar="NAME", help="problems (all)"),
        seeds=dict(nargs="+", type=int, default=[0, 1, 2], help="0 1 2"),
        workers=dict(type=int, default=1, help="processes, one thread each if > 1"),
        auto=dict(action="store_true", help="also with everything left to trials"),
        again=dict(action="store_true", help="measure anew what is done"),
    )
    if chosen.workers < 1:
        chosen.error(f"--workers {chosen.workers}: expected 1 or more")
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
    lines = pages.cells(summaries)
    text = pages.markdown(lines)
    (output / f"{NAME}.md").write_text(text, encoding="utf-8")
    script.write_csv(output / f"{NAME}.csv", lines[0], lines[1:])
    save(pages.draw(summaries), output / f"{NAME}_errors.png")
    kept = [(study.picture(s.problem), title(s)) for s in summaries]
    kept = [(path, said) for path, said in kept if path.is_file()]
    if kept:
        save(solves.page(kept), output / f"{NAME}.png")
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
    summaries = summarize(rows, solves.library()[0])
    text = write(chosen.output, summaries, study)
    figures = solves.figures(summaries)
    script.write_verdicts(chosen.output / f"{NAME}.json", figures, chosen.smoke)
    print(f"\n{text}")
    return 1 if failures(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
