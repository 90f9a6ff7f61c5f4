"""The common equations: what they say, what is derived from an exact solution, how they solve."""

import copy
import math
import pickle
import re

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import sample
from kanpinn.pde.conditions import Initial, Integral, Periodic
from kanpinn.pde.defects import exact_defects
from kanpinn.pde.expressions import FUNCTIONS
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
    problem.check()
    assert all(defect.is_rounding for defect in exact_defects(problem))
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
        conditions, ["2*cos(2*x+y)", "x*sin(2*x+y) - 2*cos(2*x+y)", WAVY, WAVY], strict=True
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
    ({"equation": "poisson", "domain": PLATE, "exact": WAVY, "boundary": {"hole": "neumann"}},
     "penalty"),
    ({"equation": "poisson", "domain": BOX, "exact": "cos(pi*x)", "boundary": "neumann",
      "mean": 0}, "penalty"),
    ({"equation": "helmholtz", "domain": BOX, "wavenumber": "k", "exact": "cos(k*x) + y",
      "parameters": {"k": 2}}, "exact"),
    ({"equation": "heat", "domain": {"type": "interval", "x": [0, 1], "time": [0, 0.5]},
      "exact": "exp(-t)*sin(2*pi*x)", "periodic": ["x"]}, "exact"),
    ({"equation": "wave", "domain": SPACE_TIME, "speed": 2, "exact": "sin(x - 2*t)"}, "exact"),
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


# --- Formulas mean what Python's operators and NumPy's functions say; anything else is refused


X, Y = numpy.random.default_rng(0).uniform(-2, 2, (2, 50))
POINTS = kp.Points(torch.tensor(numpy.stack([X, Y], axis=1)), ("x", "y"))
NUMPY = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "min": "minimum",
    "max": "maximum",
}
UNARY = ("sin", "cos", "tan", "exp", "abs", "sqrt", "log", "sinh", "cosh", "tanh", "atan", "sign")

atoms = st.sampled_from(["x", "y", "pi", "e", "2", "0.5", "3e-1", "k"])


def _grown(inner):
    binary = st.sampled_from(["+", "-", "*", "/"])
    named = st.sampled_from(["atan2", "min", "max"])
    return st.one_of(
        st.builds(lambda a, o, b: f"({a}) {o} ({b})", inner, binary, inner),
        st.builds(lambda a, n: f"({a}) ** {n}", inner, st.sampled_from(["2", "3", "-1", "0.5"])),
        st.builds(lambda f, a: f"{f}({a})", st.sampled_from(UNARY), inner),
        st.builds(lambda f, a, b: f"{f}({a}, {b})", named, inner, inner),
        st.builds(lambda a: f"-({a})", inner),
        st.builds(lambda c, a, b: f"where({c} < 0.3, {a}, {b})", inner, inner, inner),
    )


formulas = st.recursive(atoms, _grown, max_leaves=12)


def by_numpy(text: str) -> numpy.ndarray:
    """What Python makes of a formula of this file's own."""
    names = {name: getattr(numpy, NUMPY.get(name, name)) for name in FUNCTIONS if name != "erf"}
    known = {"x": X, "y": Y, "pi": numpy.pi, "e": numpy.e, "k": 1.5}
    with numpy.errstate(all="ignore"):
        return numpy.broadcast_to(eval(text, {}, names | known), X.shape)


@given(formulas)
def test_a_formula_is_what_numpy_makes_of_it(text):
    try:
        found = kp.Expression(text, k=1.5)(POINTS)[:, 0].numpy()
    except InputError as error:  # constants such as 1 / (2 - 2)
        assert "no finite number" in str(error)
        return
    except ZeroDivisionError:
        raise AssertionError(text) from None
    expected = by_numpy(text)
    usable = numpy.isfinite(expected) & (abs(expected) < 1e8)
    numpy.testing.assert_allclose(found[usable], expected[usable], rtol=1e-9, atol=1e-9)


def test_conditions_combine():
    text = "where(0 < x <= 1 and not y > 0 or x >= 1.5, 1, -1)"
    inside = (X > 0) & (X <= 1) & ~(Y > 0) | (X >= 1.5)
    expected = numpy.where(inside, 1.0, -1.0)
    numpy.testing.assert_array_equal(kp.Expression(text)(POINTS)[:, 0].numpy(), expected)


def test_a_formula_keeps_precision_and_shape():
    p = POINTS.to(torch.float32)
    for text in ("x*pi", "2", "max(x, 1)", "where(x > 0, 1, 0)", "2**x"):
        values = kp.Expression(text)(p)
        assert values.dtype == torch.float32
        assert values.shape == (50, 1)


def test_derivatives_are_those_of_the_formula():
    coords = POINTS.coords.clone().requires_grad_()
    u = kp.Expression("x**2 * sin(y)")(kp.Points(coords, ("x", "y")))
    (first,) = torch.autograd.grad(u.sum(), coords, create_graph=True)
    x, y = POINTS.x[:, 0], POINTS.y[:, 0]
    torch.testing.assert_close(first[:, 0], 2 * x * torch.sin(y))
    (second,) = torch.autograd.grad(first[:, 0].sum(), coords)
    torch.testing.assert_close(second, torch.stack([2 * torch.sin(y), 2 * x * torch.cos(y)], 1))


