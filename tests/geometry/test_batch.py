"""Batches: points that keep what has been computed of them."""

import torch

from kanpinn.geometry.points import Batch, Points


def test_a_batch_computes_once_and_plain_points_each_time():
    calls = []

    def at(p: Points) -> list[int]:
        return p.once("count", lambda: calls.append(len(p)) or [len(p)])

    points = Points(torch.zeros(4, 2), ("x", "y"))
    batch = Batch.made_of(points)
    assert at(points) is not at(points) and at(batch) is at(batch)
    assert calls == [4, 4, 4]
    assert at(batch[:2]) == [2]  # some of its rows know nothing
    assert batch.once("other", lambda: 7) == 7
