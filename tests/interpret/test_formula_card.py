"""What notebooks show of a formula, and what `Formula.plot` draws."""

import numpy
import pytest
import sympy
import torch
from cards import Read
from matplotlib.figure import Figure

import kanpinn as kp
from kanpinn.interpret import Formula
from kanpinn.interpret.graph import Graph

X, Y = sympy.symbols("x length<b>", real=True)


@pytest.fixture
def formula() -> Formula:
    expressions = (sympy.exp(sympy.sin(sympy.pi * X) + Y**2), X - Y)
    ranges = ((0.0, 1.0), (1.0, 3.0))
    graph = Graph((2, 2), {})
    return Formula(expressions, (X, Y), 1.5e-7, True, (), (), graph, ranges)


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
