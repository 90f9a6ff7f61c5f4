"""Values that conditions prescribe, and that disagree where pieces of a boundary meet."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kanpinn.geometry import Points
from kanpinn.pde.conditions.condition import Prescribed
from kanpinn.pde.problem import Problem


@dataclass(frozen=True)
class Jump:
    """Two conditions prescribe different values for a field at one point.

    Args:
        field: the name of the field.
        gap: by how much the values differ.
        place: the point, in words.
        pieces: the names of the two pieces of the boundary, which may be the same one.
    """

    field: str
    gap: float
    place: str
    pieces: tuple[str, str]

    def __str__(self) -> str:
        where = " meets ".join(self.pieces) if len(set(self.pieces)) > 1 else self.pieces[0]
        return (
            f"the values prescribed for {self.field} disagree by {self.gap:.3g} at {self.place}, "
            f"{'where' if len(set(self.pieces)) > 1 else 'on'} {where}"
        )


def prescribed_data(problem: Problem) -> dict[str, list[Prescribed]]:
    """What the problem's conditions prescribe for each field, in the order of the conditions."""
    found: dict[str, list[Prescribed]] = {name: [] for name in problem.fields}
    for condition in problem.conditions():
        for one in condition.prescribed(problem.fields):
            found[one.field].append(one)
    return found


def jumps(problem: Problem) -> list[Jump]:
    """The largest jump of each field between any two pieces, the largest of all first."""
    low, high = problem.domain.bounds
    reach = 1e-9 * float((high - low).max())  # points so close are one
    found: list[Jump] = []
    for data in prescribed_data(problem).values():
        # One function has no jumps; and in many dimensions the rims have too many points.
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
        # Not torch.cdist, which is good to half of the digits.
        gaps = (p.coords[:, None] - q.coords).norm(dim=2)
        i, j = (gaps <= reach).nonzero(as_tuple=True)
        if len(i) and (jump := _largest(a, p[i], b, q[j])) is not None:
            yield jump


def _within(p: Points, q: Points, reach: float) -> Points:
    """Those of p in the box around q."""
    if not len(q):
        return p[:0]
    low, high = q.coords.amin(dim=0) - reach, q.coords.amax(dim=0) + reach
    return p[((p.coords >= low) & (p.coords <= high)).all(dim=1)]


def _largest(a: Prescribed, p: Points, b: Prescribed, q: Points) -> Jump | None:
    """The largest difference of the values of a at p and of b at q, the same points."""
    u, v = a.values(p), b.values(q)
    # Data that are not defined at a corner do not disagree there.
    gaps = (u - v).abs().nan_to_num(0.0, 0.0)[:, 0]
    size = max(float(t.abs().nan_to_num(0.0, 0.0).max()) for t in (u, v))
    if gaps.max() <= 1e-8 * (1 + size):  # less is rounding, or the digits of measured data
        return None
    worst = int(gaps.argmax())
    return Jump(a.field, float(gaps[worst]), p.show(worst), (a.piece.name, b.piece.name))
