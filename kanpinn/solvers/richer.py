"""The loss of a solution in a richer network, at other points."""

import copy
import math
from dataclasses import replace

from kanpinn.loss.residuals import Residuals
from kanpinn.networks.sum import with_more_functions
from kanpinn.pde.problem import Problem
from kanpinn.solvers.discretization import Discretization


def richer_residuals(discretization: Discretization[Problem], residuals: Residuals) -> Residuals:
    """Return the loss of a solution in a network with additional functions, at other points.

    The fields that are solved for get more functions; unknown coefficient fields do not, since
    their network is part of what a user states. The function itself is the same at first.

    Args:
        discretization: that of the solve.
        residuals: the loss at its end.
    """
    surrogate, seed = copy.deepcopy(residuals.surrogate), discretization.seed + 7919
    fields = range(surrogate.network.width[-1])
    known = dict(enumerate(surrogate.coefficients))
    outputs = [i for i in fields if known.get(i) is None]
    surrogate.network = with_more_functions(surrogate.network, outputs, seed)
    count = sum(layer.coefficients.numel() for layer in surrogate.network.output_layers)
    chosen = discretization.collocation
    points = replace(
        chosen,
        interior=max(2 * chosen.interior, math.ceil(1.5 * count / len(outputs))),
        boundary=2 * chosen.boundary,
        resample=0,
        adapt=None,
    )
    made = replace(discretization, surrogate=surrogate, collocation=points, seed=seed)
    made.prepare()
    return made.residuals()
