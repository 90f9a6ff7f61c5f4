"""How fast sources, coefficients and data at walls of an evolution change in time."""

import torch
from torch import Tensor

from kanpinn.evolution.terms.evolution_terms import EvolutionTerms
from kanpinn.evolution.time.time_scales import TimeScales
from kanpinn.geometry import Points
from kanpinn.jets import Jet, jet_of, zero_jet
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.surrogate import Surrogate


@torch.no_grad()
def time_scales_of(terms: EvolutionTerms, surrogate: Surrogate, tolerance: float) -> TimeScales:
    """The intervals of time that resolve the terms, for fields that are constant in time.

    The terms are sampled at 2048 moments and at most 16 places. A pulse is missed if it is shorter
    than the time between two samples, or zero at all of these places.

    Args:
        terms: the terms.
        surrogate: gives the domain, the fields, and the data that are built in.
        tolerance: that of the march. Polynomials in the intervals fit each sampled function to a
            tenth of it, but not less than 1e-6 and not more than 1e-3, in units of its range.
    """
    moments, places = 2048, 16
    low, high = (float(corner[-1]) for corner in surrogate.domain.bounds)
    parts = (torch.arange(moments, dtype=torch.float64) + 0.5) / moments
    times = low + (high - low) * parts
    every = terms.equation, *terms.walls
    found = [_samples(term, surrogate, times, places) for term in every]
    small = min(1e-3, max(tolerance / 10, 1e-6))
    return TimeScales.of_samples(torch.cat(found, dim=1), low, high - low, small)


def _samples(term: ResidualTerm, surrogate: Surrogate, times: Tensor, most: int) -> Tensor:
    """The residuals of a term at some places for two constant fields, zero and a wave.

    Args:
        term: the term.
        surrogate: see `time_scales_of`.
        times: the k times.
        most: the largest number of places.

    Returns:
        (k, c): the residuals of zero, and the differences between those of the wave and these, each
        in units of its range. Those that are constant are left out.
    """
    chosen = torch.randperm(term.rows, generator=torch.Generator().manual_seed(0))[:most]
    places, count, fields = term.chosen(chosen).points, len(times), surrogate.network.width[-1]
    coords = places.coords.repeat(count, 1)
    coords[:, -1] = times.repeat_interleave(len(places))
    normals = None if places.normals is None else places.normals.repeat(count, 1)
    points = Points(coords, places.names, normals)

    def residual(still: Jet) -> Tensor:
        jet = still.map(lambda t: t.repeat(count, *(1 for _ in t.shape[1:])))
        if surrogate.output is not None:
            jet = surrogate.output.apply(points, jet)
        return term.equation(points, jet).reshape(count, -1)

    none = residual(zero_jet(term.channels, places.coords, fields))
    none = none.nan_to_num(0.0, 0.0, 0.0)  # a term may divide by a field
    wave = residual(_wave(term, places, fields))
    size = none.abs().amax(dim=0)
    return torch.cat([_scaled(none, size), _scaled(wave - none, size + wave.abs().amax(dim=0))], 1)


def _scaled(samples: Tensor, sizes: Tensor) -> Tensor:
    """Functions of time in units of their ranges, without those that are constant or infinite.

    samples: (k, c). sizes: of the numbers whose rounding errors they have, (c,).
    """
    rounding = 1e-9
    ranges = samples.amax(dim=0) - samples.amin(dim=0)
    moving = ranges.isfinite() & (ranges > rounding * sizes)
    return samples[:, moving] / ranges[moving]


def _wave(term: ResidualTerm, places: Points, fields: int) -> Jet:
    """The jet of fields that do not vanish anywhere, with all derivatives."""
    scales = places.coords.abs().amax(dim=0).clamp_min(1e-300)
    wave = jet_of(
        lambda x: (x / scales).sum(dim=1, keepdim=True).exp(), places.coords, term.channels
    )
    return wave.map(lambda t: t.expand(*t.shape[:-1], fields))
