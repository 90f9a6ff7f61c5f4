"""Errors against seconds, with nothing chosen, beside the codes that a user would take instead.

What: 40 problems with known solutions, four of each of ten classes, drawn at random; the second
half is kept aside: it is for claims, and no choice of kanpinn is tuned on it. `kp.solve(problem,
tolerance=..., budget=...)`, or `kp.eigen`, gets 2, 5, 15 and 60 seconds; the other codes solve on
finer and finer meshes, or to smaller and smaller tolerances, until they have taken 60 seconds. They
are: scikit-fem with elements P2 and P4 (hexahedra Q2 in space), on meshes graded to corners or
refined by the jumps of the gradient; SciPy's solve_bvp and solve_ivp; Fourier modes with ETDRK4
steps; Chebyshev collocation; finite volumes.

Errors are relative, in L2 over all fields at random points: of an evolution at eight moments; of
eigenvalues the root of the mean square. Seconds are those of the processor, of one thread, without
imports; budgets are too, so that a busy machine changes nothing.

How long: three hours of one core; --smoke: seconds, its numbers mean nothing.

Writes to --output: rows.csv (every solve), beside.md (errors at each budget, and seconds to 1e-3,
1e-6 and 1e-8 over those of the best other code), beside.png and .pdf, beside.json; and pieces/: a
row that is there is not run again. Rows of other codes are kept when kanpinn changes.
"""

import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from random import Random
from typing import Any

import numpy as np
import torch
from classes.lines import layers, line_spectrum, nonlinear, ordinary
from classes.meshes import (
    heat,
    plane_scalar,
    plane_spectrum,
    plane_vector,
    space_scalar,
    space_vector,
)
from classes.periods import evolution, plane_period
from classes.task import Array, Task, Truth
from common import script
from common.elements import relative
from common.pieces import Pieces
from hostile.eigenvalues import Drawn as Spectrum
from hostile.judging import FOUND, by_processor
from hostile.sections import forked, prepare
from march_peers import seconds_to
from matplotlib.figure import Figure

import kanpinn as kp

CLASSES: Mapping[str, Callable[[Random, int], Task]] = {
    "layers": layers,
    "nonlinear BVPs": nonlinear,
    "ODE systems": ordinary,
    "evolutions": evolution,
    "plane, scalar": plane_scalar,
    "plane, vector": plane_vector,
    "plane evolutions": lambda draw, n: plane_period(draw) if n % 2 else heat(draw, n),
    "eigenvalues": lambda draw, n: line_spectrum(draw) if n % 2 else plane_spectrum(draw, n),
    "space, scalar": space_scalar,
    "space, vector": space_vector,
}
SHORT = {kind.replace(",", "").replace(" ", "_").lower(): kind for kind in CLASSES}  # options
HALVES = {"open": (0, 1), "aside": (2, 3)}
SMOKE = [("evolutions", 3), *((kind, n) for kind in CLASSES for n in (0, 1))]
SOLVED = {("layers", 0), ("ODE systems", 1), ("evolutions", 0), ("evolutions", 3)}
SOLVED |= {("plane, vector", 1), ("eigenvalues", 1)}
SLOW = [("plane, vector", 0), ("space, vector", 0)]  # in a smoke run, of which others do as much


def task_of(kind: str, number: int) -> Task:
    return CLASSES[kind](Random(f"beside {kind} {number}"), number)


@dataclass(frozen=True)
class Row:
    """A solve: its setting (a budget, a tolerance, a mesh), seconds, relative error and estimate.

    how: the network that answered and the lines of the search for it. known_to: the error of the
    truth.
    """

    kind: str
    number: int
    words: str
    code: str
    setting: str
    seconds: float
    error: float
    estimate: float | None = None
    status: str = ""
    how: str = ""
    known_to: float = 0.0


OURS = "kanpinn"
NONE = {"setting": "", "seconds": 0.0, "error": math.inf}  # of a solve that fails


def by_kanpinn(task: Task, truth: Truth, budget: float, tolerance: float) -> dict[str, Any]:
    """Solve with nothing chosen."""
    by_processor()
    begun = time.process_time()
    if isinstance(task.problem, Spectrum):
        skipped, sought = task.problem.skipped, task.problem.sought  # type: ignore[attr-defined]
        wanted = len(sought) + skipped
        modes = kp.eigen(task.problem, count=wanted, tolerance=tolerance, budget=budget)
        seconds, estimate = time.process_time() - begun, None
        found = np.full((len(sought), 1), np.nan)
        values = modes.values.numpy()[skipped:wanted].real
        found[: len(values), 0] = values / sought[: len(values)]
        if modes.estimates is not None and len(values):
            estimate = float(
                (modes.estimates[skipped:wanted] / abs(torch.from_numpy(values))).max()
            )
        status, how = str(modes.status), type(modes.network).__name__
    else:
        solution = kp.solve(task.problem, tolerance=tolerance, budget=budget)
        seconds, estimate = time.process_time() - begun, solution.estimated_error
        found = solution(torch.from_numpy(truth.coords)).detach().numpy()
        status = str(solution.status)
        how = "\n".join([type(solution.network).__name__, *solution.log])
    return {
        "setting": f"{budget:g} s",
        "seconds": seconds,
        "error": distance(found, truth),
        "estimate": estimate,
        "status": status,
        "how": how,
    }


