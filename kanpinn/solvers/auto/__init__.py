"""Networks, points and optimizers that are chosen by what a problem is and what trials show."""

from kanpinn.solvers.auto.auto import auto as auto
from kanpinn.solvers.auto.candidates import first_choice as first_choice
from kanpinn.solvers.auto.choice import Choice as Choice
from kanpinn.solvers.auto.search import Settings as Settings
