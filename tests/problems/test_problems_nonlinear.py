"""Small solves of problems with known solutions: steady, in time, nonlinear, a family, systems."""

import functools

import library
import pytest
import torch
from cases import error_of

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels
from kanpinn.solvers.discretization import SolveSettings, default_points, discretize

CLASSES = {
    "helmholtz": "Helmholtz",
    "heat": "Heat",
    "wave": "Wave",
    "advection": "Advection",
    "heat4d": "Heat4D",
    "klein_gordon": "KleinGordon",
    "sine_gordon": "SineGordon",
    "kdv": "KdV",
    "parametric_poisson": "ParametricPoisson",
    "poisson2d": "Poisson2D",
    "poisson2d_neumann": "Poisson2DNeumann",
    "poisson2d_robin": "Poisson2DRobin",
    "poisson2d_periodic": "Poisson2DPeriodic",
    "stokes": "Stokes",
    "biharmonic": "Biharmonic",
    "disk_hole": "DiskHole",
    "plate_hole": "PlateHole",
}


def class_of(name: str) -> type[kp.Problem]:
    return library.class_of(name, CLASSES[name])


def test_solitons_are_apart_at_first_and_change_places():
    """The fast one is of height k₁²/2 = 2, and both come out as they went in."""
    problem = class_of("kdv")()
    x = torch.linspace(-10, 10, 2001, dtype=torch.float64)
    before, after = (
        problem.exact(Points(torch.stack([x, torch.full_like(x, t)], dim=1), ("x", "t")))[:, 0]
        for t in (-1.0, 1.0)
    )
    assert torch.allclose(before, after.flip(0), atol=1e-12)
    assert before.abs().max() > 1.5 and x[before.argmax()] < -1 < 1 < x[after.argmax()]


SMALL = {  # network, points in the domain and on its boundary, weight of the equation, error
    "helmholtz": (dict(width=[2, 48, 1], degree=11, grid=[4, 6]), (1089, 132), 1.0, 1e-6),
    "heat": (dict(width=[2, 32, 1], degree=9, grid=[4, 6]), (1024, 128), 1.0, 1e-8),
    "wave": (dict(width=[2, 56, 1], degree=11, grid=[4, 6]), (1296, 144), 1.0, 1e-5),
    "advection": (dict(width=[2, 56, 1], degree=11, grid=[4, 6]), (1296, 400), 0.01, 1e-4),
    "klein_gordon": (dict(width=[2, 48, 1], degree=9, grid=[4, 8]), (1225, 140), 1.0, 1e-6),
    "parametric_poisson": (dict(width=[3, 80, 1], degree=7, grid=[1, 4]), (1728, 400), 1.0, 1e-4),
    "poisson2d": (dict(width=[2, 48, 1], degree=9, grid=[4, 8]), (1225, 144), 1.0, 1e-9),
    "poisson2d_neumann": (dict(width=[2, 48, 1], degree=9, grid=[4, 8]), (1225, 144), 0.01, 1e-8),
    "poisson2d_robin": (dict(width=[2, 48, 1], degree=9, grid=[4, 8]), (1225, 144), 0.01, 1e-8),
    "poisson2d_periodic": (dict(width=[2, 48, 1], degree=9, grid=[4, 8]), (1225, 144), 0.01, 1e-9),
    "stokes": (dict(width=[2, 32, 3], degree=9, grid=[4, 4]), (841, 100), 1.0, 1e-6),
    "biharmonic": (dict(width=[2, 32, 1], degree=9, grid=[4, 8]), (961, 124), 1e-4, 1e-8),
    "disk_hole": (dict(width=[2, 32, 1], degree=9, grid=[4, 8]), (961, 124), 0.01, 1e-8),
    "plate_hole": (dict(width=[2, 32, 2], degree=9, grid=[4, 4]), (841, 120), 0.01, 1e-3),
}


@functools.cache
def small(name):
    settings, points, weight, _ = SMALL[name]
    network, loss = kp.KAN(**settings, seed=0), kp.Loss(interior=weight)
    points = kp.Collocation(*points)
    penalty = name.endswith(("hole", "neumann", "robin"))
    boundary = "penalty" if penalty else "auto"
    problem, method = class_of(name)(), kp.LeastSquares()
    settings = {"boundary": boundary, "loss": loss, "errors": False}
    return kp.solve(problem, network, method, points, **settings)


def error_at(solution, p):
    """The largest relative error of a field at points."""
    exact = solution.problem.exact(p)
    exact = torch.cat(exact, dim=1) if isinstance(exact, tuple) else exact
    return float(((solution(p) - exact).norm(dim=0) / exact.norm(dim=0)).max())


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_solve_them(name):
    solution, error = small(name), SMALL[name][-1]
    assert solution.status == "converged"
    assert error_at(solution, solution.problem.domain.gauss(4000)) < error


def test_one_network_is_accurate_for_every_parameter():
    solution = small("parametric_poisson")
    plane = kp.Box(x=(0, 1), y=(0, 1)).gauss(400).coords
    for kappa in (0.0, 1.3, 3.1, 5.0):
        coords = torch.cat([plane, torch.full_like(plane[:, :1], kappa)], dim=1)
        p = Points(coords, solution.problem.domain.names)
        exact = solution.problem.exact(p)
        assert (solution(p) - exact).norm() < 1e-3 * exact.norm()


