"""kanpinn: partial differential equations solved with Kolmogorov–Arnold networks."""

from typing import TYPE_CHECKING

from kanpinn.errors import InputError as InputError
from kanpinn.errors import KanpinnError as KanpinnError
from kanpinn.errors import NumericalError as NumericalError
from kanpinn.geometry import Boundary as Boundary
from kanpinn.geometry import Box as Box
from kanpinn.geometry import Points as Points
from kanpinn.jet import Channels as Channels
from kanpinn.jet import Jet as Jet
from kanpinn.networks import KAN as KAN
from kanpinn.networks import MLP as MLP
from kanpinn.norms import Errors as Errors
from kanpinn.norms import observed_order as observed_order
from kanpinn.operators import biharmonic as biharmonic
from kanpinn.operators import directional as directional
from kanpinn.operators import div as div
from kanpinn.operators import grad as grad
from kanpinn.operators import hessian as hessian
from kanpinn.operators import laplacian as laplacian
from kanpinn.operators import partial as partial
from kanpinn.optimizers import LBFGS as LBFGS
from kanpinn.optimizers import Adam as Adam
from kanpinn.optimizers import LeastSquares as LeastSquares
from kanpinn.optimizers import LevenbergMarquardt as LevenbergMarquardt
from kanpinn.optimizers import Optimizer as Optimizer
from kanpinn.optimizers import Refine as Refine
from kanpinn.optimizers import VariableProjection as VariableProjection
from kanpinn.problem import Dirichlet as Dirichlet
from kanpinn.problem import Problem as Problem
from kanpinn.sampling import Collocation as Collocation
from kanpinn.solution import Solution as Solution
from kanpinn.solve import solve as solve

if TYPE_CHECKING:
    from kanpinn.results import load as load
else:

    def __getattr__(name: str) -> object:
        # Files and figures bring h5py and matplotlib, which a solve need not wait for.
        if name != "load":
            raise AttributeError(f"module 'kanpinn' has no attribute {name!r}")
        from kanpinn.results import load

        return load
