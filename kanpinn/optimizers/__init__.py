"""Optimizers: one file each, settings as frozen dataclasses, run in sequence by `solve`."""

from kanpinn.optimizers.continuation import Continuation as Continuation
from kanpinn.optimizers.first_order import LBFGS as LBFGS
from kanpinn.optimizers.first_order import Adam as Adam
from kanpinn.optimizers.insert_knots import InsertKnots as InsertKnots
from kanpinn.optimizers.least_squares import LeastSquares as LeastSquares
from kanpinn.optimizers.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
from kanpinn.optimizers.optimizer import Optimizer as Optimizer
from kanpinn.optimizers.optimizer import Stage as Stage
from kanpinn.optimizers.optimizer import Step as Step
from kanpinn.optimizers.refine import Refine as Refine
from kanpinn.optimizers.ss_broyden import SSBroyden as SSBroyden
from kanpinn.optimizers.variable_projection import VariableProjection as VariableProjection
