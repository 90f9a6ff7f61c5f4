"""The parts of scripts/continual_learning.py that are exact: the peaks, and what cannot change."""

import pytest
import torch

import kanpinn as kp
from kanpinn.networks import Surrogate

SCRIPT = "continual_learning"


def test_the_phases_cover_the_interval_and_hold_a_peak_each(study):
    ends = [study.points(i, 101)[[0, 50, -1], 0] for i in range(study.PEAKS)]
    bounds = torch.linspace(-1, 1, study.PEAKS + 1).double()
    assert torch.allclose(torch.stack(ends)[:, 0], bounds[:-1])
    assert torch.allclose(torch.stack(ends)[:, 2], bounds[1:])
    assert torch.allclose(study.target(torch.stack(ends)[:, 1]), torch.ones(5).double())


def remembered(study, optimizer):
    """The function on the first phase, away from the second's border, before and after that."""
    surrogate = Surrogate(study.NETWORKS["KAN [1,1]"](0), kp.Box(x=(-1, 1)))
    first = study.points(0, 201)
    study.teach(surrogate, first, optimizer, 0)
    kept = first[first[:, 0] < first[-1, 0] - study.BORDER]
    before = study.values(surrogate, kept)
    study.teach(surrogate, study.points(1, 201), optimizer, 0)
    return before, study.values(surrogate, kept)


@pytest.mark.parametrize("optimizer", [kp.Adam(steps=30, lr=1e-2), kp.LBFGS(steps=5)])
def test_a_spline_keeps_what_gradients_do_not_reach(study, optimizer):
    before, after = remembered(study, optimizer)
    assert (after - before).abs().max() < 1e-13


def test_the_least_coefficients_forget(study):
    before, after = remembered(study, kp.LeastSquares())
    assert before.max() > 0.99 and after[60:140].abs().max() < 1e-6
