"""The regions into which interfaces divide a domain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry.ball import Ball
from kanpinn.geometry.combination import planar
from kanpinn.geometry.division import Division, SolidDivision
from kanpinn.geometry.domain import Domain, Piece
from kanpinn.geometry.planar import Planar, windings


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions into which interfaces divide a domain, as a table that tells where a point is.

    Regions of the plane are given by the parts of their boundaries that are monotone in y, regions
    of space by balls and boxes.

    Args:
        sides: a table in coordinates in which the domain's bounding box is [-1, 1]^d. An empty
            table means one region. In the plane, (S, 9), each row describes a part of a region's
            boundary that is monotone in y: the index of the region, the lower and the upper end of
            the part's interval of y, 1 if the boundary runs upwards there and otherwise -1, and the
            numbers cx, cy, p, q and A of the graph x(y), see `Side`. In space, (S, 7), each row
            describes a ball or a box: 1 for a ball or 0 for a box, then the lower and the upper
            corner of its bounding box. The rows are the regions 1 to S. A point belongs to the last
            ball or box that contains the point, or else to the region 0.
    """

    sides: Tensor

    @classmethod
    def in_plane(cls, domains: Sequence[Planar], bounds: tuple[Tensor, Tensor]) -> "Regions":
        """Make the table for the regions of a domain in the plane.

        Args:
            domains: each region as a domain.
            bounds: the lower and the upper corner of the whole domain's bounding box, (2,) each.
        """
        parts = [torch.zeros(9, 0, dtype=torch.float64)]
        for i, domain in enumerate(domains if len(domains) > 1 else ()):
            sides = domain.side_table
            parts.append(torch.cat([torch.full_like(sides[:1], i), sides]))
        number, low, high, up, cx, cy, p, q, A = torch.cat(parts, dim=1)
        (left, bottom), half = bounds[0], (bounds[1] - bounds[0]) / 2
        width, height = half
        low, high, cy = ((y - bottom) / height - 1 for y in (low, high, cy))
        cx, p, q, A = (cx - left) / width - 1, p * height / width, q * height / width, A / height
        return cls(torch.stack([number, low, high, up, cx, cy, p, q, A], dim=1))

    @classmethod
    def in_space(cls, division: SolidDivision, bounds: tuple[Tensor, Tensor]) -> "Regions":
        """Make the table for the regions of a solid that is divided by interfaces.

        Boxes are enlarged by 1e-9 where they end at the solid's boundary, because of rounding.

        Args:
            division: the division of the solid.
            bounds: the corners of the solid's bounding box, (3,) each.
        """
        low, high = bounds
        rows, near = [], 1e-9
        for number, solid in enumerate(division.inner, 1):
            first, last = ((end - low) / (high - low) * 2 - 1 for end in solid.bounds)
            if not isinstance(solid, Ball):
                given = [one.piece.side for one in division.interfaces if one.inside == number]
                for axis in range(3):
                    first[axis] -= 0 if (axis, False) in given else near
                    last[axis] += 0 if (axis, True) in given else near
            rows.append(torch.cat([first.new_tensor([isinstance(solid, Ball)]), first, last]))
        return cls(torch.stack(rows))

    @property
    def count(self) -> int:
        """The number of regions: 1 for an empty table; in space the number of rows plus 1."""
        if self.sides.shape[1] == 7:
            return 1 + len(self.sides)
        return 1 + int(self.sides[:, 0].max()) if len(self.sides) else 1

    def of_points(self, x: Tensor) -> Tensor:
        """The index of the region that contains each of n points, (n,).

        Args:
            x: the points, in coordinates in which the domain's bounding box is [-1, 1]^d, (n, d).

        Returns:
            The indices. A point on the boundary between regions belongs to one of these regions. A
            point outside the domain belongs to region 0, or in space maybe to a ball or box.
        """
        found = torch.zeros(len(x), dtype=torch.long)
        if not len(self.sides):
            return found
        if self.sides.shape[1] == 7:
            for number, (is_ball, *corners) in enumerate(self.sides, 1):
                low, high = torch.stack(corners).view(2, 3)
                inside = ((x >= low) & (x <= high)).all(dim=1)
                if is_ball:
                    inside = ((2 * x - low - high) / (high - low)).square().sum(dim=1) <= 1
                found[inside] = number
            return found
        found = self._enclosing(x)
        reach, directions = 1e-9, 16
        for number in range(directions):  # points on the boundary, where rounding decides
            lost = (found < 0).nonzero()[:, 0]
            if not len(lost):
                break
            angle = (number + 0.5) * 2 * math.pi / directions
            step = reach * x.new_tensor([math.cos(angle), math.sin(angle)])
            found[lost] = self._enclosing(x[lost] + step)
        return found.clamp_min(0)

    def _enclosing(self, x: Tensor) -> Tensor:
        """The index of the region in the plane that contains each point, (n,); -1 for no region.

        The index is found by winding numbers.

        Args:
            x: the points in coordinates in which the bounding box is [-1, 1]², (n, 2).
        """
        number, sides = self.sides[:, 0].long(), self.sides[:, 1:].T
        best = windings(sides, number, x, self.count).max(dim=1)
        return torch.where(best.values > 0.5, best.indices, -1)


def divided(domain: Domain, kinks: Sequence[Piece]) -> Division:
    """Divide a plane domain into regions by interfaces; one region if there are no interfaces.

    Args:
        domain: the domain.
        kinks: the pieces of all interfaces.

    Raises:
        InputError: if the pieces do not divide the domain.
    """
    plane = planar(domain)
    assert plane is not None
    return Division.of(plane, pieces_of_curves(plane, domain), kinks)


def regions_of(domain: Domain, kinks: Sequence[Piece]) -> Regions:
    """The regions into which the pieces of interfaces divide a domain.

    Args:
        domain: the domain.
        kinks: the pieces of all interfaces; without pieces there is one region.

    Raises:
        InputError: if the pieces do not divide the domain, or if the domain is neither in the plane
            nor in space.
    """
    if not kinks:
        return Regions(torch.zeros(0, 9, dtype=torch.float64))
    if domain.dim == 3 and domain.time_name is None:
        return Regions.in_space(SolidDivision.of(domain, kinks), domain.bounds)
    if planar(domain) is None:
        raise InputError(
            f"cells take interfaces in domains of the plane and of space only, got {domain!r}"
        )
    return Regions.in_plane(divided(domain, kinks).domains, domain.bounds)


def pieces_of_curves(plane: Planar, domain: Domain) -> Sequence[Piece]:
    """For each curve of a planar domain, the piece of the user's boundary that is this curve.

    Args:
        plane: the planar domain.
        domain: the domain in the form that the user gave, either `plane` itself or a box.
    """
    if plane is domain:
        return plane.curves
    named = {piece.name: piece for piece in domain.boundary.pieces}
    return [named[curve.name] for curve in plane.curves]
