"""Formulas: text that is parsed, against a whitelist, into functions of points."""

from kanpinn.pde.expressions.expression import Expression as Expression
from kanpinn.pde.expressions.expression import check_parameters as check_parameters
