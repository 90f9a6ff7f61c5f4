"""Problems with their conditions and unknowns, as users write them, and checks of problems."""

from kanpinn.pde.conditions import Condition as Condition
from kanpinn.pde.conditions import Constraint as Constraint
from kanpinn.pde.conditions import Dirichlet as Dirichlet
from kanpinn.pde.conditions import Initial as Initial
from kanpinn.pde.conditions import Integral as Integral
from kanpinn.pde.conditions import Interface as Interface
from kanpinn.pde.conditions import Neumann as Neumann
from kanpinn.pde.conditions import NormalDirichlet as NormalDirichlet
from kanpinn.pde.conditions import Observed as Observed
from kanpinn.pde.conditions import Periodic as Periodic
from kanpinn.pde.conditions import Robin as Robin
from kanpinn.pde.conditions import TangentialDirichlet as TangentialDirichlet
from kanpinn.pde.equations import AdvectionDiffusion as AdvectionDiffusion
from kanpinn.pde.equations import Equation as Equation
from kanpinn.pde.equations import Heat as Heat
from kanpinn.pde.equations import Helmholtz as Helmholtz
from kanpinn.pde.equations import Poisson as Poisson
from kanpinn.pde.equations import Wave as Wave
from kanpinn.pde.expressions import Expression as Expression
from kanpinn.pde.problem import EigenProblem as EigenProblem
from kanpinn.pde.problem import Problem as Problem
from kanpinn.pde.problem import Unknown as Unknown
