"""From results to formulas: composition, simplification, fits, equations."""

import math
from dataclasses import replace

import numpy
import pytest
import reference
import sympy
import torch
from cases import Waves
from html_pages import Read
from matplotlib.figure import Figure

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.data import Table
from kanpinn.interpret import Formula
from kanpinn.interpret.formula import Rounded, compose, evaluate_expression, recognise, simplest
from kanpinn.interpret.graph import Graph, own_graph
from kanpinn.interpret.interpret import interpret, read
from kanpinn.interpret.univariate import LIBRARY, Symbolic, functions
from kanpinn.solvers.fit import fit

X, Y = sympy.symbols("x y", real=True)
SOME = ["x", "x^2", "sin", "cos", "exp", "tanh"]
P, Q = sympy.symbols("p q", positive=True)


def rows(count, generator, low=-1.0, high=1.0, inputs=2):
    x = torch.rand(count, inputs, generator=generator, dtype=torch.float64)
    return low + (high - low) * x


def same(found, expected) -> bool:
    return sympy.simplify(found - expected) == 0


@pytest.mark.parametrize(
    ("spelt", "short"),
    [
        ((sympy.cos(X - Y**2) - sympy.cos(X + Y**2)) / 2, sympy.sin(X) * sympy.sin(Y**2)),
        (((X + Y) ** 2 - (X - Y) ** 2) / 4, X * Y),
        (sympy.exp(sympy.log(P) - sympy.log(Q)), P / Q),
        (sympy.exp(sympy.log(P) + 2 * sympy.log(Q)), P * Q**2),
        (sympy.sqrt(X**2 + Y**2), sympy.sqrt(X**2 + Y**2)),
        (X + 2 * sympy.atanh(1 - 2 / (P + 1)), X + sympy.log(P)),
    ],
)
def test_the_shortest_form_is_found(spelt, short):
    assert simplest(spelt) == short


def test_an_expression_has_the_values_of_its_graph(generator):
    x = rows(40, generator, 0.2, 0.9)
    edges = {
        (0, 0, 0): Symbolic(LIBRARY["sin"], 2.0, 0.1, 0.3, 0.0),
        (0, 1, 0): Symbolic(LIBRARY["gaussian"], 1.5, 0.0, 0.4, 0.5),
        (0, 1, 1): Symbolic(LIBRARY["sqrt"], 1.0, 0.2, 1.0, 0.0),
        (1, 0, 0): Symbolic(LIBRARY["log"], 1.0, 0.4, 2.0, 0.0),
        (1, 1, 0): Symbolic(LIBRARY["1/x^2"], 1.0, 1.0, 0.7, -1.0),
    }
    graph = Graph((2, 2, 1), edges)
    (expression,) = compose(Rounded(graph), (X, Y))
    assert reference.distance(evaluate_expression(expression, (X, Y), x), graph(x)[:, 0]) < 1e-14


def test_an_unknown_function_is_refused(generator):
    with pytest.raises(kp.InputError, match="zeta"):
        evaluate_expression(sympy.zeta(X), (X,), rows(3, generator, inputs=1))


def exponential(generator, count=500):
    x = rows(count, generator)
    return Table(x, torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2), ("x", "y"))


def fitted(table, width=(2, 1, 1), degree=(3, 5), grid=(2, 6)):
    network = kp.KAN(width, degree=degree, grid=grid, seed=0)
    return fit(network, table, kp.VariableProjection(rounds=3, starts=20, tolerance=1e-3), seed=0)


def test_the_formula_of_a_fit_is_found_exactly(generator):
    found = interpret(fitted(exponential(generator)), SOME)
    assert found.expression == sympy.exp(sympy.sin(sympy.pi * X) + Y**2)
    assert found.exact_constants and found.error < 1e-14
    assert [row.function for row in found.edges] == ["sin", "x^2", "exp"]
    assert all(row.r2 > 1 - 1e-10 for row in found.edges)
    assert found.latex == r"e^{y^{2} + \sin{\left(\pi x \right)}}"
    assert found.defects == () and not found.is_identity


