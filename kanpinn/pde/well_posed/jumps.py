"""Values that disagree where pieces of a boundary meet."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from kanpinn.geometry import Points
from kanpinn.geometry.rims import rim
from kanpinn.pde.problem import Problem
from kanpinn.pde.well_posed.prescribed import Prescribed, prescribed

MEET = 1e-9  # of the domain's size: points so close are one
AGREE = 1e-8  # of the values: what differs by less agrees
POINTS = 9  # of a piece for which values are prescribed twice


@dataclass(frozen=True)
class Jump:
    """Two conditions prescribe different values for a field at one point."""

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


def jumps(problem: Problem) -> list[Jump]:
    """The largest jump of each field between any two pieces, the largest of all first."""
    low, high = problem.domain.bounds
    reach = MEET * float((high - low).max())
    found = [jump for name in problem.fields for jump in _of_field(problem, name, reach)]
    return sorted(found, key=lambda jump: -jump.gap)


def _of_field(problem: Problem, name: str, reach: float) -> Iterator[Jump]:
    data = prescribed(problem, name)
    if len({id(one.condition) for one in data}) < 2:
        return  # one function: and in many dimensions the rims have too many points
    rims = [rim(one.piece) for one in data]
    for (a, p), (b, q) in itertools.combinations(zip(data, rims, strict=True), 2):
        if a.condition is b.condition:
            continue
        if a.piece == b.piece:
            p = q = a.piece.gauss(POINTS)
        p, q = _within(p, q, reach), _within(q, p, reach)
        # Not torch.cdist, which is good to half of the digits.
        gaps = (p.coords[:, None] - q.coords).norm(dim=2)
        i, j = (gaps <= reach).nonzero(as_tuple=True)
        if len(i) and (jump := _largest(a, p[i], b, q[j], name)) is not None:
            yield jump


def _within(p: Points, q: Points, reach: float) -> Points:
    """Those of p in the box around q."""
    if not len(q):
        return p[:0]
    low, high = q.coords.amin(dim=0) - reach, q.coords.amax(dim=0) + reach
    return p[((p.coords >= low) & (p.coords <= high)).all(dim=1)]


def _largest(a: Prescribed, p: Points, b: Prescribed, q: Points, name: str) -> Jump | None:
    u, v = a(p), b(q)
    # Data that are not defined at a corner do not disagree there.
    gaps = (u - v).abs().nan_to_num(0.0, 0.0)[:, 0]
    size = max(float(t.abs().nan_to_num(0.0, 0.0).max()) for t in (u, v))
    if gaps.max() <= AGREE * (1 + size):
        return None
    worst = int(gaps.argmax())
    named = zip(p.names, p.coords[worst].tolist(), strict=True)
    place = ", ".join(f"{axis} = {value:.3g}" for axis, value in named)
    return Jump(name, float(gaps[worst]), place, (a.piece.name, b.piece.name))
