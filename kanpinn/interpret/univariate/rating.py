"""Conversion of fits to candidates in the units of the edge, with score, uncertainty and note."""

import math
from dataclasses import dataclass

import numpy

from kanpinn.interpret.univariate.candidates import Candidate
from kanpinn.interpret.univariate.gauges import Parameters
from kanpinn.interpret.univariate.polish import Fits, value_and_slope
from kanpinn.interpret.univariate.samples import EdgeSamples
from kanpinn.interpret.univariate.univariate import Univariate

Array = numpy.ndarray

NOT_CONVERGED = "not converged: the error was still falling when the steps ended"
LIMIT = "a limit case: c f(a x + b) and d nearly cancel"
STEEP = "steeper than the samples resolve"
AT_END = "the data reach the end of its domain"


@dataclass(frozen=True, eq=False)
class Rating:
    """An edge and the settings of the score, as in `snap`, from which candidates are made."""

    edge: EdgeSamples
    scale: float
    accuracy: float
    price: float

    def constant(self, function: Univariate) -> Candidate:
        """Return the candidate of the function 0, for which y ≈ d."""
        edge = self.edge
        error = max(edge.deviation, edge.rounding)
        unexplained = 1.0 if edge.deviation > edge.rounding else 0.0
        score = self._score(unexplained, function.complexity)
        return Candidate(
            function, 1.0, 0.0, 0.0, edge.mean, unexplained, score, (0.0, 0.0, 0.0, error)
        )

    def candidate(self, function: Univariate, fits: Fits) -> Candidate | None:
        """Return the candidate made of the first of the fits of a function, or of its twin.

        It is None if f or its slope is not finite on the data, which rounding of a and b can cause.
        """
        parameters = self._parameters(function, fits)
        a, b, _, _ = parameters
        f, slope = value_and_slope(function, a * self.edge.x + b)
        if not (numpy.isfinite(f).all() and numpy.isfinite(slope).all()):
            return None
        unexplained = self._left_over(function, parameters) / self.edge.deviation**2
        uncertainty = self._uncertainty(function, parameters, f, slope, unexplained)
        note = self._note(function, fits)
        strained = note in (NOT_CONVERGED, LIMIT, STEEP)
        score = self._score(unexplained, function.complexity + strained)
        return Candidate(function, *parameters, unexplained, score, uncertainty, note)

    def _parameters(self, function: Univariate, fits: Fits) -> Parameters:
        edge, (left, right) = self.edge, fits.windows[0]
        a = (right - left) / 2 / edge.half
        b = (left + right) / 2 - a * edge.middle
        c, d = edge.deviation * fits.c[0], edge.mean + edge.deviation * fits.d[0]
        a, b, c, d = (float(value) for value in (a, b, c, d))
        if function.twin:
            a, b, c, d = function.twin.parameters(a, b, c, d)
        a, b, c, d = function.canonical(a, b, c, d)
        choices = [b, *self._reaching(function, a, b)]
        left_over = [self._left_over(function, (a, choice, c, d)) for choice in choices]
        return a, choices[int(numpy.argmin(left_over))], c, d

    def _reaching(self, function: Univariate, a: float, b: float) -> list[float]:
        """Return values of b for which the data reach an end of the domain exactly.

        They are given only if b misses the end by rounding. At the branch point of a square root an
        error of ε in the argument becomes one of √ε in the value.
        """
        points = [
            (float(x), end) for x in (self.edge.x[0], self.edge.x[-1]) for end in function.domain
        ]
        near = [abs(a * x + b - end) <= 1e-13 * (abs(a * x) + abs(b)) for x, end in points]
        return [end - a * x for (x, end), close in zip(points, near, strict=True) if close]

    def _left_over(self, function: Univariate, parameters: Parameters) -> float:
        a, b, c, d = parameters
        f, _ = value_and_slope(function, a * self.edge.x + b)
        left_over = float(self.edge.samples.w @ (self.edge.y - c * f - d) ** 2)
        return left_over if math.isfinite(left_over) else math.inf

    def _score(self, unexplained: float, complexity: float | int) -> float:
        share = unexplained * (self.edge.deviation / self.scale) ** 2 if unexplained else 0.0
        return math.log10(share + self.accuracy**2) + self.price * complexity

    def _uncertainty(
        self, function: Univariate, parameters: Parameters, f: Array, slope: Array, left: float
    ) -> Parameters:
        """Return the row norms of the Jacobian's pseudoinverse, times the error of the edge."""
        edge, c = self.edge, parameters[2]
        columns = {"a": c * slope * edge.x, "b": c * slope, "c": f, "d": numpy.ones_like(f)}
        free = [name for name in columns if name in function.free + "cd"]
        matrix = numpy.sqrt(edge.samples.w)[:, None] * numpy.stack([columns[n] for n in free], 1)
        norms = abs(matrix).max(axis=0)  # squares may overflow
        norms[norms == 0] = 1.0
        error = max(math.sqrt(left) * edge.deviation, edge.rounding)
        with numpy.errstate(over="ignore"):  # infinite if the parameter is not determined
            inverse = numpy.linalg.pinv(matrix / norms, rcond=1e-15) / norms[:, None]
            sizes = dict(zip(free, numpy.linalg.norm(inverse, axis=1) * error, strict=True))
        if function.jumps:  # the jump lies anywhere between two samples
            sizes["b"] = float(numpy.diff(edge.x)[numpy.diff(f) != 0].max()) / 2
        a, b, c, d = (float(sizes.get(name, 0.0)) for name in columns)
        return a, b, c, d

    def _note(self, function: Univariate, fits: Fits) -> str:
        left, right = fits.windows[0]
        ends = (function.twin.of if function.twin else function).domain
        if not fits.settled[0]:
            return NOT_CONVERGED
        if fits.limit[0]:
            return LIMIT
        if function.free == "ab" and abs(right - left) > 4 * self.edge.steepest:
            return STEEP
        return AT_END if function.free and numpy.isin(fits.windows[0], ends).any() else ""
