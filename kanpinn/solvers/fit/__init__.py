"""Function fitting: networks fitted to data, with the loop and the optimizers of the solves."""

from kanpinn.solvers.fit.fit import check_columns as check_columns
from kanpinn.solvers.fit.fit import fit as fit
from kanpinn.solvers.fit.fitted import Fitted as Fitted
from kanpinn.solvers.fit.scores import Scores as Scores
