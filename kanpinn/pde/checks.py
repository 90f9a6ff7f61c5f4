"""Checks that a problem is well posed, from evaluations of its residuals (`Probe`).

The numbers of conditions: the equation is linearised, and its coefficients are frozen at a point
of a side, a piece of the boundary. The solutions considered are exp(i q·x) u(τ), with a large wave
vector q along the side and the distance τ from the side. The conditions on the side have to
determine all solutions that decay with τ: this is the complementing condition of Lopatinskii and
Shapiro. For an evolution equation the solutions have a further factor exp(η t) with
η > 0 (Kreiss). For example, an elliptic equation of order 2p needs p conditions on each side, the
heat equation needs one, and advection needs one condition at inflow and none at outflow.

The data of a pure Neumann problem: for an equation R(v) = L v - f = 0, with L in divergence form
and a normal flux A ∂v/∂n, and for conditions ∂v/∂n = g, the integral ∫ R(v) - ∮ A (∂v/∂n - g) does
not depend on the function v. It has to be zero, since the residuals of the solution are zero.
(Fredholm's alternative: constants solve the adjoint homogeneous problem.)

Reference: Agmon, Douglis and Nirenberg, Estimates near the boundary II (1964); Kreiss, Initial
boundary value problems for hyperbolic systems (1970).
"""

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Generator, Tensor

from kanpinn._support.errors import InputError, of_class
from kanpinn.geometry import Boundary, Piece, Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.geometry.sampling import sample
from kanpinn.jets import (
    CHANGES,
    Channels,
    Flux,
    Jet,
    Linearised,
    ResidualFunction,
    find_channels,
    fluxes_seen,
    jet_of,
    largest_of_orders,
    random_jets,
    slopes_of,
    stack_equations,
)
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, stated
from kanpinn.pde.conditions import Condition
from kanpinn.pde.problem import Problem
from kanpinn.pde.symbols import BoundaryModes, modes

LOST = (
    "otherwise than its derivative by PyTorch says, such as where detach(), .data or NumPy hide a "
    "value from PyTorch: compute with tensors of PyTorch all the way"
)


def check_well_posed(problem: BoundaryValueProblem, strong: bool = True) -> None:
    """Refuse a problem that has misplaced conditions, no solution, or more than one solution.

    These properties are checked:

    - The points of each condition lie in the domain, and the points of a boundary condition on the
      domain's boundary.
    - A system has at least as many equations as fields. Constraints in the domain count as
      equations; problems with measurements are not checked, since a field may be an unknown
      coefficient.
    - Each side has as many conditions as the equation needs on the side (`lacking_conditions`). If
      a lack is not certain, there is only a warning. There is also only a warning of too many
      conditions, since they may be consistent (`excess_conditions`).
    - Every field is determined completely, not only up to a constant, unless `free_constant`
      names the field.
    - The data of a pure Neumann problem balance (`imbalance`).
    - Fluxes whose divergence is computed depend on the fields, and at each point on nothing but the
      point and the fields there. PyTorch can differentiate them, and they jump at interfaces only
      (`flux_fault`).
    - The residuals at a point depend on the jet (values and derivatives) of the fields at the
      point, and otherwise on the point only. The residuals do not change points or jets in place,
      and PyTorch can differentiate them with respect to the jet (`ProbedEquation.fault`).

    If the user's own functions raise an exception, the remaining checks are skipped.

    Args:
        problem: the problem, as `stated` returned it.
        strong: whether the solve minimises the residual (strong form). Only then are equations and
            conditions counted: an energy has no equations, and its natural conditions need not be
            listed.

    Raises:
        InputError: naming the condition, the numbers of equations and fields, the side, the field,
            or the integral of the data.
    """
    probe = Probe(problem)
    probe.check_places()
    for fault in _until_an_exception(_faults(probe, strong)):
        if fault.is_sure:
            raise InputError(fault.text)
        warnings.warn(fault.text, stacklevel=5)


def _until_an_exception(faults: Iterator["Fault"]) -> Iterator["Fault"]:
    """Yield faults until the user's own functions raise an exception, which is ignored here.

    The solve raises the same exception again.
    """
    with suppress(Exception):
        yield from faults


@dataclass(frozen=True)
class Fault:
    """A reason why a problem is not well posed.

    Args:
        text: the reason, as a message.
        is_sure: True to refuse the problem, False to warn the user only.
    """

    text: str
    is_sure: bool = True


