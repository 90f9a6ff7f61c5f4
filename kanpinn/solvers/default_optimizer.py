"""What a network is trained with where nothing is said."""

from kanpinn.evolution import Windows
from kanpinn.evolution.march import March
from kanpinn.networks import Network
from kanpinn.optimizers import Optimizer
from kanpinn.optimizers.least_squares import LeastSquares


def default_optimizer(network: Network) -> Optimizer:
    """A march for networks in windows of time, else least squares for the output layer."""
    return March() if isinstance(network, Windows) else LeastSquares()
