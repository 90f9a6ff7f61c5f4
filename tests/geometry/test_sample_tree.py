"""Stratified sampling on a tree of boxes: means, their standard errors, refinement at peaks."""

import math

import pytest
import torch

import kanpinn as kp
from kanpinn.geometry.sampling import SampleTree

BOX = kp.Box(x=(-1, 1), y=(0, 3))
DISK = kp.Disk((0.3, -0.2), 0.7)
CASES = {
    "box": (BOX, lambda p: (p.x**2 * p.y)[:, 0], 0.5),
    "disk": (DISK, lambda p: ((p.x - 0.3) ** 2 + (p.y + 0.2) ** 2)[:, 0], 0.245),
    "interval": (kp.Box(x=(0, 2)), lambda p: p.x[:, 0] ** 3, 2.0),
    "five dimensions": (
        kp.Box(**{axis: (0, 1) for axis in "abcde"}),
        lambda p: p.coords.square().sum(dim=1),
        5 / 3,
    ),
}


def refined(domain, function, seed=0, tolerance=1e-2, most=20_000, **places):
    tree = SampleTree(domain, seed=seed, **places)
    tree.add(function(tree.pending))
    while tree.refine(tolerance, most):
        tree.add(function(tree.pending))
    return tree


@pytest.mark.parametrize(("domain", "function", "exact"), CASES.values(), ids=CASES)
def test_the_mean_is_within_its_standard_error(domain, function, exact):
    deviations = []
    for seed in range(8):
        tree = refined(domain, function, seed)
        assert tree.error <= 1e-2 * tree.mean
        deviations.append((tree.mean - exact) / tree.error)
    assert math.sqrt(sum(d**2 for d in deviations) / 8) < 2


def peak(p, width=1e-3):
    return torch.exp(-(((p.x - 0.123) / width) ** 2) - ((p.y - 2.2) / width) ** 2)[:, 0]


def test_boxes_are_halved_where_the_function_is():
    exact = math.pi * 1e-3**2 / 6
    blind = refined(BOX, peak)
    assert blind.mean < 0.1 * exact  # no point of the first boxes is near the peak
    place = torch.tensor([[0.123, 2.2]], dtype=torch.float64)
    tree = refined(BOX, peak, tolerance=0.02, places=place, smallest=2.0**-12)
    assert tree.error <= 0.02 * tree.mean
    assert tree.mean == pytest.approx(exact, rel=0.1)
    assert tree.largest.tolist() == pytest.approx([0.123, 2.2], abs=3e-3)
    assert tree.evaluations < 10_000


def test_points_gather_at_a_layer():
    tree = refined(BOX, lambda p: torch.exp(-1e4 * p.x.square())[:, 0])
    assert tree.mean == pytest.approx(math.sqrt(math.pi) * 1e-2 / 2, rel=0.04)
    near = tree.coords[tree.inside][:, 0].abs() < 0.02  # a fiftieth of the box
    assert float(near.double().mean()) > 0.3


def test_the_same_seed_gives_the_same_points():
    first, again, other = (refined(DISK, CASES["disk"][1], seed) for seed in (3, 3, 4))
    assert torch.equal(first.coords, again.coords)
    assert first.mean == again.mean != other.mean
    assert bool(DISK.contains(first.coords[first.inside]).all())


@pytest.mark.parametrize("domain", [BOX, kp.Annulus((0, 0), 1 - 1e-4, 1.0)])
def test_it_stops_at_the_limit_of_evaluations(domain):
    tree = refined(domain, lambda p: (p.x[:, 0] > 0.777).double(), tolerance=1e-6, most=3000)
    assert tree.evaluations <= 3000 and tree.coords[..., 0].numel() <= 12_000