class ProbedEquation:
    """An equation or a condition at a few points, evaluated for two random jets of m fields.

    A jet has the fields' values and derivatives at the points.

    Args:
        residual: the residual of the equation or condition, from points and a jet.
        points: the points.
        m: the number m of fields and unknown scalar parameters.
    """

    def __init__(self, residual: ResidualFunction, points: Points, m: int) -> None:
        # A residual is evaluated many times at the same points: a batch keeps its sources.
        self.residual, self.points = residual, Batch.made_of(points)
        self._coords = points.coords.clone()  # before the residual can change them in place
        self.jets = random_jets(residual, self.points, m)

    @property
    def equations(self) -> int:
        """The number of equations that the residual has at each point (or group of points)."""
        return self.residual(self.points, self.jets[0]).shape[1]

    def sees(self, field: int) -> bool:
        """Return whether the residual depends on the values of a field.

        It does if adding 1 to the field changes the residual by more than rounding. A residual or a
        change that is NaN counts as a change.

        Args:
            field: the index of the field.
        """
        for jet in self.jets:
            shift = torch.zeros_like(jet.value)
            shift[:, field] = 1.0
            before = self.residual(self.points, jet)
            change = self.residual(self.points, replace(jet, value=jet.value + shift)) - before
            # NaN in the residual proves nothing; it counts as a change, so nothing is refused.
            if not (change.abs() <= 1e-10 * (1 + before.abs())).all():
                return True
        return False

    def linearised(self) -> Linearised:
        """The linearisation of the equation or condition at the first of two random jets."""
        return Linearised.at(self.residual, self.points, self.jets[0])

    def largest_slopes(self) -> Tensor:
        """The largest coefficient of the linearised equation for each order of derivatives.

        The coefficients are those of the derivatives of each of m fields, (orders, m), from order
        0.
        """
        channels = self.jets[0].channels
        return largest_of_orders(self.linearised().slopes.abs(), channels).amax(dim=(0, 1))

    def fault(self) -> str | None:
        """Return the reason, as text, why the residual is unfit for a solve; None if it is fit.

        The residual at a point has to be a differentiable function of the point and of the jet at
        the point, and to depend on the jet. Values that are not finite, such as log det F at random
        jets, prove nothing.
        """
        points, jet = self.points[:], self.jets[0]  # a slice of a batch has no cache
        given = [points.coords, *jet.parts()]
        before = [self._coords, *(part.clone() for part in jet.parts())]
        first = self.residual(points, jet)
        if any(not torch.equal(a, b) for a, b in zip(given, before, strict=True)):
            return CHANGES
        if first.dtype != points.coords.dtype:
            return (
                f"computes in {str(first.dtype).removeprefix('torch.')}, its points are in "
                f"{str(points.coords.dtype).removeprefix('torch.')}: convert neither fields nor "
                "coordinates"
            )
        if torch.equal(first, self.residual(points, self.jets[1])):
            return "does not depend on the fields"
        if _differ(first, self.residual(points, jet)):
            return (
                "has other values at each call, as random numbers have: draw them once, or make "
                "them a function of the point"
            )
        backwards = torch.arange(len(points) - 1, 0, -1)  # without the first point
        some = self.residual(points[backwards], jet.rows(backwards)) if len(backwards) else first
        if len(backwards) and _differ(first[backwards], some):
            return (
                "at a point depends on the other points, as u.value.mean() and u.value.flip(0) "
                "do, or on their number, as random numbers do: it has to be a function of one "
                "point and of the fields there. For an integral over the domain take kp.Integral, "
                "or an unknown parameter"
            )
        return self._lost_derivative()

    def _lost_derivative(self) -> str | None:
        """Return a message if the residual's automatic derivative is wrong; None if it is right."""
        linear, along = self.linearised(), self.jets[1].map(lambda part: part - 0.75)
        moved = lambda share: self.residual(self.points, linear.jet + share * along)  # noqa: E731
        is_lost = _is_lost(linear.values, linear.change(along), moved)
        return f"changes with the fields {LOST}" if is_lost else None


def _is_lost(values: Tensor, slopes: Tensor, moved: Callable[[float], Tensor]) -> bool:
    """Return whether automatic derivatives of a function of one number differ from its changes.

    The derivatives are compared with difference quotients. The difference quotients for two steps
    agree where the function is smooth; elsewhere there is no comparison.

    Args:
        values, slopes: the values of the function at 0 and the automatic derivatives, (n, k) each.
        moved: the function.
    """
    quotients = [(moved(step) - moved(-step)) / (2 * step) for step in (1e-5, 2e-5)]
    size = torch.stack([slopes, *quotients]).abs().amax(dim=0)
    smooth = (quotients[0] - quotients[1]).abs() <= 1e-4 * size
    rounding = 1e-8 * values.abs()  # the rounding error of difference quotients
    return bool((smooth & ((quotients[0] - slopes).abs() > 0.01 * size + rounding)).any())


def _differ(a: Tensor, b: Tensor) -> bool:
    """Return whether a and b, (n, k) each, differ by more than rounding at finite entries."""
    gap = torch.where(a.isfinite() & b.isfinite(), a - b, 0.0).abs()
    return bool((gap > 1e-6 * a.abs().nan_to_num(0.0, 0.0, 0.0).amax(dim=0)).any())


