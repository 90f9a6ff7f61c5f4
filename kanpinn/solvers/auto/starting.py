"""The start of a trial's network: from a known solution, or of the solution's size."""

import copy

import torch

from kanpinn.cells import Cells
from kanpinn.cells.adaptive.shared_in_network import shared_numbers, take_shared_numbers
from kanpinn.networks import KAN
from kanpinn.networks.layer import get_coefficients
from kanpinn.pde.problem import Problem
from kanpinn.solvers.auto.trial import Trial
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.warm_start import start_from


def start(discretization: Discretization[Problem], known: Trial | None) -> None:
    """Start a network from a known solution, or from an output of the solution's size, in place.

    Args:
        discretization: of the trial to come.
        known: an earlier trial; its unknown numbers are a start too.
    """
    network, unknowns = discretization.surrogate.network, discretization.problem.unknowns
    if known is not None and unknowns:
        network.constants = copy.deepcopy(known.solution.network.constants)
    if isinstance(network, Cells):
        if known is not None and isinstance(known.solution.network, Cells):
            _take_function(network, known.solution.network)
        return
    warm = isinstance(network, KAN) and not (unknowns or network.stretched)
    if warm and known is not None and known.repeats and known.choice.form == "strong":
        start_from(known.solution, discretization)
    elif discretization.scales is not None and isinstance(network, KAN):
        layers = network.output_layers
        sizes = discretization.scales.fields.to(get_coefficients(layers))
        with torch.no_grad():
            layers[0].coefficients.mul_(sizes)


def _take_function(network: Cells, known: Cells) -> None:
    """Give a network the cells of another one and its function, that of its corners included."""
    before = known.layer
    network.layer.reset(before.tree, before.frames, before.coefficients)
    network.corners = copy.deepcopy(known.corners)
    take_shared_numbers(network, shared_numbers(known))
