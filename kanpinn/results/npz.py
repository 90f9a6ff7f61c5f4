"""Fields as a NumPy archive."""

import os
from pathlib import Path
from typing import Any

import numpy

from kanpinn.fields import on_grid
from kanpinn.files import replacing
from kanpinn.solution import Solution


def to_npz(solution: Solution, path: str | os.PathLike[str]) -> None:
    """Write a solution's fields on a grid, with the coordinates of its axes, as an .npz file.

    Above three dimensions it is the grid of the first three coordinates, the others at the centre.
    """
    fields = on_grid(solution)
    arrays: dict[str, Any] = {**fields.axes, **fields.fixed, **fields.arrays}
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        numpy.savez_compressed(file, **arrays)
