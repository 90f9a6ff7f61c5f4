"""Fits of every function of the library to samples of one edge function."""

from collections.abc import Sequence

import numpy
from jaxtyping import Float
from torch import Tensor

from kanpinn._support.errors import number
from kanpinn.interpret.univariate.candidates import Candidate, Snapping
from kanpinn.interpret.univariate.library import LIBRARY, functions
from kanpinn.interpret.univariate.polish import Fits, polish
from kanpinn.interpret.univariate.rating import Rating
from kanpinn.interpret.univariate.samples import EdgeSamples, Samples, edge
from kanpinn.interpret.univariate.starts import NODES, starts
from kanpinn.interpret.univariate.univariate import Univariate

Array = numpy.ndarray


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
    """Fit c f(a x + b) + d to one edge function for each function f of the library, and rank them.

    The score is log₁₀(mean (y - c f - d)² / scale² + accuracy²) + price · complexity; the lowest is
    the best. One more unit of complexity must thus reduce the mean square by `price` powers of ten,
    and a reduction below `accuracy` does not count. One unit of complexity is added to a fit that
    did not converge, is a limit case or is steeper than the samples resolve (`Candidate.note`).

    Parameters that would put a pole or a branch point of f inside the range of x are excluded. A
    constant edge gives the function 0 alone, whatever the names are. The samples must resolve the
    edge.

    Args:
        x: the arguments of the edge, (n,).
        y: its values, (n,).
        names: names of the library's functions, or `Univariate` objects; all by default.
        weights: the weights of the samples, (n,); equal ones by default.
        accuracy: the error of the edge itself, relative to `scale`.
        price: the powers of ten that a unit of complexity costs.
        scale: the size of y that matters, its standard deviation by default; with a larger one,
            an edge that varies little is taken for a constant.

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


def _ranked(chosen: Sequence[Univariate], samples: EdgeSamples, rating: Rating) -> Snapping:
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
    # Twins (sin and cos) fit equally well up to rounding: the one with the smaller |b| is first.
    return Snapping(tuple(sorted(found, key=lambda c: (round(c.score, 6), abs(c.b)))), refused)


def _fit(function: Univariate, samples: EdgeSamples) -> Fits:
    """Return the best fit of one function, found in stages with fewer fits and more samples each.

    The first stage starts from the best windows of a lattice.
    """
    first, second = 128, 1000  # samples in the first two stages
    every = samples.samples
    if function.jumps:
        return polish(function, _split(every), every, 0)
    few = every.thinned(first)
    windows = starts(function, numpy.interp(NODES, few.t, few.z), samples.steepest, 12)
    windows = polish(function, windows, few, 12).best(2)
    windows = polish(function, windows, every.thinned(second), 40).best(1)
    return polish(function, windows, every, 20)


def _split(samples: Samples) -> Float[Array, "1 2"]:
    """Return the window of the best step function, whose jump is halfway between two samples."""
    below, lifted = numpy.cumsum(samples.w)[:-1], numpy.cumsum(samples.w * samples.z)[:-1]
    gain = lifted**2 / (below * (1 - below))
    gain[numpy.diff(samples.t) == 0] = -1.0
    k = int(gain.argmax())
    at = (samples.t[k] + samples.t[k + 1]) / 2
    return numpy.array([[-1 - at, 1 - at]])
