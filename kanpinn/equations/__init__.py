"""The common equations, which a problem file can name: data are numbers, formulas or functions."""

from kanpinn.equations.advection_diffusion import AdvectionDiffusion as AdvectionDiffusion
from kanpinn.equations.equation import Equation as Equation
from kanpinn.equations.heat import Heat as Heat
from kanpinn.equations.helmholtz import Helmholtz as Helmholtz
from kanpinn.equations.poisson import Poisson as Poisson
from kanpinn.equations.wave import Wave as Wave
