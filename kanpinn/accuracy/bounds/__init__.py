"""Guaranteed bounds of errors: functional majorants of linear coercive problems."""

from kanpinn.accuracy.bounds.bound import Bound as Bound
from kanpinn.accuracy.bounds.coefficients import Unbounded as Unbounded
from kanpinn.accuracy.bounds.majorant import Approximate as Approximate
from kanpinn.accuracy.bounds.majorant import Majorant as Majorant
