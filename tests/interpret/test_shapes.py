"""Graphs that data ask for: units that multiply, and what is left of sparse fits."""

import math
import time

import numpy
import pytest
import reference
import scipy.special
import sympy
import torch

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.data import Table
from kanpinn.interpret.formula import Rounded, compose, evaluate_expression, normal_form, rounded
from kanpinn.interpret.graph import Graph, relative_error
from kanpinn.interpret.interpret import interpret, products, read, sparse_skeleton
from kanpinn.interpret.pictures import draw_network
from kanpinn.interpret.pruning import prune
from kanpinn.interpret.snapping import AT_END, LIMIT, snap
from kanpinn.interpret.univariate import LIBRARY, Symbolic, Univariate, bessel_j0, functions
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
    x = points(200, 3, generator)
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


def test_noise_stays_in_the_error_and_out_of_the_constants(generator):
    x = points(600, 2, generator)
    noise = 1e-3 * torch.randn(600, generator=generator, dtype=torch.float64)
    table = Table(x, torch.exp(x[:, 0]) * torch.cos(2 * x[:, 1]) + noise, ("x", "y"))
    fitted = fit(kp.KAN([2, 10, 1], degree=3, grid=3, seed=0), table, kp.LeastSquares())
    found = interpret(fitted, ["x", "x^2", "cos", "exp"], seconds=20)
    assert str(found.expression) == "exp(x)*cos(2*y)"
    assert 5e-4 < found.error < 5e-3


def test_what_pruning_left_is_read_edge_by_edge(generator):
    x = points(500, 2, generator)
    table = Table(x, torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2), ("x", "y"))
    wide = kp.KAN([2, 3, 1], degree=3, grid=5, seed=0)
    stage = kp.LevenbergMarquardt(steps=30)
    pruned = prune(fit(wide, table, stage, sparsity=kp.Sparsity(1e-3)), threshold=0.03)
    assert pruned.network.width == (2, 1, 1)
    assert len(read(pruned.trained(stage)).graph.edges) == 3


def test_a_limit_on_time_holds(generator):
    x = points(400, 4, generator)
    y = torch.stack([x[:, 0] * x[:, 1] + torch.sin(x[:, 2]), torch.exp(x[:, 3])], dim=1)
    wide = fit(kp.KAN([4, 3, 2], degree=3, grid=4), Table(x, y), kp.LeastSquares())
    began = time.process_time()
    try:
        interpret(wide, seconds=0.5)
    except kp.InputError as error:
        assert "0.5 s of processor time" in str(error)
    assert time.process_time() - began < 10  # without the limit it takes minutes


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
    with pytest.raises(kp.InputError, match=r"there is no edge \(0, 9, 0\)"):
        reading.remove(0, 9, 0)
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
    x = points(80, 2, generator)
    y = torch.randn(80, 1, generator=generator, dtype=torch.float64)
    assert sparse_skeleton(Table(x, y), (3,), 1e-2, 0) is None


# --- Edges are recognised: exact data to rounding, noisy ones to the noise, others in words


VARYING = [f for f in LIBRARY.values() if f.name != "0"]
# The windows of arguments that the tests draw from: where each function is itself.
WINDOWS = {
    **{"1/x": (0.2, 3), "1/x^2": (0.3, 3), "1/x^3": (-3, -0.4), "log": (0.1, 3)},
    **{"sqrt": (0.05, 3), "1/sqrt": (0.1, 3), "tan": (-1.3, 1.2), "arctanh": (-0.8, 0.9)},
    **{"arcsin": (-0.9, 0.95), "arccos": (-0.9, 0.8)},
}
SEEDS = [0, 1]


def drawn(*bounds: tuple[float, float], generator: torch.Generator) -> list[float]:
    share = torch.rand(len(bounds), generator=generator, dtype=torch.float64).tolist()
    return [low + (high - low) * s for (low, high), s in zip(bounds, share, strict=True)]


