"""Helmholtz and evolution problems: exact solutions by torch.func, data, small solves."""

import math

import library
import pytest
import reference
import torch

import kanpinn as kp
from kanpinn.geometry import Points

CLASSES = {
    "helmholtz": "Helmholtz",
    "heat": "Heat",
    "wave": "Wave",
    "advection": "Advection",
    "heat4d": "Heat4D",
}


def waves(p: Points) -> torch.Tensor:
    return (torch.sin(math.pi * p.x) * torch.sin(4 * math.pi * p.y))[:, 0]


# The equations as their documentation has them, on value (n,), gradient (n, d), Hessian (n, d, d).
EQUATIONS = {
    "helmholtz": lambda p, u, g, h: h[:, 0, 0] + h[:, 1, 1] + u - (1 - 17 * math.pi**2) * waves(p),
    "heat": lambda p, u, g, h: g[:, 1] - 0.1 * h[:, 0, 0],
    "wave": lambda p, u, g, h: h[:, 1, 1] - 4 * h[:, 0, 0],
    "advection": lambda p, u, g, h: g[:, 1] + 30 * g[:, 0],
    "heat4d": lambda p, u, g, h: g[:, 4] - h.diagonal(dim1=1, dim2=2)[:, :4].sum(dim=1) / 4,
}


def class_of(name: str) -> type[kp.Problem]:
    return library.class_of(name, CLASSES[name])


@pytest.fixture(params=CLASSES)
def name(request) -> str:
    return request.param


def exact_jet(problem: kp.Problem, p: Points):
    names = problem.domain.names
    return reference.jet_of_point(
        lambda x: problem.exact(Points(x[None], names))[0], p.coords, names
    )


def inside(problem: kp.Problem, n: int, generator) -> Points:
    low, high = problem.domain.bounds
    unit = torch.rand(n, len(low), generator=generator, dtype=torch.float64)
    return Points(low + (high - low) * unit, problem.domain.names)


def test_exact_solutions_solve_their_equations(name, generator):
    problem = class_of(name)()
    p = inside(problem, 100, generator)
    u = exact_jet(problem, p)
    d = problem.domain.dim
    assert problem.residual(p, u).abs().max() < 1e-10
    hessian = u.second[..., 0].unflatten(1, (d, d))
    written = EQUATIONS[name](p, u.value[:, 0], u.gradient[..., 0], hessian)
    assert written.abs().max() < 1e-10 and u.value.abs().max() > 0.5


def test_exact_solutions_satisfy_every_condition(name):
    assert library.largest_defect(class_of(name)(), exact_jet) < 1e-10


def test_conditions_hold_on_the_whole_boundary_but_the_final_time(name):
    problem = class_of(name)()
    held = set()
    for condition in problem.conditions():
        if isinstance(condition, kp.Periodic):
            held |= {"x_min", "x_max"}
        else:
            held |= set(condition.boundary.names)
    assert set(problem.domain.boundary.names) - held == (
        set() if name == "helmholtz" else {"t_max"} if name != "heat4d" else {"final"}
    )


SMALL = {  # network, points in the domain and on its boundary, error
    "helmholtz": (dict(width=[2, 48, 1], degree=11, grid=[4, 6]), (1089, 132), 1e-6),
    "heat": (dict(width=[2, 32, 1], degree=9, grid=[4, 6]), (1024, 128), 1e-8),
    "wave": (dict(width=[2, 56, 1], degree=11, grid=[4, 6]), (1296, 144), 1e-5),
    "advection": (dict(width=[2, 56, 1], degree=11, grid=[4, 6]), (1296, 400), 1e-4),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_solve_them(name):
    settings, points, error = SMALL[name]
    loss = kp.Loss(interior=0.01 if name == "advection" else 1.0)
    solution = kp.solve(
        class_of(name)(),
        kp.KAN(**settings, seed=0),
        points=kp.Collocation(*points),
        loss=loss,
    )
    assert solution.status == "converged" and solution.errors.l2_relative < error


def test_two_hidden_units_are_found_in_five_dimensions():
    solution = kp.solve(
        class_of("heat4d")(),
        kp.KAN([5, 2, 1], degree=[6, 2], grid=1, seed=0),
        kp.VariableProjection(steps=40, starts=20, coarse=1, prune=False),
        kp.Collocation(200, 200, "sobol"),
        boundary="penalty",
        loss=kp.Loss(interior=0.001),
    )
    assert solution.errors.l2_relative < 1e-4


@pytest.mark.parametrize("name", ["helmholtz", "wave"])
def test_solves_do_not_see_the_exact_solution_inside(name):
    kind = class_of(name)

    class Corrupted(kind):
        def exact(self, p):
            low, high = (corner.to(p.coords) for corner in self.domain.bounds)
            scaled = (p.coords - low) / (high - low)
            return super().exact(p) + (scaled * (1 - scaled)).prod(dim=1, keepdim=True)

    found = []
    for problem in (kind(), Corrupted()):
        network = kp.KAN([2, 12, 1], degree=7, grid=[2, 4], seed=0)
        errors = kp.solve(problem, network, points=kp.Collocation(256, 64)).errors
        found.append((network.layers[-1].coefficients.detach(), errors.l2_relative))
    assert torch.equal(found[0][0], found[1][0]) and found[0][1] != found[1][1]
