"""The methods of a solve, which lower the loss or refine the network.

`method` defines their interface to the solve loop, `output_layer` the Gauss–Newton step on the
output layer that several of them use.
"""

from kanpinn.optimizers.gradient import LBFGS as LBFGS
from kanpinn.optimizers.gradient import Adam as Adam
from kanpinn.optimizers.gradient import SSBroyden as SSBroyden
from kanpinn.optimizers.least_squares import LeastSquares as LeastSquares
from kanpinn.optimizers.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
from kanpinn.optimizers.method import Method as Method
from kanpinn.optimizers.method import Refine as Refine
from kanpinn.optimizers.method import Stage as Stage
from kanpinn.optimizers.method import Step as Step
from kanpinn.optimizers.method import as_methods as as_methods
from kanpinn.optimizers.method import load_libraries as load_libraries
from kanpinn.optimizers.variable_projection import VariableProjection as VariableProjection