def random_edge(function: Univariate, seed: int, n: int = 200):
    """x, y and the canonical (a, b, c, d) of y = c f(a x + b) + d."""
    generator = torch.Generator().manual_seed(seed)
    low, high = WINDOWS.get(function.name, (-2.0, 2.5))
    span = high - low
    left, right = (low, low + 0.2 * span), (high - 0.2 * span, high)
    left, right, start, width, c, d = drawn(
        *(left, right, (-3, 3), (0.5, 4), (0.3, 3), (-2, 2)), generator=generator
    )
    signs = (2 * torch.randint(0, 2, (2,), generator=generator) - 1).tolist()
    x = start + width * torch.rand(n, generator=generator, dtype=torch.float64)
    a = signs[0] * (right - left) / width
    b = (left if a > 0 else right) - a * start
    c *= signs[1]
    return x, c * function(a * x + b) + d, function.canonical(a, b, c, d)


@pytest.mark.parametrize("function", VARYING, ids=lambda f: f.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_parameters_of_every_function_are_recovered(function, seed):
    x, y, known = random_edge(function, seed)
    found = snap(x, y, sorted({function.name, "x", "x^2", "sin"}))
    twin = function.twin.of if function.twin else function
    assert found.best.function in (function, twin)
    candidate = found.of(function.name)
    assert candidate.unexplained < 1e-24
    assert candidate.note == ""
    places = list(range(4)) if not function.jumps else [0, 2, 3]
    for k in places:
        assert candidate.curve.constants[k] == pytest.approx(known[k], rel=1e-8, abs=1e-8)
        assert abs(candidate.curve.constants[k] - known[k]) < 1e-13 + 10 * candidate.uncertainty[k]
    assert abs(candidate.curve.b - known[1]) < 1e-8 + candidate.uncertainty[1]


@pytest.mark.parametrize("name", ["sin", "tanh", "exp", "x^2", "log", "gaussian", "1/x"])
@pytest.mark.parametrize(("noise", "seed"), [(1e-2, 0), (1e-5, 1)])
def test_noise_moves_parameters_by_no_more_than_their_uncertainty(name, seed, noise):
    x, y, known = random_edge(LIBRARY[name], seed)
    generator = torch.Generator().manual_seed(100 + seed)
    noisy = y + noise * y.std() * torch.randn(len(y), generator=generator, dtype=torch.float64)
    found = snap(x, noisy, sorted({name, "x", "x^2", "exp", "sin"}))
    candidate = found.of(name)
    assert candidate.r2 == pytest.approx(1 - noise**2, abs=noise**2)
    for value, truth, uncertainty in zip(
        candidate.curve.constants, known, candidate.uncertainty, strict=True
    ):
        assert abs(value - truth) <= uncertainty + 1e-12
    if noise < 1e-3:
        assert found.best.function.name == name


@pytest.mark.parametrize("name", ["sin", "x^2", "log"])
def test_moving_and_scaling_the_axes_changes_no_fit(name):
    x, y, _ = random_edge(LIBRARY[name], 0)
    y = y + 1e-3 * torch.sin(9 * x)
    names = ["x", "x^2", "sin", "exp", "log", "1/x", "arctan"]
    before = snap(x, y, names)
    for s, t, scale, shift in [(1e3, -4.0, 1.0, 0.0), (-1e-4, 0.3, 20.0, 3.0), (1, 0, -0.1, 5.0)]:
        after = snap(scale * x + shift, s * y + t, names)
        assert after.best.function == before.best.function
        for function in names:
            first, second = before.of(function), after.of(function)
            assert second.unexplained == pytest.approx(first.unexplained, rel=1e-3)


@pytest.mark.parametrize("name", ["sin", "exp", "tanh", "log", "1/x"])
@pytest.mark.parametrize("center", [0.4, 1.3])
def test_a_slice_that_looks_straight_is_a_line_unless_its_accuracy_says_more(name, center):
    x = torch.linspace(-1, 1, 200, dtype=torch.float64)
    y = LIBRARY[name](center + 1e-3 * x)
    assert snap(x, y, ["x", "x^2", name], accuracy=1e-3).best.function.name == "x"
    exact = snap(x, y, [name]).of(name)
    assert exact.unexplained < 1e-18


@pytest.mark.parametrize("name", ["log", "j0"])
def test_of_the_whole_library_the_function_itself_is_the_best(name):
    x, y, _ = random_edge(LIBRARY[name], 5)
    found = snap(x, y)
    assert found.best.function.name in (name, {"sin": "cos"}.get(name))
    assert {c.function.name for c in found.candidates} | set(found.refused) == set(LIBRARY)


def test_a_line_is_a_line_and_what_only_imitates_it_is_called_a_limit():
    x = torch.linspace(-1, 2, 100, dtype=torch.float64)
    found = snap(x, 3 * x + 1)
    assert found.best.function.name == "x"
    assert found.best.curve.constants == pytest.approx((1, 0, 3, 1), rel=1e-14)
    assert found.of("exp").note == LIMIT


@pytest.mark.parametrize("price, expected", [(0.0, "j0"), (1.0, "j0"), (8.0, "x^2")])
def test_the_price_of_complexity_is_adjustable(price, expected):
    x = torch.linspace(0.2, 2.6, 200, dtype=torch.float64)
    found = snap(x, LIBRARY["j0"](x), ["x^2", "j0"], price=price)
    assert found.best.function.name == expected
    for candidate in found.candidates:
        shown = math.log10(candidate.unexplained + 1e-16) + price * candidate.function.complexity
        assert candidate.score >= shown - 1e-9


def test_constant_edges_are_the_function_zero():
    x = torch.linspace(-1, 2, 50, dtype=torch.float64)
    for y in (torch.full_like(x, 0.3), torch.zeros_like(x), 1e6 + 1e-10 * torch.sin(x)):
        found = snap(x, y)
        assert found.best.function.name == "0"
        assert found.best.curve.d == pytest.approx(float(y.mean()), rel=1e-12)
        assert "constant" in found.refused["sin"]
        with pytest.raises(InputError, match="sin could not be fitted: the edge is the constant"):
            found.of("sin")


def test_noise_is_no_function_and_what_is_small_is_one(generator):
    x = torch.linspace(-1, 2, 200, dtype=torch.float64)
    noise = torch.randn(200, generator=generator, dtype=torch.float64)
    assert snap(x, noise).best.function.name == "0"
    small, names = 2 + 1e-7 * torch.sin(3 * x), ["0", "x", "x^2", "sin"]
    assert snap(x, small, names).best.function.name == "sin"


@pytest.mark.parametrize("name", ["1/x", "1/x^2", "log", "sqrt", "tan", "arcsin"])
def test_no_pole_or_branch_point_lies_inside_the_data(name):
    x = torch.linspace(-1, 1, 201, dtype=torch.float64)
    y = (1 / (x - 0.2003)).clamp(-50, 50)
    candidate = snap(x, y, [name]).of(name)
    u = torch.tensor(
        [candidate.curve.a * end + candidate.curve.b for end in (-1.0, 1.0)], dtype=torch.float64
    )
    low, high = u.min(0, keepdim=True).values + 1e-12, u.max(0, keepdim=True).values - 1e-12
    assert LIBRARY[name].regular(low.numpy(), high.numpy()).all()
    assert candidate.curve(x).isfinite().all()


@pytest.mark.parametrize("name, low, high", [("sqrt", 0, 1), ("arcsin", -1, 1), ("arccos", -1, 1)])
def test_data_may_reach_a_branch_point(name, low, high):
    x = torch.linspace(2 * low + 3, 2 * high + 3, 200, dtype=torch.float64)
    candidate = snap(x, LIBRARY[name]((x - 3) / 2), [name]).of(name)
    assert candidate.unexplained < 1e-24
    assert candidate.note == AT_END


def test_fast_and_steep_functions_are_found(generator):
    x = torch.rand(1000, generator=generator, dtype=torch.float64)
    for y, name in [
        (torch.from_numpy(scipy.special.j0(20 * x.numpy())), "j0"),
        (torch.sin(70 * x + 1), "sin"),
        (torch.tanh(60 * (x - 0.7)), "tanh"),
        (torch.exp(-((40 * (x - 0.33)) ** 2)), "gaussian"),
        (1 / (x + 1e-3), "1/x"),
    ]:
        assert snap(x, y, [name]).best.unexplained < 1e-24


def test_weights_decide_what_is_fitted():
    x = torch.linspace(-1, 1, 200, dtype=torch.float64)
    y = torch.where(x > 0, torch.exp(x), torch.sin(20 * x))
    found = snap(x, y, ["x", "x^2", "exp", "sin"], weights=(x > 0).double())
    assert found.best.function.name == "exp"
    assert found.best.unexplained < 1e-26


def test_functions_of_ones_own_are_fitted_and_the_result_is_an_expression():
    softplus = Univariate(
        "softplus", torch.nn.functional.softplus, lambda u: sympy.log(1 + sympy.exp(u)), 3
    )
    x = torch.linspace(-1, 2, 200, dtype=torch.float64)
    y = 2 * softplus(3 * x - 1) + 0.5
    best = snap(x, y, ["x", "exp", softplus]).best
    assert best.function == softplus
    assert best.curve.constants == pytest.approx((3, -1, 2, 0.5), rel=1e-8)
    at = sympy.Symbol("x")
    for place in (0, 77, 199):
        curve = best.curve
        formula = curve.c * curve.function.symbol(curve.a * at + curve.b) + curve.d
        value = float(formula.subs(at, float(x[place])))
        assert value == pytest.approx(float(y[place]), rel=1e-12)


def test_candidates_have_every_function_and_its_remarks():
    x = torch.linspace(0, 1, 100, dtype=torch.float64)
    found = snap(x, torch.sqrt(x), ["x", "sqrt", "exp"])
    assert [candidate.function.name for candidate in found.candidates] == ["sqrt", "x", "exp"]
    assert found.best.note == AT_END
    assert list(snap(x, 0 * x, ["x"]).refused) == ["x"]


def test_impossible_samples_and_options_are_refused():
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)
    for arguments, options, message in [
        ((x[:7], x[:7]), {}, "at least 8 different values, got 7"),
        ((0 * x, x), {}, "at least 8 different values, got 1"),
        ((x, x / 0), {}, "y must be finite"),
        ((x, x), {"weights": -x}, "weights must be at least 0"),
        ((x, x), {"weights": 0 * x}, "weights must be at least 0"),
        ((x, x), {"accuracy": 0.0}, "accuracy"),
        ((x, x), {"price": -1.0}, "price"),
        ((x, x, ["sine"]), {}, 'did you mean "sin'),
    ]:
        with pytest.raises(InputError, match=message):
            snap(*arguments, **options)
    with pytest.raises(InputError, match='did you mean "sin"'):
        snap(x, x, ["x", "sin"]).of("sine")


