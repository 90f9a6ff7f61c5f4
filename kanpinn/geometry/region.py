"""Regions: sets of points with a measure, and rules on them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import axis_counts, gauss_product

Draw = Callable[[int, int], Coords]  # draw(n, dim): n points of the unit cube [0, 1]^dim


class Region(ABC):
    """A set of points with a measure."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The coordinates' names, in the order of the columns of its points."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The dimension: d for a domain in d coordinates, d - 1 for a piece of its boundary."""

    @property
    @abstractmethod
    def measure(self) -> float:
        """The length, area, volume, ... of the region; 1 for a single point."""

    @property
    def measure_error(self) -> float:
        """The standard error of `measure` where that is an estimate; otherwise 0."""
        return 0.0

    @abstractmethod
    def place(self, n: int, draw: Draw) -> Points:
        """Points of the region that are spread by measure as evenly as a draw's in the cube.

        Args:
            n: how many points are needed.
            draw: draw(n, dim) gives n points of the unit cube, (n, dim).

        Returns:
            n points or a few more.
        """

    def spread(self, n: int, draw: Draw) -> tuple[Points, Weights]:
        """Points of the region with a further coordinate each, all spread evenly together.

        Both come from one draw where that is possible: of two draws each is spread evenly, but
        their pairs cluster.

        Returns:
            n points or a few more, and for each the further coordinate in [0, 1], (n,).
        """
        points = self.place(n, draw)
        return points, draw(len(points), 1)[:, 0]

    @abstractmethod
    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """A quadrature rule on the region, in float64.

        Args:
            nodes: of each one-dimensional Gauss rule that it is made of.

        Returns:
            n points in the region, and positive weights (n,) whose sum is `measure`.

        Raises:
            InputError: unless nodes is a positive integer.
        """

    def rule_error(self, nodes: int) -> float:
        """The error to be expected of the integral of a function of size 1; 0 for Gauss rules.

        Where `quadrature` gives Sobol points it is the standard error of ∫ 1 before their weights
        are scaled to the sum `measure`.

        Args:
            nodes: the argument of `quadrature`.
        """
        return 0.0

    def gauss(self, n: int) -> Points:
        """The points of the smallest `quadrature` rule that has n or more."""
        nodes = 1
        while len(points := self.quadrature(nodes)[0]) < n:
            # At least one more, and as many as would do if the number grew like nodes^dim.
            nodes = max(nodes + 1, math.floor(nodes * (n / len(points)) ** (1 / self.dim)))
        return points


class Mapped(Region):
    """A region that is the image of the unit cube of its own dimension."""

    @abstractmethod
    def from_unit(self, unit: Coords) -> Points:
        """The images of points of the cube [0, 1]^dim.

        The map scales all volumes by `measure`, so that uniform points stay uniform.

        Args:
            unit: points of the cube, (n, dim).

        Returns:
            n points in the same precision and on the same device.

        Raises:
            InputError: unless unit has the shape (n, dim).
        """

    def place(self, n: int, draw: Draw) -> Points:
        if self.dim == 0:
            return self.from_unit(torch.zeros(1, 0, dtype=torch.float64))
        return self.from_unit(draw(n, self.dim))

    def spread(self, n: int, draw: Draw) -> tuple[Points, Weights]:
        unit = draw(n, self.dim + 1)
        return self.from_unit(unit[:, :-1]), unit[:, -1]

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        unit, weights = gauss_product(nodes, self.dim)
        return self.from_unit(unit), self.measure * weights

    def gauss(self, n: int) -> Points:
        counts = axis_counts(n, self.dim)
        return self.from_unit(gauss_product(counts, self.dim)[0])


def longer(count: int) -> int:
    """The length of the next draw after one of `count` points of which too few lie inside."""
    return count + max(1, math.ceil(count * 0.02))
