"""The optimizers of a solve, called methods, which lower the loss or refine the network.

The module `method` defines the interface between the solve loop and the methods. The module
`output_layer` has the Gauss–Newton step on the output layer, which several methods use.
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
from kanpinn.optimizers.variable_projection import VariableProjection as VariableProjection
