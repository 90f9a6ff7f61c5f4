"""Edges are recognised: exact data to rounding, noisy ones to the noise, others in words."""

import math

import pytest
import scipy.special
import sympy
import torch

from kanpinn._support.errors import InputError
from kanpinn.interpret.snapping import AT_END, LIMIT, snap
from kanpinn.interpret.univariate import LIBRARY, Univariate

VARYING = [f for f in LIBRARY.values() if f.name != "0"]
# The windows of arguments that the tests draw from: where each function is itself.
WINDOWS = {
    **{"1/x": (0.2, 3), "1/x^2": (0.3, 3), "1/x^3": (-3, -0.4), "log": (0.1, 3)},
    **{"sqrt": (0.05, 3), "1/sqrt": (0.1, 3), "tan": (-1.3, 1.2), "arctanh": (-0.8, 0.9)},
    **{"arcsin": (-0.9, 0.95), "arccos": (-0.9, 0.8)},
}
SEEDS = [0, 1, 2]


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
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("noise", [1e-2, 1e-5])
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


@pytest.mark.parametrize("name", ["sin", "x^2", "log", "arctan", "1/x"])
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


@pytest.mark.parametrize("name", ["sin", "log", "j0"])
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


def test_noise_is_no_function_and_what_is_small_by_the_scale_is_constant(generator):
    x = torch.linspace(-1, 2, 200, dtype=torch.float64)
    noise = torch.randn(200, generator=generator, dtype=torch.float64)
    assert snap(x, noise).best.function.name == "0"
    small, names = 2 + 1e-7 * torch.sin(3 * x), ["0", "x", "x^2", "sin"]
    assert snap(x, small, names).best.function.name == "sin"
    assert snap(x, small, names, scale=1.0, accuracy=1e-6).best.function.name == "0"


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
        value = float(best.curve.expression(at).subs(at, float(x[place])))
        assert value == pytest.approx(float(y[place]), rel=1e-12)


def test_the_table_shows_every_function_and_its_remarks():
    x = torch.linspace(0, 1, 100, dtype=torch.float64)
    found = snap(x, torch.sqrt(x), ["x", "sqrt", "exp"])
    lines = found.table().splitlines()
    assert lines[0].split()[:4] == ["function", "1", "-", "R²"]
    assert [line.split()[0] for line in lines[1:]] == ["sqrt", "x", "exp"]
    assert AT_END in lines[1]
    assert len(found.table(1).splitlines()) == 2
    assert len(snap(x, 0 * x, ["x"]).table().splitlines()) == 3


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
        ((x, x), {"scale": 0.0}, "scale"),
        ((x, x, ["sine"]), {}, 'did you mean "sin'),
    ]:
        with pytest.raises(InputError, match=message):
            snap(*arguments, **options)
    with pytest.raises(InputError, match='did you mean "sin"'):
        snap(x, x, ["x", "sin"]).of("sine")
