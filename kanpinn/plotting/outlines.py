"""The boundary of a domain, or of a plane section of it, as a path that clips figures."""

import math

import numpy
import torch
from matplotlib.figure import Figure
from matplotlib.path import Path

from kanpinn.geometry import Curve, Domain, Planar, Product, Segment
from kanpinn.solvers.regular_grid import GridFields


def outline_of(domain: Domain, fields: GridFields) -> Path | None:
    """Return the boundary in the plane of the fields' two axes; None if figures need no clipping.

    The result is None if the section's boundary does not cross the grid, as for a box. The path is
    exact for planar domains, and for planar domains over time. Other sections are traced on the
    grid: the vertices of the path lie where the boundary crosses grid lines.

    Args:
        domain: the domain of the problem.
        fields: the fields on a grid of two axes; other coordinates are fixed.
    """
    space = domain.space if isinstance(domain, Product) else domain
    if isinstance(space, Planar) and space.names == tuple(fields.axes):
        return _closed_path([c for c in space.boundary.pieces if isinstance(c, Curve)])
    return _Section(domain, fields).path()


def _closed_path(curves: list[Curve]) -> Path:
    """Join curves to closed loops; holes run clockwise, against outer loops, and are not filled."""
    rest, loops = list(curves), []
    while rest:
        chain = [rest.pop(0)]
        while (number := _next(chain, rest)) is not None:
            chain.append(rest.pop(number))
        vertices = numpy.concatenate([_samples(curve) for curve in chain])
        loops.append(Path(numpy.concatenate([vertices, vertices[:1]]), closed=True))
    return Path.make_compound_path(*loops)


def _next(chain: list[Curve], rest: list[Curve]) -> int | None:
    """Return the index of the curve that starts at the chain's end; None if the chain is closed."""
    end = chain[-1].stop
    gaps = [math.dist(end, curve.start) for curve in rest]
    closing = math.dist(end, chain[0].start)
    return None if closing <= min(gaps, default=math.inf) else gaps.index(min(gaps))


def _samples(curve: Curve) -> numpy.ndarray:
    """Return points (n, 2) of a curve, with its start and without its end."""
    count = 1 if isinstance(curve, Segment) else 256
    return curve.at(torch.arange(count, dtype=torch.float64) / count).numpy()


class _Section:
    """A plane section of a domain, whose points are given by fractional grid indices, (n, 2)."""

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
        # Matplotlib traces the contour halfway between nodes inside and outside the domain.
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
        """Return where grid edges cross the boundary, found by bisection, (n, 2).

        halfway: the midpoints of the grid edges, (n, 2).
        """
        low, high = numpy.floor(halfway), numpy.ceil(halfway)
        first = self.contains(low)[:, None]
        within, without = numpy.where(first, low, high), numpy.where(first, high, low)
        for _ in range(30):
            middle = (within + without) / 2
            inside = self.contains(middle)[:, None]
            within = numpy.where(inside, middle, within)
            without = numpy.where(inside, without, middle)
        return within
