"""Time: networks in windows of time, what one window hands over to the next, and the march."""

from kanpinn.evolution.equidistribute import Equidistribute as Equidistribute
from kanpinn.evolution.march import March as March
from kanpinn.evolution.windows import Windows as Windows
