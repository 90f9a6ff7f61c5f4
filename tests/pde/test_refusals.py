"""What cannot be solved is refused in one line: what it is, what was given, what was expected.

Shapes and formulas that are refused stand with their modules' tests; here is what is wrong with
the parts of a problem, or between them.
"""

import math

import pytest
import shapely
import torch

import kanpinn as kp

SQUARE = kp.Box(x=(-1, 1), y=(-1, 1))
DISK = kp.Disk((0, 0), 1)


class Given(kp.Problem):
    """A problem of parts that are given."""

    domain = SQUARE

    def __init__(self, *conditions, residual=None, fields=("u",), domain=SQUARE):
        self._conditions, self._residual = conditions or [kp.Dirichlet(domain.boundary)], residual
        self.fields, self.domain = fields, domain

    def residual(self, p, *fields):
        if self._residual is not None:
            return self._residual(p, *fields)
        return tuple(kp.laplacian(u) - 1 for u in fields)

    def conditions(self):
        return self._conditions


def solve(problem):
    d, m = problem.domain.dim, len(problem.fields)
    points = kp.Collocation(16, 16)
    return kp.solve(problem, kp.KAN([d, 3, m], degree=5, grid=2), points=points)


def refused(make, *words):
    with pytest.raises(kp.InputError) as caught:
        make()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    for word in words:
        assert word in message


BOW_TIE = [(0, 0), (1, 1), (1, 0), (0, 1)]
DOMAINS = {
    "nothing in common": (lambda: DISK & kp.Disk((5, 0), 1), "intersection", "empty"),
    "nothing left": (lambda: DISK - SQUARE, "difference", "empty"),
    "no curves": (lambda: kp.Planar(()), "at least one curve"),
    "a bow tie": (lambda: kp.Polygon(BOW_TIE), "polygon must be valid", "Self-intersection"),
    "a bow tie of shapely": (lambda: kp.Polygon(shapely.Polygon(BOW_TIE)), "Self-intersection"),
    "a hole that sticks out": (
        lambda: kp.Polygon([(0, 0), (2, 0), (0, 2)], holes=[[(0.1, 0.1), (3, 0.1), (0.1, 0.5)]]),
        "polygon must be valid",
    ),
    "corners on a line": (lambda: kp.Triangle((0, 0), (1, 1), (3, 3)), "polygon must"),
    "two corners": (lambda: kp.Polygon([(0, 0), (1, 1)]), "vertices", "three or more corners"),
    "a point": (lambda: kp.Box(x=(0, 1), y=(2, 2)), "y must be", "low < high", "(2, 2)"),
    "no radius": (lambda: kp.Ball((0, 0, 0), 0), "radius", "above 0", "got 0"),
    "no width": (lambda: kp.Annulus((0, 0), 1, 1), "outer", "above 1", "got 1"),
    "no time": (lambda: DISK.over(t=(1, 1)), "t must be", "low < high", "(1, 1)"),
}


@pytest.mark.parametrize("case", DOMAINS.values(), ids=DOMAINS)
def test_domains_that_are_empty_degenerate_or_cross_themselves(case):
    refused(*case)


PIECES = {
    "disk": (DISK, "cirle", "circle"),
    "polygon": (kp.LShape(), "notchx", "notch_x"),
    "what was cut away": (SQUARE - kp.Box(x=(0.5, 2), y=(-2, 2)), "y_mx", "y_max"),
    "box over time": (SQUARE.over(t=(0, 1)), "inital", "initial"),
}


@pytest.mark.parametrize("case", PIECES.values(), ids=PIECES)
def test_pieces_that_do_not_exist(case):
    domain, wrong, right = case
    words = f"no piece '{wrong}'", "its pieces are", f"did you mean '{right}'"
    refused(lambda: kp.Dirichlet(domain.boundary[wrong]), *words)


NAN = math.nan
OBSERVED = {
    "values": ([[0.0, 0.0], [0.5, 0.0]], [1.0, NAN], "1 values that are not finite", "[0.5, 0.0]"),
    "points": ([[0.0, NAN]], [1.0], "1 points that are not finite"),
    "outside": ([[0.9, 0.9], [0.0, 0.0]], [1.0, 2.0], "1 points outside the domain", "[0.9, 0.9]"),
    "lengths": ([[0.0, 0.0]], [1.0, 2.0], "(n, 2)", "(1, 2) and (2, 1)"),
    "coordinates": ([[0.0, 0.0, 0.0]], [1.0], "(n, 2)", "(1, 3) and (1, 1)"),
}


@pytest.mark.parametrize("case", OBSERVED.values(), ids=OBSERVED)
def test_observations_that_are_no_numbers_or_lie_outside(case):
    at, values, *words = case
    refused(lambda: kp.Observed(DISK, at, values), "Observed", *words)


def test_observations_of_more_fields_or_without_a_noise():
    refused(lambda: kp.Observed(DISK, [[0.0, 0.0]], [1.0], noise=0), "noise > 0", "got 0")
    three = kp.Observed(SQUARE, [[0.0, 0.0]], [[1.0, 2.0, 3.0]])
    walls = kp.Dirichlet(SQUARE.boundary)
    refused(lambda: solve(Given(walls, three, fields=("u", "v"))), "3 columns", "2 fields")


def test_fewer_equations_than_fields():
    problem = Given(residual=lambda p, u, v: kp.laplacian(u), fields=("u", "v"))
    words = "Given.residual gives 1 equation for the 2 fields u, v", "one for each"
    refused(lambda: solve(problem), *words)
    walls = kp.Dirichlet(SQUARE.boundary)
    second = kp.Constraint(SQUARE, lambda p, u, v: v.value - p.x)
    data = kp.Observed(SQUARE, [[0.0, 0.0]], [1.0], field="v")
    for condition in (second, data):
        assert solve(Given(walls, condition, residual=problem._residual, fields=("u", "v")))


FORMULAS = {
    "sin(z)": "unknown name z",
    "x.__class__": "attributes are not allowed",
    "x**100000": "exponent of 100000 is too large: at most 64",
}


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_that_are_no_formulas_in_a_condition(text):
    def make():
        return solve(Given(kp.Dirichlet(SQUARE.boundary, text)))

    refused(make, FORMULAS[text])


def test_data_that_are_not_finite():
    for data in (NAN, math.inf):
        refused(lambda data=data: kp.Dirichlet(SQUARE.boundary, data), "Dirichlet", f"got {data}")
    refused(lambda: kp.Integral(SQUARE, NAN), "Integral", "got nan")
    refused(lambda: kp.Integral(SQUARE, "sin(x)"), "Integral", "got 'sin")
    assert torch.isfinite(solve(Given())(SQUARE.quadrature(3)[0])).all()
