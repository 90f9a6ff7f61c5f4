"""The choice of a function for samples of an edge: a ranking of fits of the whole library."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy
from jaxtyping import Float
from torch import Tensor

from kanpinn._support.errors import InputError, nearest, number
from kanpinn.interpret.polish import (
    NODES,
    Array,
    Fits,
    Samples,
    edge,
    polish,
    starts,
    value_and_slope,
)
from kanpinn.interpret.univariate import LIBRARY, Parameters, Symbolic, Univariate, functions


@dataclass(frozen=True)
class Candidate:
    """A fit y ≈ c f(a x + b) + d, with redundant parameters fixed (`Univariate.canonical`).

    Args:
        curve: c f(a x + b) + d.
        unexplained: 1 - R², the mean square residual over the variance, stored by itself because
            R² near 1 would lose its digits.
        score: the rank of the fit as defined in `snap`; lower is better.
        uncertainty: bounds on the changes of a, b, c and d if the edge has an error as large as
            the residual; 0 for fixed parameters.
        note: a remark on what is wrong with the fit, or "".
    """

    curve: Symbolic
    unexplained: float
    score: float
    uncertainty: Parameters
    note: str = ""

    @property
    def function(self) -> Univariate:
        """The function f."""
        return self.curve.function

    @property
    def r2(self) -> float:
        """The coefficient of determination R²."""
        return 1 - self.unexplained


@dataclass(frozen=True)
class Snapping:
    """All candidates for one edge, best first.

    Args:
        candidates: the fits, sorted by score.
        refused: the functions that could not be fitted, {name: reason}.
    """

    candidates: tuple[Candidate, ...]
    refused: Mapping[str, str]

    @property
    def best(self) -> Candidate:
        """The candidate with the lowest score.

        Raises:
            InputError: if every function was refused.
        """
        if not self.candidates:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.refused.items())
            raise InputError(f"none of the functions fits the edge ({reasons})")
        return self.candidates[0]

    def of(self, name: str) -> Candidate:
        """Return the candidate of one function.

        Raises:
            InputError: if the function was refused or was not among those fitted.
        """
        found = {candidate.function.name: candidate for candidate in self.candidates}
        if name in self.refused:
            raise InputError(f"{name} could not be fitted: {self.refused[name]}")
        if name not in found:
            raise InputError(f"{name!r} is no candidate{nearest(name, found)}")
        return found[name]


NOT_CONVERGED = "not converged: the error was still falling when the steps ended"
LIMIT = "a limit case: c f(a x + b) and d nearly cancel"
STEEP = "steeper than the samples resolve"
AT_END = "the data reach the end of its domain"


@dataclass(frozen=True, eq=False)
class Rating:
    """An edge and the settings of the score, as in `snap`, from which candidates are made."""

    edge: Samples
    accuracy: float
    price: float

    def constant(self, function: Univariate) -> Candidate:
        """Return the candidate of the function 0, for which y ≈ d."""
        edge = self.edge
        error = max(edge.deviation, edge.rounding)
        unexplained = 1.0 if edge.deviation > edge.rounding else 0.0
        score = self._score(unexplained, function.complexity)
        curve = Symbolic(function, 1.0, 0.0, 0.0, edge.mean)
        return Candidate(curve, unexplained, score, (0.0, 0.0, 0.0, error))

    def candidate(self, function: Univariate, fits: Fits) -> Candidate | None:
        """Return the candidate made of the first of the fits of a function, or of its twin.

        It is None if f or its slope is not finite on the data, which rounding of a and b can cause.
        """
        parameters = self._parameters(function, fits)
        a, b, c, _ = parameters
        f, slope = value_and_slope(function, a * self.edge.x + b)
        if not (numpy.isfinite(f).all() and numpy.isfinite(slope).all()):
            return None
        unexplained = self._left_over(function, parameters) / self.edge.deviation**2
        uncertainty = self._uncertainty(function, c, f, slope, unexplained)
        left, right = fits.windows[0]
        ends, note = (function.twin.of if function.twin else function).domain, ""
        if not fits.settled[0]:
            note = NOT_CONVERGED
        elif fits.limit[0]:
            note = LIMIT
        elif function.free == "ab" and abs(right - left) > 4 * self.edge.steepest:
            note = STEEP
        elif function.free and numpy.isin(fits.windows[0], ends).any():
            note = AT_END
        strained = note in (NOT_CONVERGED, LIMIT, STEEP)
        score = self._score(unexplained, function.complexity + strained)
        return Candidate(Symbolic(function, *parameters), unexplained, score, uncertainty, note)

    def _parameters(self, function: Univariate, fits: Fits) -> Parameters:
        edge, (left, right) = self.edge, fits.windows[0]
        a = (right - left) / 2 / edge.half
        b = (left + right) / 2 - a * edge.middle
        c, d = edge.deviation * fits.c[0], edge.mean + edge.deviation * fits.d[0]
        a, b, c, d = (float(value) for value in (a, b, c, d))
        if function.twin:
            a, b, c, d = function.twin.parameters(a, b, c, d)
        a, b, c, d = function.canonical(a, b, c, d)
        # Where b misses an end of the domain by rounding, the data may reach it exactly: near the
        # branch point of a square root an error of ε in the argument is one of √ε in the value.
        choices = [b]
        for x, end in itertools.product(map(float, edge.x[[0, -1]]), function.domain):
            if abs(a * x + b - end) <= 1e-13 * (abs(a * x) + abs(b)):
                choices.append(end - a * x)
        left_over = [self._left_over(function, (a, choice, c, d)) for choice in choices]
        return a, choices[int(numpy.argmin(left_over))], c, d

    def _left_over(self, function: Univariate, parameters: Parameters) -> float:
        a, b, c, d = parameters
        f, _ = value_and_slope(function, a * self.edge.x + b)
        left_over = float(self.edge.w @ (self.edge.y - c * f - d) ** 2)
        return left_over if math.isfinite(left_over) else math.inf

    def _score(self, unexplained: float, complexity: float | int) -> float:
        return math.log10(unexplained + self.accuracy**2) + self.price * complexity

    def _uncertainty(
        self, function: Univariate, c: float, f: Array, slope: Array, left: float
    ) -> Parameters:
        """Return the row norms of the Jacobian's pseudoinverse, times the error of the edge."""
        edge = self.edge
        columns = {"a": c * slope * edge.x, "b": c * slope, "c": f, "d": numpy.ones_like(f)}
        free = [name for name in columns if name in function.free + "cd"]
        matrix = numpy.sqrt(edge.w)[:, None] * numpy.stack([columns[n] for n in free], 1)
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


