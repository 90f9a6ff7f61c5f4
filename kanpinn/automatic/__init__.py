"""Networks, points and optimizers that are chosen by what a problem is and what trials show."""

from kanpinn.automatic.automatic import auto as auto
from kanpinn.automatic.choice import Choice as Choice
from kanpinn.automatic.ladder import first_choice as first_choice
from kanpinn.automatic.search import BUDGET as BUDGET
from kanpinn.automatic.search import TOLERANCE as TOLERANCE
