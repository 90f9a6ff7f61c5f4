"""Spaces of functions that solutions are made of: splines and their products in windows, and cells.

`Windows` are splines in space times polynomials in a window of time; `CellWindows` have cells in
space instead of splines. `Cells` are polynomials on a tree of boxes, coupled in one least-squares
problem.
"""

from kanpinn.spaces.cell_windows import CellWindows as CellWindows
from kanpinn.spaces.cells.cells import Cells as Cells
from kanpinn.spaces.windows import Windows as Windows
