"""Tasks over spaces: adaptive least squares, marches in time, parameters, and continuation."""

from kanpinn.tasks.adaptive import AdaptiveLeastSquares as AdaptiveLeastSquares
from kanpinn.tasks.continuation import Continuation as Continuation
from kanpinn.tasks.march import March as March
from kanpinn.tasks.parameters import Shooting as Shooting
from kanpinn.tasks.ritz import Ritz as Ritz
