"""Time and moving coordinates: networks in windows of time, marches through them, stretches.

`Windows` is the network, or `CellWindows` with cells in space. `March` is its optimizer, and
`Shooting` the one for unknown numbers; `Equidistribute` stretches coordinates of steady problems.
A march uses, from the bottom, `time`, `terms`, `space` and `window`, and with cells in space also
`cells`; `numbers` uses marches.
"""

from kanpinn.evolution.cells.cell_windows import CellWindows as CellWindows
from kanpinn.evolution.march import March as March
from kanpinn.evolution.numbers.shooting import Shooting as Shooting
from kanpinn.evolution.stretching.equidistribute import Equidistribute as Equidistribute
from kanpinn.evolution.windows import Windows as Windows
