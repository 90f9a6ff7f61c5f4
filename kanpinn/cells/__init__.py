"""Networks in cells: local KANs on a tree of boxes, coupled in one least-squares problem."""

from kanpinn.cells.adaptive.dissection import Dissection as Dissection
from kanpinn.cells.cells import Cells as Cells