def distance(found: Array, truth: Truth) -> float:
    """Return the relative error, which is not known below that of the truth."""
    error = relative(found - truth.values, truth.values, np.ones(len(found)))
    return max(error, truth.known_to, 1e-16) if math.isfinite(error) else math.inf


def by_other(name: str, task: Task, truth: Truth, limit: float) -> Iterator[dict[str, Any]]:
    """Yield at least two solves of another code, until one takes a third of the limit."""
    total, begun = 0.0, time.process_time()
    for index, (setting, values) in enumerate(task.codes[name](truth.coords)):
        seconds = time.process_time() - begun
        total += seconds
        error = values if isinstance(values, tuple) else (distance(values(), truth), 0.0)
        seconds = error[1] or (total if name.endswith("refined") else seconds)
        yield {"setting": str(setting), "seconds": max(seconds, 1e-4), "error": error[0]}
        if index and (3 * seconds > limit or error[0] < 1e-12):
            return
        begun = time.process_time()


def in_fork(solves: Callable[[], Iterator[dict[str, Any]]], seconds: float) -> list[dict[str, Any]]:
    """Return what a generator yields in a process of its own, until that is killed or fails."""

    def action() -> int:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for one in solves():
                    print(FOUND + json.dumps(one), flush=True)
        except BaseException as error:  # a refusal is a result
            print(FOUND + json.dumps(NONE | {"status": f"{type(error).__name__}: {error}"[:300]}))
        return 0

    said = forked(action, seconds).said.splitlines()
    lines = [line.removeprefix(FOUND) for line in said if line.startswith(FOUND)]
    return [json.loads(line) for line in lines]


def measured(kind: str, number: int, options: Any) -> Iterator[Row]:
    """Yield the rows of a problem; those that are in --output are read."""
    ours = Pieces.under(options.output, options.smoke)
    kept = Pieces((ours.folder if options.smoke else ours.folder.parent) / "others")
    task = task_of(kind, number)
    key: dict[str, Any] = {"kind": kind, "number": number, "words": task.words}
    truth = kept.pickled(key, lambda: task.truth(options.smoke))

    def rows(pieces: Pieces, more: dict[str, Any], solves: Any, limit: float) -> list[Row]:
        def make() -> list[Row]:
            found = in_fork(solves, 20 * limit + 200)
            rows = found or [NONE | {"status": "killed"}]
            more_of = {"code": more["code"], "known_to": truth.known_to}
            return [Row(kind, number, task.words, **more_of, **one) for one in rows]

        return pieces.records(Row, key | more, make)

    for budget in options.budgets:
        if options.smoke and (kind, number) not in SOLVED:
            continue
        solves = lambda b=budget: iter([by_kanpinn(task, truth, b, options.tolerance)])  # noqa: E731
        yield from rows(ours, {"code": OURS, "budget": budget}, solves, budget)
    for name in task.codes:
        limit = 0.0 if options.smoke else options.limit
        solves = partial(by_other, name, task, truth, limit)
        yield from rows(kept, {"code": name, "limit": limit}, solves, limit)


# --- tables and picture

AIMS = (1e-3, 1e-6, 1e-8)
SLACK = 3.0  # of estimates


def honest(row: Row) -> bool:
    """Return whether there is an answer whose error is at most thrice its estimate."""
    return row.estimate is not None and row.error - row.known_to <= max(SLACK * row.estimate, 1e-13)


def ratio_to_best(rows: Sequence[Row], aim: float) -> tuple[float, float]:
    """Return kanpinn's seconds to an error, and those of the best other code; NaN for never."""
    own = seconds_to([row for row in rows if row.code == OURS], aim)  # type: ignore[misc]
    codes = {row.code for row in rows} - {OURS}
    others = [seconds_to([row for row in rows if row.code == code], aim) for code in codes]  # type: ignore[misc]
    return own, min((one for one in others if one == one), default=math.nan)


