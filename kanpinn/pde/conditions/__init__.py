"""Conditions of a problem: on boundaries and interfaces, between points, at measurements."""

from kanpinn.pde.conditions.boundary import Constraint as Constraint
from kanpinn.pde.conditions.boundary import Dirichlet as Dirichlet
from kanpinn.pde.conditions.boundary import Interface as Interface
from kanpinn.pde.conditions.boundary import Neumann as Neumann
from kanpinn.pde.conditions.boundary import NormalDirichlet as NormalDirichlet
from kanpinn.pde.conditions.boundary import Robin as Robin
from kanpinn.pde.conditions.boundary import TangentialDirichlet as TangentialDirichlet
from kanpinn.pde.conditions.condition import Condition as Condition
from kanpinn.pde.conditions.data import Initial as Initial
from kanpinn.pde.conditions.data import Observed as Observed
from kanpinn.pde.conditions.ties import Integral as Integral
from kanpinn.pde.conditions.ties import Periodic as Periodic
