"""The traits of a problem on which choices depend; its name and exact solution are not used."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Box, Domain, Piece, Planar, Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Channels, Linearised, coefficients_along, find_channels, zero_jet
from kanpinn.pde.problem import Problem
from kanpinn.spaces.cells.geometry.plane import Outline, bends
from kanpinn.spaces.cells.geometry.regions import regions_of
from kanpinn.tasks.refinement import waves_along


@dataclass(frozen=True)
class Steepness:
    """The sizes of an equation's terms of lower order, relative to those of second order.

    Args:
        waves: the largest √(c₀/c₂) L, the phase of waves over the domain's width L.
        mean_waves: the mean of √(c₀/c₂) L over the domain.
        convection: c₁ L / c₂, the width L in units of that of an outflow layer.
    """

    waves: float = 0.0
    mean_waves: float = 0.0
    convection: float = 0.0

    @property
    def is_steep(self) -> bool:
        """Whether a network without cells hardly resolves the solutions."""
        many = 15.0
        return self.waves > many or self.convection > many**2

    @classmethod
    @torch.no_grad()
    def of(cls, problem: Problem) -> "Steepness":
        """The sizes at fields that vanish, the largest of all equations and of some points.

        Both are zero if the highest order of derivatives is not 2, or the equation is not finite.
        """
        few = 64
        p, fields = sample(problem.domain, few, "sobol"), len(problem.fields)

        def residual(channels: Channels) -> Tensor:
            return problem.equation(p, zero_jet(channels, p.coords, fields))

        channels, _ = find_channels(residual, p.names)
        if channels.derivative_order != 2:
            return cls()
        linear = Linearised.at_zero(problem.equation, p, channels, fields)
        parts, axes = linear.slopes, range(channels.dim)
        first, second = (
            max(float(coefficients_along(parts, channels, axis, r).abs().max()) for axis in axes)
            for r in (1, 2)
        )
        waves = torch.stack([waves_along(parts, channels, axis) for axis in axes]).amax(dim=0)
        low, high = problem.domain.bounds
        width = float((high - low).max())
        if not (0 < second < float("inf") and float(waves.max()) + first < float("inf")):
            return cls()
        waves = waves * width
        return cls(float(waves.max()), float(waves.mean()), first * width / second)


@dataclass(frozen=True)
class Traits:
    """The traits of a problem on which the choice of network, points and optimizers depends.

    Args:
        dim: the number of coordinates.
        inputs: the number of the network's inputs: the coordinates, unless the problem maps them.
            Periodic coordinates are not mapped to circles, since with the additional inputs random
            inner functions are less accurate by many digits.
        fields: the number of fields.
        evolves: whether there is an initial condition.
        boxed: whether the domain is a box and the network's inputs are its coordinates.
        energetic: whether the class gives an energy, and no coefficient is unknown.
        observed: whether some conditions are measurements of the solution.
        unknown: for each field, whether it is an unknown coefficient.
        numbers: whether there are unknown numbers.
        uneven: whether Gauss points leave larger gaps in the domain than Sobol points do.
        marches: whether the problem can be marched in time: an evolution in one space dimension or
            none, or without unknowns in a rectangle, whose conditions hold at the first moment or
            at all times.
        marches_in_cells: whether it can be marched in time with cells in space: an evolution in a
            domain of the plane, without unknowns and kinks, with conditions as for `marches`.
        takes_cells: whether networks in cells suit it: in a box of up to three coordinates, a
            domain in the plane or a solid, without unknowns.
        kinked: whether solutions have kinks at interfaces that networks in cells know of.
        reentrant: whether the domain has a corner in the plane, or an edge in space, that points
            inwards, where solutions are singular.
        small_holes: whether its boundary is concave with a radius that is small compared with the
            domain's width, as that of a small hole.
        steepness: how local or oscillatory solutions are, for such problems.
    """

    dim: int
    inputs: int
    fields: int
    evolves: bool
    boxed: bool = True
    energetic: bool = False
    observed: bool = False
    unknown: tuple[bool, ...] = ()
    numbers: bool = False
    uneven: bool = False
    marches: bool = False
    marches_in_cells: bool = False
    takes_cells: bool = False
    kinked: bool = False
    reentrant: bool = False
    small_holes: bool = False
    steepness: Steepness = field(default_factory=Steepness)

    @property
    def sampler(self) -> str:
        """The sampler of collocation points.

        Gauss points are far better than others on boxes, but very uneven on domains with holes:
        there Sobol points had errors of a tenth on random elliptic problems.
        """
        return "sobol" if self.uneven or self.dim > 3 else "gauss"

    @staticmethod
    def of(problem: Problem) -> "Traits":
        """Return the traits of a problem."""
        conditions = problem.conditions()
        dim, known = problem.domain.dim, problem.inputs()
        boxed = isinstance(problem.domain, Box) and known is None
        cut = isinstance(problem.domain, Planar) or (dim == 3 and problem.domain.time_name is None)
        kinks = [piece for condition in conditions for piece in condition.kinks]
        evolves = known is None and _is_evolution(problem)
        takes_cells = dim <= 3 and (boxed or (cut and known is None)) and not problem.unknowns
        if kinks:
            takes_cells = not problem.unknowns and _divides(problem, kinks)
        return Traits(
            dim,
            dim if known is None else _inputs(problem),
            len(problem.fields),
            any(c.is_initial for c in conditions),
            boxed=boxed,
            energetic=type(problem).energy is not Problem.energy and not problem.unknowns,
            observed=any(c.measurements for c in conditions),
            unknown=tuple(name in problem.unknowns for name in problem.fields),
            numbers=bool(problem.unknowns) and bool(problem.numbers),
            uneven=1 < dim <= 3 and _uneven(problem.domain),
            marches=evolves and _marches(problem),
            marches_in_cells=evolves and dim == 3 and not (kinks or problem.unknowns),
            takes_cells=takes_cells,
            kinked=takes_cells and bool(kinks),
            reentrant=is_reentrant(problem.domain),
            small_holes=_has_small_holes(problem.domain),
            steepness=Steepness.of(problem) if takes_cells else Steepness(),
        )


def _divides(problem: Problem, kinks: Sequence[Piece]) -> bool:
    """Return whether the pieces of interfaces divide the domain into regions with cells."""
    if any(condition.periodic_in for condition in problem.conditions()):
        return False
    try:
        regions_of(problem.domain, kinks)
    except InputError:
        return False
    return True


def _marches(problem: Problem) -> bool:
    most = 3 if isinstance(problem.domain, Box) and not problem.unknowns else 2
    unknown = any(name in problem.unknowns for name in problem.fields)
    return problem.domain.dim <= most and not unknown


def _is_evolution(problem: Problem) -> bool:
    """Return whether all conditions hold at the first moment, some of them, or at all times."""
    if problem.enrichment():
        return False
    low, high = (float(corner[-1]) for corner in problem.domain.bounds)
    conditions = [c for c in problem.conditions() if not c.measurements]
    others = [c for c in conditions if not c.is_initial]
    few = Collocation(256, 256, "grid")
    moments = [c.points(few, 1.0, torch.Generator()).coords[:, -1] for c in others]
    at_all_times = all(float(t.max() - t.min()) > (high - low) / 2 for t in moments)
    return at_all_times and len(others) < len(conditions)


def _has_small_holes(domain: Domain) -> bool:
    """Return whether the boundary is concave with a radius that is small for the domain.

    Solutions change there over distances like this radius, which functions of the whole domain do
    not resolve.
    """
    small = 0.05  # of the smaller width of the bounding box
    if not isinstance(domain, Planar):
        return False
    _, radii = bends(domain)
    low, high = domain.bounds
    return bool((radii < small * float((high - low).min())).any())


def is_reentrant(domain: Domain) -> bool:
    """Return whether a domain has a corner or an edge that points inwards."""
    if not isinstance(domain, Planar):
        return domain.dim == 3 and len(domain.reentrant_edges.segments) > 0
    outline = Outline(domain)
    return any(angle > math.pi + outline.sharp for _, angle in outline.interior_angles)


def _inputs(problem: Problem) -> int:
    known = problem.inputs()
    assert known is not None
    low, high = problem.domain.bounds
    middle = Points(torch.stack([(low + high) / 2]), problem.domain.names)
    return known(middle).shape[1]


def _uneven(domain: Domain, count: int = 1000, largest: float = 1.4) -> bool:
    """Return whether the gaps between Gauss points are more than `largest` times as wide as usual.

    A gap's width is the 99 % quantile of the distance from a place in the domain to the nearest of
    `count` points, in coordinates in which the bounding box is a cube; usual are those of Sobol
    points. The ratio is 1.1 on boxes and disks, 1.3 on an L-shape, 1.5 to 2.5 with holes.
    """
    low, high = domain.bounds

    def scaled(number: int, sampler: str) -> Tensor:
        return (sample(domain, number, sampler).coords - low) / (high - low)

    places, gaps = scaled(600, "uniform"), []
    for sampler in ("gauss", "sobol"):
        points = scaled(count, sampler)
        width = torch.cdist(places, points).amin(dim=1).quantile(0.99)
        gaps.append(float(width) * len(points) ** (1 / domain.dim))
    return gaps[0] > largest * gaps[1]
