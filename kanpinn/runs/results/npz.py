"""Fields, or data with what is fitted to them, as a NumPy archive."""

import os
from pathlib import Path
from typing import Any

import numpy
import torch

from kanpinn._support.files import replacing
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.grid_fields import CHUNK, modes_on_grid, on_grid
from kanpinn.solvers.solution import Solution


def to_npz(result: Solution | Eigensolution | Fitted, path: str | os.PathLike[str]) -> None:
    """Write a solution's fields or modes on a grid, with the coordinates of its axes, as .npz.

    Above three dimensions it is the grid of the first three coordinates, the others at the centre.
    Of a fit they are the inputs (n, d), targets (n, m) or class numbers (n,), and values or logits
    of each part, "test_inputs", "test_targets", "test_outputs".
    """
    arrays = _of_fit(result) if isinstance(result, Fitted) else _of_solution(result)
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        numpy.savez_compressed(file, **arrays)


def _of_solution(solution: Solution | Eigensolution) -> dict[str, Any]:
    if isinstance(solution, Eigensolution):
        fields, own = modes_on_grid(solution), {"eigenvalues": solution.values.cpu().numpy()}
    else:
        fields, own = on_grid(solution), {}
    return {**fields.axes, **fields.fixed, **fields.arrays, **own}


def _of_fit(fitted: Fitted) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for part, table in fitted.data.parts.items():
        arrays[f"{part}_inputs"] = table.inputs.numpy()
        arrays[f"{part}_targets"] = table.targets.numpy()
        outputs = torch.cat([fitted(rows) for rows in table.inputs.split(CHUNK)])
        arrays[f"{part}_outputs"] = outputs.cpu().numpy()
    return arrays
