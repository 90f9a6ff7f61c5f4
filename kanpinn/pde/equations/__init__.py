"""Ready-made problems for common equations, which problem files can name."""

from kanpinn.pde.equations.advection_diffusion import AdvectionDiffusion as AdvectionDiffusion
from kanpinn.pde.equations.equation import Equation as Equation
from kanpinn.pde.equations.heat import Heat as Heat
from kanpinn.pde.equations.helmholtz import Helmholtz as Helmholtz
from kanpinn.pde.equations.poisson import Poisson as Poisson
from kanpinn.pde.equations.wave import Wave as Wave
