"""The problems in many dimensions, and what lets a KAN's hidden grids hold their corners."""

import library
import pytest
import torch

import kanpinn as kp
from kanpinn.jets import Channels
from kanpinn.solvers.discretization import SolveSettings, default_points, discretize

KNOWN = {
    "poisson5d": "Poisson5D",
    "poisson10d": "Poisson10D",
    "poisson100d": "Poisson100D",
    "poisson10d_coupled": "Poisson10DCoupled",
}


def load(name):
    return library.class_of(name, KNOWN[name])()


def solved(problem, network, points, optimizer=None, **weights):
    points = kp.Collocation(*points, "sobol")
    return kp.solve(
        problem, network, optimizer, points, boundary="penalty", loss=kp.Loss(**weights)
    )


def unseen(surrogate, generator):
    """The network's input at random points of the box, many more than a solve uses."""
    domain = surrogate.domain
    unit = torch.rand(2**15, domain.dim, generator=generator, dtype=torch.float64)
    return surrogate.coordinates(domain.image(unit), Channels(domain.names))


def holds(layer, h) -> bool:
    """Whether a layer's grids hold its inputs (n, n_in)."""
    return bool(((h >= layer.basis.breaks[:, 0]) & (h <= layer.basis.breaks[:, -1])).all())


def test_five_dimensions_to_ten_digits():
    solution = solved(load("poisson5d"), kp.KAN([5, 1], degree=9, grid=8), (1000, 500))
    assert solution.status == "converged"
    assert solution.errors.l2_relative < 1e-10


def test_ten_dimensions_to_rounding():
    network = kp.KAN([10, 64, 1], degree=[1, 3], grid=1, seed=0)
    assert solved(load("poisson10d"), network, (600, 300)).errors.l2_relative < 1e-12


def test_a_hundred_dimensions_to_rounding():
    network = kp.KAN([100, 1], degree=3, grid=1)
    assert solved(load("poisson100d"), network, (600, 400)).errors.l2_relative < 1e-12


def test_coupled_dimensions_need_inner_functions_that_are_found(generator):
    problem, points = load("poisson10d_coupled"), (1200, 600)
    network = kp.KAN([10, 4, 1], degree=[2, 7], grid=[1, 4], seed=0)
    random = solved(problem, network, points, interior=0.01).errors.l2_relative
    found = kp.VariableProjection(
        steps=20, rounds=1, starts=2, follow=1, coarse=4, tolerance=1e-4, prune=False
    )
    solution = solved(problem, network, points, found, interior=0.01)
    assert solution.errors.l2_relative < 0.1 < random
    h = network.layers[0](unseen(solution.surrogate, generator)).value
    assert holds(network.layers[1], h)


@pytest.mark.parametrize("name", ["poisson5d", "poisson10d", "poisson100d"])
def test_hidden_grids_hold_activations_that_no_collocation_point_has(name, generator):
    problem = load(name)
    d = problem.domain.dim
    network = kp.KAN([d, 12, 6, 1], degree=3, grid=6, seed=0)
    points = kp.Collocation(1000, 500, "sobol")
    discretization = discretize(problem, network, SolveSettings(points=points, boundary="penalty"))
    discretization.prepare()
    h = unseen(discretization.surrogate, generator)
    for layer, following in zip(network.layers, network.layers[1:], strict=False):
        h = layer(h)
        assert holds(following, h.value)


@pytest.mark.parametrize(("dim", "sampler"), [(3, "gauss"), (4, "sobol"), (100, "sobol")])
def test_default_points_are_no_product_in_many_dimensions(dim, sampler):
    assert default_points(kp.KAN([dim, 1])).sampler == sampler
