"""The pace at which a file is written again and again."""

import time

import pytest

from kanpinn._support.files import Pace


@pytest.mark.parametrize(("cost", "pause"), [(0.0, 10.0), (0.25, 10.0), (3.0, 60.0)])
def test_a_write_is_due_after_the_interval_or_a_multiple_of_its_own_time(cost, pause, monkeypatch):
    """With the share 1/20 a write of c seconds is followed by a pause of max(10, 20 c)."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = Pace(interval=10.0, share=0.05)
    with pace.writing():
        now += cost
    now += pause - 0.01
    assert not pace.is_due
    now += 0.02
    assert pace.is_due


def test_the_first_write_is_not_due_at_once():
    assert not Pace(interval=60.0, share=1.0).is_due


def test_a_write_that_fails_is_not_counted():
    pace = Pace(interval=0.0, share=1e-9)
    with pytest.raises(OSError, match="full"), pace.writing():
        raise OSError("the disk is full")
    assert pace.is_due
