"""Solves in cells and by quartic finite elements, with their errors and seconds."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from boxes.elements import refined
from boxes.problems import Case
from common.pieces import Pieces

import kanpinn as kp


@dataclass(frozen=True)
class Solved:
    """A solve of a case: its way ("cells" or "P4"), cells, unknowns, errors and seconds.

    tolerance: of the solve in cells; NaN for elements.
    """

    case: str
    way: str
    tolerance: float
    cells: int
    unknowns: int
    error: float
    estimated: float
    seconds: float
    status: str


def by_cells(case: Case, tolerance: float) -> Solved:
    """Solve once for the processor seconds, without measuring errors, and once for the errors."""
    begun = time.process_time()
    _solution(case, tolerance, errors=False)
    seconds = time.process_time() - begun
    found = _solution(case, tolerance, errors=True)
    assert found.errors is not None
    estimated = found.history.rows[-1].get("estimated_error", math.nan)
    error, cells = found.errors.l2_relative, int(found.history.rows[-1]["cells"])
    measured = found.parameters, error, estimated, seconds, found.status
    return Solved(case.name, "cells", tolerance, cells, *measured)


def _solution(case: Case, tolerance: float, errors: bool) -> kp.Solution:
    network = kp.Cells([2, 1], case.degree, 4)
    settings = kp.Dissection(tolerance=tolerance)
    return kp.solve(case.problem, network, settings, errors=errors, verified=False)


def by_elements(case: Case, limit: float) -> list[Solved]:
    """Solve on refined meshes, until all together have taken `limit` seconds."""
    return [
        Solved(
            case.name, "P4", math.nan, one.cells, one.unknowns, one.error, math.nan, one.seconds, ""
        )
        for one in refined(case, limit)
    ]


def all_ways(
    chosen: Sequence[Case], rougher: Sequence[float], limit: float, pieces: Pieces
) -> list[Solved]:
    """Measure every case; progress is written to standard error.

    Args:
        chosen: the cases.
        rougher: further tolerances, for the cases that are also solved by elements.
        limit: the seconds that elements may take for each case.
        pieces: where finished solves are kept.
    """
    by_cells(chosen[0], 0.1)  # loads libraries, whose time is not that of the first solve measured
    found = []
    for case in chosen:
        made = []
        for tolerance in (*rougher, case.tolerance) if case.weak else (case.tolerance,):
            key = {"case": case.name, "degree": case.degree, "tolerance": tolerance}
            made += pieces.records(Solved, key, lambda: [by_cells(case, tolerance)])  # noqa: B023
        if case.weak:
            more = {"case": case.name, "limit": limit}
            made += pieces.records(Solved, more, lambda: by_elements(case, limit))  # noqa: B023
        for one in made:
            sys.stderr.write(
                f"{one.case}: {one.way}, {one.cells} cells, {one.unknowns} unknowns, "
                f"error {one.error:.1e}, estimated {one.estimated:.1e}, {one.seconds:.2f} s "
                f"{one.status}\n"
            )
        found += made
    return found


def seconds_of_elements(elements: Sequence[Solved], error: float) -> float:
    """The seconds in which elements reach an error, interpolated between two meshes.

    If no mesh reaches the error, the seconds of the last one are returned, which are too few.
    """
    before = elements[0]
    for one in elements:
        if one.error <= error and one is not before:
            part = math.log(before.error / error) / math.log(before.error / one.error)
            return before.seconds * (one.seconds / before.seconds) ** part
        before = one
    return elements[-1].seconds
