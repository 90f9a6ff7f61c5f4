"""Regions: sets of points with a measure, and quadrature rules on them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from kanpinn._support.errors import InputError
from kanpinn._support.shapes import Coords, Weights
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

    @property
    def measure_error(self) -> float:
        """The standard error of `measure` if that is an estimate, otherwise 0."""
        return 0.0

    @abstractmethod
    def place(self, n: int, draw: Draw) -> Points:
        """Return points of the region, distributed by measure like the drawn points in the cube.

        Args:
            n: the number of points needed.
            draw: draw(n, dim) returns n points of the unit cube, (n, dim).

        Returns:
            n points or a few more; one point if the region is a single point.
        """

    def spread(self, n: int, draw: Draw) -> tuple[Points, Weights]:
        """Return points of the region × [0, 1], evenly distributed in that product.

        Points and further coordinates come from one draw if possible. With two separate draws each
        one is evenly distributed, but the pairs are not.

        Args:
            n: the number of points needed.
            draw: draw(n, dim) returns n points of the unit cube, (n, dim).

        Returns:
            n points or a few more, and the further coordinate in [0, 1] of each, (n,).
        """
        points = self.place(n, draw)
        return points, draw(len(points), 1)[:, 0]

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

    def rule_error(self, nodes: int) -> float:
        """Return the sampling error of `quadrature` for an integrand of size 1; 0 for Gauss rules.

        If `quadrature` uses Sobol points, this is the standard error of ∫ 1 before the weights are
        scaled so that their sum is `measure`.

        Args:
            nodes: the argument of `quadrature`.
        """
        return 0.0

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

    def place(self, n: int, draw: Draw) -> Points:
        if self.dim == 0:
            return self.image(torch.zeros(1, 0, dtype=torch.float64))
        return self.image(draw(n, self.dim))

    def spread(self, n: int, draw: Draw) -> tuple[Points, Weights]:
        unit = draw(n, self.dim + 1)
        # A copy of the last column does not keep the memory of the others.
        return self.image(unit[:, :-1]), unit[:, -1].clone()

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        unit, weights = gauss_product(nodes, self.dim)
        return self.image(unit), self.measure * weights

    def gauss(self, n: int) -> Points:
        return self.image(gauss_product(axis_counts(n, self.dim), self.dim)[0])


def longer(count: int) -> int:
    """Return the size of the next draw if too few of `count` drawn points lie inside."""
    return count + max(1, math.ceil(count * 0.02))
