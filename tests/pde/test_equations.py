"""The common equations: what they say, what is derived from an exact solution, how they solve."""

import math
import re

import pytest
import torch

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import sample
from kanpinn.pde.conditions import Initial, Integral, Periodic
from kanpinn.pde.verify import exact_defects
from kanpinn.runs.config import Config

SQUARE = kp.Box(x=(-1, 1), y=(0, 1))
LINE = kp.Box(x=(0, 1), t=(0, 0.5))
BOX = {"type": "box", "x": [0, 1], "y": [-1, 1]}
SPACE_TIME = {"type": "box", "x": [0, 1], "t": [0, 0.5]}
HOLE = {"type": "disk", "center": [0, 0], "radius": 0.3, "name": "hole"}
PLATE = {"type": "difference", "of": [{"type": "box", "x": [-1, 1], "y": [-1, 1]}, HOLE]}
WAVY = "sin(2*x + y)"

# u = sin(2x + y): u_x = 2c, u_y = c, Δu = -5s; with a = 1 + x²: ∇a·∇u = 4xc.
SOURCES = [
    (kp.Poisson(SQUARE, exact=WAVY, diffusion="1 + x**2"), "5*(1+x**2)*s - 4*x*c"),
    (kp.Poisson(SQUARE, exact=WAVY, diffusion=lambda p: 1 + p.x**2), "5*(1+x**2)*s - 4*x*c"),
    (kp.Poisson(SQUARE, exact=WAVY), "5*s"),
    (kp.Helmholtz(SQUARE, exact=WAVY, wavenumber="3"), "5*s - 9*s"),
    (kp.Helmholtz(SQUARE, exact=WAVY, wavenumber="1 + y"), "5*s - (1+y)**2*s"),
    (
        kp.AdvectionDiffusion(
            SQUARE, exact=WAVY, velocity=["y", -1], diffusion="1 + x**2", reaction="x"
        ),
        "2*y*c - c + 5*(1+x**2)*s - 4*x*c + x*s",
    ),
]
# u = exp(-t) cos(kx), k = 2.
SOURCES_IN_TIME = [
    (kp.Heat, {"diffusion": "1 + x"}, "-u + 4*(1+x)*u + 2*exp(-t)*sin(2*x)"),
    (kp.Wave, {"speed": "1 + x"}, "u + 4*(1+x)**2*u"),
    (
        kp.AdvectionDiffusion,
        {"velocity": ["3"], "diffusion": 0.5, "reaction": 2},
        "-u - 6*exp(-t)*sin(2*x) + 2*u + 2*u",
    ),
]


def _formula(text, **parts):
    for name, part in parts.items():
        text = "".join(f"({part})" if word == name else word for word in _words(text))
    return kp.Expression(text)


def _words(text):
    return re.findall(r"\w+|\W", text)


@pytest.mark.parametrize(("problem", "by_hand"), SOURCES)
def test_a_derived_source_is_the_one_by_hand(problem, by_hand):
    p = sample(SQUARE, 50, "sobol")
    expected = _formula(by_hand, s="sin(2*x+y)", c="cos(2*x+y)")(p)
    torch.testing.assert_close(problem.source(p), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "data", "by_hand"), SOURCES_IN_TIME)
def test_a_derived_source_in_time_is_the_one_by_hand(kind, data, by_hand):
    p = sample(LINE, 50, "sobol")
    problem = kind(LINE, exact="exp(-t) * cos(k*x)", parameters={"k": 2}, **data)
    expected = _formula(by_hand, u="exp(-t)*cos(2*x)")(p)
    torch.testing.assert_close(problem.source(p), expected, rtol=1e-12, atol=1e-12)


def test_a_disk_over_time_has_no_second_derivative_in_time_in_its_laplacian():
    domain = kp.Disk((0, 0), 1).over(t=(0, 1))
    problem = kp.Heat(domain, exact="x**2 * t**2")
    p = sample(domain, 20, "sobol")
    torch.testing.assert_close(problem.source(p), 2 * p.t * p.x**2 - 2 * p.t**2)
    initial = problem.conditions()[-1]
    assert isinstance(initial, Initial)
    assert torch.equal(initial.target(p), p.x**2 * p.t**2)


def test_derived_boundary_data_are_those_by_hand():
    boundary = {"x_max": "neumann", "y_min": {"robin": ["x", 2]}, "y_max": "dirichlet"}
    conditions = kp.Poisson(SQUARE, exact=WAVY, boundary=boundary).conditions()
    kinds = [(type(c), c.boundary.names) for c in conditions]
    assert kinds == [
        (kp.Neumann, ("x_max",)),
        (kp.Robin, ("y_min",)),
        (kp.Dirichlet, ("y_max",)),
        (kp.Dirichlet, ("x_min",)),
    ]
    for condition, by_hand in zip(
        conditions,
        ["2*cos(2*x+y)", "x*sin(2*x+y) - 2*cos(2*x+y)", WAVY, WAVY],
        strict=True,
    ):
        p = condition.boundary.quadrature(5)[0]
        torch.testing.assert_close(condition.value(p), kp.Expression(by_hand)(p))


