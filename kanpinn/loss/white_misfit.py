"""Whether the misfit of data looks like noise: whether neighbours have independent values."""

import math

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate


def likeness_of_neighbours(places: Tensor, misfit: Tensor) -> float:
    """Return by how many standard deviations the misfits at nearest neighbours are too alike.

    The sum of the products of the misfits of each point and of its nearest neighbour is zero on
    average for independent errors, and positive for a misfit that varies smoothly. If each of two
    points is the nearest neighbour of the other, their product counts twice; 62 % of random points
    in the plane are in such pairs.

    Args:
        places: the points, (n, d), n ≥ 2.
        misfit: of the data, (n, m).

    Returns:
        The sum divided by its standard deviation for independent errors; 0 for a misfit of zero.

    Reference: Moran, Notes on continuous stochastic phenomena (1950).
    """
    _, found = cKDTree(places.numpy()).query(places.numpy(), k=2)
    others = torch.as_tensor(found)
    own = torch.arange(len(places))
    # With several points at one place the first found may be another one than the point itself.
    neighbour = torch.where(others[:, 0] == own, others[:, 1], others[:, 0])
    mutual = float((neighbour[neighbour] == own).double().mean())
    squares = misfit.square().sum(dim=0)
    alike = (misfit * misfit[neighbour]).sum(dim=0) / squares.clamp(min=torch.finfo().tiny)
    count = len(places) * misfit.shape[1]
    return float(alike.mean()) * math.sqrt(count / (1 + mutual))


@torch.no_grad()
def misfit_is_smooth(term: ResidualTerm, surrogate: Surrogate) -> bool:
    """Whether the misfit of data at single points varies smoothly between them, unlike noise."""
    few, surely = 16, 4.0  # points, and standard deviations
    if term.sites > 1 or term.rows < few:
        return False
    misfit = term.residual(surrogate, term.points).double().cpu()
    low, high = surrogate.low, surrogate.high
    places = ((term.points.coords - low) / (high - low)).double().cpu()
    return likeness_of_neighbours(places, misfit) > surely
