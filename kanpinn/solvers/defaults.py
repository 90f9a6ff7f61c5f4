"""The optimizer and the collocation points of a solve that names none, by its network."""

import math

from kanpinn.cells import Cells, Dissection
from kanpinn.evolution import CellWindows, Windows
from kanpinn.evolution.march import March
from kanpinn.evolution.numbers.shooting import Shooting
from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import Network
from kanpinn.optimizers import Optimizer
from kanpinn.optimizers.least_squares import LeastSquares


def default_optimizer(network: Network) -> Optimizer:
    """The default optimizer of a network.

    It is `LeastSquares` of the output layer, `Dissection` for networks in cells, `March` for
    networks in time windows, and `Shooting` for those with unknown numbers.
    """
    if isinstance(network, Cells):
        return Dissection()
    if isinstance(network, CellWindows):
        return March()
    if not isinstance(network, Windows):
        return LeastSquares()
    return March() if network.constants is None else Shooting()


def default_points(network: Network) -> Collocation:
    """The default number of collocation points, and their sampler, for a network.

    There are 1.4 interior points per coefficient of the output layer, and at least 1681. Up to
    three inputs they are Gauss points, with 4 √(interior) points, at least 164, on the boundary.
    Above, where products of Gauss rules are too large, they are Sobol points, with a quarter as
    many on the boundary as in the interior. Networks in time windows with hidden layers take Sobol
    points, too, with twice as many on the boundary as there are coefficients, and at least 400.
    """
    coefficients = sum(part.layers[-1].coefficients.numel() for part in network.parts)
    interior = max(1681, math.ceil(1.4 * coefficients))
    if isinstance(network, Windows) and network.in_space and not network.of_splines:
        # A march takes each place at walls once: points of a product with the time share places.
        return Collocation(interior, max(400, 2 * coefficients), "sobol")
    if network.width[0] > 3:
        return Collocation(interior, math.ceil(interior / 4), "sobol")
    return Collocation(interior, max(164, math.ceil(4 * interior**0.5)), "gauss")
