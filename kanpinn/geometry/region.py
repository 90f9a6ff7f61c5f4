"""Regions: sets of points with a measure, and quadrature rules on them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Coords, Mask, Weights
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import axis_counts, gauss_product

Draw = Callable[[int, int], Coords]  # draw(n, dim): n points of the unit cube [0, 1]^dim


class Region(ABC):
    """A set of points with a measure."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of the coordinates, in the order of the columns of `Points.coords`."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension: d for a domain in d coordinates, d - 1 for a piece of its boundary."""

    @property
    @abstractmethod
    def measure(self) -> float:
        """The length, area, volume, ... of the region; 1 for a single point."""

    def place(self, n: int, draw: Draw) -> Points:
        """Return points of the region, distributed by measure like the drawn points in the cube.

        Args:
            n: the number of points needed.
            draw: draw(n, dim) returns n points of the unit cube, (n, dim).

        Returns:
            n points or a few more; one point if the region is a single point.
        """
        return self.spread(n, draw, 0)[0]

    @abstractmethod
    def spread(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        """Return points of the region × [0, 1]^more, evenly distributed in that product.

        Args:
            n, draw: see `place`.
            more: the number of further coordinates. They come from the same draw as the points:
                with two separate draws each would be evenly distributed, but the pairs would not.

        Returns:
            n points or a few more, and the further coordinates of each, (n, more).
        """

    @abstractmethod
    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a quadrature rule on the region, in float64.

        Args:
            nodes: the number of nodes of each one-dimensional Gauss rule in the product.

        Returns:
            n points in the region, and positive weights (n,) whose sum is `measure`.

        Raises:
            InputError: unless nodes is a positive integer.
        """

    def gauss(self, n: int) -> Points:
        """Return the points of the smallest `quadrature` rule with at least n points."""
        nodes = 1
        while len(points := self.quadrature(nodes)[0]) < n:
            # Increase nodes by at least one, or to the estimate from a growth like nodes^dim.
            nodes = max(nodes + 1, math.floor(nodes * (n / len(points)) ** (1 / self.dim)))
        return points


class Mapped(Region):
    """A region that is the image of the unit cube [0, 1]^dim."""

    @abstractmethod
    def image(self, unit: Coords) -> Points:
        """Map points of the cube [0, 1]^dim to the region; their shape is not checked.

        The map scales all volumes by `measure`, so uniformly distributed points stay uniform.

        Args:
            unit: points of the cube, (n, dim).

        Returns:
            The n images, in the precision and on the device of `unit`.
        """

    def from_unit(self, unit: Coords) -> Points:
        """Return `image` of points whose shape is checked.

        Raises:
            InputError: unless unit has the shape (n, dim).
        """
        if unit.ndim != 2 or unit.shape[1] != self.dim:
            raise InputError(f"unit must have shape (n, {self.dim}), got {tuple(unit.shape)}")
        return self.image(unit)

    def spread(self, n: int, draw: Draw, more: int) -> tuple[Points, Tensor]:
        if self.dim + more == 0:
            return self.image(torch.zeros(1, 0, dtype=torch.float64)), torch.zeros(1, 0)
        unit = draw(n, self.dim + more)
        # A copy of the last columns does not keep the memory of the others.
        return self.image(unit[:, : self.dim]), unit[:, self.dim :].clone()

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        unit, weights = gauss_product(nodes, self.dim)
        return self.image(unit), self.measure * weights

    def gauss(self, n: int) -> Points:
        return self.image(gauss_product(axis_counts(n, self.dim), self.dim)[0])


def accepted(
    n: int, count: int, drawn: Callable[[int], tuple[Mask, Points, Tensor]]
) -> tuple[Points, Tensor]:
    """Return at least n accepted points, with their further coordinates, from ever larger draws.

    Args:
        n: the number of points needed.
        count: the size of the first draw.
        drawn: returns for a size which points are accepted, the points, and further coordinates.
    """
    while True:
        kept, points, more = drawn(count)
        if int(kept.sum()) >= n:
            return points[kept], more[kept]
        count += max(1, math.ceil(count * 0.02))
