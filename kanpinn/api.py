"""The public API on one page: `import kanpinn` offers these names."""

from pathlib import Path

from kanpinn.automatic import auto as auto
from kanpinn.conditions import Condition as Condition
from kanpinn.conditions import Constraint as Constraint
from kanpinn.conditions import Dirichlet as Dirichlet
from kanpinn.conditions import Initial as Initial
from kanpinn.conditions import Integral as Integral
from kanpinn.conditions import Interface as Interface
from kanpinn.conditions import Neumann as Neumann
from kanpinn.conditions import Observed as Observed
from kanpinn.conditions import Periodic as Periodic
from kanpinn.conditions import Robin as Robin
from kanpinn.datasets import Data as Data
from kanpinn.datasets import Table as Table
from kanpinn.eigenproblems import EigenProblem as EigenProblem
from kanpinn.eigenproblems import Eigensolution as Eigensolution
from kanpinn.eigenproblems import eigen as eigen
from kanpinn.equations import AdvectionDiffusion as AdvectionDiffusion
from kanpinn.equations import Equation as Equation
from kanpinn.equations import Heat as Heat
from kanpinn.equations import Helmholtz as Helmholtz
from kanpinn.equations import Poisson as Poisson
from kanpinn.equations import Wave as Wave
from kanpinn.errors import InputError as InputError
from kanpinn.errors import KanpinnError as KanpinnError
from kanpinn.errors import NumericalError as NumericalError
from kanpinn.estimate import estimate_error as estimate_error
from kanpinn.expressions import Expression as Expression
from kanpinn.fitting import Fitted as Fitted
from kanpinn.fitting import Scores as Scores
from kanpinn.fitting import fit as fit
from kanpinn.geometry import Annulus as Annulus
from kanpinn.geometry import Arc as Arc
from kanpinn.geometry import Ball as Ball
from kanpinn.geometry import Boundary as Boundary
from kanpinn.geometry import Box as Box
from kanpinn.geometry import Corner as Corner
from kanpinn.geometry import CornerFlow as CornerFlow
from kanpinn.geometry import Disk as Disk
from kanpinn.geometry import Ellipse as Ellipse
from kanpinn.geometry import LShape as LShape
from kanpinn.geometry import Planar as Planar
from kanpinn.geometry import Points as Points
from kanpinn.geometry import Polygon as Polygon
from kanpinn.geometry import Sector as Sector
from kanpinn.geometry import Segment as Segment
from kanpinn.geometry import Stretch as Stretch
from kanpinn.geometry import Surface as Surface
from kanpinn.geometry import Triangle as Triangle
from kanpinn.geometry import graded as graded
from kanpinn.intervals import Estimated as Estimated
from kanpinn.jet import Channels as Channels
from kanpinn.jet import Jet as Jet
from kanpinn.networks import KAN as KAN
from kanpinn.networks import MLP as MLP
from kanpinn.networks import Beside as Beside
from kanpinn.networks import Windows as Windows
from kanpinn.norms import Errors as Errors
from kanpinn.operators import biharmonic as biharmonic
from kanpinn.operators import directional as directional
from kanpinn.operators import div as div
from kanpinn.operators import grad as grad
from kanpinn.operators import hessian as hessian
from kanpinn.operators import laplacian as laplacian
from kanpinn.operators import normal_derivative as normal_derivative
from kanpinn.operators import partial as partial
from kanpinn.optimizers import LBFGS as LBFGS
from kanpinn.optimizers import Adam as Adam
from kanpinn.optimizers import Continuation as Continuation
from kanpinn.optimizers import Equidistribute as Equidistribute
from kanpinn.optimizers import InsertKnots as InsertKnots
from kanpinn.optimizers import LeastSquares as LeastSquares
from kanpinn.optimizers import LevenbergMarquardt as LevenbergMarquardt
from kanpinn.optimizers import March as March
from kanpinn.optimizers import Multistage as Multistage
from kanpinn.optimizers import Optimizer as Optimizer
from kanpinn.optimizers import Refine as Refine
from kanpinn.optimizers import SSBroyden as SSBroyden
from kanpinn.optimizers import VariableProjection as VariableProjection
from kanpinn.orders import fit_order as fit_order
from kanpinn.orders import observed_order as observed_order
from kanpinn.problem import Problem as Problem
from kanpinn.references import FEM as FEM
from kanpinn.references import DataFile as DataFile
from kanpinn.references import Recipe as Recipe
from kanpinn.references import Reference as Reference
from kanpinn.sampling import Collocation as Collocation
from kanpinn.solution import Solution as Solution
from kanpinn.solving import solve as solve
from kanpinn.sparsity import Sparsity as Sparsity
from kanpinn.study import Study as Study
from kanpinn.study import sweep as sweep
from kanpinn.unknown import Unknown as Unknown
from kanpinn.weighting import Weighting as Weighting


def load(run: str | Path) -> Solution | Eigensolution | Fitted:
    """The solution, the modes or the fit in a run folder, as `kanpinn.results.load` reads it."""
    from kanpinn.results import load as read

    return read(run)
