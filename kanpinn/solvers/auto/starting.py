"""The start of a trial's network: from a known solution, or of the solution's size."""

import copy
from collections.abc import Callable

import torch

from kanpinn.networks import KAN, Network
from kanpinn.networks.layer import get_coefficients
from kanpinn.solvers.auto.judging import Trial
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.warm_start import start_from


def start(network: Network, discretize: Callable[[], Discretization], known: Trial | None) -> None:
    """Start a network from a known solution, or from an output of the solution's size, in place.

    Args:
        network: of the trial to come.
        discretize: makes the discretization of the trial.
        known: an earlier trial; its unknown numbers are a start too.
    """
    solution = None if known is None else known.solution
    if solution is not None and solution.problem.unknowns:
        network.constants = copy.deepcopy(solution.network.constants)
    discretization = discretize()
    unknowns = discretization.problem.unknowns
    warm = isinstance(network, KAN) and not (unknowns or network.stretched)
    if warm and known is not None and known.repeats and known.choice.form == "strong":
        start_from(known.solution, discretization)
    elif discretization.scales is not None and isinstance(network, KAN):
        layers = network.output_layers
        sizes = discretization.scales.fields.to(get_coefficients(layers))
        with torch.no_grad():
            layers[0].coefficients.mul_(sizes)
