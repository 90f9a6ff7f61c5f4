"""The loss: its terms, their residuals and Jacobians, and the factors that balance the terms."""

from kanpinn.loss.residuals import Residuals as Residuals
from kanpinn.loss.sparsity import Sparsity as Sparsity
from kanpinn.loss.terms import ResidualTerm as ResidualTerm
from kanpinn.loss.terms import Term as Term
