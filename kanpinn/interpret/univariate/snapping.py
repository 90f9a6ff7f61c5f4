"""Fits of every function of the library to samples of one edge function."""

from collections.abc import Sequence

import numpy
from jaxtyping import Float
from torch import Tensor

from kanpinn._support.errors import number
from kanpinn.interpret.univariate.candidates import Candidate, Snapping
from kanpinn.interpret.univariate.library import LIBRARY, Univariate, functions
from kanpinn.interpret.univariate.polish import Fits, polish
from kanpinn.interpret.univariate.rating import Rating
from kanpinn.interpret.univariate.samples import Edge, Samples, edge
from kanpinn.interpret.univariate.starts import NODES, starts

Array = numpy.ndarray

_FEW, _SOME = 128, 1000  # samples for the first steps and for the middle ones


def snap(
    x: Float[Tensor, " n"],
    y: Float[Tensor, " n"],
    names: Sequence[str | Univariate] | None = None,
    *,
    weights: Float[Tensor, " n"] | None = None,
    accuracy: float | int = 1e-8,
    price: float | int = 1.0,
    scale: float | int | None = None,
) -> Snapping:
    """Fit c f(a x + b) + d to one edge function by each function f of the library, and rank them.

    score = log₁₀(mean (y - c f - d)² / scale² + accuracy²) + price · complexity, lowest first: one
    unit of complexity must take the mean square down by `price` powers of ten, and what is below
    `accuracy` (the edge's own error relative to scale) earns nothing. A fit that did not converge,
    is a limit case or steeper than the samples (`Candidate.note`) counts one unit more.

    names: of the library, or functions of one's own; all by default. scale: the size of y that
    matters, its standard deviation by default; a larger one makes what varies little a constant.
    A function whose pole or branch point would lie inside the range of x is not fitted there, and
    a constant edge is the function 0, whatever was asked for. The samples must resolve the edge.

    Raises:
        InputError: for samples that are not finite, x of fewer than 8 different values, weights
            that are negative or all zero, and options out of range.
    """
    chosen = functions(names)
    number("accuracy", accuracy, above=True)
    number("price", price)
    if scale is not None:
        number("scale", scale, above=True)
    samples = edge(x, y, weights)
    size = samples.deviation if scale is None else float(scale)
    rating = Rating(samples, size, float(accuracy), float(price))
    if samples.deviation <= samples.rounding:
        reason = f"the edge is the constant {samples.mean:.6g}"
        refused = {f.name: reason for f in chosen if f.name != "0"}
        return Snapping((rating.constant(LIBRARY["0"]),), refused)
    return _ranked(chosen, samples, rating)


def _ranked(chosen: Sequence[Univariate], samples: Edge, rating: Rating) -> Snapping:
    fits: dict[Univariate, Fits] = {}
    found: list[Candidate] = []
    refused = {}
    for function in chosen:
        model = function.twin.of if function.twin else function
        if model.name != "0" and model not in fits:
            fits[model] = _fit(model, samples)
        if model.name == "0":
            found.append(rating.constant(function))
        elif candidate := rating.candidate(function, fits[model]):
            found.append(candidate)
        else:
            refused[function.name] = "it has a pole in the data, or within rounding of them"
    # Twins (sin and cos) fit alike but for rounding: the one with less of a shift comes first.
    return Snapping(tuple(sorted(found, key=lambda c: (round(c.score, 6), abs(c.b)))), refused)


def _fit(function: Univariate, samples: Edge) -> Fits:
    """The best fit of one function: a lattice, then ever fewer fits to ever more samples."""
    every = samples.samples
    if function.jumps:
        return polish(function, _split(every), every, 0)
    few = every.thinned(_FEW)
    windows = starts(function, numpy.interp(NODES, few.t, few.z), samples.steepest, 12)
    windows = polish(function, windows, few, 12).best(2)
    windows = polish(function, windows, every.thinned(_SOME), 40).best(1)
    return polish(function, windows, every, 20)


def _split(samples: Samples) -> Float[Array, "1 2"]:
    """The window of the best step function: its jump is halfway between two samples."""
    below, lifted = numpy.cumsum(samples.w)[:-1], numpy.cumsum(samples.w * samples.z)[:-1]
    gain = lifted**2 / (below * (1 - below))
    gain[numpy.diff(samples.t) == 0] = -1.0
    k = int(gain.argmax())
    at = (samples.t[k] + samples.t[k + 1]) / 2
    return numpy.array([[-1 - at, 1 - at]])
