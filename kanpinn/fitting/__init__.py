"""Function fitting: networks that learn from data, with the loop and optimizers of the solves."""

from kanpinn.fitting.fit import fit as fit
from kanpinn.fitting.fitted import Fitted as Fitted
from kanpinn.fitting.scores import Scores as Scores
