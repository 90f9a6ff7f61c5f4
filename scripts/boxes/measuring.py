"""Solves in cells and by quartic finite elements, with their errors and seconds."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from boxes.problems import Case
from common.pieces import Pieces
from skfem import Basis, BilinearForm, ElementTriP4, LinearForm, MeshTri, condense, solve
from skfem.helpers import dot, grad

import kanpinn as kp
from kanpinn.geometry import Points


@dataclass(frozen=True)
class Solved:
    """A solve of a case: its way ("cells" or "P4"), cells, unknowns, errors and seconds."""

    case: str
    way: str
    cells: int
    unknowns: int
    error: float
    estimated: float
    seconds: float
    status: str


def by_cells(case: Case) -> Solved:
    """Solve once for the processor seconds, without measuring errors, and once for the errors."""
    begun = time.process_time()
    _solution(case, errors=False)
    seconds = time.process_time() - begun
    found = _solution(case, errors=True)
    assert found.errors is not None
    estimated = found.history.rows[-1].get("estimated_error", math.nan)
    error, cells = found.errors.l2_relative, int(found.history.rows[-1]["cells"])
    size = found.parameters
    return Solved(case.name, "cells", cells, size, error, estimated, seconds, found.status)


def _solution(case: Case, errors: bool) -> kp.Solution:
    network = kp.Cells([2, 1], case.degree, 4)
    settings = kp.Dissection(tolerance=case.tolerance)
    return kp.solve(case.problem, network, settings, errors=errors, verified=False)


@BilinearForm
def stiffness(u, v, _):
    return dot(grad(u), grad(v))


def by_elements(case: Case, squares: int) -> Solved:
    """Solve by quartic triangles on squares², each cut into two; seconds without measuring."""

    def at(x: np.ndarray, function) -> np.ndarray:
        coords = torch.from_numpy(np.ascontiguousarray(x.reshape(2, -1).T))
        return function(Points(coords, case.problem.domain.names)).numpy().reshape(x.shape[1:])

    @LinearForm
    def load(v, w):
        return at(np.asarray(w.x), case.problem.source) * v

    begun = time.process_time()
    line = np.linspace(0, 1, squares + 1)
    basis = Basis(MeshTri.init_tensor(line, line), ElementTriP4(), intorder=10)
    known, walls = basis.zeros(), basis.get_dofs()
    known[walls] = at(basis.doflocs[:, walls.flatten()], case.problem.exact)
    found = solve(*condense(stiffness.assemble(basis), load.assemble(basis), x=known, D=walls))
    seconds = time.process_time() - begun
    exact = at(np.asarray(basis.global_coordinates()), case.problem.exact)
    squares_of = [((e**2) * basis.dx).sum() for e in (basis.interpolate(found) - exact, exact)]
    error = math.sqrt(squares_of[0] / squares_of[1])
    cells = basis.mesh.t.shape[1]
    return Solved(case.name, "P4", cells, basis.N, error, math.nan, seconds, "")


def all_ways(chosen: Sequence[Case], meshes: Sequence[int], pieces: Pieces) -> list[Solved]:
    """Measure every case; progress is written to standard error."""
    found = []
    for case in chosen:
        key = {"case": case.name, "degree": case.degree, "tolerance": case.tolerance}
        made = pieces.records(Solved, key, lambda: [by_cells(case)])  # noqa: B023
        for squares in meshes if case.elements else ():
            more = {"case": case.name, "squares": squares}
            made += pieces.records(Solved, more, lambda: [by_elements(case, squares)])  # noqa: B023
        for one in made:
            sys.stderr.write(
                f"{one.case}: {one.way}, {one.cells} cells, {one.unknowns} unknowns, "
                f"error {one.error:.1e}, estimated {one.estimated:.1e}, {one.seconds:.2f} s "
                f"{one.status}\n"
            )
        found += made
    return found