def test_a_network_of_another_kind_is_read_by_its_data(generator):
    x = rows(500, generator, 1.0, 2.0)
    table = Table(x, x[:, 0] + x[:, 1] ** 2, ("p", "q"))
    other = fit(kp.MLP([2, 4, 1]), table, kp.LeastSquares())
    found = interpret(other, ["x", "x^2", "exp"])
    assert found.expression == P + Q**2 and not found.own_edges


@pytest.fixture(scope="module")
def solution():
    network = kp.KAN([2, 3, 1], degree=[3, 9], grid=[1, 12], seed=0)
    points, loss = kp.Collocation(400, 80), kp.Loss(interior=0.01)
    settings = {"boundary": "penalty", "loss": loss, "verified": False}
    return kp.solve(Waves(), network, kp.VariableProjection(), points, **settings)


def test_the_solution_of_a_pde_is_recovered_as_an_identity(solution):
    found = interpret(solution, SOME)
    assert same(found.expression, sympy.sin(sympy.pi * X) * sympy.sin(sympy.pi * Y**2))
    assert found.is_identity and found.exact_constants
    assert [d.name for d in found.defects] == ["Waves.residual", "Waves.conditions()[0]"]
    p = Waves.domain.quadrature(12)[0]
    assert reference.distance(found(p.coords), solution(p)) < 1e-6


def test_reading_by_hand(solution):
    start = read(solution, SOME)
    before = start.error
    reading = start.fix(0, 0, 0, "x").fix(0, 1, 0, "x^2")
    assert reading.error < 100 * max(before, 1e-10) and start.error == before
    best = reading.suggest(1, 0, 0).best.function.name
    assert best in ("sin", "cos")
    sines = replace(reading, library=functions(["sin", "x", "x^2"]))
    assert sines.suggest(1, 0, 0).best.function.name == "sin"
    assert sines.formula().is_identity


def test_what_cannot_be_read_is_refused(solution, generator):
    with pytest.raises(kp.InputError, match=r"no edge \(3, 0, 0\)"):
        read(solution).suggest(3, 0, 0)
    with pytest.raises(kp.InputError, match="unknown function"):
        interpret(solution, ["sinus"])
    other = fit(kp.MLP([2, 3, 1]), exponential(generator), kp.LeastSquares())
    with pytest.raises(kp.InputError, match="this is a MLP"):
        read(other)
    with pytest.raises(kp.InputError, match="no formula was found"):
        interpret(other, ["tanh"], seconds=0.1)


def test_classes_have_no_formula(generator):
    x = rows(60, generator)
    table = Table(x, (x[:, 0] > 0).long(), classes=("no", "yes"))
    done = fit(kp.KAN([2, 1]), table, kp.LevenbergMarquardt(steps=2))
    with pytest.raises(kp.InputError, match="classes"):
        interpret(done)


def test_a_base_term_is_no_spline(generator):
    network = kp.KAN([2, 1], base="silu")
    done = fit(network, exponential(generator, 100), kp.LeastSquares())
    assert own_graph(done.surrogate) is None


def test_a_form_that_expansion_lengthens_beyond_reason_is_left_alone() -> None:
    x, y = sympy.symbols("x y")
    inner = 1.1225244504812649e-5 * y**2 + sympy.cos(6.735e-5 * x - 1.57077) / 2 - 1.57072
    expression = 8e-10 - 1.12e-5 * sympy.tan(inner)  # a common factor of its expansion takes hours
    assert simplest(expression).count_ops() <= expression.count_ops()


# --- Constants are recognised where they are, and hardly ever where they are not


KNOWN = ["1", "-3", "12", "1/2", "-2/3", "7/4", "pi", "-pi/2", "2*pi", "pi**2", "pi/4", "E"]
KNOWN += ["sqrt(2)", "-sqrt(3)/2", "1/pi", "sqrt(pi)", "3*pi/2", "sqrt(10)", "3/10", "1/E"]


@pytest.mark.parametrize("text", KNOWN)
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-10, 0.0])
def test_constants_are_recognised_from_four_digits_on(text, tolerance):
    constant = sympy.sympify(text)
    for shift in (-0.5, 0.0, 0.7):
        assert recognise(float(constant) + shift * tolerance, tolerance) == constant


