"""Which degree of splines is fastest at which tolerance, over the library's evolutions.

What: problems of problems/ with one coordinate in space, solved by kp.March with splines of degree
5, 7, 9 and 11 at tolerances from 1e-3 to 1e-12. The table has the seconds of the processor, of one
thread, and the relative L2 error at 4000 random points of space and time. Of two degrees the one
with fewer seconds to the same error counts: seconds are interpolated in the error on logarithmic
scales.

How long: twenty minutes on one idle core; --smoke: some seconds.

Writes to --output: march_degrees.md, march_degrees.csv, march_degrees.json; and pieces/: a run that
was stopped continues from them.
"""

import csv
import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy
import torch
from common import options, verdicts
from common.pieces import Pieces, Row
from common.problem_files import solve_job
from marches.picture import markdown

import kanpinn as kp

NAME = Path(__file__).stem
PROBLEMS = ("burgers", "allen_cahn", "kdv", "sine_gordon", "kuramoto_sivashinsky")
DEGREES = (5, 7, 9, 11)
TOLERANCES = (1e-3, 1e-6, 1e-9, 1e-12)
DEFAULT = 9  # of files and of `kp.Windows`


def main(given: Sequence[str] | None = None) -> None:
    parser = options.parser(NAME, __doc__)
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=PROBLEMS)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of a solve (60)")
    chosen = options.finish(NAME, parser.parse_args(given))
    chosen.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    problems, degrees = (chosen.only, DEGREES) if not chosen.smoke else (["burgers"], (5, 9))
    solved("burgers", 9, 1e-2, chosen.budget)  # imports what a solve needs
    rows: list[Row] = []
    for name in problems:
        for tolerance in TOLERANCES[:1] if chosen.smoke else TOLERANCES:
            for degree in degrees:
                key = {"problem": name, "tolerance": tolerance, "degree": degree}
                make = partial(solved, name, degree, tolerance, chosen.budget)
                rows += pieces.rows(key, make)
                print(rows[-1], flush=True)
    write(rows, degrees, chosen.output, chosen.smoke)


def solved(name: str, degree: int, tolerance: float, budget: float) -> list[Row]:
    """Return a row with the seconds and the error of one solve."""
    problem = solve_job(name).problem
    begin = time.process_time()
    solution = kp.solve(
        problem,
        kp.Windows([2, len(problem.fields)], degree=degree),
        kp.March(tolerance),
        budget_seconds=budget,
        errors=False,
        verified=False,
    )
    seconds = time.process_time() - begin
    error = error_of(solution)
    intervals = int(numpy.nanmax(solution.history.column("intervals")))
    return [
        {
            "seconds": seconds,
            "error": error,
            "windows": solution.network.count,
            "intervals": intervals,
            "status": solution.status,
        }
    ]


def error_of(solution: kp.Solution, count: int = 4000) -> float:
    """Return the relative L2 error at random points of space and time."""
    problem = solution.problem
    low, high = problem.domain.bounds
    unit = torch.rand(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = kp.Points(low + unit * (high - low), problem.domain.names)
    recipe = problem.reference()
    if isinstance(recipe, kp.DataFile):
        known = recipe.build(problem).jet(p, kp.Channels(problem.domain.names)).value
    else:
        assert problem.exact is not None
        known = torch.as_tensor(problem.exact(p))
    found = torch.as_tensor(solution(p))
    return float((found - known).norm() / known.norm())


def fastest(rows: Sequence[Row], tolerance: float) -> dict[int, float]:
    """Return for each degree the mean ratio of its seconds to those of the default degree.

    The mean is geometric, over the problems that both solve; each problem's seconds are those to
    the larger of the two errors, along the line through the degree's own solves.
    """
    found = {}
    for degree in sorted({row["degree"] for row in rows}):
        ratios = []
        for name in dict.fromkeys(row["problem"] for row in rows):
            own = [r for r in rows if r["problem"] == name and r["status"] == "converged"]
            both = [
                [r for r in own if r["degree"] == d and r["tolerance"] == tolerance]
                for d in (degree, DEFAULT)
            ]
            if all(both):
                error = max(one[0]["error"] for one in both)
                ratios.append(
                    math.log(_seconds(own, degree, error) / _seconds(own, DEFAULT, error))
                )
        found[degree] = math.exp(sum(ratios) / len(ratios)) if ratios else math.nan
    return found


def _seconds(rows: Sequence[Row], degree: int, error: float) -> float:
    own = sorted((r for r in rows if r["degree"] == degree), key=lambda r: -r["error"])
    x = [-math.log(max(r["error"], 1e-16)) for r in own]
    return math.exp(numpy.interp(-math.log(error), x, [math.log(r["seconds"]) for r in own]))


def write(rows: Sequence[Row], degrees: Sequence[int], output: Path, smoke: bool) -> None:
    """Write the rows, a table with a column for each degree, and the verdicts."""
    with (output / f"{NAME}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    table = [["problem", "tolerance", *(f"degree {d}: seconds (error)" for d in degrees)]]
    for name, tolerance in dict.fromkeys((r["problem"], r["tolerance"]) for r in rows):
        here = [r for r in rows if (r["problem"], r["tolerance"]) == (name, tolerance)]
        cells = [f"{r['seconds']:.2f} ({r['error']:.1e})" for r in here]
        marks = ["" if r["status"] == "converged" else " *" for r in here]
        joined = [cell + mark for cell, mark in zip(cells, marks, strict=True)]
        table.append([name, f"{tolerance:g}", *joined])
    figures: dict[str, verdicts.Figure] = {}
    for tolerance in dict.fromkeys(r["tolerance"] for r in rows):
        means = fastest(rows, tolerance)
        table.append(["all, ratio", f"{tolerance:g}", *(f"{means[d]:.2f}" for d in degrees)])
        best = min((v for v in means.values() if not math.isnan(v)), default=math.nan)
        figures[f"tolerance {tolerance:g}: least seconds of all degrees / those of degree 9"] = {
            "value": best,
            "target": ">= 0.8",
            "met": None if smoke else best >= 0.8,
        }
    text = markdown(table) + "\n`*`: not converged\n"
    (output / f"{NAME}.md").write_text(text, encoding="utf-8")
    verdicts.write(output / f"{NAME}.json", figures)
    print(text)


if __name__ == "__main__":
    main()
