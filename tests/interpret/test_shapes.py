"""Graphs that data ask for: units that multiply, and what is left of sparse fits."""

import time

import pytest
import reference
import sympy
import torch

import kanpinn as kp
from kanpinn.data import Table
from kanpinn.interpret.formula import compose, evaluate_expression
from kanpinn.interpret.graph import Graph, relative_error
from kanpinn.interpret.growth import products
from kanpinn.interpret.guided import read
from kanpinn.interpret.hypotheses import sparse_skeleton
from kanpinn.interpret.interpret import interpret
from kanpinn.interpret.pictures import draw_network
from kanpinn.interpret.pruning import prune
from kanpinn.interpret.rounding import Rounded, normal_form, rounded
from kanpinn.interpret.univariate import LIBRARY, Symbolic
from kanpinn.solvers.fit import fit


def points(count, inputs, generator):
    return 2 * torch.rand(count, inputs, generator=generator, dtype=torch.float64) - 1


def symbolic(name, a=1.0, b=0.0, c=1.0, d=0.0):
    return Symbolic(LIBRARY[name], a, b, c, d)


def wave():
    """exp(2 (0.5 sin(3x)) (4y + 2) (0.25)) + x, a constant among the factors."""
    edges = {
        (0, 0, 0): symbolic("sin", a=3.0, c=0.5),
        (0, 1, 0): symbolic("x", c=4.0, d=2.0),
        (0, 2, 0): symbolic("0", d=0.25),
        (0, 0, 1): symbolic("x"),
        (1, 0, 0): symbolic("exp", a=2.0),
        (1, 1, 0): symbolic("x"),
    }
    return Graph((3, 2, 1), edges, frozenset({(0, 0)}))


def test_a_unit_that_multiplies_has_the_product_of_its_edges(generator):
    x = points(20, 3, generator)
    product = torch.sin(3 * x[:, 0]) / 2 * (4 * x[:, 1] + 2) / 4
    assert reference.distance(wave()(x)[:, 0], torch.exp(2 * product) + x[:, 0]) < 1e-15


def test_the_jacobian_of_products(generator):
    graph, x, h = wave(), points(9, 3, generator), 1e-6
    values, jacobian = graph.jacobian(x)
    assert reference.distance(values, graph(x)) < 1e-15
    for k in range(len(graph.parameters)):
        step = torch.zeros_like(graph.parameters)
        step[k] = h
        slope = graph.moved(graph.parameters + step)(x) - graph.moved(graph.parameters - step)(x)
        assert float((jacobian[..., k] - slope / (2 * h)).abs().max()) < 1e-8


def test_the_normal_form_of_products_scales_one_factor_and_has_no_constant_one(generator):
    x, state = points(20, 3, generator), normal_form(wave())
    form, fixed = state.graph, state.redundant
    assert reference.distance(form(x), wave()(x)) < 1e-15
    assert (0, 2, 0) not in form.edges and form.edges[0, 1, 0].c == 1.0
    assert form.edges[0, 1, 0].d == 0.5 and form.edges[1, 0, 0].a == 1.0
    assert {((0, 1, 0), "c"), ((1, 0, 0), "a")} <= fixed and ((0, 1, 0), "d") not in fixed
    assert ((0, 0, 0), "d") not in fixed


def test_products_are_composed(generator):
    x, symbols = points(20, 3, generator), sympy.symbols("x y z", real=True)
    done = rounded(normal_form(wave()), x, wave()(x))
    assert done.complete
    (expression,) = compose(done, symbols)
    assert not expression.atoms(sympy.Float)
    assert reference.distance(evaluate_expression(expression, symbols, x), wave()(x)[:, 0]) < 1e-14
    values = evaluate_expression(compose(Rounded(wave()), symbols)[0], symbols, x)
    assert reference.distance(values, wave()(x)[:, 0]) < 1e-14


def test_sums_of_products_are_found_whatever_sign_their_factors_have(generator):
    x = points(600, 3, generator)
    y = (x[:, 0] * torch.sin(3 * x[:, 2]) + torch.exp(x[:, 1]))[:, None]
    errors = [relative_error(graph, x, y) for graph in products(x, y, 0)]
    assert len(errors) == 4  # of the five partitions of three inputs one has no product
    assert sum(error < 1e-4 for error in errors) == 1


def test_each_output_has_its_own_factors(generator):
    x = points(500, 2, generator)
    y = torch.stack([x[:, 0] * x[:, 1], torch.cos(x[:, 0]) * x[:, 1] ** 2], dim=1)
    (graph,) = products(x, y, 0)
    assert graph.products == {(0, 0), (0, 1)} and relative_error(graph, x, y) < 1e-5


