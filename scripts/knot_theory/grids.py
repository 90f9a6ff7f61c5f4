"""How far a KAN's first grid reaches, chosen on rows that it is not judged by."""

from collections.abc import Sequence

import torch
from knot_theory.knots import varying

import kanpinn as kp

# In standard deviations about the mean, with tangents beyond. Three intervals over the whole range
# cannot tell signs of the meridional translation near zero.
REACHES = (0.4, 0.7, 1.0, 1.5)
THINNED = 4  # a quarter of the rows to train with tells one reach from another


def choose_reach(data: kp.Data, width: Sequence[int], seed: int, steps: int) -> float:
    """The reach whose fit to few rows does best on those for validation, which are none to test.

    For classes by accuracy, for numbers by their error.
    """
    thin, others = data.train[::THINNED], data.validation
    assert others is not None
    names = varying(thin)
    pair = kp.Data(thin.only(names), others.only(names))
    shape = [len(names), *width[1:]]
    return max(REACHES, key=lambda reach: _judge(pair, shape, reach, seed, steps))


def _judge(data: kp.Data, width: Sequence[int], reach: float, seed: int, steps: int) -> float:
    network = new_kan(width, reach, seed)
    scores = kp.fit(network, data, kp.LBFGS(steps), scaling="standard", seed=seed).scores
    found = scores["validation"]
    return found.accuracy if data.train.classes else -found.rmse


def new_kan(width: Sequence[int], reach: float, seed: int, intervals: int = 3) -> kp.KAN:
    """A KAN of degree 3 at a random start whose first grid has that reach."""
    network = kp.KAN(width, degree=3, grid=intervals, seed=seed, dtype=torch.float32)
    network.layers[0].knots *= reach
    return network