SHORT = {"kdv": (-1, -0.9), "sine_gordon": (0, 1.2)}  # the first part of the time


@pytest.mark.parametrize("name", SHORT)
def test_short_marches_solve_the_others(name):
    kind = class_of(name)

    class Short(kind):
        domain = kp.Box(x=(-10, 10), t=SHORT[name])

    settings = {"errors": False, "verified": False}
    solution = kp.solve(Short(), kp.Windows([2, 1]), kp.March(1e-7), **settings)
    assert solution.status == "converged" and error_of(solution) < 1e-6


def test_two_hidden_units_are_found_in_five_dimensions():
    solution = kp.solve(
        class_of("heat4d")(),
        kp.KAN([5, 2, 1], degree=[6, 2], grid=1, seed=0),
        kp.VariableProjection(steps=40, starts=20, coarse=1, prune=False),
        kp.Collocation(200, 200, "sobol"),
        boundary="penalty",
        loss=kp.Loss(interior=0.001),
        errors=False,
        verified=False,
    )
    assert error_of(solution) < 1e-4


@pytest.mark.parametrize("name", ["helmholtz", "wave", "klein_gordon", "kdv"])
def test_solves_do_not_see_the_exact_solution_inside(name):
    """Nor the class's name: a source that uses `exact` keeps the true one."""
    kind = class_of(name)

    class Corrupted(kind):
        def exact(self, p):
            """With a part that is zero, with its slopes, on the whole boundary."""
            low, high = (corner.to(p.coords) for corner in self.domain.bounds)
            scaled = (p.coords - low) / (high - low)
            return super().exact(p) + ((scaled * (1 - scaled)) ** 2).prod(dim=1, keepdim=True)

    if name == "klein_gordon":
        Corrupted.source = lambda self, p: kind().source(p)
    found = []
    for problem in (kind(), Corrupted()):
        network = kp.KAN([2, 12, 1], degree=7, grid=[2, 4], seed=0)
        optimizer, points = kp.LeastSquares(steps=2), kp.Collocation(256, 64)
        options = {"boundary": "exact", "verified": False}
        errors = kp.solve(problem, network, optimizer, points, **options).errors
        found.append((network.layers[-1].coefficients.detach(), errors.l2_relative))
    assert torch.equal(found[0][0], found[1][0]) and found[0][1] != found[1][1]


# --- The problems in many dimensions, and what lets a KAN's hidden grids hold their corners


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
    settings = {"boundary": "penalty", "loss": kp.Loss(**weights), "errors": False}
    solution = kp.solve(problem, network, optimizer, points, **settings)
    return solution, error_at(solution, sample(problem.domain, 4096, "sobol"))


def unseen(surrogate, generator):
    """The network's input at random points of the box, many more than a solve uses."""
    domain = surrogate.domain
    unit = torch.rand(2**13, domain.dim, generator=generator, dtype=torch.float64)
    return surrogate.coordinates(domain.image(unit), Channels(domain.names))


def holds(layer, h) -> bool:
    """Whether a layer's grids hold its inputs (n, n_in)."""
    return bool(((h >= layer.basis.breaks[:, 0]) & (h <= layer.basis.breaks[:, -1])).all())


def test_five_dimensions_to_ten_digits():
    solution, error = solved(load("poisson5d"), kp.KAN([5, 1], degree=9, grid=8), (1000, 500))
    assert solution.status == "converged" and error < 1e-10


def test_ten_dimensions_to_rounding():
    network = kp.KAN([10, 64, 1], degree=[1, 3], grid=1, seed=0)
    assert solved(load("poisson10d"), network, (600, 300))[1] < 1e-12


def test_a_hundred_dimensions_to_rounding():
    network = kp.KAN([100, 1], degree=3, grid=1)
    assert solved(load("poisson100d"), network, (600, 400))[1] < 1e-12


def test_coupled_dimensions_need_inner_functions_that_are_found(generator):
    problem, points = load("poisson10d_coupled"), (1200, 600)
    network = kp.KAN([10, 4, 1], degree=[2, 7], grid=[1, 4], seed=0)
    _, random = solved(problem, network, points, interior=0.01)
    found = kp.VariableProjection(
        steps=20, rounds=1, starts=2, follow=1, coarse=4, tolerance=1e-4, prune=False
    )
    solution, error = solved(problem, network, points, found, interior=0.01)
    assert error < 0.1 < random
    h = network.layers[0](unseen(solution.surrogate, generator)).value
    assert holds(network.layers[1], h)


@pytest.mark.parametrize("name", ["poisson5d", "poisson100d"])
def test_hidden_grids_hold_activations_that_no_collocation_point_has(name, generator):
    problem = load(name)
    d = problem.domain.dim
    network = kp.KAN([d, 12, 6, 1], degree=3, grid=6, seed=0)
    points = kp.Collocation(300, 150, "sobol")
    discretization = discretize(problem, network, SolveSettings(points=points, boundary="penalty"))
    discretization.prepare()
    h = unseen(discretization.surrogate, generator)
    for layer, following in zip(network.layers, network.layers[1:], strict=False):
        h = layer(h)
        assert holds(following, h.value)


@pytest.mark.parametrize(("dim", "sampler"), [(3, "gauss"), (4, "sobol"), (100, "sobol")])
def test_default_points_are_no_product_in_many_dimensions(dim, sampler):
    assert default_points(kp.KAN([dim, 1])).sampler == sampler
