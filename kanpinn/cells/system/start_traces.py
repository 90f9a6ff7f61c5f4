"""The traces of a known function on faces and interfaces, from which an iteration starts."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_sides import CellSide
from kanpinn.cells.system.cell_fields import CellField
from kanpinn.cells.system.contact_rows import ContactRows
from kanpinn.cells.system.coupling import Traces

Array = NDArray[Any]


def traces_of(
    geometry: CellGeometry,
    traces: Traces,
    contacts: Sequence[ContactRows],
    shared: Tensor,
    function: CellField,
) -> Array:
    """The traces of a function, of all faces and all interfaces, and its numbers, (unknowns, 1).

    On a face that several smaller cells share they are those of the larger cell, on others those of
    the lower one, or of the upper one if the lower one alone shares functions with others: those
    are in the traces there, and are not computed.

    Args:
        geometry: the cells.
        traces: the unknowns on a face.
        contacts: the rows at the parts of interfaces.
        shared: the cells that share functions, a mask (N,).
        function: the function.
    """
    own, coefficients = geometry.traces, function.coefficients
    lower, upper = geometry.faces.lower, geometry.faces.upper
    chosen = torch.where(shared[lower] & ~shared[upper], upper, lower).tolist()
    starts = np.cumsum([0, *traces.sizes_on(own)])
    alike: dict[tuple[CellSide, bool], list[tuple[int, float, int]]] = defaultdict(list)
    for cell, sides in enumerate(geometry.sides):
        for at in sides:
            several = at.trace >= own.single
            owner = own.shared[at.trace - own.single][0] if several else chosen[at.face]
            if owner == cell:
                scale = at.unit * float(geometry.scale[cell, at.side.axis])
                alike[at.side, several].append((cell, scale, at.trace))
    found = np.zeros((starts[-1], 1), coefficients.numpy().dtype)
    for (side, several), every in alike.items():
        cells, scales, numbers = zip(*every, strict=True)
        values = traces.values(side, torch.tensor(scales), several, coefficients[list(cells)])
        places = starts[list(numbers)][:, None] + np.arange(values.shape[1])
        found[places, 0] = values.numpy()
    across = [one.traces(coefficients).flatten().numpy()[:, None] for one in contacts]
    of_shared = [one.numpy()[:, None] for one in function.numbers]
    return np.concatenate([found, *across, *of_shared])
