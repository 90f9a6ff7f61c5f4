"""The controller of a march: what it learns of a window from its Legendre polynomials."""

import math

import numpy as np
import pytest
import torch

from kanpinn.spaces.time_schemes import stages
from kanpinn.tasks.window import Control, StageChoice, Window, errors_by_decay


def tried(count, error, lower=0.0, length=0.1):
    """A window that has been tried."""
    converged = math.isfinite(error)
    states = torch.zeros(count + 1, 1, 1)
    return Window(stages(count), 0.0, length, states, error, lower, converged=converged)


def test_decay_goes_on_below_rounding():
    modes = np.maximum(4.0 ** -np.arange(40), 1e-16)
    error, lower = errors_by_decay(1e-19, modes)
    assert error == pytest.approx(4.0**-40, rel=0.2)
    assert lower / error == pytest.approx(16, rel=0.02)


def test_resolved_polynomials_leave_the_estimate():
    modes = 4.0 ** -np.arange(12)
    assert errors_by_decay(1e-8, modes) == (1e-8, float(np.hypot(*modes[-2:])))


@pytest.mark.parametrize("foresight", [1.0, 2.0])
def test_lengths_follow_distances_that_grow_steadily(foresight):
    control = Control(1e-10, 1.0, 9, fixed=True, choice=StageChoice(11, foresight=foresight))
    ideal = Control(1e-10, 1.0, 9, fixed=True)
    for length in (1.0, 1.5, 2.25):
        window = tried(9, 1e-11, 1e-9, length)
        control.follow(window)
        ideal.follow(window)
    assert control.length == pytest.approx(min(1.5, foresight) * ideal.length)


def test_the_controller_shortens_and_lengthens():
    control = Control(allowed=1e-6, length=0.1, stages=5)
    assert not control.accepts(tried(5, 1e-5))
    control.shorten(tried(5, 1e-5))
    assert 0.01 <= control.length < 0.07
    control.follow(tried(5, 1e-9, 1e-7))
    assert control.length > 0.1
    control.shorten(tried(5, math.inf))
    assert control.length == pytest.approx(0.1 / 3)


def test_more_stages_where_they_pay():
    control = Control(allowed=1e-10, length=0.1, stages=5)
    control.follow(tried(5, 1e-10, 1e-7))
    assert control.stages == 7
    fixed = Control(allowed=1e-10, length=0.1, stages=5, fixed=True)
    fixed.follow(tried(5, 1e-10, 1e-7))
    assert fixed.stages == 5
