"""The method of lines on the splines of a march: Galerkin's method and SciPy's Radau."""

import time
from dataclasses import dataclass

import numpy
import scipy.integrate
import scipy.interpolate
from marches.cases import Case, fields_of
from numpy import ndarray


@dataclass(frozen=True)
class Splines:
    """Splines on given intervals, with their derivatives at Gauss points of each interval.

    knots: of the splines. degree: theirs. spread: the number of the function for each spline.
    places, weights: a quadrature rule, (P,). values: the derivatives of order 0 to 4 of all
    functions there, (P, n) each.
    """

    knots: ndarray
    degree: int
    spread: ndarray
    places: ndarray
    weights: ndarray
    values: list[ndarray]

    def at(self, x: ndarray, order: int = 0) -> ndarray:
        """A derivative of all functions at points, (k, n)."""
        splines = scipy.interpolate.BSpline(self.knots, numpy.eye(len(self.spread)), self.degree)
        found = splines.derivative(order)(x) if order else splines(x)
        summed = numpy.zeros((len(x), self.spread.max() + 2))
        numpy.add.at(summed.T, self.spread, found.T)
        return summed[:, : self.spread.max() + 1]


def splines_on(breaks: ndarray, degree: int, walls: bool) -> Splines:
    """Splines on intervals: those that are 0 at both ends, or periodic ones."""
    count = len(breaks) - 1
    if walls:
        knots = numpy.concatenate([[breaks[0]] * degree, breaks, [breaks[-1]] * degree])
        spread = numpy.arange(-1, count + degree - 1)
        spread[-1] = -1  # the first and the last spline are left out
    else:
        length = breaks[-1] - breaks[0]
        before, after = breaks[-degree - 1 : -1] - length, breaks[1 : degree + 1] + length
        knots = numpy.concatenate([before, breaks, after])
        spread = numpy.arange(count + degree) % count
    nodes, weights = numpy.polynomial.legendre.leggauss(degree + 1)
    widths = numpy.diff(breaks)
    places = (breaks[:-1, None] + widths[:, None] * (nodes + 1) / 2).ravel()
    rule = (widths[:, None] * weights / 2).ravel()
    made = Splines(knots, degree, spread, places, rule, [])
    return Splines(
        knots, degree, spread, places, rule, [made.at(places, order) for order in range(5)]
    )


def radau(case: Case, breaks: ndarray, degree: int, tolerance: float) -> tuple[ndarray, float]:
    """Solve on the splines of a march; return values at the case's points, (m, n), and seconds.

    The seconds are those of the processor. The mass matrix is inverted once, since SciPy's methods
    have none, so that Jacobians are dense.
    """
    begin = time.process_time()
    space, m = splines_on(breaks, degree, case.walls), case.fields
    tests = space.values[0].T * space.weights
    inverse = numpy.linalg.inv(tests @ space.values[0])
    tests = inverse @ tests

    def derivatives(y: ndarray) -> list[ndarray]:
        found = [(values @ y.reshape(m, -1).T).T for values in space.values]
        return found if m > 1 else [one[0] for one in found]

    def rate(_: float, y: ndarray) -> ndarray:
        return (tests @ numpy.atleast_2d(case.rates(derivatives(y))).T).T.ravel()

    def jacobian(_: float, y: ndarray) -> ndarray:
        slopes = case.slopes(derivatives(y))
        blocks = [[numpy.zeros_like(inverse) for _ in range(m)] for _ in range(m)]
        for order, by in slopes.items():
            by = by.reshape(m, m, -1)
            for i, j in numpy.ndindex(m, m):
                if by[i, j].any():
                    blocks[i][j] += tests @ (by[i, j][:, None] * space.values[order])
        return numpy.block(blocks)

    start = fields_of(case.equation.initial(space.places) + 0j, m)
    first = (tests @ start.T).T.ravel()
    found = scipy.integrate.solve_ivp(
        rate,
        (0.0, case.last),
        first,
        method="Radau",
        jac=jacobian,
        rtol=max(tolerance, 3e-14),
        atol=tolerance / 100,
        t_eval=[case.last],
    )
    at_end = (space.at(case.points) @ found.y[:, -1].reshape(m, -1).T).T
    return at_end, time.process_time() - begin