class Probe:
    """A problem with evaluations of its equation and conditions at a few points, for all checks.

    Args:
        problem: the problem.

    Attributes:
        conditions: the conditions of the problem.
        lengths: the side lengths of the domain's bounding box, (d,).
        time: the index of the time coordinate, or None.
    """

    def __init__(self, problem: BoundaryValueProblem) -> None:
        problem = stated(problem)
        self.problem, self.domain, self.fields = problem, problem.domain, problem.fields
        self.name, self.conditions = type(problem).__name__, tuple(problem.conditions())
        low, high = self.domain.bounds
        self.lengths, time = high - low, self.domain.time_name
        self.time = self.domain.names.index(time) if time else None

    @cached_property
    def places(self) -> list[Points]:
        """A few points of each condition, in the order of `conditions`."""
        return [condition.few_points() for condition in self.conditions]

    def tried(self, residual: ResidualFunction, points: Points) -> ProbedEquation:
        """Return the residual of an equation or condition at points, for random fields."""
        return ProbedEquation(residual, points, len(self.problem.columns))

    @cached_property
    def equation(self) -> ProbedEquation:
        """The problem's equation, evaluated at a few points of the domain for random fields."""
        return self.tried(self.problem.equation, sample(self.domain, 5, "uniform"))

    def energy(self, problem: Problem) -> ProbedEquation:
        """Return the problem's energy density, evaluated in the domain for random fields."""

        def column(p: Points, u: Jet) -> Tensor:
            return stack_equations(problem.energy(p, *u.components()), len(p), "energy")

        return self.tried(column, sample(self.domain, 5, "uniform"))

    @cached_property
    def trials(self) -> list[ProbedEquation]:
        """Each condition, evaluated at a few of its points for random fields, in order."""
        both = zip(self.conditions, self.places, strict=True)
        return [self.tried(condition.stacked_residual, points) for condition, points in both]

    @cached_property
    def masses(self) -> list[ProbedEquation]:
        """The operators B of conditions `residual` = λ B u, evaluated for random fields.

        Conditions without the eigenvalue λ are left out.
        """
        both = zip(self.conditions, self.places, strict=True)
        return [self.tried(one.stacked_mass, points) for one, points in both if one.mass]

    def check_places(self) -> None:
        """Refuse conditions outside the domain, and boundary conditions inside the domain.

        Raises:
            InputError: naming the condition and one of its points.
        """
        pieces = self.domain.boundary.pieces
        for condition, points in zip(self.conditions, self.places, strict=True):
            if not condition.is_at_boundary or any(p not in pieces for p in condition.pieces):
                what, names = f"{condition.title}, {of_class(condition)},", self.domain.names
                if points.names != names:
                    raise InputError(
                        f"{what} has the coordinates {', '.join(points.names)}, the domain of "
                        f"{self.name} has {', '.join(names)}"
                    )
                reach = 1e-7 * float(self.lengths.max())  # tolerance for points on the boundary
                outside = ~self.domain.contains(points.coords, reach)
                if outside.any():
                    at = points[outside].show(0)
                    raise InputError(f"{what} is outside of the domain, at {at}")
                inside = self.domain.contains(points.coords, -reach)
                if condition.is_at_boundary and inside.any():
                    raise InputError(
                        f"{what} is not on the domain's boundary but inside of it, at "
                        f"{points[inside].show(0)}: for values inside take Observed or Constraint"
                    )

    @cached_property
    def inside(self) -> Linearised:
        """The equation, linearised at random fields at a few points of the domain."""
        return self.equation.linearised()

    @cached_property
    def replaced_conditions(self) -> int:
        """The number of conditions that an equation in an interval does not need at its ends.

        A field needs one condition less at an end where the coefficients of its highest derivative
        vanish: there the regularity of the solution replaces a condition.
        """
        vanishing, fields = 1e-9, range(len(self.fields))
        slopes = self.equation.largest_slopes()[:, fields]
        highest = (slopes > 0).cumsum(dim=0).argmax(dim=0)  # the highest order of each field
        ends = [self.tried(self.problem.equation, p.gauss(1)) for p in self.domain.boundary.pieces]
        at_ends = torch.stack([end.largest_slopes()[highest, fields] for end in ends])
        vanish = at_ends <= vanishing * slopes[highest, fields]
        return int((vanish & (highest > 0)).sum())

    @property
    def counts(self) -> bool:
        """True if the checks count the conditions on each side of the domain.

        They do if there are as many equations as fields, and neither unknown parameters nor
        measurements nor constraints in the domain; otherwise sides may need fewer conditions.
        """
        if any(c.measurements or c.inside for c in self.conditions):
            return False
        return len(self.problem.columns) == len(self.fields) == self.inside.equations

    @cached_property
    def forward(self) -> int:
        """The direction of an evolution in time: 1, -1 or 0.

        It follows from the pieces that have conditions: 1 if the solution evolves from the initial
        time on, -1 if it evolves backwards from the final time, 0 if there are conditions at both
        times, or periodic conditions in time.
        """
        ends = [p for p in self.domain.boundary.pieces if p.side and p.side[0] == self.time]
        given = {piece for condition in self.conditions for piece in condition.pieces}
        late = [piece.side[1] for piece in ends if piece.side and piece in given]
        if any(piece in c.tied for c in self.conditions for piece in ends):
            return 0
        return 0 if len({*late}) == 2 else -1 if any(late) else 1

    def _linearised(self, points: Points) -> Iterator[Linearised]:
        """Yield linearisations of the equation at points, for several random jets.

        Some jets have positive values and derivatives only, other jets have both signs: a nonlinear
        equation may be of another type (elliptic, hyperbolic) at another jet.
        """
        trial = self.tried(self.problem.equation, points)
        for jet in trial.jets:
            # The entries have either sign and are all different.
            turned = jet.with_parts([8 * (t - 1) for t in jet.parts()])
            for state in (jet, turned):
                yield Linearised.at(trial.residual, trial.points, state)

    def side(self, piece: Piece) -> "SideConditions":
        """Return the conditions on a piece, and the number of conditions that the equation needs.

        The needed conditions are counted at several points, for several linearisations; the result
        is the count with the fewest lacking conditions. If the coefficients of the highest
        derivatives vanish on the piece, the equation needs no conditions on the piece.
        """
        conditions, points = tuple(c for c in self.conditions if piece in c.pieces), piece.gauss(3)
        points = points[torch.linspace(0, len(points) - 1, min(3, len(points))).long()]
        normals = points.normals
        assert normals is not None
        boundary = [self.tried(c.stacked_residual, points).linearised() for c in conditions]
        given, least = sum(linear.equations for linear in boundary), None
        samples = ((e, r) for e in self._linearised(points) for r in range(len(points)))
        for equation, row in samples:
            for solutions, wave, scale in self._solutions(equation, row, normals[row]):
                rank = solutions.rank([b.along(row, wave, -scale * normals[row]) for b in boundary])
                sizes = given, solutions.degree, solutions.decaying, solutions.decaying - rank
                side = SideConditions(piece, conditions, *sizes)
                if not side.lacking:
                    return side
                least = min(least or side, side, key=lambda s: (s.lacking, s.degree, s.needed))
        if least is None or least.degree < self.degree_inside(normals[0]):
            return SideConditions(piece, conditions, given, 0, 0, 0)
        return least

    def degree_inside(self, normal: Tensor) -> int:
        """Return the order of the equation along a direction (d,), inside the domain.

        It is the number of independent solutions that vary along this direction; for a system it is
        the sum of the orders of its equations.
        """
        rows = range(len(self.inside.slopes))
        tried = (each for row in rows for each in self._solutions(self.inside, row, normal))
        return max((solutions.degree for solutions, _, _ in tried), default=0)

    def _solutions(
        self, equation: Linearised, row: int, normal: Tensor
    ) -> Iterator[tuple[BoundaryModes, Tensor, float]]:
        """Yield solutions exp(κ·x + scale ζ τ) of the linearised equation, for two random waves.

        κ is along a side of the domain, and τ is the distance from the side.

        Args:
            equation: the equation linearised at points.
            row: the index of the point at which the coefficients are frozen.
            normal: the outward normal of the side, (d,).

        Yields:
            The solutions as functions of scale · τ, the exponent κ of the wave along the side,
            (d,), and the scale.
        """
        fast, slowest = 100.0, 3.0  # wave number and slowest decay, in 1 / domain size
        scale = fast * float((normal / self.lengths).norm())
        for seed in (0, 1):
            draws = torch.rand(2, len(normal), generator=Generator().manual_seed(seed)).to(normal)
            wave = 1j * fast * (0.5 + draws[0]) * (draws[1] - 0.5).sign() / self.lengths
            if self.time is not None and abs(normal[self.time]) < 0.5:
                # Then all exponents of a parabolic equation have about the same size.
                wave[self.time] *= fast
                wave[self.time] += self.forward * abs(wave[self.time])
            wave = wave - (wave @ normal.to(wave)) * normal
            solutions = modes(equation.along(row, wave, -scale * normal), slowest / fast)
            if solutions is not None:
                yield solutions, wave, scale


