"""Collocation points: spread, reproducible, and in proportion to the measure."""

import math

import pytest
import torch
from scipy.stats import qmc

import kanpinn as kp
from kanpinn.geometry import Box
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.sampling import FIXED, SAMPLERS, SampleTree, sample

SQUARE = Box(x=(-1, 1), y=(0, 2))
UNIT = Box(x=(0, 1), y=(0, 1))
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS)
random_samplers = pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s not in FIXED])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@random_samplers
def test_same_seed_same_points_bit_for_bit(sampler):
    for region in (SQUARE, SQUARE.boundary):
        first, again, other = (sample(region, 40, sampler, generator(s)).coords for s in (3, 3, 4))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        default = sample(region, 40, sampler).coords
        assert torch.equal(default, sample(region, 40, sampler, generator(0)).coords)


@random_samplers
def test_one_generator_gives_new_points_each_time(sampler):
    chance = generator(0)
    first, second = (sample(SQUARE, 16, sampler, chance).coords for _ in range(2))
    assert not torch.equal(first, second)


@every_sampler
def test_global_random_state_is_left_alone(sampler):
    before = torch.get_rng_state()
    sample(SQUARE, 16, sampler, generator(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sampler", ["sobol", "halton"])
def test_spread_points_have_lower_discrepancy_than_uniform_ones(sampler):
    def discrepancy(name: str, seed: int) -> float:
        return qmc.discrepancy(sample(UNIT, 128, name, generator(seed)).coords.numpy())

    worst = max(discrepancy(sampler, seed) for seed in range(5))
    assert worst < min(discrepancy("uniform", seed) for seed in range(5))


def test_sobol_points_balance_every_dyadic_rectangle():
    """Scrambling keeps a (0, m, 2)-net: 2^m points, one in each rectangle of area 2^-m."""
    coords = sample(UNIT, 64, "sobol", generator(7)).coords
    for k in range(7):
        cells = (coords * torch.tensor([2**k, 2 ** (6 - k)])).floor()
        assert len(cells.unique(dim=0)) == 64


@pytest.mark.parametrize(
    ("dim", "n", "expected"),
    [(1, 10, 10), (2, 1681, 1681), (2, 1000, 1024), (2, 30, 30), (3, 10, 12), (5, 5, 8)],
)
@pytest.mark.parametrize("sampler", FIXED)
def test_products_have_the_fewest_points_that_suffice(sampler, dim, n, expected):
    box = Box(**{f"x{i}": (0, 1) for i in range(dim)})
    points = sample(box, n, sampler)
    sizes = [len(points.coords[:, axis].unique()) for axis in range(dim)]
    assert len(points) == expected
    assert max(sizes) - min(sizes) <= 1


def test_grid_is_equispaced_and_half_a_cell_from_the_boundary():
    x = sample(Box(x=(0, 1)), 4, "grid").x
    assert x[:, 0].tolist() == [0.125, 0.375, 0.625, 0.875]


def test_gauss_points_are_the_nodes_of_the_quadrature():
    assert torch.equal(sample(SQUARE, 81, "gauss").coords, SQUARE.quadrature(9)[0].coords)
    boundary = SQUARE.boundary
    assert torch.equal(sample(boundary, 36, "gauss").coords, boundary.quadrature(9)[0].coords)


def counts(box: Box, n: int, sampler: str) -> list[int]:
    """Points on each piece, found by the normals, which tell the faces of a box apart."""
    normals = sample(box.boundary, n, sampler, generator(0)).normals
    ends = [piece.quadrature(1)[0].normals for piece in box.boundary.pieces]
    return [int((normals == end).all(dim=1).sum()) for end in ends]


@every_sampler
def test_counts_on_a_boundary_follow_the_measures(sampler):
    assert counts(Box(x=(-1, 1), y=(-1, 1)), 164, sampler) == [41, 41, 41, 41]
    assert counts(Box(x=(0, 3), y=(0, 1)), 80, sampler) == [10, 10, 30, 30]
    assert counts(Box(x=(0, 1), y=(0, 1)), 6, sampler) == [2, 2, 1, 1]


@pytest.mark.parametrize("n", [1, 4, 5, 37, 1000])
@pytest.mark.parametrize("length", [1.0, 0.37, 1e-6])
def test_every_piece_gets_a_point_and_the_total_is_kept(length, n):
    found = counts(Box(x=(0, 1), y=(0, length)), n, "uniform")
    assert min(found) >= 1
    assert sum(found) == max(n, 4)
    quotas = [n * side / (2 + 2 * length) for side in (length, length, 1.0, 1.0)]
    if min(quotas) >= 1:
        assert max(abs(f - q) for f, q in zip(found, quotas, strict=True)) < 1


@every_sampler
def test_end_points_of_an_interval_come_once(sampler):
    points = sample(Box(x=(-1, 1)).boundary, 10, sampler, generator(0))
    assert points.x.tolist() == [[-1.0], [1.0]]


# --- Stratified sampling on a tree of boxes: means, their standard errors, refinement at peaks


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
    tree = refined(BOX, peak, tolerance=0.02, places=place)
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


# --- Batches: points that keep what has been computed of them


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