def snap(
    x: Float[Tensor, " n"],
    y: Float[Tensor, " n"],
    names: Sequence[str | Univariate] | None = None,
    *,
    weights: Float[Tensor, " n"] | None = None,
    accuracy: float | int = 1e-8,
    price: float | int = 1.0,
) -> Snapping:
    """Fit c f(a x + b) + d to one edge function for each function f of the library, and rank them.

    The score is log₁₀(1 - R² + accuracy²) + price · complexity; the lowest is the best. One more
    unit of complexity must thus reduce the mean square by `price` powers of ten, and a reduction
    below `accuracy` does not count. One unit of complexity is added to a fit that did not converge,
    is a limit case or is steeper than the samples resolve (`Candidate.note`).

    Parameters that would put a pole or a branch point of f inside the range of x are excluded. A
    constant edge gives the function 0 alone, whatever the names are. The samples must resolve the
    edge.

    Args:
        x: the arguments of the edge, (n,).
        y: its values, (n,).
        names: names of the library's functions, or `Univariate` objects; all by default.
        weights: the weights of the samples, (n,); equal ones by default.
        accuracy: the error of the edge itself, relative to the standard deviation of y.
        price: the powers of ten that a unit of complexity costs.

    Returns:
        The candidates, best first, and the functions that could not be fitted.

    Raises:
        InputError: if a sample is not finite, x has fewer than 8 different values, the weights are
            negative or all zero, or an option is out of range.

    Example:
        >>> import torch
        >>> from kanpinn.interpret import snap
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)
        >>> found = snap(x, 2 * torch.sin(3 * x), ["sin", "x^2", "exp"])
        >>> found.candidates[0].function.name
        'sin'
    """
    chosen = functions(names)
    number("accuracy", accuracy, above=True)
    number("price", price)
    samples = edge(x, y, weights)
    rating = Rating(samples, float(accuracy), float(price))
    if samples.deviation <= samples.rounding:
        reason = f"the edge is the constant {samples.mean:.6g}"
        refused = {f.name: reason for f in chosen if f.name != "0"}
        return Snapping((rating.constant(LIBRARY["0"]),), refused)
    fits: dict[Univariate, Fits] = {}
    candidates: list[Candidate] = []
    refused = {}
    for function in chosen:
        model = function.twin.of if function.twin else function
        if model.name != "0" and model not in fits:
            fits[model] = _fit(model, samples)
        if model.name == "0":
            candidates.append(rating.constant(function))
        elif candidate := rating.candidate(function, fits[model]):
            candidates.append(candidate)
        else:
            refused[function.name] = "it has a pole in the data, or within rounding of them"
    # Twins (sin and cos) fit equally well up to rounding: the one with the smaller |b| is first.
    candidates.sort(key=lambda c: (round(c.score, 6), abs(c.curve.b)))
    return Snapping(tuple(candidates), refused)


def _fit(function: Univariate, samples: Samples) -> Fits:
    """Return the best fit of one function, found in stages with fewer fits and more samples each.

    The first stage starts from the best windows of a lattice.
    """
    first, second = 128, 1000  # samples in the first two stages
    if function.jumps:  # the best step function jumps halfway between two samples
        below, lifted = numpy.cumsum(samples.w)[:-1], numpy.cumsum(samples.w * samples.z)[:-1]
        gain = lifted**2 / (below * (1 - below))
        gain[numpy.diff(samples.t) == 0] = -1.0
        k = int(gain.argmax())
        at = (samples.t[k] + samples.t[k + 1]) / 2
        return polish(function, numpy.array([[-1 - at, 1 - at]]), samples, 0)
    few = samples.thinned(first)
    windows = starts(function, numpy.interp(NODES, few.t, few.z), samples.steepest, 12)
    windows = polish(function, windows, few, 12).best(2)
    windows = polish(function, windows, samples.thinned(second), 40).best(1)
    return polish(function, windows, samples, 20)
