"""The default optimizer of a network."""

from kanpinn.evolution import Windows
from kanpinn.evolution.march import March
from kanpinn.networks import Network
from kanpinn.optimizers import Optimizer
from kanpinn.optimizers.least_squares import LeastSquares


def default_optimizer(network: Network) -> Optimizer:
    """The default: a march for networks in time windows, else least squares of the output layer."""
    return March() if isinstance(network, Windows) else LeastSquares()
