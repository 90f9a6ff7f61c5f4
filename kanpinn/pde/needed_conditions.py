"""Whether a problem has as many conditions at each side of its domain as its equation needs.

The equation is linearised, and its coefficients are frozen at a point of a side. Its solutions
exp(i q·x) u(τ) with a large wave vector q along the side are then functions of the distance τ from
it. Those that decay into the domain have to be determined by the conditions on the side: this is
the complementing condition of Lopatinskii and Shapiro. In an evolution equation the solutions are
exp(η t) times a wave with η > 0 (Kreiss). So an elliptic equation of order 2p needs p conditions
everywhere, the heat equation one, advection one where it flows in and none where it flows out.

Reference: Agmon, Douglis and Nirenberg, Estimates near the boundary II (1964); Kreiss, Initial
boundary value problems for hyperbolic systems (1970).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Generator, Tensor

from kanpinn.geometry import Piece, Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.conditions import Condition
from kanpinn.pde.random_jets import random_jets
from kanpinn.pde.symbols import Linearised, WallModes, modes


@dataclass(frozen=True)
class Lack:
    """Conditions that a problem lacks.

    Args:
        text: where it lacks them, as a clause.
        is_sure: whether its solution is not unique for certain. It is not certain where other
            conditions may make up for the lack: those in excess on another side, those on the
            boundary of another domain, or where two opposite sides have too few together only.
    """

    text: str
    is_sure: bool


@dataclass(frozen=True)
class WallConditions:
    """The conditions on one piece of the boundary, and what the equation needs there.

    Args:
        piece: the piece.
        conditions: those that hold there.
        given: the number of their equations.
        degree: the number of solutions of the equation along the normal.
        needed: how many of them decay.
        lacking: how many of those that decay are not determined by the conditions.
    """

    piece: Piece
    conditions: tuple[Condition, ...]
    given: int
    degree: int
    needed: int
    lacking: int

    @property
    def axis(self) -> int | None:
        """The coordinate that is constant on the piece, by its index; None if there is none."""
        return None if self.piece.side is None else self.piece.side[0]

    def words(self, fields: tuple[str, ...]) -> str:
        """Return a clause that says what is lacking."""
        about = {name for c in self.conditions for name in c.about or fields}
        missing = [name for name in fields if name not in about]
        none = f", none of them about {', '.join(missing)}" if missing and self.given else ""
        few = f"{self.piece.name} has {_counted(self.given)}{none}, "
        if self.given >= self.needed:
            return (
                f"{few}which determine only {self.needed - self.lacking} of the {self.needed} "
                "solutions that the equation has next to it"
            )
        return f"{few}and the equation needs {self.needed} there"


def lacking_conditions(problem: BoundaryValueProblem) -> Lack | None:
    """Return which conditions a problem lacks in its strong form; None where it lacks none.

    Not examined are periodic problems in one dimension, problems with unknowns, measurements or
    constraints in the domain, whose sides may do without conditions, and those with another number
    of equations than fields.
    """
    domain, conditions = problem.domain, problem.conditions()
    tied = {piece for c in conditions for piece in c.tied}
    if any(c.measurements or c.inside for c in conditions) or (tied and domain.dim == 1):
        return None
    examined = _Examined(problem)
    if not examined.is_square:
        return None
    if domain.dim == 1:
        return _of_ordinary(examined)
    pieces = domain.boundary.pieces
    foreign = [piece for c in conditions for piece in c.pieces if piece not in pieces]
    untied = [piece for piece in pieces if piece not in tied]
    sides = [examined.side(p) for p in untied if not any(_touches(p, other) for other in foreign)]
    walls = [side for side in sides if side.axis is None or side.axis != examined.time]
    rich = [side for side in walls if side.degree and side.given > side.needed]
    for side in walls:
        if side.lacking:
            return Lack(side.words(problem.fields), not (rich or foreign))
    for axis in range(domain.dim):
        ends = [side for side in sides if side.axis == axis]
        if len(ends) == 2:
            # What does not decay from one end has to be determined at the other.
            given, needed = sum(s.given for s in ends), min(s.degree for s in ends)
            if given < needed:
                both = " and ".join(side.piece.name for side in ends)
                together = f"{_counted(given)} together" if given else "no condition"
                text = f"{both} have {together}, and the equation needs {needed}"
                if axis == examined.time and examined.has_laplacian:
                    name = domain.names[axis]
                    text += f" (kp.laplacian(u) contains the second derivative in {name})"
                return Lack(text, axis == examined.time and not rich)
    return None


def excess_conditions(problem: BoundaryValueProblem) -> str:
    """Where a problem has more conditions than its equation needs, as a clause; empty if nowhere.

    Examined are the walls on which more conditions hold than there are fields. Problems that
    `lacking_conditions` leaves out are not examined.
    """
    domain, conditions = problem.domain, problem.conditions()
    if domain.dim == 1 or any(c.measurements or c.inside for c in conditions):
        return ""
    full = [
        piece
        for piece in domain.boundary.pieces
        if sum(piece in c.pieces for c in conditions) > len(problem.fields)
    ]
    if not full or not (examined := _Examined(problem)).is_square:
        return ""
    for side in map(examined.side, full):
        if side.degree and side.given > side.needed and side.axis != examined.time:
            few = f"{side.piece.name} has {_counted(side.given)}, and the equation needs"
            return f"{few} {side.needed} there"
    return ""


class _Examined:
    """A problem whose equation is linearised at points of its boundary."""

    def __init__(self, problem: BoundaryValueProblem) -> None:
        self.problem, self.m, domain = problem, len(problem.fields), problem.domain
        low, high = domain.bounds
        self.lengths = high - low
        self.time = domain.names.index(domain.time_name) if domain.time_name else None
        self.points = sample(domain, 5, "uniform")
        self.inside = next(self.linearised(self.points))
        self.is_square = len(problem.columns) == self.m == self.inside.equations

    @property
    def has_laplacian(self) -> bool:
        """Whether the equation has second derivatives as the sum over all coordinates only."""
        jets = random_jets(self.problem.equation, self.points, len(self.problem.columns))
        return jets[0].channels.second == "laplacian"

    @cached_property
    def forward(self) -> int:
        """1 where the solution evolves from the initial time, -1 from the final one, 0 else."""
        ends = [p for p in self.problem.domain.boundary.pieces if p.side and p.side[0] == self.time]
        late = [piece.side[1] for piece in ends if piece.side and self.conditions_on(piece)]
        if any(piece in c.tied for c in self.problem.conditions() for piece in ends):
            return 0
        return 0 if len({*late}) == 2 else -1 if any(late) else 1

    def conditions_on(self, piece: Piece) -> tuple[Condition, ...]:
        """Return the conditions that hold pointwise on a piece."""
        return tuple(c for c in self.problem.conditions() if piece in c.pieces)

    def linearised(self, points: Points) -> Iterator[Linearised]:
        """Yield the equation linearised at random jets, positive ones and others.

        A nonlinear equation may be of another type at another jet.
        """
        points = Batch.made_of(points)
        for jet in random_jets(self.problem.equation, points, len(self.problem.columns)):
            # Of either sign, and different in every entry.
            turned = jet.with_parts([8 * (t - 1) for t in jet.parts()])
            for one in (jet, turned):
                yield Linearised.at(self.problem.equation, points, one)

    def condition(self, condition: Condition, points: Points) -> Linearised:
        """Return the residual of a condition, linearised at points of its boundary."""
        residual = partial(condition.stacked_residual, self.problem.fields, "a condition")
        return Linearised.at(residual, points, random_jets(residual, points, self.m)[0])

    def side(self, piece: Piece) -> WallConditions:
        """Return what a piece needs, by the sample that lacks least.

        Where the equation loses its highest derivatives on the piece, it needs nothing there.
        """
        conditions, points = self.conditions_on(piece), piece.gauss(3)
        points = points[torch.linspace(0, len(points) - 1, min(3, len(points))).long()]
        normals = points.normals
        assert normals is not None
        boundary = [self.condition(c, points) for c in conditions]
        given, least = sum(one.equations for one in boundary), None
        samples = ((e, r) for e in self.linearised(points) for r in range(len(points)))
        for equation, row in samples:
            for found, wave, scale in self.solutions(equation, row, normals[row]):
                rank = found.rank([b.along(row, wave, -scale * normals[row]) for b in boundary])
                sizes = given, found.degree, found.decaying, found.decaying - rank
                side = WallConditions(piece, conditions, *sizes)
                if not side.lacking:
                    return side
                least = min(least or side, side, key=lambda s: (s.lacking, s.degree, s.needed))
        if least is None or least.degree < self.degree_inside(normals[0]):
            return WallConditions(piece, conditions, given, 0, 0, 0)
        return least

    def degree_inside(self, normal: Tensor) -> int:
        """Return the number of the equation's solutions along a direction in the domain."""
        rows = range(len(self.points))
        tried = (one for row in rows for one in self.solutions(self.inside, row, normal))
        return max((found.degree for found, _, _ in tried), default=0)

    def solutions(
        self, equation: Linearised, row: int, normal: Tensor
    ) -> Iterator[tuple[WallModes, Tensor, float]]:
        """Yield the equation's solutions along a normal, for waves of two random directions.

        Yields:
            The solutions exp(κ·x + ζτ / scale), the wave's exponent κ (d,), and the scale of ζ.
        """
        fast, slowest = 100.0, 3.0  # wave numbers, and exponents that count, by the domain's size
        scale = fast * float((normal / self.lengths).norm())
        for seed in (0, 1):
            draws = torch.rand(2, len(normal), generator=Generator().manual_seed(seed)).to(normal)
            wave = 1j * fast * (0.5 + draws[0]) * (draws[1] - 0.5).sign() / self.lengths
            if self.time is not None and abs(normal[self.time]) < 0.5:
                wave[self.time] *= fast  # a parabolic equation has exponents of one size then
                wave[self.time] += self.forward * abs(wave[self.time])
            wave = wave - (wave @ normal.to(wave)) * normal
            found = modes(equation.along(row, wave, -scale * normal), slowest / fast)
            if found is not None:
                yield found, wave, scale


def _of_ordinary(examined: _Examined) -> Lack | None:
    """Return what an ordinary differential equation lacks: it needs as many numbers as its order.

    At an end where it loses its highest derivatives, regularity takes the place of a condition.
    """
    problem, needed = examined.problem, examined.degree_inside(torch.ones(1).double())
    few = Collocation(5, 16, "uniform")
    given, order = 0, needed
    for condition in problem.conditions():
        points = condition.points(few, 1.0, Generator().manual_seed(0))
        given += examined.condition(condition, points).equations * max(1, len(condition.pieces))
    for piece in problem.domain.boundary.pieces:
        side = examined.side(piece)
        needed -= order - side.degree
    if given >= needed:
        return None
    verb = "is" if given == 1 else "are"
    text = f"there {verb} {_counted(given)}, and the equation of order {order} needs {needed}"
    return Lack(text, is_sure=True)


def _touches(piece: Piece, other: Piece) -> bool:
    """Return whether another domain's piece may lie on a piece of the boundary."""
    if piece.level is None:
        return True
    points = other.gauss(3).coords
    return bool((piece.level(points).abs() <= 1e-6 * points.abs().max()).all())


def _counted(count: int) -> str:
    return f"{count or 'no'} condition{'s' * (count > 1)}"
