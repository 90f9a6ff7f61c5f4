"""Jumps: points where two conditions prescribe different values for the same field."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kanpinn.geometry import Points
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.conditions.condition import Prescribed


@dataclass(frozen=True)
class Jump:
    """A jump: two conditions prescribe different values for a field at one point.

    Args:
        field: the name of the field.
        gap: the absolute difference of the two values.
        place: the point as text, for messages.
        pieces: the names of the two boundary pieces; equal if both conditions are on one piece.
        contradictory: whether both conditions are on one piece, and disagree by more than the last
            digits of measured data.
    """

    field: str
    gap: float
    place: str
    pieces: tuple[str, str]
    contradictory: bool = False

    def __str__(self) -> str:
        where = " meets ".join(self.pieces) if len(set(self.pieces)) > 1 else self.pieces[0]
        return (
            f"the values prescribed for {self.field} disagree by {self.gap:.3g} at {self.place}, "
            f"{'where' if len(set(self.pieces)) > 1 else 'on'} {where}"
        )


def prescribed_data(problem: BoundaryValueProblem) -> dict[str, list[Prescribed]]:
    """Return the prescribed values of each field, by its name, in the order of the conditions.

    Fields without prescribed values have an empty list. Values that depend on unknown numbers are
    left out.
    """
    found: dict[str, list[Prescribed]] = {name: [] for name in problem.fields}
    for condition in problem.conditions():
        for one in () if condition.numbers else condition.prescribed(problem.fields):
            found[one.field].append(one)
    return found


def jumps(problem: BoundaryValueProblem) -> list[Jump]:
    """Return the jumps of the problem's prescribed values, the largest gap first.

    There is at most one jump, the largest, for each field and each pair of prescribed pieces.
    Differences that are rounding, or the last digits of measured data, are not jumps.
    """
    low, high = problem.domain.bounds
    reach = 1e-9 * float((high - low).max())  # points closer than this are the same
    found: list[Jump] = []
    for data in prescribed_data(problem).values():
        # The data of a single condition have no jumps, and skipping them saves time: in many
        # dimensions the rims have many points.
        if len({id(one.condition) for one in data}) > 1:
            found += _of_field(data, reach)
    return sorted(found, key=lambda jump: -jump.gap)


def _of_field(data: Sequence[Prescribed], reach: float) -> Iterator[Jump]:
    rims = [one.piece.rim for one in data]
    for (a, p), (b, q) in itertools.combinations(zip(data, rims, strict=True), 2):
        if a.condition is b.condition:
            continue
        if a.piece == b.piece:
            p = q = a.piece.gauss(9)
        p, q = _within(p, q, reach), _within(q, p, reach)
        # torch.cdist would lose half of the digits.
        gaps = (p.coords[:, None] - q.coords).norm(dim=2)
        i, j = (gaps <= reach).nonzero(as_tuple=True)
        if len(i) and (jump := _largest(a, p[i], b, q[j])) is not None:
            yield jump


def _within(p: Points, q: Points, reach: float) -> Points:
    """Return the points of p that lie in the bounding box of q, enlarged by reach."""
    if not len(q):
        return p[:0]
    low, high = q.coords.amin(dim=0) - reach, q.coords.amax(dim=0) + reach
    return p[((p.coords >= low) & (p.coords <= high)).all(dim=1)]


def _largest(a: Prescribed, p: Points, b: Prescribed, q: Points) -> Jump | None:
    """Return the largest jump between a at p and b at q, which are the same points, or None."""
    u, v = a.values(p), b.values(q)
    # Values that are NaN or infinite at a corner do not count as a disagreement.
    gaps = (u - v).abs().nan_to_num(0.0, 0.0)[:, 0]
    size = max(float(t.abs().nan_to_num(0.0, 0.0).max()) for t in (u, v))
    if gaps.max() <= 1e-8 * (1 + size):  # rounding, or few digits
        return None
    worst = int(gaps.argmax())
    gap, names = float(gaps[worst]), (a.piece.name, b.piece.name)
    digits = 1e-4  # the relative difference of data that are known to few digits
    return Jump(a.field, gap, p.show(worst), names, a.piece == b.piece and gap > digits * size)
