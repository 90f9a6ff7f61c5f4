"""The boundary of a domain, or of a plane cut through one, as a path that pictures end at."""

import math

import numpy
import torch
from matplotlib.figure import Figure
from matplotlib.path import Path

from kanpinn.geometry import Box, Curve, Domain, Planar, Product, Segment
from kanpinn.solvers.grid_fields import GridFields


def outline_of(domain: Domain, fields: GridFields) -> Path | None:
    """The boundary in the plane of the fields' two axes; None if the whole grid lies inside.

    Of planar domains, and of planar domains over time, it is exact. Other cuts are traced on the
    grid: the path's points lie on the boundary, where it crosses the grid's lines.
    """
    if isinstance(domain, Box):
        return None
    space = domain.space if isinstance(domain, Product) else domain
    if isinstance(space, Planar) and space.names == tuple(fields.axes):
        return _closed_path([c for c in space.boundary.pieces if isinstance(c, Curve)])
    return _Section(domain, fields).path()


def _closed_path(curves: list[Curve]) -> Path:
    """Loops of curves: outer ones run counter-clockwise, holes clockwise, so these stay empty."""
    rest, loops = list(curves), []
    while rest:
        chain = [rest.pop(0)]
        while (number := _next(chain, rest)) is not None:
            chain.append(rest.pop(number))
        vertices = numpy.concatenate([_samples(curve) for curve in chain])
        loops.append(Path(numpy.concatenate([vertices, vertices[:1]]), closed=True))
    return Path.make_compound_path(*loops)


def _next(chain: list[Curve], rest: list[Curve]) -> int | None:
    """The number of the curve that starts at the chain's end; None if the chain is closed."""
    end = chain[-1].stop
    gaps = [math.dist(end, curve.start) for curve in rest]
    closing = math.dist(end, chain[0].start)
    return None if closing <= min(gaps, default=math.inf) else gaps.index(min(gaps))


def _samples(curve: Curve) -> numpy.ndarray:
    """Points (n, 2) of a curve from its start on, without its end."""
    count = 1 if isinstance(curve, Segment) else 256
    return curve.at(torch.arange(count, dtype=torch.float64) / count).numpy()


class _Section:
    """A plane cut through a domain, its points given by fractional indices of the grid, (n, 2)."""

    def __init__(self, domain: Domain, fields: GridFields) -> None:
        self.domain, self.fields = domain, fields
        low, high = domain.bounds
        self.tolerance = 1e-12 * float((high - low).max())

    def path(self) -> Path | None:
        shape = [len(axis) for axis in self.fields.axes.values()]
        nodes = numpy.stack(numpy.meshgrid(*map(numpy.arange, shape), indexing="ij"), axis=-1)
        inside = self.contains(nodes.reshape(-1, 2)).reshape(shape)
        if inside.all() or not inside.any():
            return None
        # Matplotlib's contours link the points, halfway between nodes within and without.
        marked = Figure().subplots().contourf(inside.T.astype(float), levels=[0.5, 1.5])
        (path,) = marked.get_paths()
        return Path(self.place(self._crossings(numpy.asarray(path.vertices))), path.codes)

    def contains(self, indices: numpy.ndarray) -> numpy.ndarray:
        places = dict(zip(self.fields.axes, self.place(indices).T, strict=True))
        columns = [
            places[name] if name in places else numpy.full(len(indices), self.fields.fixed[name])
            for name in self.domain.names
        ]
        coords = torch.from_numpy(numpy.stack(columns, axis=1))
        return self.domain.contains(coords, tolerance=self.tolerance).numpy()

    def place(self, indices: numpy.ndarray) -> numpy.ndarray:
        axes = self.fields.axes.values()
        columns = [a[0] + i * (a[1] - a[0]) for a, i in zip(axes, indices.T, strict=True)]
        return numpy.stack(columns, axis=1)

    def _crossings(self, halfway: numpy.ndarray) -> numpy.ndarray:
        """Where the steps of the grid that have these middles leave the domain, by bisection."""
        low, high = numpy.floor(halfway), numpy.ceil(halfway)
        first = self.contains(low)[:, None]
        within, without = numpy.where(first, low, high), numpy.where(first, high, low)
        for _ in range(30):
            middle = (within + without) / 2
            inside = self.contains(middle)[:, None]
            within = numpy.where(inside, middle, within)
            without = numpy.where(inside, without, middle)
        return within
