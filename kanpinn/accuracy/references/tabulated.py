"""References from tables: values at points, or on a grid with spline interpolation."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy
import torch
from numpy import ndarray
from scipy.interpolate import BSpline, make_interp_spline
from torch import Tensor

from kanpinn.accuracy.references.reference import Reference
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet


@dataclass(frozen=True, eq=False)
class PointData(Reference):
    """Values at points, without interpolation between them.

    Args:
        points: the points and their weights (n,), whose sum is 1. Their `data`, (n, m (1 + d)),
            hold for each of the m fields the value and the d first derivatives, NaN if unknown.
        fields: the number m of fields.
        source: a description of the data.
        error: the relative L2 error of the data, if it is known.
    """

    points: tuple[Points, Tensor] = field()  # without the default of the base
    fields: int
    source: str
    error: float | None = None

    def jet(self, points: Points, channels: Channels) -> Jet:
        assert points.data is not None, "data are known at their own points only"
        table = points.data.unflatten(1, (self.fields, -1))
        gradient = table[..., 1:].transpose(1, 2) if channels.gradient else None
        return Jet(channels, table[..., 0], gradient)


class _Splines(NamedTuple):
    """A tensor product of splines: knots and degree per axis, coefficients (n_1, …, n_d, m)."""

    knots: list[ndarray]
    degrees: list[int]
    table: ndarray


class GridData(Reference):
    """Values on a grid, interpolated by a tensor product of splines.

    Args:
        axes: the grid points along each coordinate, increasing, more than `degree` of them.
        values: the values of the m fields, (n_1, …, n_d, m).
        degree: the degree of the splines.
        source: a description of the data.
        error: the relative L2 error of the data, if it is known.
        periodic: for each coordinate, whether the splines are periodic along it, so that the values
            at the last grid point are those at the first; by default none is.
    """

    def __init__(
        self,
        axes: Sequence[ndarray],
        values: ndarray,
        degree: int,
        source: str,
        error: float | None = None,
        periodic: Sequence[bool] = (),
    ) -> None:
        self.error, self.source = error, source
        self._axes = axes
        knots, table = [], values
        for i, axis in enumerate(axes):
            turned = numpy.moveaxis(table, i, 0)
            ends = None
            if any(periodic[i : i + 1]):
                ends = "periodic"
                turned = numpy.concatenate([turned[:-1], turned[:1]])  # equal to the last bit
            spline = make_interp_spline(axis, turned, k=degree, bc_type=ends, check_finite=False)
            knots.append(spline.t)
            table = numpy.moveaxis(spline.c, 0, i)
        self._values = _Splines(knots, [degree] * len(axes), numpy.ascontiguousarray(table))

    def jet(self, points: Points, channels: Channels) -> Jet:
        chunks = points.coords.split(2**13)  # each point takes (degree + 1)^d numbers of memory
        parts = [self._jet(chunk, channels) for chunk in chunks]
        value, gradient = (torch.cat(part).to(points.coords) for part in zip(*parts, strict=True))
        return Jet(channels, value, gradient if channels.gradient else None)

    def _jet(self, coords: Tensor, channels: Channels) -> tuple[Tensor, Tensor]:
        """Return values (n, m) and the gradient (n, d, m), or (n, 0, m) if it is not asked for."""
        x = coords.detach().cpu().double().numpy()
        value = self._sum(x, self._values)
        slopes = [self._sum(x, table) for table in self._slopes] if channels.gradient else []
        gradient = numpy.stack([value, *slopes], axis=1)[:, 1:]
        return torch.from_numpy(value), torch.from_numpy(gradient)

    def _sum(self, x: ndarray, splines: _Splines) -> ndarray:
        """Evaluate a tensor product of splines at points (n, d) and return its values (n, m)."""
        knots, degrees, table = splines
        weights = numpy.ones((len(x), 1))
        position = numpy.zeros((len(x), 1), dtype=numpy.int64)
        for i, axis in enumerate(self._axes):
            inside = numpy.clip(x[:, i], axis[0], axis[-1])
            rows = BSpline.design_matrix(inside, knots[i], degrees[i])
            shape = (len(x), degrees[i] + 1)
            local, spline = rows.data.reshape(shape), rows.indices.reshape(shape)
            weights = (weights[:, :, None] * local[:, None]).reshape(len(x), -1)
            position = position[:, :, None] * table.shape[i] + spline[:, None]
            position = position.reshape(len(x), -1)
        flat = table.reshape(-1, table.shape[-1])
        return numpy.einsum("nk,nkm->nm", weights, flat[position])

    @functools.cached_property
    def _slopes(self) -> list[_Splines]:
        """The derivatives along each coordinate, as tensor products of splines."""
        return [self._derivative(along) for along in range(len(self._axes))]

    def _derivative(self, along: int) -> _Splines:
        knots, degrees, table = self._values
        turned = numpy.moveaxis(table, along, 0)
        spline = BSpline(knots[along], turned, degrees[along]).derivative()
        count = len(spline.t) - spline.k - 1  # SciPy pads the coefficients with zeros
        of = range(len(knots))
        return _Splines(
            [spline.t if i == along else knots[i] for i in of],
            [spline.k if i == along else degrees[i] for i in of],
            numpy.ascontiguousarray(numpy.moveaxis(spline.c[:count], 0, along)),
        )
