"""Checks of the number of conditions, of the balance of data and of well-posedness."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError, of_class
from kanpinn.geometry import Piece, Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Channels, Jet, Linearised, jet_of
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.conditions import Condition
from kanpinn.pde.evaluate import ResidualFunction, find_channels, random_jets
from kanpinn.pde.symbols import WallModes, modes


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


@dataclass(frozen=True)
class Imbalance:
    """The integral of the data of a pure Neumann problem, which should be zero.

    Args:
        value: the integral ∮ A g - ∫ f.
        size: the integral of the absolute values.
        error: an estimate of the error of `value` by quadrature.
    """

    value: float
    size: float
    error: float

    @property
    def relative(self) -> float:
        """The integral relative to that of the absolute values; 0 within its error."""
        known = abs(self.value) > 100 * self.error
        return abs(self.value) / self.size if known and self.size else 0.0


def imbalance(problem: BoundaryValueProblem) -> Imbalance | None:
    """Return the imbalance of a problem whose conditions are fluxes, periods and integrals alone.

    Returns:
        None where the equation is not linear and in divergence form, which shows in an integral
        that is not the same for two functions, or where a residual is not finite.
    """
    fine, coarse = (24, 16) if problem.domain.dim < 3 else (12, 8)
    value, size = _integral(problem, fine, 0.0)
    other, _ = _integral(problem, coarse, 0.0)
    error = abs(value - other)
    waves = [_integral(problem, fine, height)[0] for height in (1.0, -2.0)]
    same = all(abs(wave - value) <= 1e-6 * size + 10 * error for wave in waves)
    return Imbalance(value, size, error) if same and size < math.inf else None


def pure_fluxes(problem: BoundaryValueProblem) -> bool:
    """Return whether the conditions of one field are fluxes, periods and integrals alone."""
    conditions = problem.conditions()
    return (
        len(problem.columns) == 1
        and problem.domain.time_name is None
        and problem.domain.dim <= 3
        and any(c.is_natural for c in conditions)
        and all(
            (c.is_natural and not c.fixes_constant) or c.tied or c.sites > 2 for c in conditions
        )
    )


def _integral(problem: BoundaryValueProblem, nodes: int, height: float) -> tuple[float, float]:
    """Return ∫ R(v) - ∮ A (∂v/∂n - g) for a wave v of this height, and the integral for |R|, |g|.

    The wave has a whole period in each coordinate in which the conditions are periodic.
    """
    low, high = problem.domain.bounds
    shift = torch.arange(1, len(low) + 1)
    periodic = {c.periodic_in for c in problem.conditions()}
    turns = [2 * torch.pi if name in periodic else 2.0 for name in problem.domain.names]

    def wave(x: Tensor) -> Tensor:
        angles = torch.tensor(turns).to(x) * (x - low) / (high - low) + shift
        return height * torch.sin(angles).prod(dim=1, keepdim=True)

    total, size = 0.0, 0.0
    for p, weights in domain_rule(problem.domain, nodes):
        _, values = find_channels(lambda c: problem.equation(p, jet_of(wave, p.coords, c)), p.names)  # noqa: B023
        total += float(weights @ values[:, 0])
        size += float(weights @ values[:, 0].abs())
    for index, condition in enumerate(problem.conditions()):
        for piece in condition.pieces:
            p, weights = piece.quadrature(nodes)
            residual = partial(condition.stacked_residual, problem.fields, f"conditions()[{index}]")
            _, values = find_channels(lambda c: residual(p, jet_of(wave, p.coords, c)), p.names)  # noqa: B023
            flux = _normal_coefficient(problem, p) * values[:, 0]
            total -= float(weights @ flux)
            size += float(weights @ flux.abs())
    return total, size


def _normal_coefficient(problem: BoundaryValueProblem, p: Points) -> Tensor:
    """Return the coefficient A of ∂²u/∂n² in the equation at boundary points, (n,)."""
    normals = p.normals
    assert normals is not None

    def parabola(channels: Channels) -> Jet:
        """The jet of s²/2 at the points, s the distance from the boundary along the normal."""
        zero, gradient = p.coords.new_zeros(len(p), 1), normals[..., None]
        second = lines = None
        if channels.second_count:
            second = p.coords.new_zeros(len(p), channels.second_count, 1)
        if channels.directions:
            along = normals @ p.coords.new_tensor(channels.directions).T
            lines = p.coords.new_zeros(*along.shape, channels.order, 1)
            lines[:, :, 0, 0] = along
        s = Jet(channels, zero, gradient if channels.gradient else None, second, lines)
        return s * s * 0.5

    channels, values = find_channels(lambda c: problem.equation(p, parabola(c)), p.names)
    return (values - problem.equation(p, parabola(channels) * 0))[:, 0]


def check_well_posed(problem: BoundaryValueProblem, strong: bool = True) -> None:
    """Refuse a problem with misplaced conditions, or that has no solution or more than one.

    These properties are checked:

    - The points of each condition lie in the domain, and those of a boundary condition on the
      domain's boundary.
    - A system has as many equations as fields. Constraints in the domain count; problems with
      measurements may have fewer, since a field may be an unknown coefficient.
    - Every field is determined completely, not only up to a constant, unless `free_constant`
      names it.
    - Each side has as many conditions as the equation needs there (`lacking_conditions`). A lack
      that is not certain is only warned of, and so are conditions in excess, which may agree
      (`excess_conditions`).
    - The data of a pure Neumann problem balance (`imbalance`).

    If the user's own functions raise an exception, all checks but the first are skipped.

    Args:
        problem: the problem, as `stated` returned it.
        strong: whether the solve minimises the residual (strong form). Only then are equations and
            conditions counted: an energy has no equations, and its natural conditions need not be
            stated.

    Raises:
        InputError: naming the condition, the numbers of equations and fields, the field, the side,
            or the integral of the data.
    """
    conditions = problem.conditions()
    few = Collocation(5, 16, "uniform")
    places = [c.points(few, 1.0, Generator().manual_seed(0)) for c in conditions]
    own = problem.domain.boundary.pieces
    for index, condition in enumerate(conditions):
        if not condition.is_at_boundary or any(piece not in own for piece in condition.pieces):
            what = f"conditions()[{index}], {of_class(condition)},"
            _check_place(problem, condition, places[index], what)
    try:
        found = _findings(problem, conditions, places, strong)
    except Exception:  # raised by the user's own functions, and again when the solve calls them
        return
    if strong and not any(c.measurements for c in conditions):
        _check_count(problem, found.equations)
    if found.lack is not None:
        _say_lack(problem, found.lack)
    if found.excess:
        warnings.warn(
            f"{type(problem).__name__} has no solution unless its conditions agree: {found.excess}",
            stacklevel=5,
        )
    if found.free:
        _refuse_free(problem, found.free[0])
    if found.unbalanced is not None and found.unbalanced.relative > 0:
        _say_imbalance(problem, found.unbalanced)


@dataclass(frozen=True)
class _Findings:
    """What evaluations of a problem's equations and conditions show.

    equations: their number in the domain, 0 for a problem with one field. free: the fields that are
    determined up to a constant only. lack: conditions that are missing. excess: where there are
    too many. unbalanced: the data of a pure Neumann problem.
    """

    equations: int
    free: Sequence[str]
    lack: Lack | None = None
    excess: str = ""
    unbalanced: Imbalance | None = None


def _findings(
    problem: BoundaryValueProblem,
    conditions: Sequence[Condition],
    places: Sequence[Points],
    strong: bool,
) -> _Findings:
    """Evaluate equations and conditions at a few points, for random jets there."""
    fields, lack, excess, unbalanced = problem.fields, None, "", None
    names = [name for name in fields if name not in problem.free_constant]
    probes = _probes(problem, places)
    seen = {name for name in names for probe in probes if _sees(*probe, fields.index(name))}
    count = sum(
        equation(points, jets[0]).shape[1]
        for condition, (equation, points, jets) in zip((None, *conditions), probes, strict=True)
        if len(fields) > 1 and (condition is None or condition.inside)
    )
    if strong and problem.needs_conditions:
        order = probes[0][2][0].channels.derivative_order
        pieces = {piece for c in conditions for piece in c.pieces}
        one_each = pieces.issuperset(problem.domain.boundary.pieces)
        if not (one_each and len(fields) == 1 and order <= 2 and not problem.domain.time_name):
            lack = lacking_conditions(problem)
        excess = "" if lack else excess_conditions(problem)
        if not any(c.fixes_constant for c in conditions) and pure_fluxes(problem):
            unbalanced = imbalance(problem)
    return _Findings(count, [name for name in names if name not in seen], lack, excess, unbalanced)


def _check_count(problem: BoundaryValueProblem, count: int) -> None:
    """Refuse a system with fewer equations than fields."""
    fields = problem.fields
    unknown = [one for one in getattr(problem, "unknowns", {}) if one in fields]
    if count < len(fields) > 1 and unknown:
        raise InputError(
            f"{type(problem).__name__} has no measurements from which the unknown field "
            f"{unknown[0]} could be found: add kp.Observed to conditions()"
        )
    if count < len(fields) > 1:
        many = f"{count} equation" + "s" * (count > 1)
        raise InputError(
            f"{type(problem).__name__}.residual gives {many} for the {len(fields)} fields "
            f"{', '.join(fields)}: expected one for each, a tuple of columns (n, 1)"
        )


def _refuse_free(problem: BoundaryValueProblem, name: str) -> None:
    """Refuse a problem that leaves a constant of a field undetermined."""
    field = f', field="{name}"' if len(problem.fields) > 1 else ""
    raise InputError(
        f"the equation and conditions of {type(problem).__name__} leave a constant of {name} "
        f"undetermined: add kp.Integral(self.domain, 0.0{field}) to conditions(), or list it in "
        "free_constant if its value does not matter"
    )


def _say_lack(problem: BoundaryValueProblem, lack: Lack) -> None:
    """Refuse a problem that lacks conditions, or warn of it where others may make up for them."""
    if lack.is_sure:
        raise InputError(
            f"the solution of {type(problem).__name__} is not unique: {lack.text}; add the "
            "missing ones to conditions(), or set needs_conditions = False in the class to solve "
            "for one of its solutions"
        )
    warnings.warn(
        f"{type(problem).__name__} may have more than one solution, or a solution that depends on "
        f"its data without bound: {lack.text}",
        stacklevel=6,
    )


def _say_imbalance(problem: BoundaryValueProblem, found: Imbalance) -> None:
    """Refuse a pure Neumann problem without a solution, or warn of data with few digits."""
    digits = 1e-3  # the relative imbalance of data that are known to few digits
    text = (
        f"{type(problem).__name__} prescribes fluxes and no values, and has a solution only if "
        f"source and fluxes balance: their integrals add up to {found.value:.3g}, "
        f"{found.relative:.1%} of those of their absolute values"
    )
    if found.relative > digits:
        raise InputError(text)
    warnings.warn(f"{text}, which limits the accuracy", stacklevel=6)


def _probes(
    problem: BoundaryValueProblem, places: Sequence[Points]
) -> list[tuple[ResidualFunction, Points, tuple[Jet, Jet]]]:
    """Return the equation, then each condition's residual, with points and two random jets there.

    Args:
        problem: the problem.
        places: points of each condition.
    """
    equations: list[tuple[ResidualFunction, Points]] = [
        (problem.equation, sample(problem.domain, 5, "uniform"))
    ]
    for index, condition in enumerate(problem.conditions()):
        what = f"conditions()[{index}]"
        residual = partial(condition.stacked_residual, problem.fields, what)
        equations.append((residual, places[index]))
    # The equations are evaluated many times at the same points: a batch keeps their sources.
    batches = [(equation, Batch.made_of(points)) for equation, points in equations]
    return [(*one, random_jets(*one, len(problem.columns))) for one in batches]


def _sees(equation: ResidualFunction, points: Points, jets: Sequence[Jet], field: int) -> bool:
    """True if adding a constant to the field changes the residual by more than rounding."""
    for jet in jets:
        shift = torch.zeros_like(jet.value)
        shift[:, field] = 1.0
        before = equation(points, jet)
        change = equation(points, replace(jet, value=jet.value + shift)) - before
        # A residual that is NaN proves nothing, so it counts as a change and refuses nothing.
        if not (change.abs() <= 1e-10 * (1 + before.abs())).all():
            return True
    return False


def _check_place(
    problem: BoundaryValueProblem, condition: Condition, points: Points, what: str
) -> None:
    """Refuse points outside the domain, and points of a boundary condition that are interior."""
    domain = problem.domain
    if points.names != domain.names:
        raise InputError(
            f"{what} has the coordinates {', '.join(points.names)}, the domain of "
            f"{type(problem).__name__} has {', '.join(domain.names)}"
        )
    low, high = domain.bounds
    reach = 1e-7 * float((high - low).max())  # tolerance for points on the boundary
    outside = ~domain.contains(points.coords, reach)
    if outside.any():
        raise InputError(f"{what} is outside of the domain, at {points[outside].show(0)}")
    inside = domain.contains(points.coords, -reach)
    if condition.is_at_boundary and inside.any():
        raise InputError(
            f"{what} is not on the domain's boundary but inside of it, at "
            f"{points[inside].show(0)}: for values inside take Observed or Constraint"
        )
