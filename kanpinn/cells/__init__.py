"""Networks in cells: local KANs on a tree of boxes, coupled in one least-squares problem."""

from kanpinn.cells.cells import Cells as Cells
from kanpinn.cells.dissection import Dissection as Dissection