def test_one_input_has_no_products(generator):
    x = points(10, 1, generator)
    assert list(products(x, x, 0)) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_a_product_with_a_factor_that_changes_sign_is_read(seed, generator):
    x = points(600, 2, generator)
    table = Table(x, torch.sin(torch.pi * x[:, 0]) * x[:, 1] ** 2, ("x", "y"))
    fitted = fit(kp.MLP([2, 4, 1], seed=seed), table, kp.LeastSquares())
    found = interpret(fitted, ["x", "x^2", "sin", "exp"], seed=seed)
    assert str(found.expression) == "y**2*sin(pi*x)" and found.error < 1e-14
    assert not found.own_edges


def test_noise_stays_in_the_error_and_out_of_the_constants(generator):
    x = points(600, 2, generator)
    noise = 1e-3 * torch.randn(600, generator=generator, dtype=torch.float64)
    table = Table(x, torch.exp(x[:, 0]) * torch.cos(2 * x[:, 1]) + noise, ("x", "y"))
    fitted = fit(kp.KAN([2, 10, 1], degree=3, grid=3, seed=0), table, kp.LeastSquares())
    found = interpret(fitted, ["x", "x^2", "cos", "exp"], seconds=20)
    assert str(found.expression) == "exp(x)*cos(2*y)"
    assert 5e-4 < found.error < 5e-3


def test_what_pruning_left_is_read_edge_by_edge(generator):
    x = points(800, 2, generator)
    table = Table(x, torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2), ("x", "y"))
    wide = kp.KAN([2, 3, 1], degree=3, grid=5, seed=0)
    stage = kp.LevenbergMarquardt(steps=30)
    pruned = prune(fit(wide, table, stage, sparsity=kp.Sparsity(1e-3)), threshold=0.03)
    assert pruned.network.width == (2, 1, 1)
    found = interpret(pruned, ["x^2", "sin", "exp"])
    assert str(found.expression) == "exp(y**2 + sin(pi*x))" and found.own_edges
    assert len(read(pruned.trained(stage)).graph.edges) == 3


def test_a_limit_on_time_holds(generator):
    x = points(400, 4, generator)
    y = torch.stack([x[:, 0] * x[:, 1] + torch.sin(x[:, 2]), torch.exp(x[:, 3])], dim=1)
    wide = fit(kp.KAN([4, 3, 2], degree=3, grid=4), Table(x, y), kp.LeastSquares())
    began = time.process_time()
    try:
        interpret(wide, seconds=1)
    except kp.InputError as error:
        assert "1 s of processor time" in str(error)
    assert time.process_time() - began < 20  # without the limit it takes minutes


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_a_limit_on_time_that_is_none_is_refused(seconds, generator):
    x = points(50, 2, generator)
    fitted = fit(kp.KAN([2, 1], degree=3, grid=2), Table(x, x[:, :1]), kp.LeastSquares())
    with pytest.raises(kp.InputError, match="seconds"):
        interpret(fitted, seconds=seconds)
    with pytest.raises(kp.InputError, match="seconds"):
        read(fitted).formula(seconds)


def test_by_hand_no_unit_is_left_without_an_edge(generator):
    x = points(80, 2, generator)
    fitted = fit(kp.KAN([2, 1], degree=3, grid=2), Table(x, x[:, :1]), kp.LeastSquares())
    reading = read(fitted).remove(0, 1, 0)
    with pytest.raises(kp.InputError, match=r"\(0, 0, 0\) is the last edge into output 0"):
        reading.remove(0, 0, 0)
    with pytest.raises(kp.InputError, match="at least one"):
        reading.exclude(*LIBRARY)
    with pytest.raises(kp.InputError, match="sequence of names"):
        read(fitted, "sin")
    with pytest.raises(kp.InputError, match=r"no edge \(5, 0, 0\)"):
        draw_network(fitted, [(5, 0, 0)])


def test_a_penalty_on_edges_leaves_those_of_the_function(generator):
    x = points(600, 3, generator)
    table = Table(x, torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2))
    skeleton = sparse_skeleton(table, (5,), 1e-2, 0)
    assert skeleton is not None
    first, second = skeleton
    assert first.tolist() == [[True], [True], [False]] and second.tolist() == [[True]]


def test_noise_alone_has_no_skeleton(generator):
    x = points(300, 2, generator)
    y = torch.randn(300, 1, generator=generator, dtype=torch.float64)
    assert sparse_skeleton(Table(x, y), (3,), 1e-2, 0) is None