# --- The library of univariate functions: values, derivatives, domains, redundant parameters


ALL = list(LIBRARY.values())
TWINS = [f for f in ALL if f.twin]


def name(function: Univariate) -> str:
    return function.name


def inside(function: Univariate, generator: torch.Generator, n: int = 20) -> torch.Tensor:
    """Random arguments in the domain, away from its ends, from poles and from kinks."""
    share = 0.1 + 0.8 * torch.rand(n, generator=generator, dtype=torch.float64)
    low, high = max(function.domain[0], -2.0), min(function.domain[1], 1.5)
    u = low + (high - low) * share
    return u[(u.abs() > 0.05) & ((u.abs() - math.pi / 2).abs() > 0.05)]


@pytest.mark.parametrize("function", ALL, ids=name)
def test_values_and_slopes_are_those_of_the_sympy_expression(function, generator):
    x = sympy.Symbol("x", real=True)
    u = inside(function, generator).requires_grad_()
    values = function(u)
    (slopes,) = torch.autograd.grad(values.sum() + 0 * u.sum(), u)
    expression = function.symbol(x)
    for at, value, slope in zip(u.tolist(), values.tolist(), slopes.tolist(), strict=True):
        assert value == pytest.approx(float(expression.subs(x, at).evalf()), rel=1e-13, abs=1e-15)
        derivative = sympy.diff(expression, x).subs(x, at).evalf()
        assert slope == pytest.approx(float(derivative), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("function", ALL, ids=name)
def test_redundant_parameters_change_nothing_when_they_are_fixed(function, generator):
    for _ in range(5):
        signs = torch.randint(0, 2, (4,), generator=generator).tolist()
        drawn = 0.5 + 2 * torch.rand(4, generator=generator, dtype=torch.float64)
        a, b, c, d = ((2 * s - 1) * float(v) for s, v in zip(signs, drawn, strict=True))
        x = (inside(function, generator) - b) / a
        fixed = function.canonical(a, b, c, d)
        before = c * function(a * x + b) + d
        after = fixed[2] * function(fixed[0] * x + fixed[1]) + fixed[3]
        torch.testing.assert_close(after, before, rtol=1e-10, atol=1e-10)
        assert function.canonical(*fixed) == pytest.approx(fixed, rel=1e-15)
        assert "a" in function.free or abs(fixed[0]) == 1 or function.name == "0"
        assert "b" in function.free or fixed[1] == 0 or function.name == "0"


@pytest.mark.parametrize("function", TWINS, ids=name)
def test_twins_are_the_same_functions(function, generator):
    a, b, c, d = 0.4, 0.1, 1.7, -0.3
    x = 2 * torch.rand(20, generator=generator, dtype=torch.float64) - 1
    own = function.twin.parameters(a, b, c, d)
    expected = c * function.twin.of(a * x + b) + d
    torch.testing.assert_close(own[2] * function(own[0] * x + own[1]) + own[3], expected)


@pytest.mark.parametrize("function", [f for f in ALL if f.even_or_odd], ids=name)
def test_even_or_odd(function, generator):
    u = inside(function, generator)
    u = u[u.abs() < function.domain[1]]
    same, opposite = (function(-u) - function(u)).abs().max(), (function(-u) + function(u)).abs()
    assert min(float(same), float(opposite.max())) < 1e-12


def test_a_range_with_a_pole_or_beyond_a_branch_point_is_not_regular():
    low, high = numpy.array([-1.0, 0.1, -2.0, 0.0]), numpy.array([1.0, 1.0, -1.5, 1.0])
    answers = {
        "1/x": [False, True, True, False],
        "log": [False, True, False, True],
        "arcsin": [True, True, False, True],
        "tan": [True, True, False, True],
        "exp": [True, True, True, True],
    }
    for which, expected in answers.items():
        assert LIBRARY[which].regular(low, high).tolist() == expected
    tan = LIBRARY["tan"]
    assert not tan.regular(numpy.array([-1.0]), numpy.array([4.0]))[0]
    assert tan.regular(numpy.array([1.6]), numpy.array([4.7]))[0]


def test_an_argument_that_rounding_carried_out_of_the_domain_counts_as_its_end():
    beyond = torch.tensor([1 + 1e-15, -1 - 1e-15], dtype=torch.float64)
    torch.testing.assert_close(LIBRARY["arcsin"](beyond), torch.asin(beyond.sign()))
    assert LIBRARY["sqrt"](torch.tensor([-1e-14], dtype=torch.float64)) == 0
    assert LIBRARY["sqrt"](torch.tensor([-1e-3], dtype=torch.float64)).isnan()


def test_bessel_j0_has_all_its_derivatives():
    u = torch.tensor([-7.0, -1e-4, 0.0, 2e-3, 1.0, 12.5], dtype=torch.float64)
    function = bessel_j0
    for order in range(1, 4):
        function = torch.func.grad(function)
        known = torch.from_numpy(scipy.special.jvp(0, u.numpy(), order))
        found = torch.func.vmap(function)(u)
        torch.testing.assert_close(found, known, rtol=1e-9, atol=1e-9)


def test_functions_by_name_or_of_ones_own():
    softplus = Univariate(
        "softplus", torch.nn.functional.softplus, lambda u: sympy.log(1 + sympy.exp(u)), 3
    )
    assert functions(["sin", softplus]) == (LIBRARY["sin"], softplus)
    assert functions() == tuple(ALL)
    assert len({f.name for f in ALL}) == len(ALL) >= 27


def test_wrong_names_and_impossible_functions_are_refused():
    for names, message in [
        (["gausian"], 'unknown function .gausian.; did you mean "gaussian"'),
        (["sin", "sin"], "twice"),
        ([], "at least one"),
    ]:
        with pytest.raises(InputError, match=message):
            functions(names)
    for bad, message in [
        ({"name": ""}, "name"),
        ({"complexity": -1}, "complexity of f"),
        ({"domain": (1.0, 1.0)}, "domain of f"),
    ]:
        with pytest.raises(InputError, match=message):
            Univariate(**({"name": "f", "compute": abs, "symbol": abs, "complexity": 1} | bad))
