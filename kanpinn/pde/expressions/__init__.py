"""Functions of points written as text, parsed by a whitelist."""

from kanpinn.pde.expressions.expression import Expression as Expression
from kanpinn.pde.expressions.expression import check_parameters as check_parameters
