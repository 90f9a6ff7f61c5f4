"""The positions of units and boxes in the diagram of a network, in inches."""

import math
from dataclasses import dataclass

Ends = tuple[tuple[int, int], ...]  # (source, target) of each edge of a layer


@dataclass(frozen=True)
class EdgeBox:
    """The box of an edge, in which its curve is drawn: the centre (x, y) and the side length."""

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Layout:
    """Levels of units, one above the other, with one or more rows of boxes between them.

    width: the number of units of each level. ends: the (source, target) pairs of each layer's
    edges. All other values are in inches.

    widest, narrowest: the limits of the diagram's width. roomy: the largest side of a box with its
    share of the gaps. tight: the least one, below which a further row of boxes is added. apart: the
    distance between units and the boxes above or below them, to which 0.05 per inch of the
    diagram's width is added. radius: the radius of a unit that adds edges. per_letter: the width of
    a letter of a name.
    """

    width: tuple[int, ...]
    ends: tuple[Ends, ...]
    widest: float = 10.0
    narrowest: float = 2.4
    roomy: float = 0.75
    tight: float = 0.28
    apart: float = 0.4
    radius: float = 0.075
    per_letter: float = 0.07

    @property
    def across(self) -> float:
        """The width of the diagram."""
        most = max(1, *self.width, *map(len, self.ends))
        return min(self.widest, max(self.narrowest, self.roomy * most))

    @property
    def height(self) -> float:
        """The distance from the inputs to the outputs."""
        return self._level(len(self.width) - 1)

    def unit(self, level: int, number: int) -> tuple[float, float]:
        """Return the centre (x, y) of a unit."""
        return self.across * (number + 0.5) / self.width[level], self._level(level)

    def boxes(self, layer: int) -> list[EdgeBox]:
        """Return the boxes of a layer's edges, in the order of the edges.

        Boxes are placed from left to right by the midpoints of their edges, so that few lines
        cross. If there are several rows, neighbouring boxes are in different rows.
        """
        ends, rows, slot = self.ends[layer], self._rows(layer), self._slot(layer)
        order = sorted(range(len(ends)), key=lambda k: self._middle(layer, ends[k]))
        base = self._level(layer) + self._gap
        margin = max(slot, self.across / max(1, len(ends))) / 2
        step = (self.across - 2 * margin) / max(1, len(ends) - 1)
        found: list[EdgeBox] = [EdgeBox(0.0, 0.0, 0.0)] * len(ends)
        for place, k in enumerate(order):
            y = base + slot * (place % rows + 0.5)
            found[k] = EdgeBox(margin + step * place, y, 0.78 * slot)
        return found

    def _middle(self, layer: int, ends: tuple[int, int]) -> tuple[float, ...]:
        source, target = self.unit(layer, ends[0])[0], self.unit(layer + 1, ends[1])[0]
        return source + target, source, target

    @property
    def _gap(self) -> float:
        return self.apart + 0.05 * self.across

    def _rows(self, layer: int) -> int:
        return max(1, math.ceil(len(self.ends[layer]) * self.tight / self.across))

    def _slot(self, layer: int) -> float:
        """Return the side of a box with its share of the gaps."""
        in_row = math.ceil(max(1, len(self.ends[layer])) / self._rows(layer))
        return min(self.roomy, self.across / in_row)

    def _level(self, level: int) -> float:
        rows = (self._rows(layer) * self._slot(layer) for layer in range(level))
        return sum(rows) + 2 * self._gap * level
