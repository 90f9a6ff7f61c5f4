"""Misfits of neighbours are alike if they vary smoothly, and independent if they are noise."""

import pytest
import torch

from kanpinn.loss.parameters import likeness_of_neighbours


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_likeness_of_noise_has_mean_zero_and_deviation_one(d, generator):
    found = []
    for _ in range(200):
        places = torch.rand(80, d, generator=generator, dtype=torch.float64)
        noise = torch.randn(80, 2, generator=generator, dtype=torch.float64)
        found.append(likeness_of_neighbours(places, noise))
    found = torch.tensor(found)
    assert abs(found.mean()) < 0.25 and 0.8 < found.std() < 1.2
    assert likeness_of_neighbours(places, torch.sin(6 * places.sum(dim=1, keepdim=True))) > 4
    assert likeness_of_neighbours(places, torch.zeros(80, 1, dtype=torch.float64)) == 0
    twice = torch.cat([places, places])
    assert abs(likeness_of_neighbours(twice, torch.cat([noise, -noise.flip(0)]))) < 4
