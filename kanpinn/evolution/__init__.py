"""Time and moving coordinates: networks in windows of time, the march through them, stretches.

`Windows` is the network, `March` its optimizer, `Equidistribute` stretches coordinates of steady
problems.
"""

from kanpinn.evolution.equidistribute import Equidistribute as Equidistribute
from kanpinn.evolution.march import March as March
from kanpinn.evolution.windows import Windows as Windows
