"""Rules on parts of surfaces in boxes, at the points where lines along an axis meet them."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from kanpinn._support.shapes import Coords
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_product
from kanpinn.geometry.rules_in_boxes import RulesInBoxes


@dataclass(frozen=True, eq=False)
class Hits:
    """Points at which lines meet a surface.

    Args:
        line: the number of the line of each point, not decreasing, (n,).
        coords: the points, (n, 3).
        normals: the unit normals of the surface there, (n, 3).
    """

    line: Tensor
    coords: Coords
    normals: Coords


def cast(
    hits: Callable[[Tensor, Tensor], Hits],
    names: tuple[str, ...],
    axis: int,
    boxes: Tensor,
    nodes: int,
) -> RulesInBoxes:
    """Return rules on the parts of a surface in boxes.

    The lines go through the points of a Gauss rule on a rectangle across the axis. The weight of a
    line is an area of this rectangle, which is divided by the cosine of the surface's slope. If the
    surface is met over a small part of the rectangle only, other lines through that part are used.

    Args:
        hits: gives the points where lines meet the surface, for the other two coordinates of q
            lines in each of k boxes, (k, q, 2), and the numbers of these boxes, (k,).
        names: the names of the coordinates.
        axis: the direction of the lines.
        boxes: the lower and upper corners, (B, 2, 3). Boxes without an interior have no points.
        nodes: the number of lines along each of the two other coordinates.
    """
    others = [i for i in range(3) if i != axis]
    least, pad = 0.7, 2 / nodes  # parts of the rectangle's widths
    unit, weights = gauss_product(nodes, 2)

    def met(chosen: Tensor, boxes: Tensor) -> RulesInBoxes:
        first, size = boxes[:, 0, others], (boxes[:, 1] - boxes[:, 0])[:, others]
        found = hits(first[:, None] + unit * size[:, None], chosen)
        place, line = found.line // len(unit), found.line % len(unit)
        along = found.coords[:, axis]
        kept = (along >= boxes[place, 0, axis]) & (along <= boxes[place, 1, axis])
        areas = weights[line] * size.prod(dim=1)[place] / found.normals[:, axis].abs()
        rules = RulesInBoxes(place, Points(found.coords, names, found.normals), areas)
        return rules.some(kept)

    chosen = (boxes[:, 1] > boxes[:, 0])[:, others].all(dim=1).nonzero()[:, 0]
    boxes = boxes[chosen]
    rules = met(chosen, boxes)
    around = rules.around(boxes, pad, others)
    shares = (around[:, 1] - around[:, 0]) / (boxes[:, 1] - boxes[:, 0])
    narrow = (shares[:, others] <= least).any(dim=1)
    again = met(chosen[narrow], around[narrow]).numbered(narrow.nonzero()[:, 0])
    return RulesInBoxes.joined([rules.some(~narrow[rules.box]), again]).numbered(chosen)