def test_the_rate_of_a_wave_is_that_of_the_exact_solution():
    initial = kp.Wave(LINE, exact="sin(x - 3*t)").conditions()[-1]
    p = initial.boundary.quadrature(5)[0]
    torch.testing.assert_close(initial.rate(p), -3 * torch.cos(p.x))
    assert kp.Wave(LINE, source=0, boundary=0, initial="x*(1-x)").conditions()[-1].rate == 0.0


def test_boundary_data_without_an_exact_solution():
    boundary = {"x_min": "0", "x_max": {"neumann": "y"}, "others": {"robin": [1, "2", "x"]}}
    conditions = kp.Poisson(SQUARE, source="1", boundary=boundary).conditions()
    assert [c.boundary.names for c in conditions] == [("x_min",), ("x_max",), ("y_min", "y_max")]
    assert conditions[0].value == 0.0  # a constant is a number: it can be built in as zero
    assert (conditions[2].alpha, conditions[2].beta) == (1, 2.0)
    problem = kp.AdvectionDiffusion(
        SQUARE, velocity=[1, 0], diffusion=0, boundary={"x_min": "y", "others": "none"}
    )
    assert [c.boundary.names for c in problem.conditions()] == [("x_min",)]
    assert torch.equal(problem.source(sample(SQUARE, 5)), torch.zeros(5, 1, dtype=torch.float64))


def test_periodic_coordinates_and_a_mean_take_the_place_of_boundary_data():
    problem = kp.Poisson(SQUARE, source="sin(pi*x)", periodic=["x"], boundary="0")
    periodic, dirichlet = problem.conditions()
    assert isinstance(periodic, Periodic)
    assert dirichlet.boundary.names == ("y_min", "y_max")
    mean = kp.Poisson(SQUARE, exact="cos(pi*y)", boundary="neumann", mean=0.5).conditions()[-1]
    assert isinstance(mean, Integral)
    assert mean.value == 0.5 * SQUARE.measure


@pytest.mark.parametrize("problem", [problem for problem, _ in SOURCES])
def test_exact_solutions_satisfy_equation_and_conditions(problem):
    problem.check()
    assert all(defect.is_rounding for defect in exact_defects(problem))


def test_the_exact_solution_inside_does_not_touch_the_computed_one():
    """Where a source is given, a wrong `exact` inside changes the errors alone."""
    true, inside = "sin(pi*x) * sin(pi*y)", " + 100 * (1 - x**2) * y * (1 - y)"
    data = {"source": "2*pi**2 * sin(pi*x) * sin(pi*y)"}
    p, found = sample(SQUARE, 20, "sobol"), []
    for exact in (true, true + inside):
        problem = kp.Poisson(SQUARE, exact=exact, **data)
        network = kp.KAN([2, 16, 1], degree=7, grid=2, seed=0)
        found.append(kp.solve(problem, network, points=kp.Collocation(225, 40)))
    assert torch.equal(found[0](p), found[1](p))
    assert found[0].errors.l2_relative < 1e-3 < 0.5 < found[1].errors.l2_relative


SOLVED = [
    ({"equation": "poisson", "domain": BOX, "diffusion": "1 + x*y/2", "exact": WAVY}, "exact"),
    ({"equation": "poisson", "domain": PLATE, "exact": WAVY, "boundary": {"hole": "neumann"}},
     "penalty"),
    ({"equation": "poisson", "domain": BOX, "exact": "cos(pi*x)", "boundary": "neumann",
      "mean": 0}, "penalty"),
    ({"equation": "helmholtz", "domain": BOX, "wavenumber": "k", "exact": "cos(k*x) + y",
      "parameters": {"k": 2}}, "exact"),
    ({"equation": "heat", "domain": SPACE_TIME, "diffusion": "1 + x", "exact": "exp(-t)*sin(3*x)"},
     "exact"),
    ({"equation": "heat", "domain": {"type": "interval", "x": [0, 1], "time": [0, 0.5]},
      "exact": "exp(-t)*sin(2*pi*x)", "periodic": ["x"]}, "exact"),
    ({"equation": "wave", "domain": SPACE_TIME, "speed": 2, "exact": "sin(x - 2*t)"}, "exact"),
    ({"equation": "wave", "domain": SPACE_TIME, "source": 0, "boundary": 0, "initial": "0",
      "rate": "pi*sin(pi*x)", "exact": "sin(pi*x)*sin(pi*t)"}, "exact"),
    ({"equation": "advection_diffusion", "domain": BOX, "velocity": ["y", 1], "diffusion": "0.1",
      "reaction": "x", "exact": "exp(x*y)"}, "exact"),
    ({"equation": "advection_diffusion", "domain": SPACE_TIME, "velocity": [1], "diffusion": 0,
      "exact": "sin(3*(x-t))", "boundary": {"x_max": "none"}}, "exact"),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "boundary"), SOLVED)