def compared(problems: Mapping[tuple[str, int], Sequence[Row]]) -> str:
    """Return the table of all problems in Markdown."""
    budgets = list(
        dict.fromkeys(r.setting for rows in problems.values() for r in rows if r.code == OURS)
    )
    head = ["class", "problem", *(f"error (estimate) at {one}" for one in budgets)]
    head += [f"seconds to {aim:g}, ours / best other" for aim in AIMS]
    lines = []
    for (kind, number), rows in problems.items():
        by = {row.setting: row for row in rows if row.code == OURS}
        cells = [
            f"{r.error:.1e} ({r.estimate or math.nan:.0e})" if (r := by.get(b)) else ""
            for b in budgets
        ]
        pairs = (ratio_to_best(rows, aim) for aim in AIMS)
        lines.append(
            [kind, f"{number}: {rows[0].words}", *cells, *(f"{a:.2g} / {b:.2g}" for a, b in pairs)]
        )
    return script.markdown(head, lines)


def judged(problems: Mapping[tuple[str, int], Sequence[Row]]) -> dict[str, script.Verdict]:
    """Return how many problems are answered honestly at once, and where kanpinn is ahead."""
    total = len(problems)
    first = [next((row for row in rows if row.code == OURS), None) for rows in problems.values()]
    count = sum(row is not None and honest(row) for row in first)
    found = {
        "answers with an honest estimate at the first budget": script.verdict(
            f"{count} of {total}", "39 of 40", count >= 39 / 40 * total
        )
    }
    for aim in AIMS:
        pairs = [ratio_to_best(rows, aim) for rows in problems.values()]
        slack = 2 if aim == AIMS[0] else 1
        ahead = sum(own == own and not own > slack * other for own, other in pairs)
        nobody = sum(own != own and other != other for own, other in pairs)
        words = f"{ahead} of {total}, nobody in {nobody}"
        found[f"ahead to {aim:g}" + " or within a factor 2" * (slack > 1)] = script.verdict(
            words, "30 of 40", ahead >= 0.75 * total
        )
    return found


def draw_classes(rows: Sequence[Row]) -> Figure:
    """Draw errors against seconds, a panel for each class."""
    figure = Figure(figsize=(15, 6.5), layout="constrained")
    panels = figure.subplots(2, 5).ravel()
    codes = list(dict.fromkeys(row.code for row in rows))
    for axes, kind in zip(panels, CLASSES, strict=True):
        for number, code in product(range(4), codes):
            own = [r for r in rows if (r.kind, r.number, r.code) == (kind, number, code)]
            own = sorted(own, key=lambda r: r.seconds)
            least = [math.inf, *np.minimum.accumulate([r.error for r in own])]
            own = [r for r, before in zip(own, least, strict=False) if r.error < before]
            look = {"color": "#b2182b", "linewidth": 1.8} if code == OURS else {"color": "#2166ac"}
            label = OURS if code == OURS else "other codes"
            axes.plot(
                [r.seconds for r in own],
                [r.error for r in own],
                "o-",
                markersize=3,
                **{"linewidth": 0.8} | look,
                label=label,
            )
        axes.set(xscale="log", yscale="log", title=kind, ylim=(1e-14, 10))
        axes.grid(alpha=0.3)
    handles = {h.get_label(): h for h in panels[0].get_lines()}
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=2, frameon=False
    )
    figure.supxlabel("seconds of one core")
    figure.supylabel("relative $L_2$ error")
    return figure


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        "beside",
        __doc__,
        given,
        only=dict(
            nargs="+",
            choices=SHORT,
            default=[*SHORT],
            metavar="CLASS",
            help=f"the classes of problems: {', '.join(SHORT)} (all)",
        ),
        half=dict(
            nargs="+",
            choices=HALVES,
            default=[*HALVES],
            metavar="HALF",
            help="the problems of each class: open, aside (both)",
        ),
        budgets=dict(
            nargs="+",
            type=float,
            default=[2.0, 5.0, 15.0, 60.0],
            metavar="SECONDS",
            help="of kanpinn (2 5 15 60)",
        ),
        tolerance=dict(type=float, default=1e-8, help="of kanpinn (1e-8)"),
        limit=dict(type=float, default=60.0, help="seconds of each other code (60)"),
    )
    torch.set_num_threads(1)
    prepare(["check", str(script.PROBLEMS / "poisson2d.toml")])
    if chosen.smoke:
        chosen.budgets = [0.5]
    problems: dict[tuple[str, int], list[Row]] = {}
    numbers = [(SHORT[one], n) for half in chosen.half for one in chosen.only for n in HALVES[half]]
    for kind, number in [one for one in SMOKE if one not in SLOW] if chosen.smoke else numbers:
        problems[kind, number] = []
        for row in measured(kind, number, chosen):
            problems[kind, number].append(row)
            print(*vars(row).values(), sep=" | ", flush=True)
    rows = [row for found in problems.values() for row in found]
    script.write_rows(chosen.output / "rows.csv", Row, rows)
    script.publish(chosen, compared(problems), judged(problems), {"beside": draw_classes(rows)})


if __name__ == "__main__":
    main()
