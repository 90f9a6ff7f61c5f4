"""Random points in a tree of boxes over a domain, more of them where a function varies."""

import math

import torch
from torch import Tensor

from kanpinn._support.shapes import Coords
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points

LONGEST = 8.0  # the largest ratio of a box's sides, each relative to that of the bounding box


class SampleTree:
    """The mean of a function over a domain by stratified sampling, with boxes that are refined.

    The bounding box is divided into equal boxes with the same number of points each. The caller
    evaluates the function at the `pending` points and gives the values to `add`; `refine` halves
    boxes and makes the points of the halves pending. The mean of x² over the unit disk is 1/4:

    >>> from kanpinn.geometry import Disk
    >>> tree = SampleTree(Disk((0, 0), 1))
    >>> tree.add(tree.pending.x[:, 0] ** 2)
    >>> while tree.refine(tolerance=0.005, most=20_000):
    ...     tree.add(tree.pending.x[:, 0] ** 2)
    >>> abs(tree.mean - 0.25) < 3 * tree.error < 0.004
    True

    Points outside the domain count as zero.

    Args:
        domain: the domain.
        places: points (k, d), around which the first boxes are halved until their sides are small.
        smallest: the largest side of the boxes around places, relative to the bounding box.
        seed: the seed of the points.
        first: about the number of points in the first boxes, apart from those around places.
        each: the number of points in every box.

    Attributes:
        pending: the points inside the domain at which the function is to be evaluated.
        coords: all points of all boxes, (boxes, each, d).
        inside: which of them lie in the domain, (boxes, each).
        mean: the mean of the function over the domain.
        error: the standard error of the mean.
        largest: the centre (d,) of the box with the largest share of the mean.
        evaluations: the number of points at which the function has been evaluated.

    Reference: Press and Farrar, Recursive stratified sampling for multidimensional Monte Carlo
    integration (1990).
    """

    def __init__(
        self,
        domain: Domain,
        places: Coords | None = None,
        smallest: float = 2.0**-12,
        *,
        seed: int = 0,
        first: int = 1024,
        each: int = 8,
    ) -> None:
        self.domain, self.evaluations, d = domain, 0, domain.dim
        self._low, self._high = domain.bounds
        self._generator = torch.Generator().manual_seed(seed)
        per_axis = max(1, round((first / each) ** (1 / d)))
        self._each = max(each, first // per_axis**d)
        axis = torch.arange(per_axis, dtype=torch.float64) / per_axis
        corners = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
        size = self._high - self._low
        self._lows = self._low + corners * size
        self._highs = self._lows + size / per_axis
        if places is not None and len(places):
            self._focus(places, smallest)
        self._values = size.new_zeros(0, self._each)
        self.coords, self.inside = self._drawn(self._lows, self._highs)

    def add(self, values: Tensor) -> None:
        """Enter the values (n,) of the function, which are at least 0, at the pending points."""
        inside = self.inside[len(self._values) :]
        drawn = torch.zeros(inside.shape, dtype=torch.float64)
        drawn[inside] = values.to(drawn)
        self._values = torch.cat([self._values, drawn])
        self.evaluations += len(values)
        volumes = (self._highs - self._lows).prod(dim=1)
        measure = float(volumes @ self.inside.double().mean(dim=1)) or 1.0
        shares = volumes * self._values.mean(dim=1)
        self._errors = volumes * self._values.std(dim=1) / math.sqrt(self._each)
        self.mean = float(shares.sum()) / measure
        self.error = float(self._errors.square().sum().sqrt()) / measure
        at = int(shares.argmax())
        self.largest = (self._lows[at] + self._highs[at]) / 2

    def refine(self, tolerance: float, most: int) -> bool:
        """Halve the boxes that make most of the standard error; their new points are pending.

        Args:
            tolerance: the largest standard error, relative to the mean.
            most: the largest number of evaluations in all; points outside the domain are at most
                three times as many.

        Returns:
            Whether there are pending points; False where nothing is left to do, or `most` is met.
        """
        left = min(most - self.evaluations, 4 * most - self._values.numel())
        count = max(left // (2 * self._each), 0)  # of boxes that may be halved
        if not (count and self.error > tolerance * self.mean):
            return False
        order = self._errors.argsort(descending=True)
        squares = self._errors[order].square().cumsum(0)
        chosen = torch.zeros(len(order), dtype=torch.bool)
        chosen[order[: min(count, 1 + int((squares < 0.7 * squares[-1]).sum()))]] = True
        self._halve(chosen)
        return True

    def _focus(self, places: Coords, smallest: float) -> None:
        """Halve the boxes around places along their longest sides until these are small."""
        while True:
            sides = (self._highs - self._lows) / (self._high - self._low)
            around = (places[:, None] >= self._lows) & (places[:, None] < self._highs)
            chosen = around.all(dim=2).any(dim=0) & (sides.amax(dim=1) > smallest)
            if not chosen.any():
                return
            low, high, axis = self._lows[chosen], self._highs[chosen], sides[chosen].argmax(dim=1)
            rows, middle = torch.arange(len(low)), (low + high) / 2
            left, right = high.clone(), low.clone()
            left[rows, axis] = right[rows, axis] = middle[rows, axis]
            self._lows = torch.cat([self._lows[~chosen], low, right])
            self._highs = torch.cat([self._highs[~chosen], left, high])

    def _halve(self, chosen: Tensor) -> None:
        """Halve the chosen boxes, each along the axis whose halves have the most different means.

        A side that is LONGEST times shorter than the longest one is not halved; where means are
        equal, the longest side is.
        """
        low, high, values = self._lows[chosen], self._highs[chosen], self._values[chosen][..., None]
        middle, rows = (low + high) / 2, torch.arange(len(low))
        upper = self.coords[chosen] > middle[:, None]
        above = (values * upper).sum(dim=1) / upper.sum(dim=1).clamp_min(1)
        below = (values * ~upper).sum(dim=1) / (~upper).sum(dim=1).clamp_min(1)
        sides = (high - low) / (self._high - self._low)
        sides = sides / sides.amax(dim=1, keepdim=True)
        score = (above - below).abs() + (1e-3 * values.mean(dim=1) + 1e-300) * sides
        axis = torch.where(sides > 1 / LONGEST, score, -1.0).argmax(dim=1)
        left, right = high.clone(), low.clone()
        left[rows, axis] = right[rows, axis] = middle[rows, axis]
        lows, highs = torch.cat([low, right]), torch.cat([left, high])
        coords, inside = self._drawn(lows, highs)
        self._lows = torch.cat([self._lows[~chosen], lows])
        self._highs = torch.cat([self._highs[~chosen], highs])
        self.coords = torch.cat([self.coords[~chosen], coords])
        self.inside = torch.cat([self.inside[~chosen], inside])
        self._values = self._values[~chosen]

    def _drawn(self, lows: Tensor, highs: Tensor) -> tuple[Tensor, Tensor]:
        """Draw a Latin hypercube of points in each box; those inside the domain are pending.

        Returns:
            The points, (boxes, each, d), and which of them lie inside, (boxes, each).
        """
        shape = len(lows), self._each, self.domain.dim
        strata = torch.rand(shape, generator=self._generator).argsort(dim=1)
        within = torch.rand(shape, generator=self._generator, dtype=torch.float64)
        coords = lows[:, None] + (strata + within) / self._each * (highs - lows)[:, None]
        inside = self.domain.contains(coords.flatten(0, 1)).view(shape[:2])
        self.pending = Points(coords[inside], self.domain.names)
        return coords, inside
