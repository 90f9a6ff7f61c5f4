"""The KAN paper's values for its Poisson problem (arXiv 2404.19756, Figure 3.3), as data.

They are read off the vector paths of the paper's figure. Errors are squared: means over the domain
of e² (L2²) and of e² + |∇e|² (H1²). N counts edges times grid intervals, for MLPs the weights
without biases. The paper's curve of depth 2 repeats that of depth 3, a mistake in its figure, and
is left out here.
"""

import itertools
from dataclasses import dataclass

GRIDS = (2, 4, 6, 8, 10)
WIDTHS = (5, 7, 10)  # of the KANs [2, width, 1], degree 3

# L2² after so many of 250 steps, grids extended on the way.
STEPS = (10, 25, 50, 75, 100, 125, 150, 175, 200, 225, 249)
DYNAMICS = {
    "KAN [2,10,1]": (
        *(1.98e-3, 4.31e-4, 1.35e-4, 1.37e-5, 2.14e-5, 5.79e-7),
        *(4.16e-6, 1.43e-7, 1.25e-6, 1.42e-7, 9.84e-8),
    ),
    "MLP [2,100,100,100,1]": (
        *(4.66e-3, 3.4e-4, 9.9e-5, 3.6e-5, 2.2e-5, 2.3e-5),
        *(1.5e-5, 9.0e-6, 9.7e-6, 6.7e-6, 5.75e-6),
    ),
    "MLP [2,10,1]": (9.05e-2,) * 11,
}
FINAL_H1 = {"KAN [2,10,1]": 2.85e-5, "MLP [2,100,100,100,1]": 1.18e-3, "MLP [2,10,1]": 2.02}


@dataclass(frozen=True)
class Squared:
    """Squared errors at each of GRIDS."""

    l2_squared: tuple[float, ...]
    h1_squared: tuple[float, ...]


KANS = {
    5: Squared(
        (6.98e-4, 2.56e-5, 1.14e-5, 4.79e-6, 2.09e-6), (4.79e-2, 2.72e-3, 1.48e-3, 6.88e-4, 3.56e-4)
    ),
    7: Squared(
        (2.81e-4, 5.98e-6, 1.17e-6, 4.49e-7, 2.91e-7), (2.63e-2, 1.21e-3, 3.76e-4, 1.18e-4, 5.72e-5)
    ),
    10: Squared(
        (4.05e-5, 3.45e-6, 4.71e-7, 1.02e-7, 5.39e-8), (5.86e-3, 9.52e-4, 1.96e-4, 4.32e-5, 2.08e-5)
    ),
}
# Of L2² and H1² against G, 2 to 10, by least squares on the logarithms of these values; from end to
# end that of [2,10,1] is 4.1 and 3.5.
SLOPES = {5: (3.5, 2.9), 7: (4.3, 3.8), 10: (4.2, 3.6)}

MLP_WIDTHS = (5, 10, 20, 50, 100, 200)
MLP_L2 = {  # by depth, the number of layers of weights
    3: (7.32e-2, 2.70e-3, 8.24e-5, 2.73e-5, 2.02e-5, 3.68e-5),
    4: (2.15e-3, 2.46e-5, 3.37e-6, 2.02e-6, 5.06e-6, 5.55e-6),
    5: (8.32e-4, 1.27e-5, 5.96e-6, 5.19e-6, 4.45e-6, 3.57e-6),
}
MLP_BEST_H1 = {3: 3.28e-3, 4: 4.15e-4, 5: 8.66e-4}  # over the widths


def edges(width: tuple[int, ...] | list[int]) -> int:
    """Return the paper's count of a network's edges, or of an MLP's weights without biases."""
    return sum(a * b for a, b in itertools.pairwise(width))