def test_powers_have_all_derivatives_at_zero():
    x = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    u = kp.Expression("x**2")(kp.Points(x, ("x",)))
    for expected in (0.0, 2.0):
        (u,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        assert u.item() == expected


def test_an_expression_is_a_value():
    a = kp.Expression("k * x", k=2)
    assert a == kp.Expression("k *  x", k=2.0) != kp.Expression("k * x", k=3)
    assert {a: 1}[kp.Expression("k * x", k=2)] == 1
    for twin in (copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
        assert twin == a
        assert torch.equal(twin(POINTS), a(POINTS))
    assert repr(a) == 'Expression("k * x", k=2.0)'
    assert (a.constant, a.names) == (None, ("x",))
    assert kp.Expression("2 * pi / 2").constant == numpy.pi


REFUSED_EXPRESSIONS = [
    ("", "is empty"),
    ("sin(x", r"'\(' was never closed \(column 4\)"),
    ("x +", "invalid syntax"),
    ("2 x", r"invalid syntax"),
    ("2pi", "invalid decimal literal"),
    ("x.real", r"attributes are not allowed, here .real"),
    ("().__class__", "attributes are not allowed"),
    ("sen(x)", r'unknown function sen; did you mean "sin"\? \(column 1\)'),
    ("__import__('os')", "unknown function __import__"),
    ("eval('1')", "unknown function eval"),
    ("sin(x)(y)", "only functions by name"),
    ("(lambda: 1)()", "only functions by name"),
    ("lambda: x", "Lambda is not allowed"),
    ("[x for x in y]", "ListComp is not allowed"),
    ("x if y else 1", "IfExp is not allowed"),
    ("(x, y)", "Tuple is not allowed"),
    ("x[0]", "Subscript is not allowed"),
    ("(x := 1)", "NamedExpr is not allowed"),
    ("f'{x}'", "JoinedStr is not allowed"),
    ("'x'", "Constant is not allowed"),
    ("True", "Constant is not allowed"),
    ("1j", "Constant is not allowed"),
    ("x^2", r"powers are written x\*\*2"),
    ("x // 2", "division is written x / y"),
    ("x % 2", "the operator Mod is not allowed"),
    ("x @ y", "the operator MatMult is not allowed"),
    ("x == 1", "the comparison Eq is not allowed"),
    ("x < 1", r"use where\(condition, a, b\)"),
    ("1 + (x < y)", r"use where\(condition, a, b\)"),
    ("where(x, 1, 2)", r"expected a condition such as x < 0 \(column 7\)"),
    ("where(x < 0 and y, 1, 2)", "expected a condition"),
    ("sin(x, y)", "sin takes 1 argument, got 2"),
    ("atan2(x)", "atan2 takes 2 arguments, got 1"),
    ("max(x)", "max takes 2 or more arguments, got 1"),
    ("sin(*x)", "plain arguments only"),
    ("sin(x=x)", "plain arguments only"),
    ("sin", r"sin is a function: sin\(…\)"),
    ("9**9**9", "an exponent of 3.8742e[+]08 is too large: at most 64"),
    ("9**9**9**9**9", "no finite number|too large"),
    ("x**1000", "an exponent of 1000 is too large"),
    ("x**-65", "an exponent of -65 is too large"),
    ("1 / 0", "a constant is inf"),
    ("(-1)**0.5", "a constant is nan"),
    ("log(-1)", "a constant is nan"),
    ("10.0**64 * 10.0**64 * 10.0**64 * 10.0**64 * 10.0**64", "a constant is inf"),
    ("1e999", "a number is too large"),
    ("1" * 400, "a number is too large"),
    ("1" * 5000, "Exceeds the limit"),
    ("x" * 20_000, "has 20000 characters"),
    ("+".join("x" * 200), "nested"),
    ("-" * 4000 + "x", "nested"),
    ("(" * 150 + "x", "never closed|nested"),
    ("(" * 1000 + "x" + ")" * 1000, "nested"),
    ("x\0", "null"),
    ("é + x.y", r"\(column 5\)"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED_EXPRESSIONS, ids=lambda value: value[:20])
def test_what_is_no_formula_is_refused_in_one_line(text, message):
    with pytest.raises(InputError, match=message) as caught:
        kp.Expression(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_nesting_that_is_allowed_is_computed():
    deep = "sin(" * 50 + "x" + ")" * 50
    assert kp.Expression(deep)(POINTS).isfinite().all()


def test_a_name_that_points_do_not_have_is_refused():
    with pytest.raises(InputError, match=r"unknown name z \(the names are x, y, pi, e\)"):
        kp.Expression("x + z")(POINTS)
    with pytest.raises(InputError, match=r'unknown name omga; did you mean "omega"\?'):
        kp.Expression("omga * x", omega=1)(POINTS)
    with pytest.raises(InputError, match="x is a coordinate, and a constant"):
        kp.Expression("x", x=1)(POINTS)


@pytest.mark.parametrize(("name", "value"), [("pi", 3), ("sin", 1), ("k", float("nan"))])
def test_parameters_are_numbers_with_names_of_their_own(name, value):
    with pytest.raises(InputError, match=f"parameters.*{name}"):
        kp.Expression("x", **{name: value})


def test_conditions_take_formulas():
    square = kp.Box(x=(0, 1), y=(0, 1))
    p = square.boundary.quadrature(3)[0]
    for value in ("x + y", kp.Expression("x + y")):
        assert torch.equal(kp.Dirichlet(square.boundary, value).target(p), p.x + p.y)
    with pytest.raises(InputError, match="never closed"):
        kp.Neumann(square.boundary, "sin(x")
