"""The controller of a march: what it learns of a window from its Legendre polynomials."""

import numpy as np
import pytest

from kanpinn.spaces.window import Control, StageChoice, Tried
from kanpinn.tasks.collocation import errors_by_decay


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
        tried = Tried(length, 9, 1e-11, lower=1e-9)
        control.follow(tried)
        ideal.follow(tried)
    assert control.length == pytest.approx(min(1.5, foresight) * ideal.length)
