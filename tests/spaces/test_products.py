"""Marches in boxes with products of splines: conditions on sides, fields, intervals, refusals."""

import math

import pytest
import torch
from cases import Manufactured, Stated, error_of, formulas

import kanpinn as kp


def solved(problem: kp.Problem, tolerance: float, grid: int = 6, **settings) -> kp.Solution:
    fields = len(problem.fields)
    network = kp.Windows([problem.domain.dim, fields], degree=7, grid=grid)
    march = kp.March(tolerance)
    return kp.solve(problem, network, march, verified=False, errors=False, **settings)


def error(solution: kp.Solution) -> float:
    """The relative error of a march that has converged."""
    assert solution.status == "converged"
    return error_of(solution)


def diffusion(u):
    return kp.partial(u, "x", "x") + kp.partial(u, "y", "y")


# D varies, and all kinds of conditions depend on time
MIXED = Manufactured(
    kp.Box(x=(0, 1), y=(-1, 1), t=(0, 0.5)),
    lambda p, u: (
        kp.partial(u, "t")
        + u.value * kp.partial(u, "x")
        - (0.2 + 0.1 * torch.sin(3 * p.x) * p.y) * diffusion(u)
    ),
    "sin(x + 2 * y - t)",
    {"x_max": "neumann", "y_min": "robin"},
)


@pytest.mark.parametrize("tolerance", [1e-6])
def test_all_conditions_and_a_varying_coefficient(tolerance):
    assert error(solved(MIXED, tolerance)) < 3 * tolerance


def moved(w):
    """w_t + w_x - 2 w_y - w_xx / 100."""
    return (
        kp.partial(w, "t")
        + kp.partial(w, "x")
        - 2 * kp.partial(w, "y")
        - 0.01 * kp.partial(w, "x", "x")
    )


# two fields on a torus that move as waves, turn into each other and decay
WAVE = "exp(-0.04 * pi**2 * t) * sin(2 * pi * (x - t)) * cos(pi * (y + 2 * t))"
TORUS = Manufactured(
    kp.Box(x=(0, 1), y=(0, 2), t=(0, 0.3)),
    lambda p, u, v: (moved(u) + 3 * v.value, moved(v) - 3 * u.value),
    (f"{WAVE} * cos(3 * t)", f"{WAVE} * sin(3 * t)"),
    periodic=("x", "y"),
    source=False,
    fields=("u", "v"),
)


def test_periodic_systems():
    solution = solved(TORUS, 1e-6, grid=10)
    assert error(solution) < 3e-6
    ends = torch.tensor([[0.0, 0.3, 0.2], [1.0, 0.3, 0.2], [0.4, 0.0, 0.1], [0.4, 2.0, 0.1]])
    values = solution(ends.double())
    assert torch.allclose(values[::2], values[1::2], rtol=0, atol=1e-12)


def test_waves():
    square = kp.Box(x=(0, 1), y=(0, 1), t=(0, 1))
    drum = "cos(5**0.5 * pi * t) * sin(pi * x) * sin(2 * pi * y)"
    problem = kp.Wave(square, source=0, exact=drum, rate=0, boundary=0)
    assert error(solved(problem, 1e-6)) < 1e-5


def test_fields_with_different_conditions():
    """Heat in a square: u is given on the walls, and v is insulated."""
    square = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.1))
    rim = square.boundary["x_min", "x_max", "y_min", "y_max"]
    heat = lambda w: kp.partial(w, "t") - diffusion(w)  # noqa: E731
    decay = "exp(-2 * pi**2 * t)"
    exact = formulas(
        [f"{decay} * sin(pi * x) * sin(pi * y)", f"1 + {decay} * cos(pi * x) * cos(pi * y)"]
    )
    given = [
        kp.Initial(square, exact),
        kp.Dirichlet(rim, 0.0, field="u"),
        kp.Neumann(rim, 0.0, field="v"),
    ]
    residual = lambda p, u, v: (heat(u), heat(v))  # noqa: E731
    problem = Stated(square, residual, given, exact=exact, fields=("u", "v"))
    assert error(solved(problem, 1e-6)) < 3e-6


def test_three_coordinates():
    cube = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1), t=(0, 0.05))
    exact = "exp(-3 * pi**2 * t) * sin(pi * x) * sin(pi * y) * sin(pi * z)"
    problem = kp.Heat(cube, source=0, exact=exact, boundary=0)
    network = kp.Windows([4, 1], degree=5, grid=2)
    solution = kp.solve(problem, network, kp.March(1e-3), verified=False, errors=False)
    assert error(solution) < 3e-3


def front(*walls):
    """A thin front moves along x, and nothing depends on y, where other walls may be given."""
    domain, exact = kp.Box(x=(-1, 1), y=(0, 1), t=(0, 0.3)), formulas("1 - tanh((x - t) / 0.08)")
    ends = kp.Dirichlet(domain.boundary["x_min", "x_max"], exact)
    residual = lambda p, u: (  # noqa: E731
        kp.partial(u, "t") + u.value * kp.partial(u, "x") - 0.04 * diffusion(u)
    )
    return Stated(domain, residual, [kp.Initial(domain, exact), ends, *walls], exact=exact)


SIDES = front().domain.boundary["y_min", "y_max"]
INSULATED = kp.Neumann(SIDES, 0.0)


def test_intervals_are_fine_along_the_coordinate_that_needs_them():
    solution = solved(front(INSULATED), 1e-2)
    assert error(solution) < 1e-2
    along, across = solution.network.breaks()
    assert len(along) > 2 * len(across)
    assert along.diff().max() > 1.3 * along.diff().min()


def on_disk():
    disk = kp.Disk((0, 0), 1.0).over(t=(0, 1))
    return kp.Heat(disk, initial=1, boundary="neumann", exact="1 + 0 * x")


ODD = {
    "nonlinear": (lambda p, u: u.value**2 - 1, "it is not linear"),
    "oblique": (lambda p, u: kp.partial(u, "x") + u.value, "derivatives along the wall"),
    "varying": (lambda p, u: (2 + p.x) * u.value, "its factors vary along the wall"),
}
REFUSED = {
    name: (front(kp.Constraint(SIDES, condition)), words)
    for name, (condition, words) in ODD.items()
} | {
    "a disk": (on_disk(), "must have a hidden layer here, such as"),
    "a wall given twice": (
        front(INSULATED, kp.Neumann(SIDES, 1.0)),
        "prescribe the same quantity twice",
    ),
}


@pytest.mark.filterwarnings("ignore:.* unless its conditions agree")
@pytest.mark.parametrize(("problem", "why"), REFUSED.values(), ids=REFUSED)
def test_what_products_cannot_satisfy(problem, why):
    with pytest.raises(kp.InputError, match=why):
        solved(problem, 1e-3)


def test_initial_values_that_contradict_a_side():
    """Heat from 1 with walls at 0: as in one coordinate, but in a corner."""

    def cooled(x, t):
        odd = math.pi * (torch.arange(200) + 0.5)
        terms = 2 / odd * torch.sin(odd * x) * torch.exp(-(odd**2) * t)
        return terms.sum(dim=1, keepdim=True)

    square = kp.Box(x=(0, 1), y=(0, 1), t=(0, 0.1))
    walls = {"x_min": 0, "y_min": 0, "others": {"neumann": 0}}
    problem = kp.Heat(square, initial=1, boundary=walls, source=0)
    problem.exact = lambda p: cooled(p.x, p.t) * cooled(p.y, p.t)
    with pytest.warns(UserWarning, match="disagree by 1"):
        solution = solved(problem, 1e-2)
    assert error(solution) < 3e-2
