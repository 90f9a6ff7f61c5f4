"""Which unknowns on faces are the coarse ones of conjugate gradients on two levels."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.system.coupling import Coupling, Traces

Array = NDArray[Any]


def coarse_traces(geometry: CellGeometry, coupling: Coupling, traces: Traces) -> Array:
    """Which traces have low degrees, those of all faces one after the other, (unknowns,).

    Args:
        geometry: the cells.
        coupling: the weights of jumps; with waves in cells higher degrees are coarse too.
        traces: the unknowns on a face.
    """
    own, plane = geometry.traces, geometry.tree.dim < 3
    low, most = (3, 400_000) if plane else (2, 40_000)  # so many are eliminated in seconds
    waves = min(coupling.phase, traces.polynomials.degree / 2 - low)
    low += math.ceil(max(0.0, waves))

    def chosen(low: int) -> Array:
        single, shared = (traces.coarse(low, one).numpy() for one in (False, True))
        return np.concatenate([np.tile(single, own.single), np.tile(shared, len(own.shared))])

    while low > 1 and chosen(low).sum() > most:
        low -= 1
    return chosen(low)