def _faults(probe: Probe, strong: bool) -> Iterator[Fault]:
    """Yield the reasons why a problem is not well posed.

    Args:
        probe: the problem, evaluated at a few points.
        strong: whether the solve minimises the residual (strong form), not an energy. Only then are
            equations and conditions counted.
    """
    problem, fields, name = probe.problem, probe.fields, probe.name
    if isinstance(problem, Problem) and (not strong or problem.is_from_energy):
        if fault := probe.energy(problem).fault():
            yield Fault(f"the energy of {name} {fault}")
    if strong and (fault := probe.equation.fault()):
        yield Fault(f"the equation of {name} {fault}")
    for condition, trial in zip(probe.conditions, probe.trials, strict=True):
        if condition.sites == 1 and (fault := trial.fault()):
            yield Fault(f"{condition.title}, {of_class(condition)}, {fault}")
    trials = (probe.equation, *probe.trials, *probe.masses)
    for one in trials if strong else ():
        with fluxes_seen() as fluxes:
            for jet in one.jets:
                one.residual(one.points, jet)
        for flux, other in zip(fluxes[: len(fluxes) // 2], fluxes[len(fluxes) // 2 :], strict=True):
            if fault := flux_fault(probe, flux, other):
                yield Fault(f"{flux.name} in {name} {fault}")
    seen = {i for i, _ in enumerate(fields) if any(trial.sees(i) for trial in trials)}
    if strong and len(fields) > 1 and not any(c.measurements for c in probe.conditions):
        both = zip(probe.conditions, probe.trials, strict=True)
        inside = [probe.equation, *(trial for condition, trial in both if condition.inside)]
        count = sum(trial.equations for trial in inside)
        unknown = [one for one in getattr(problem, "unknowns", {}) if one in fields]
        if count < len(fields) and unknown:
            yield Fault(
                f"{name} has no measurements from which the unknown field {unknown[0]} could be "
                "found: add kp.Observed to conditions()"
            )
        elif count < len(fields):
            many = f"{count} equation" + "s" * (count > 1)
            yield Fault(
                f"{name}.residual gives {many} for the {len(fields)} fields {', '.join(fields)}: "
                "expected one for each, a tuple of columns (n, 1)"
            )
    if strong and problem.needs_conditions and (number := undetermined_number(probe)):
        yield Fault(
            f"{name} has no data from which the unknown parameter {number} could be found: add "
            "kp.Observed, or another condition, to conditions()"
        )
    counted = strong and problem.needs_conditions
    if counted:
        order = probe.equation.jets[0].channels.derivative_order
        pieces = {piece for c in probe.conditions for piece in c.pieces}
        one_each = pieces.issuperset(probe.domain.boundary.pieces)
        simple = one_each and len(fields) == 1 and order <= 2 and probe.time is None
        if not simple and (lack := lacking_conditions(probe)):
            yield lack
        elif excess := excess_conditions(probe):
            yield Fault(f"{name} has no solution unless its conditions agree: {excess}", False)
    free = [
        one for i, one in enumerate(fields) if i not in seen and one not in problem.free_constant
    ]
    if free:
        field = f', field="{free[0]}"' if len(fields) > 1 else ""
        yield Fault(
            f"the equation and conditions of {name} leave a constant of {free[0]} undetermined: "
            f"add kp.Integral(self.domain, 0.0{field}) to conditions(), or list it in "
            "free_constant if its value does not matter"
        )
    if counted and not any(c.fixes_constant for c in probe.conditions) and pure_fluxes(probe):
        value, relative = imbalance(probe) or (0.0, 0.0)
        if relative > 0:
            text = (
                f"{name} prescribes fluxes and no values, and has a solution only if source and "
                f"fluxes balance: their integrals add up to {value:.3g}, "
                f"{relative:.1%} of those of their absolute values"
            )
            digits = 1e-3  # the relative imbalance of data that are known to few digits
            if relative > digits:
                yield Fault(text)
            else:
                yield Fault(f"{text}, which limits the accuracy", is_sure=False)


def flux_fault(probe: Probe, flux: Flux, other: Flux) -> str | None:
    """Return the reason, as text, why the divergence of a flux would be wrong; None if it is right.

    A flux has to depend on the fields, but not on derivatives by the time, on other points or on
    values that PyTorch does not differentiate. It must not jump apart from interfaces.

    Args:
        probe: the problem.
        flux, other: the flux at a few points, for two random jets of the fields.
    """
    x, entries, names = flux.p.coords, flux.entries, probe.domain.names
    first, backwards = flux.at(x, *entries), torch.arange(len(x) - 1, 0, -1)
    if torch.equal(first, flux.at(x, *other.entries)):
        return "does not depend on the fields: add its divergence to the source"
    try:
        local = flux.at(x[backwards], *(entry[backwards] for entry in entries))
    except InputError:
        local = first[:0]
    if len(local) < len(backwards) or _differ(first[backwards], local):
        return (
            "uses values at points other than its own arguments, which count as constants when it "
            "is differentiated: compute everything that varies from the arguments p and fields"
        )
    if probe.time is not None:
        hidden, axes = list[Tensor](), range(len(names))
        for order, level in enumerate(flux.levels):
            by_time = [probe.time in which for which in itertools.product(axes, repeat=order)]
            hidden += [entry.masked_fill(torch.tensor(by_time), math.nan) for entry in level]
        if bool((flux.at(x, *hidden).isnan() & ~first.isnan()).any()):
            return (
                f"depends on a derivative by {names[probe.time]}, such as the norm of the whole "
                "gradient does: take the derivatives in space alone"
            )
    traced = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        columns = flux.at(traced, *entries).flatten(1).unbind(dim=1)
        slopes = [slopes_of(one, traced)[0] for one in columns]
    for name, step in zip(names, torch.diag(probe.lengths), strict=True):
        moved = lambda share, step=step: flux.at(x + share * step, *entries).flatten(1)  # noqa: E731
        along = torch.stack([slope @ step for slope in slopes], dim=1)
        if _is_lost(first.flatten(1), along, moved):
            return f"changes with {name} {LOST}"
    return _jump(probe, (flux, other))


def _jump(probe: Probe, fluxes: Sequence[Flux]) -> str | None:
    """Return a message on a jump of a flux apart from interfaces; None if no jump is found.

    Random chords of the domain are divided into short segments. Along a segment, the change of a
    differentiable flux is the integral of its slope, which Gauss's rule gives. Segments where the
    change and the integral differ are halved again and again: the difference vanishes where the
    flux is continuous, and stays at a jump.

    Args:
        probe: the problem.
        fluxes: the flux for two random jets of the fields, which are taken as constant in space.
    """
    domain, (low, high) = probe.domain, probe.domain.bounds
    chords, parts = (1, 2**12) if domain.dim == 1 else (2**7, 2**6)
    ends = sample(domain, 2 * chords, "uniform", Generator().manual_seed(31)).coords
    if domain.dim == 1:
        ends = torch.stack([low, high])
    share = torch.linspace(0, 1, parts + 1).to(ends)[:, None, None]
    grid = ends[:chords] + share * (ends[chords:] - ends[:chords])
    start, end = grid[:-1].flatten(0, 1), grid[1:].flatten(0, 1)
    inside = domain.contains(start) & domain.contains(end) & domain.contains((start + end) / 2)
    start, end, nodes, weights = start[inside], end[inside], *gauss_legendre(4)

    def values(coords: Tensor) -> Tensor:
        """The components of all fluxes at n points, (n, k)."""
        found = [
            one.at(coords, *(e[:1].expand(len(coords), -1) for e in one.entries)) for one in fluxes
        ]
        return torch.cat([one.flatten(1) for one in found], dim=1)

    def gaps(start: Tensor, end: Tensor) -> Tensor:
        """The largest difference of change and integral of the slope on each segment, (n,)."""
        x = (start + (end - start) * nodes.view(-1, 1, 1)).flatten(0, 1).requires_grad_()
        step = (end - start).repeat(len(nodes), 1)
        changes = values(end).detach() - values(start).detach()
        with torch.enable_grad():
            for k, column in enumerate(values(x).unbind(dim=1)):
                along = (slopes_of(column, x)[0] * step).sum(dim=1)
                changes[:, k] -= weights @ along.view(len(nodes), -1)
        return changes.abs().nan_to_num(0.0, 0.0, 0.0).amax(dim=1)

    first = gaps(start, end)
    size = float(values(start).detach().abs().nan_to_num(0.0, 0.0, 0.0).max())
    order = first.argsort(descending=True)[:256]
    order = order[first[order] > 1e-8 * size]
    start, end, first, last = start[order], end[order], first[order], first[order]
    for _ in range(30 if len(order) else 0):
        middle = (start + end) / 2
        both = torch.stack([gaps(start, middle), gaps(middle, end)])
        last, half = both.max(dim=0)
        start = torch.where(half[:, None] == 0, start, middle)
        end = torch.where(half[:, None] == 0, middle, end)
    jumps = last > first / 2
    for condition in probe.conditions:
        for piece in condition.kinks if bool(jumps.any()) else ():
            known = sample(Boundary((piece,)), 2**12, "sobol").coords
            spacing = (piece.measure / 2**12) ** (1 / max(1, domain.dim - 1))
            near = 1e-6 * domain.diameter if domain.dim == 1 else 4 * spacing
            jumps &= torch.cdist(start, known).amin(dim=1) > near
    if not bool(jumps.any()):
        return None
    place, by = Points(start[jumps], domain.names).show(0), float(last[jumps][0])
    return (
        f"jumps at {place}, by {by:.2g}, where no condition says that its normal component is "
        "continuous: add kp.Interface(domain, part.boundary, law=flux), where part is the part of "
        "the domain on one side of the jump"
    )


@dataclass(frozen=True)
class SideConditions:
    """The conditions on one piece of the boundary, and the number that the equation needs there.

    Args:
        piece: the piece.
        conditions: the conditions that hold on the piece.
        given: the number of equations of these conditions.
        degree: the number of independent solutions of the equation along the normal.
        needed: the number of independent solutions that decay from the piece into the domain.
        lacking: the number of decaying solutions that the conditions do not determine.
    """

    piece: Piece
    conditions: tuple[Condition, ...]
    given: int
    degree: int
    needed: int
    lacking: int

    @property
    def axis(self) -> int | None:
        """The index of the coordinate that is constant on the piece; None if there is none."""
        return None if self.piece.side is None else self.piece.side[0]

    def words(self, fields: tuple[str, ...]) -> str:
        """Return a clause of a message that says which conditions are lacking.

        Args:
            fields: the names of the problem's fields.
        """
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


def lacking_conditions(probe: Probe) -> Fault | None:
    """Return the fault that a problem in its strong form lacks conditions; None if it lacks none.

    It is also a fault if two opposite sides have enough conditions each, but too few together. A
    side with more conditions than it needs, or conditions on the boundary of another domain, may
    compensate for the fault. Then `Fault.is_sure` is False, and also for two opposite sides other
    than the initial and the final time. Periodic problems in one dimension, and problems for which
    `Probe.counts` is False, are not examined.
    """
    domain, conditions, time = probe.domain, probe.conditions, probe.time
    tied = {piece for c in conditions for piece in c.tied}
    if (tied and domain.dim == 1) or not probe.counts:
        return None
    if domain.dim == 1:
        # An ordinary differential equation needs as many conditions as its order.
        order = probe.degree_inside(torch.ones(1).double())
        tried = zip(conditions, probe.trials, strict=True)
        given = sum(trial.equations * max(1, len(c.pieces)) for c, trial in tried)
        verb, needed = "is" if given == 1 else "are", order - probe.replaced_conditions
        text = f"there {verb} {_counted(given)}, and the equation of order {order} needs {needed}"
        return None if given >= needed else _lack(probe, text, is_sure=True)
    pieces = domain.boundary.pieces
    foreign = [piece for c in conditions for piece in c.pieces if piece not in pieces]
    untied = [piece for piece in pieces if piece not in tied]

    def touches(piece: Piece, other: Piece) -> bool:
        """Return whether the piece `other` of another domain may lie on the boundary's `piece`."""
        points = other.gauss(3).coords
        level = None if piece.level is None else piece.level(points).abs()
        return level is None or bool((level <= 1e-6 * points.abs().max()).all())

    sides = [probe.side(p) for p in untied if not any(touches(p, other) for other in foreign)]
    in_space = [side for side in sides if side.axis is None or side.axis != time]
    rich = [side for side in in_space if side.degree and side.given > side.needed]
    for side in in_space:
        if side.lacking:
            return _lack(probe, side.words(probe.fields), not (rich or foreign))
    for axis in range(domain.dim):
        ends = [side for side in sides if side.axis == axis]
        if len(ends) == 2:
            # Solutions that do not decay from one end must be determined by the other end's
            # conditions.
            given, needed = sum(s.given for s in ends), min(s.degree for s in ends)
            if given < needed:
                both = " and ".join(side.piece.name for side in ends)
                together = f"{_counted(given)} together" if given else "no condition"
                text = f"{both} have {together}, and the equation needs {needed}"
                if axis == time and probe.equation.jets[0].channels.second == "laplacian":
                    name = domain.names[axis]
                    text += f" (kp.laplacian(u) contains the second derivative in {name})"
                return _lack(probe, text, axis == time and not rich)
    return None


def _lack(probe: Probe, text: str, is_sure: bool) -> Fault:
    """Return the fault that conditions are missing.

    Args:
        probe: the problem.
        text: a clause that says on which side, and how many, conditions are missing.
        is_sure: whether the lack is certain.
    """
    if is_sure:
        return Fault(
            f"the solution of {probe.name} is not unique: {text}; add the missing ones to "
            "conditions(), or set needs_conditions = False in the class to solve for one of its "
            "solutions"
        )
    return Fault(
        f"{probe.name} may have more than one solution, or a solution that depends on its data "
        f"without bound: {text}",
        is_sure=False,
    )


def undetermined_number(probe: Probe) -> str | None:
    """Return the name of an unknown parameter that the conditions do not determine, or None.

    Conditions determine a scalar parameter only if there are more of them than the field alone
    needs. The result is None without a check for problems with several fields, measurements,
    integrals or conditions in the domain, and for evolutions, in which conditions at the initial
    and the final time may determine a parameter.
    """
    numbers, conditions = getattr(probe.problem, "numbers", {}), probe.conditions
    if not numbers or probe.time is not None or len(probe.fields) > 1:
        return None
    if any(c.measurements or c.inside or c.sites > 1 for c in conditions):
        return None
    order, pieces = probe.equation.jets[0].channels.derivative_order, probe.domain.boundary.pieces
    trials = zip(conditions, probe.trials, strict=True)
    given = [(c.pieces, trial.equations) for c, trial in trials]
    if probe.domain.dim == 1:
        few = (
            sum(count * len(places) for places, count in given) <= order - probe.replaced_conditions
        )
    else:
        sums = [sum(count for places, count in given if piece in places) for piece in pieces]
        few = max(sums, default=0) <= math.ceil(order / 2)
    return next(iter(numbers)) if few else None


def excess_conditions(probe: Probe) -> str:
    """Return a clause that says which side has more conditions than needed; empty if no side has.

    Only sides with more conditions than there are fields are examined.
    """
    domain, conditions = probe.domain, probe.conditions
    full = [
        piece
        for piece in domain.boundary.pieces
        if sum(piece in c.pieces for c in conditions) > len(probe.fields)
    ]
    if domain.dim == 1 or not full or not probe.counts:
        return ""
    for side in map(probe.side, full):
        if side.degree and side.given > side.needed and side.axis != probe.time:
            few = f"{side.piece.name} has {_counted(side.given)}, and the equation needs"
            return f"{few} {side.needed} there"
    return ""


def _counted(count: int) -> str:
    """The number of conditions in words, such as "no condition" or "2 conditions"."""
    return f"{count or 'no'} condition{'s' * (count > 1)}"


def imbalance(probe: Probe) -> tuple[float, float] | None:
    """Return the imbalance ∮ A g - ∫ f of source and fluxes in a pure Neumann problem.

    The equation is L v = f with L in divergence form and the normal flux A ∂v/∂n, and the
    conditions are ∂v/∂n = g.

    Returns:
        The imbalance, which should be zero, and its size relative to the integral of the absolute
        values; the relative size is 0 if the imbalance is within the error of quadrature. None if
        the equation is not linear and in divergence form, or if a residual is not finite.
    """
    fine, coarse = (24, 16) if probe.domain.dim < 3 else (12, 8)
    value, size = _integral(probe, fine, 0.0)
    other, _ = _integral(probe, coarse, 0.0)
    error = abs(value - other)
    waves = [_integral(probe, fine, height)[0] for height in (1.0, -2.0)]
    if not all(abs(wave - value) <= 1e-6 * size + 10 * error for wave in waves) or size == math.inf:
        return None
    return value, abs(value) / size if abs(value) > 100 * error and size else 0.0


def pure_fluxes(probe: Probe) -> bool:
    """Return whether a problem is a pure Neumann problem: it has fluxes and no prescribed values.

    The problem has one field and no time. Its conditions are one or more fluxes, and possibly
    periodic conditions and integrals.
    """
    return (
        len(probe.problem.columns) == 1
        and probe.time is None
        and probe.domain.dim <= 3
        and any(c.is_natural for c in probe.conditions)
        and all(
            (c.is_natural and not c.fixes_constant) or c.tied or c.sites > 2
            for c in probe.conditions
        )
    )


def _integral(probe: Probe, nodes: int, height: float) -> tuple[float, float]:
    """Return ∫ R(v) - ∮ A (∂v/∂n - g), and ∫ |R(v)| + ∮ |A (∂v/∂n - g)|, for a wave v.

    R is the residual of the equation, A ∂v/∂n its normal flux, and ∂v/∂n = g are the conditions; if
    a condition has a law, its residual is divided by the coefficient of ∂v/∂n.
    The wave v is a product of sines of the coordinates, with one period over the domain in each
    periodic coordinate.

    Args:
        probe: the problem.
        nodes: the number of nodes of each one-dimensional Gauss rule.
        height: the amplitude of the wave.
    """
    (low, _), lengths, equation = probe.domain.bounds, probe.lengths, probe.problem.equation
    shift = torch.arange(1, len(low) + 1)
    periodic = {c.periodic_in for c in probe.conditions}
    turns = [2 * torch.pi if name in periodic else 2.0 for name in probe.domain.names]

    def values(residual: ResidualFunction, p: Points) -> Tensor:
        """The residual at points for the wave v, (n, 1)."""

        def wave(x: Tensor) -> Tensor:
            """The values of the wave v at coordinates x (n, d), (n, 1)."""
            angles = torch.tensor(turns).to(x) * (x - low) / lengths + shift
            return height * torch.sin(angles).prod(dim=1, keepdim=True)

        return find_channels(lambda c: residual(p, jet_of(wave, p.coords, c)), p.names)[1][:, 0]

    total, size = 0.0, 0.0
    for p, weights in domain_rule(probe.domain, nodes):
        residuals = values(equation, p)
        total += float(weights @ residuals)
        size += float(weights @ residuals.abs())
    for condition in probe.conditions:
        for piece in condition.pieces:
            p, weights = piece.quadrature(nodes)
            slopes = _normal_coefficient(condition.stacked_residual, p, 1)
            ratio = _normal_coefficient(equation, p, 2) / slopes
            flux = ratio * values(condition.stacked_residual, p)
            total -= float(weights @ flux)
            size += float(weights @ flux.abs())
    return total, size


def _normal_coefficient(residual: ResidualFunction, p: Points, order: int) -> Tensor:
    """Return the coefficient of the normal derivative ∂_n^r u in a residual at boundary points.

    The coefficient is the residual for u = s^r / r! minus the residual for u = 0, where s is the
    distance from the boundary along the normal.

    Args:
        residual: the residual of an equation or a condition, for one field.
        p: the n boundary points, with normals.
        order: the order r of the derivative.

    Returns:
        The coefficient at the points, (n,).
    """
    normals = p.outward

    def power(channels: Channels) -> Jet:
        """Return the jet (values and derivatives) of s^r / r! at the boundary points."""
        along = lambda x: ((x - p.coords) * normals).sum(dim=1, keepdim=True)  # noqa: E731
        return jet_of(lambda x: along(x) ** order / math.factorial(order), p.coords, channels)

    channels, values = find_channels(lambda c: residual(p, power(c)), p.names)
    return (values - residual(p, power(channels) * 0))[:, 0]
