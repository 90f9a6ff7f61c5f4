"""Which unknowns on faces are the coarse ones of conjugate gradients on two levels."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.system.contact_rows import ContactRows
from kanpinn.cells.system.coupling import Coupling, Traces

Array = NDArray[Any]


def coarse_traces(
    geometry: CellGeometry, coupling: Coupling, traces: Traces, contacts: Sequence[ContactRows]
) -> Array:
    """Which traces have low degrees, those of all faces and then of interfaces, (unknowns,).

    Args:
        geometry: the cells.
        coupling: the weights of jumps; with waves in cells higher degrees are coarse too.
        traces: the unknowns on a face.
        contacts: the rows of each part of an interface.
    """
    own, plane = geometry.traces, geometry.tree.dim < 3
    low, most = (3, 400_000) if plane else (2, 40_000)  # so many are eliminated in seconds
    waves = min(coupling.phase, traces.polynomials.degree / 2 - low)
    low += math.ceil(max(0.0, waves))

    def chosen(low: int) -> Array:
        single, shared = (traces.coarse(low, one).numpy() for one in (False, True))
        of_contacts = [one.coarse(low).numpy() for one in contacts]
        of_faces = [np.tile(single, own.single), np.tile(shared, len(own.shared))]
        return np.concatenate([*of_faces, *of_contacts])

    while low > 1 and chosen(low).sum() > most:
        low -= 1
    return chosen(low)
