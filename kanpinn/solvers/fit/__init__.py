"""Function fitting: networks that learn from data, with the loop and optimizers of the solves."""

from kanpinn.solvers.fit.fit import fit as fit
from kanpinn.solvers.fit.fitted import Fitted as Fitted
from kanpinn.solvers.fit.scores import Scores as Scores
