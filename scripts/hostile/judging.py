"""Solves of random problems with nothing chosen, each in a fork, and what is wrong with them."""

import json
import math
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from statistics import median
from typing import Any

import numpy as np
import torch
from classes.task import Task
from common.elements import relative
from common.script import Verdict, verdict
from hostile.sections import forked

import kanpinn as kp

FOUND = "found: "  # what a fork prints before its figures
ROUNDING = 1e-13  # smaller relative errors do not count
Row = dict[str, Any]
# A row has the name, status, tolerance and seconds of a solve, the true relative error and what it
# is known to, the estimated error, None if it is not known, and the ratio of both.


def ratio(true: float, known_to: float, estimate: float | None) -> float | None:
    """Return the true error that is certain over the estimated one; None if that is not known."""
    return None if estimate is None else max(0.0, true - known_to) / max(estimate, 1e-300)


def by_processor() -> Callable[[], float]:
    """Return the clock of this process, by which budgets are counted from now on.

    The clock never shows the same time twice.
    """
    clock, ticks = time.process_time, count(1)
    time.perf_counter = lambda: clock() + 1e-9 * next(ticks)
    return clock


def solved(task: Task, name: str, tolerance: float, budget: float, smoke: bool) -> Row:
    """Solve a task, and return its row."""
    truth, clock = task.truth(smoke), by_processor()
    begun = clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = kp.solve(task.problem, tolerance=tolerance, budget=budget)
        seconds = clock() - begun
        values = solution(torch.from_numpy(truth.coords)).detach().numpy()
    true = relative(values - truth.values, truth.values, np.ones(len(values)))
    known_to = max(truth.known_to, ROUNDING)
    return {
        "name": f"{name}: {task.words}",
        "status": solution.status,
        "tolerance": tolerance,
        "known_to": known_to,
        "true": true,
        "estimate": solution.estimated_error,
        "ratio": ratio(true, known_to, solution.estimated_error),
        "seconds": seconds,
        "log": solution.log,
    }


def faults(row: Row, budget: float) -> list[str]:
    """Return what is wrong with what a solve says."""
    if "traceback" in row:
        return ["traceback"]
    status, certain = row["status"], max(0.0, row["true"] - row["known_to"])
    found = {
        "too low": row["ratio"] is not None and not row["ratio"] <= 3,
        "wrongly converged": status.startswith("converged") and not certain <= 3 * row["tolerance"],
        "failed": status.startswith("failed"),
        "overrun": row["seconds"] > max(1.2 * budget, budget + 5),
    }
    return [fault for fault, is_so in found.items() if is_so]


def found(solves: Mapping[str, Callable[[], Row]], seconds: float) -> Iterator[Row]:
    """Yield the row of each solve, which is made in a fork and killed after a number of seconds.

    The row of a solve that fails has its name, seconds of the processor, and "traceback".
    """
    for name, solve in solves.items():
        done = forked(partial(_printed, solve), seconds)
        *_, last = done.said.strip().splitlines() or ["killed"]
        if last.startswith(FOUND):
            yield json.loads(last.removeprefix(FOUND))
        else:
            said = done.said[-2000:] or last
            yield {"name": name, "status": "", "seconds": done.seconds, "traceback": said}


def judged(
    solves: Mapping[str, Callable[[], Row]], budget: float, failures: list[str]
) -> list[Row]:
    """Solve in forks, and return the rows with their faults, which are added to a list as well."""
    rows: list[Row] = []
    for row in found(solves, 20 * budget + 200):
        rows.append(row | {"faults": faults(row, budget)})
        failures += [f"{row['name']}: {fault}; {row}" for fault in rows[-1]["faults"]]
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _printed(solve: Callable[[], Row]) -> int:
    """Print a row as JSON, and return an exit code."""
    try:
        print(FOUND + json.dumps(solve()))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def summary(title: str, rows: Sequence[Row]) -> dict[str, Verdict]:
    """Return how many solves have converged, how many have each fault, and the ratios."""
    ratios = [row["ratio"] for row in rows if row.get("ratio") is not None]
    converged = sum(row["status"].startswith("converged") for row in rows)
    found = {
        f"{title}: converged": verdict(converged, f"of {len(rows)}"),
        f"{title}: without an estimate": verdict(len(rows) - len(ratios), f"of {len(rows)}"),
    }
    for fault in ("too low", "wrongly converged", "failed", "traceback", "overrun"):
        number = sum(fault in row["faults"] for row in rows)
        found[f"{title}: {fault}"] = verdict(number, "0", not number)
    return found | {f"{title}: true over estimated errors": spread(ratios)}


def spread(ratios: Sequence[float]) -> Verdict:
    """Return the median and the largest of ratios, as they are reported."""
    some = ratios or [math.nan]
    return verdict(f"median {median(some):.2g}, most {max(some):.2g}", "reported")
