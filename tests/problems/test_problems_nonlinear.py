"""Nonlinear evolution, a parametric family: exact solutions by torch.func, data, small solves."""

import functools
import math

import library
import pytest
import reference
import torch

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet

CLASSES = {
    "klein_gordon": "KleinGordon",
    "klein_gordon_plane": "KleinGordonPlane",
    "sine_gordon": "SineGordon",
    "kdv": "KdV",
    "parametric_poisson": "ParametricPoisson",
}


def bump(p: Points) -> torch.Tensor:
    """u³ + u_tt - u_xx of Wang, Teng and Perdikaris's solution, written out."""
    u = p.x * torch.cos(5 * math.pi * p.t) + (p.x * p.t) ** 3
    waves = 25 * math.pi**2 * p.x * torch.cos(5 * math.pi * p.t)
    return (6 * p.x**3 * p.t - waves - 6 * p.x * p.t**3 + u**3)[:, 0]


def plane(p: Points) -> torch.Tensor:
    u = (p.x + p.y) * torch.cos(p.t) + p.x * p.y * torch.sin(p.t)
    return (u**2 - u)[:, 0]


# The equations as their documentation has them: on value (n,), gradient (n, d), Hessian (n, d, d)
# and ∂_xxx (n,), which is there for equations of third order only.
EQUATIONS = {
    "klein_gordon": lambda p, u, g, h, _: h[:, 1, 1] - h[:, 0, 0] + u**3 - bump(p),
    "klein_gordon_plane": lambda p, u, g, h, _: (
        h[:, 2, 2] - h[:, 0, 0] - h[:, 1, 1] + u**2 - plane(p)
    ),
    "sine_gordon": lambda p, u, g, h, _: h[:, 1, 1] - h[:, 0, 0] + torch.sin(u),
    "kdv": lambda p, u, g, h, third: g[:, 1] + 6 * u * g[:, 0] + third,
    "parametric_poisson": lambda p, u, g, h, _: h[:, 0, 0] + h[:, 1, 1] - p.kappa[:, 0] ** 2 * u,
}
FREE = {"parametric_poisson": {"kappa_min", "kappa_max"}}  # where nothing is prescribed


def class_of(name: str) -> type[kp.Problem]:
    return library.class_of(name.removesuffix("_plane"), CLASSES[name])


@pytest.fixture(params=CLASSES)
def name(request) -> str:
    return request.param


def exact_jet(problem: kp.Problem, p: Points) -> Jet:
    """The exact solution's jet by torch.func, with ∂_x, ∂_xx and ∂_xxx along x."""
    names = problem.domain.names
    exact = lambda x: problem.exact(Points(x[None], names))[0]  # noqa: E731
    jet = reference.jet_of_point(exact, p.coords, names)
    x = (1.0, *[0.0] * (len(names) - 1))
    channels = Channels(names, gradient=True, second="hessian", directions=(x,), order=3)
    lines = reference.along(exact, p.coords, x, 3)[:, None]
    return Jet(channels, jet.value, jet.gradient, jet.second, lines)


def inside(problem: kp.Problem, n: int, generator) -> Points:
    unit = torch.rand(n, problem.domain.dim, generator=generator, dtype=torch.float64)
    return problem.domain.from_unit(unit)


def test_exact_solutions_solve_their_equations(name, generator):
    problem = class_of(name)()
    p = inside(problem, 100, generator)
    u = exact_jet(problem, p)
    d = problem.domain.dim
    assert problem.residual(p, u).abs().max() < 1e-10
    hessian = u.second[..., 0].unflatten(1, (d, d))
    written = EQUATIONS[name](p, u.value[:, 0], u.gradient[..., 0], hessian, u.lines[:, 0, 2, 0])
    assert written.abs().max() < 1e-10 and u.value.abs().max() > 0.5


def test_exact_solutions_satisfy_every_condition(name):
    assert library.largest_defect(class_of(name)(), exact_jet) < 1e-10


def test_conditions_hold_on_the_whole_boundary_but_where_none_are_needed(name):
    problem = class_of(name)()
    held = {piece for one in problem.conditions() for piece in one.boundary.names}
    assert set(problem.domain.boundary.names) - held == FREE.get(name, {"t_max"})


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


SMALL = {  # network, points in the domain and on its boundary, error
    "klein_gordon": (dict(width=[2, 48, 1], degree=9, grid=[4, 8]), (1225, 140), 1e-6),
    "parametric_poisson": (dict(width=[3, 80, 1], degree=7, grid=[1, 4]), (1728, 400), 1e-4),
}


@functools.cache
def small(name):
    settings, points, _ = SMALL[name]
    return kp.solve(
        class_of(name)(),
        kp.KAN(**settings, seed=0),
        kp.LeastSquares(),
        kp.Collocation(*points),
        boundary="exact",
    )


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_solve_them(name):
    solution, error = small(name), SMALL[name][-1]
    assert solution.status == "converged" and solution.errors.l2_relative < error


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

    solution = kp.solve(Short(), kp.Windows([2, 1]), kp.March(1e-7))
    assert solution.status == "converged" and solution.errors.l2_relative < 1e-6


@pytest.mark.parametrize("name", ["klein_gordon", "kdv"])
def test_solves_do_not_see_the_exact_solution_inside(name):
    """Nor the class's name: a source that uses `exact` keeps the true one."""
    kind = class_of(name)

    class Corrupted(kind):
        def exact(self, p):
            return super().exact(p) + self.hidden(p)

        def hidden(self, p):
            """Zero, with its slopes, on the whole boundary."""
            low, high = (corner.to(p.coords) for corner in self.domain.bounds)
            scaled = (p.coords - low) / (high - low)
            return ((scaled * (1 - scaled)) ** 2).prod(dim=1, keepdim=True)

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
