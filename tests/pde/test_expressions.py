"""Formulas mean what Python's operators and NumPy's functions say; anything else is refused."""

import copy
import pickle

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.pde.expressions import FUNCTIONS

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


REFUSED = [
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


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda value: value[:20])
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
