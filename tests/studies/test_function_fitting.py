"""The functions that the scripts fit are what they are called, and their points lie as is said."""

import math

import mpmath
import numpy
import pytest

ROWS = 40
REFERENCES = {
    "ellipj": lambda u, m: mpmath.ellipfun("sn", u, m=m),
    "ellipkinc": mpmath.ellipf,
    "ellipeinc": mpmath.ellipe,
    "jv": mpmath.besselj,
    "yv": mpmath.bessely,
    "kv": mpmath.besselk,
    "iv": mpmath.besseli,
    "lpmv 0": lambda v, x: mpmath.legenp(v, 0, x),
    "lpmv 1": lambda v, x: mpmath.legenp(v, 1, x),
    "lpmv 2": lambda v, x: mpmath.legenp(v, 2, x),
    "sph_harm 0,1": lambda t, p: mpmath.spherharm(1, 0, p, t),
    "sph_harm 1,1": lambda t, p: mpmath.spherharm(1, 1, p, t),
    "sph_harm 0,2": lambda t, p: mpmath.spherharm(2, 0, p, t),
    "sph_harm 1,2": lambda t, p: mpmath.spherharm(2, 1, p, t),
    "sph_harm 2,2": lambda t, p: mpmath.spherharm(2, 2, p, t),
}
TOY = {
    "bessel": lambda x: mpmath.besselj(0, 20 * x[0]),
    "exponential": lambda x: math.exp(math.sin(math.pi * x[0]) + x[1] ** 2),
    "product": lambda x: x[0] * x[1],
    "hundred": lambda x: math.exp(sum(math.sin(math.pi * v / 2) ** 2 for v in x) / 100),
    "four": lambda x: math.exp(
        (math.sin(math.pi * (x[0] ** 2 + x[1] ** 2)) + math.sin(math.pi * (x[2] ** 2 + x[3] ** 2)))
        / 2
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_special_functions_are_those_of_mpmath(module, name: str) -> None:
    table = module("fit_special_functions").FUNCTIONS[name].sample(ROWS, 0)
    for x, value in zip(table.inputs.tolist(), table.targets[:, 0].tolist(), strict=True):
        exact = float(mpmath.re(REFERENCES[name](*x)))
        assert value == pytest.approx(exact, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("name", TOY)
def test_toy_functions_are_what_they_say(module, name: str) -> None:
    table = module("fit_toy_functions").FUNCTIONS[name].sample(ROWS, 0)
    for x, value in zip(table.inputs.tolist(), table.targets[:, 0].tolist(), strict=True):
        assert value == pytest.approx(float(TOY[name](x)), rel=1e-12, abs=1e-13)


def test_every_function_has_the_paper_beside_it(module) -> None:
    paper = module("function_fitting.fitting")
    assert (
        list(paper.SPECIAL) == list(module("fit_special_functions").FUNCTIONS) == list(REFERENCES)
    )
    assert list(paper.TOY) == list(module("fit_toy_functions").FUNCTIONS) == list(TOY)
    for curve in paper.TOY.values():
        assert len(curve.grids) == len(curve.rmse)


def test_orders_are_those_of_the_finest_grids(module, monkeypatch: pytest.MonkeyPatch) -> None:
    grids = (3, 6, 12, 24, 48)
    rows = tuple(
        {"function": "four", "network": "KAN", "degree": 3, "seed": seed, "grid": g, "rows": 1000}
        | {"test_rmse": (1 + 0.1 * seed) * (1.0 if g < 12 else 1e4 * g**-4.0)}
        | {"train_rmse": 1.0, "parameters": 11 * (g + 3), "seconds": 1.0}
        for seed in range(3)
        for g in grids
    )
    (series,) = module("fit_toy_functions").series_of(rows)
    assert series.order is not None and series.order.order == pytest.approx(4, abs=1e-9)
    figures = module("fit_toy_functions").judge(rows)
    assert figures["four: order, k = 3"]["met"] is True
    best = 1.1 * 1e4 * 48**-4.0
    assert figures["four: test RMSE"]["value"] == pytest.approx(best)
    assert figures["four: test RMSE"]["met"] is False
    assert numpy.isclose(series.best, best)