@pytest.mark.parametrize("value", [0.137, -1.37, 12.5, 0.004, 1234567, 98.7654, 2.5e-5])
def test_decimals_of_few_digits_and_integers_are_recognised(value):
    assert float(recognise(value, abs(value) * 1e-10)) == pytest.approx(value, rel=1e-15)


def test_simpler_constants_win_and_three_digits_are_no_evidence_for_long_ones():
    assert recognise(math.pi + 4e-4, 1e-3) == sympy.pi
    assert recognise(3.142, 0.02) in (sympy.pi, None)
    assert recognise(22 / 7 * math.pi, 5e-3) != sympy.Rational(22, 7) * sympy.pi
    assert recognise(22 / 7 * math.pi, 1e-9) == sympy.Rational(22, 7) * sympy.pi
    assert recognise(1234.3, 0.4) is None
    assert recognise(0.5, 0.3) is None


def test_what_is_smaller_than_its_tolerance_is_zero():
    assert recognise(0.0, 0.0) == 0
    assert recognise(-3e-7, 1e-6) == 0
    assert recognise(0.05, 0.1) is None  # known too badly to say so


@pytest.mark.parametrize("span", [(0.5, 1.5), (0.02, 0.1), (300, 3000)])
@pytest.mark.parametrize("chance", [0.02, 0.1])
def test_random_numbers_are_no_constants_at_any_tolerance(span, chance, generator):
    low, high = span
    drawn = low + (high - low) * torch.rand(300, generator=generator, dtype=torch.float64)
    for digits in range(1, 14):
        tolerance = 10.0**-digits
        named = sum(recognise(value, tolerance, chance) is not None for value in drawn.tolist())
        deviation = math.sqrt(chance * len(drawn))
        assert named <= 1.3 * chance * len(drawn) + 3 * deviation
        if digits > 10:
            assert named == 0


def test_numbers_that_make_no_sense_are_refused():
    for arguments, message in [
        ((math.nan, 1e-3), "value must be a finite"),
        ((1.0, -1e-3), "tolerance"),
        ((1.0, 1e-3, 0.0), "chance"),
        ((1.0, 1e-3, 1.5), "chance"),
    ]:
        with pytest.raises(InputError, match=message):
            recognise(*arguments)


# --- What notebooks show of a formula, and what `Formula.plot` draws


X_FORMULA_CARD, Y_FORMULA_CARD = sympy.symbols("x length<b>", real=True)


@pytest.fixture
def formula() -> Formula:
    expressions = (
        sympy.exp(sympy.sin(sympy.pi * X_FORMULA_CARD) + Y_FORMULA_CARD**2),
        X_FORMULA_CARD - Y_FORMULA_CARD,
    )
    ranges = ((0.0, 1.0), (1.0, 3.0))
    graph = Graph((2, 2), {})
    return Formula(
        expressions, (X_FORMULA_CARD, Y_FORMULA_CARD), 1.5e-7, True, (), (), graph, ranges
    )


def test_a_card_has_the_mathematics(formula):
    shown = Read(formula)
    assert "sin(π⁢x)" in shown.text.replace(" ", "")  # MathML
    assert "exp(length<b>**2 + sin(pi*x))" in shown.text and "1.50e-07" in shown.text
    assert shown.colours > 10 and shown.words.startswith("The formula over x and length<b>: ")


def test_plots_are_values_over_the_ranges_of_the_inputs(formula):
    ax = formula.plot(0, ax=Figure().subplots(), nodes=5)
    x, y = numpy.linspace(0, 1, 5), numpy.linspace(1, 3, 5)[:, None]
    assert numpy.allclose(ax.images[0].get_array(), numpy.exp(numpy.sin(numpy.pi * x) + y**2))
    ax = formula.plot(0, along="x", at={"length<b>": 2}, ax=Figure().subplots(), nodes=5)
    expected = formula(torch.tensor([[one, 2.0] for one in x], dtype=torch.float64))[:, 0]
    assert numpy.allclose(ax.lines[0].get_ydata(), expected) and "= 2$" in ax.get_title()
    with pytest.raises(kp.InputError, match="output must be an integer from 0 to 1, got 2"):
        formula.plot(2)
