"""The clock of a peer's run, which is stopped while errors are measured.

Each measurement is one line of JSON on standard output: row, seconds, l2_relative, h1_relative,
parameters, version. The clock starts when the run's `Timeline` is made, after the imports;
everything that follows counts, including the compilation of a traced step.
"""

import argparse
import json
import math
import os
import sys
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TextIO

from peers.poisson import Field, relative_errors

FIRST_MEASUREMENT = 0.2
MEASUREMENT_GROWTH = 1.12
"""Times of measurement grow by this factor: the figure's axis is logarithmic."""


def options() -> argparse.Namespace:
    """Return the options that all runners share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget", type=float, default=20.0, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--row", default="", help="which of a runner's rows, where it has several")
    return parser.parse_args()


@cache
def _results() -> TextIO:
    """Return standard output, for the results alone; a peer's output goes to standard error."""
    sys.stdout.flush()
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return results


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "source tree"


class Timeline:
    """Times one row, or a series of independent solves of one row (see `restart`)."""

    def __init__(self, row: str, package: str, budget: float, parameters: int | None = None):
        self.row, self.version, self.budget = row, _version(package), budget
        self.parameters = parameters
        self._spent = 0.0
        _results()
        self.restart()

    def restart(self, parameters: int | None = None) -> None:
        """Start the clock of another solve at zero; what was spent of the budget remains spent."""
        self._spent += self.seconds if hasattr(self, "_start") else 0.0
        self.parameters = parameters or self.parameters
        self._measured, self._next = -1.0, FIRST_MEASUREMENT
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    @property
    def exhausted(self) -> bool:
        """Whether the budget of this row is spent."""
        return self._spent + self.seconds >= self.budget

    def allows_another(self, growth: float) -> bool:
        """Whether the budget suffices for a solve that takes `growth` times the last one's time.

        The first solve is always allowed: a peer without any measurement has failed.
        """
        if self._measured < 0:
            return True
        return self._spent + self.seconds + growth * self._measured < self.budget

    @property
    def due(self) -> bool:
        """Whether it is time for another measurement."""
        return self.seconds >= self._next

    def record(self, field: Field) -> float:
        """Measure a field's errors, with the clock stopped, and print them."""
        seconds = self.seconds
        errors = relative_errors(field)
        for name, error in errors.items():
            errors[name] = error if error is not None and math.isfinite(error) else None
        line = {"row": self.row, "seconds": seconds, **errors}
        line |= {"parameters": int(self.parameters or 0) or None, "version": self.version}
        print(json.dumps(line), file=_results())
        self._measured = seconds
        self._next = max(seconds * MEASUREMENT_GROWTH, FIRST_MEASUREMENT)
        self._start = time.perf_counter() - seconds
        return math.inf if errors["l2_relative"] is None else errors["l2_relative"]

    def record_if_due(self, field: Field) -> None:
        if self.due:
            self.record(field)

    def finish(self, field: Field) -> None:
        """Measure the end of a run, unless it has just been measured."""
        if self.seconds > self._measured + 0.01:
            self.record(field)
