"""The choice of network, points and optimizers, by traits of the problem and by trials."""

from kanpinn.solvers.auto.choices import Choice as Choice
from kanpinn.solvers.auto.choices import first_choice as first_choice
from kanpinn.solvers.auto.search import TrialSearch as TrialSearch