def test_a_table_alone_is_solved(problem, boundary):
    network = {"type": "kan", "width": [2, 32, 1], "degree": 8, "grid": [1, 4]}
    data = {"problem": problem, "network": network | {"boundary": boundary}}
    data["points"] = {"interior": 625, "boundary": 160}
    solution = Config.from_dict(data).build().run()
    assert solution.errors.l2_relative < 1e-6


def test_data_without_an_exact_solution_are_solved():
    """-u'' = 2 with u(0) = 1 and u'(1) + u(1) = 0: u = 1 + x - x²."""
    problem = {
        "equation": "poisson",
        "domain": {"type": "interval", "x": [0, 1]},
        "source": 2,
        "boundary": {"x_min": 1, "x_max": {"robin": [1, 1, 0]}},
    }
    network = {"type": "kan", "width": [1, 8, 1], "degree": 5, "grid": 2}
    data = {"problem": problem, "network": network, "points": {"interior": 40, "boundary": 2}}
    solution = Config.from_dict(data).build().run()
    p = sample(kp.Box(x=(0, 1)), 20, "sobol")
    assert solution.errors is None
    torch.testing.assert_close(solution(p), 1 + p.x - p.x**2, atol=1e-8, rtol=0)


REFUSED = [
    (kp.Poisson, {"exact": "sin(z)"}, "exact = .*unknown name z"),
    (kp.Poisson, {"exact": "log(x)"}, "exact must be finite, is nan at x ="),
    (kp.Poisson, {"source": "1"}, "boundary has no value, and there is no exact solution"),
    (kp.Poisson, {"source": "1", "boundary": "neumann"}, "a table with the key neumann gives one"),
    (kp.Poisson, {"source": "1", "boundary": {"neumann": 0}}, "mean is missing"),
    (kp.Poisson, {"exact": "x", "boundary": {"xmin": "0"}}, r'xmin is no piece.*mean "x_min"'),
    (kp.Poisson, {"boundary": {"x_min": 0}}, "says nothing of the pieces x_max, y_min, y_max"),
    (kp.Poisson, {"exact": "x", "boundary": {"x_min": {"flux": 0}}}, "one of the keys dirichlet"),
    (kp.Poisson, {"exact": "x", "boundary": {"x_min": {"robin": [1]}}}, r"robin = \[1\]: expected"),
    (kp.Poisson, {"boundary": {"robin": [1, 2]}}, "no exact solution to take it from"),
    (kp.Poisson, {"exact": "x", "diffusion": "x"}, "diffusion must be above 0, is -"),
    (kp.Poisson, {"exact": "x", "diffusion": "where(x > 0, 1, 2)"}, "where can jump"),
    (kp.Poisson, {"exact": "x", "periodic": ["z"]}, "expected coordinates of space"),
    (kp.Poisson, {"exact": "x", "parameters": {"k": math.inf}}, "parameters.k must be a finite"),
    (kp.Heat, {"exact": "x"}, "domain has no time, which Heat needs"),
    (kp.AdvectionDiffusion, {"exact": "x", "velocity": [1], "diffusion": 1}, "must be a list of 2"),
    (kp.AdvectionDiffusion, {"exact": "x", "velocity": [1, 1], "diffusion": -1}, "at least 0"),
    (kp.AdvectionDiffusion, {"exact": "x", "velocity": [1, 1], "diffusion": 1, "initial": 0},
     "initial is for a domain with time"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "message"), REFUSED)
def test_data_that_do_not_fit_are_refused(kind, data, message):
    with pytest.raises(InputError, match=message):
        kind(SQUARE, **data).check()


def test_time_and_its_data_belong_together():
    with pytest.raises(InputError, match="domain has the time t, which Poisson does not have"):
        kp.Poisson(LINE, exact="x")
    with pytest.raises(InputError, match="initial is missing"):
        kp.Heat(LINE, boundary=0)
    disk = kp.Disk((0, 0), 1)
    with pytest.raises(InputError, match="the boundary has no pieces x_min and x_max"):
        kp.Poisson(disk, exact="x", periodic=["x"])


def test_the_gradient_of_a_trainable_source_is_that_of_its_present_values():
    factor = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    problem = kp.Poisson(SQUARE, source=lambda p: factor * p.x, boundary=0.0)
    batch = Batch.made_of(sample(SQUARE, 8, "sobol"))
    mean = float(batch.x.square().mean())
    for value in (2.0, 3.0):
        factor.data.fill_(value)
        (found,) = torch.autograd.grad(problem.source(batch).square().mean(), factor)
        assert float(found) == pytest.approx(2 * value * mean)
    given = kp.Poisson(SQUARE, source="x", boundary=0.0)
    assert given.source(batch) is given.source(batch)
