"""Guaranteed bounds of errors: functional majorants of linear coercive problems."""

from kanpinn.accuracy.bounds.majorant import Approximate as Approximate
from kanpinn.accuracy.bounds.majorant import Majorant as Majorant
from kanpinn.accuracy.coefficients import Unsuitable as Unsuitable
from kanpinn.accuracy.errors import Bound as Bound
