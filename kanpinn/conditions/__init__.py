"""What holds besides the equation: on boundaries, between points, where it was measured."""

from kanpinn.conditions.boundary import Constraint as Constraint
from kanpinn.conditions.boundary import Dirichlet as Dirichlet
from kanpinn.conditions.boundary import Neumann as Neumann
from kanpinn.conditions.boundary import Robin as Robin
from kanpinn.conditions.condition import Condition as Condition
from kanpinn.conditions.data import Initial as Initial
from kanpinn.conditions.data import Observed as Observed
from kanpinn.conditions.interface import Interface as Interface
from kanpinn.conditions.ties import Integral as Integral
from kanpinn.conditions.ties import Periodic as Periodic
