"""Unknown parameters and initial values of evolutions.

`Shooting` searches for the parameters with which a march fits the data, over times of growing
length. `ParametrisedMarch` gives the solution of an evolution as a function of its parameters, with
its derivatives by the parameters in every window.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from kanpinn._support.breakdowns import LINALG_ERRORS
from kanpinn._support.errors import CONVERGED, InputError, NumericalError, integer
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, Linearised
from kanpinn.loss import Residuals, ResidualTerm
from kanpinn.loss.parameters import Measurements, Parameters, WithParameters
from kanpinn.networks.layer import Sensitivities
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Method, Stage, Step
from kanpinn.spaces.evolution_terms import as_residual_term, initial_values, linear_in_state
from kanpinn.spaces.function_space import FunctionSpace
from kanpinn.spaces.galerkin import System
from kanpinn.spaces.jets_in_time import in_time
from kanpinn.spaces.windows import Separable, Windows, require_windows
from kanpinn.tasks.march import March, MarchStage
from kanpinn.tasks.parameter_search import NO_FIT, MisfitModel, ParameterSearch
from kanpinn.tasks.spline_march import SplineAttempt, SplineMarch
from kanpinn.tasks.window import SimplifiedNewton, Window, newton_method, solve_window


def free_start(
    terms: Sequence[ResidualTerm],
    data: Sequence[ResidualTerm],
    first: Points,
    fields: int,
    order: int,
) -> tuple[ResidualTerm, Tensor, Tensor]:
    """Write the initial state as base + Σ_k y_k directions_k with free numbers y_k.

    The function is for equations in time alone. The state consists of the m values and, for second
    order, the m rates at the initial time. The initial conditions fix the base; they leave the
    numbers y_k free. The first data, if there are any, help to find the base.

    Args:
        terms: the initial conditions.
        data: the terms of the data.
        first: the initial time, one point.
        fields: the number of fields m.
        order: the order of the equation in time.

    Returns:
        Three results: the condition that the initial state is this sum; the numbers y, (K,), which
            the caller changes in place; the orthonormal directions, (order, m, K).
    """
    size = order * fields
    base, null = first.coords.new_zeros(size), torch.eye(size).to(first.coords)
    if terms:
        base = initial_values(terms, first, fields)[:order].flatten()
        rows = torch.cat([linear_in_state(one, first, fields)[0][0] for one in terms])
        _, s, vh = torch.linalg.svd(rows[:, :size])
        null = vh[int((s > 1e-10 * s[0]).sum()) :].T
    early = [t.chosen(t.points.coords[:, -1].argmin()[None]) for t in data if t.sites == 1]
    if null.shape[1] and early:
        both = [linear_in_state(one, one.points, fields) for one in early]
        matrix = torch.cat([a[0, :, :size] for a, _ in both])
        right = torch.cat([b[0] for _, b in both]) + matrix @ base
        base = base - null @ (torch.linalg.pinv(matrix @ null) @ right)
    shift = base.new_zeros(null.shape[1])
    base, directions = base.view(order, fields), null.unflatten(0, (order, fields))

    def equation(p: Points, u: Jet) -> Tensor:
        """The fields, and for second order their rates, minus base + Σ_k y_k directions_k."""
        state = base + directions @ shift
        found = [u.value[:, :fields] - state[0]]  # unknown parameters may follow the fields
        if order == 2:
            assert u.gradient is not None
            found.append(u.gradient[:, -1, :fields] - state[1])
        return torch.cat(found, dim=1)

    channels = Channels(first.names, gradient=order == 2)
    return ResidualTerm("initial", first, 1.0, channels, equation), shift, directions


def window_sensitivities(
    system: System[Any], window: Window, starts: Tensor, equations: Mapping[str, WithParameters]
) -> Window:
    """The derivatives of a window's solution by K parameters, as a window of K·m fields.

    A window is a span of time with its solution, a polynomial in time. The derivatives solve the
    linearised collocation equations. In time alone with few fields these equations are solved as
    one dense system. Otherwise they are solved by iteration with the linear systems of the stages,
    which are factored for the middle of the window (see `newton_method`).

    Args:
        system: the equation in the window's trial space.
        window: the solution in the window; the equations are linearised at it, at each stage.
        starts: the derivatives of the value, and for second order the rate, at the start of the
            window by the K parameters, (order, n, K·m): the m fields of the first parameter, then
            those of the second parameter, and so on. The unknown parameters of the equation are the
            last ones.
        equations: the equation and the conditions on the boundary, by their names.

    Raises:
        NumericalError: if the iteration does not converge.
        LinAlgError: if the linearised equations are singular.
    """
    fields, scheme, terms = system.space.fields, window.stages, []
    where = scheme, window.start, window.length, window.states[: window.order]
    newton = SimplifiedNewton(system, *where, window.unknowns)
    moments = newton.moments
    for term, points in zip((system.interior, *system.boundary), newton.points, strict=True):
        equation, jet = equations[term.term.name], term.jet(points, moments, window.states)
        by_fields = Linearised.at(equation, points, jet).slopes
        terms.append((term, by_fields, equation.rates(points, jet)))

    def rows(starts: Tensor, unknowns: Tensor, sources: bool = True) -> Tensor:
        """The residuals of the linearised equations at all stages, (K, s, n·m).

        Args:
            starts: the derivatives at the start of the window, as for `window_sensitivities`.
            unknowns: the derivatives at the stages.
            sources: whether the residuals include the derivatives of the equations by the unknown
                parameters.
        """
        states, changes = torch.cat([starts, unknowns]), []
        split = states.unflatten(-1, (-1, fields)).permute(0, 2, 1, 3)  # (b, K, n, m)
        count = split.shape[1]
        for term, by_fields, by_parameters in terms:
            jet = in_time(term.space.jet(split.flatten(0, 1)), moments.rates, count * fields)
            parts = jet.stacked().unflatten(-1, (count, fields))
            change = torch.einsum("nepf,npkf->nek", by_fields, parts)
            change = change.unflatten(0, (-1, term.term.sites)).sum(dim=1)
            if sources:
                change[..., count - by_parameters.shape[2] :] += by_parameters
            by_time = change.unflatten(0, (scheme.count, -1))
            changes.append(by_time.permute(3, 0, 1, 2).flatten(0, 1))  # (K·s, rows, equations)
        values = torch.tensordot(moments.rates[0], split, dims=1).movedim(1, 0).flatten(0, 1)
        imposed = torch.from_numpy(system.imposed(changes[0], changes[1:], values))
        return imposed.unflatten(0, (-1, scheme.count))

    shape = scheme.count, system.space.size, fields
    unknowns = starts.new_zeros(*shape[:2], starts.shape[-1])
    if not newton_method(system.interior.surrogate).is_linear:
        units = torch.eye(math.prod(shape)).to(starts).unflatten(1, shape)
        units = units.permute(1, 2, 0, 3).flatten(2)
        zero = units.new_zeros(len(starts), *units.shape[1:])
        matrix = rows(zero, units, sources=False).flatten(1).T
        solution = torch.linalg.solve(matrix, -rows(starts, unknowns).flatten(1).T)
        unknowns = solution.T.unflatten(1, shape).permute(1, 2, 0, 3).flatten(2)
        return replace(window, states=torch.cat([starts, unknowns]))
    small, most, least = 1e-9, 60, torch.inf
    for _ in range(most):
        changes = [newton.change(one) for one in rows(starts, unknowns).numpy()]
        change = torch.cat(changes, dim=-1)
        unknowns = unknowns - change
        size, step = (
            t.unflatten(-1, (-1, fields)).square().sum(dim=(0, 1, 3)).sqrt()
            for t in (unknowns, change)
        )
        part = float((step / size.clamp_min(1e-300)).max())
        if part <= small:
            return replace(window, states=torch.cat([starts, unknowns]))
        if not part < 1e3 * least:
            break
        least = min(least, part)
    raise NumericalError("the sensitivities of a window are not found by iteration")


@dataclass(frozen=True, eq=False)
class PathPiece:
    """One window (span of time) of a march, with the derivatives of its solution by K parameters.

    Args:
        space: the functions of space in the window.
        window: the solution of m fields.
        directions: the derivatives, as a window of K·m fields.
        error: the relative error in time and space that the window adds.
    """

    space: FunctionSpace
    window: Window
    directions: Window
    error: float

    @cached_property
    def networks(self) -> tuple[Separable, Separable]:
        """The network of the solution and the network of its derivatives in the window."""
        member = self.space.member
        return member(self.window.series()), member(self.directions.series())


@dataclass(frozen=True, eq=False)
class Path(MisfitModel):
    """The solution of an evolution for given parameters, with the misfit of the data.

    Args:
        pieces: the windows (spans of time) of the solution, in the order of time.
        size: the largest root mean square of the solution.
        limited: whether the functions of space are too coarse to resolve the solution to the
            tolerance.
    """

    pieces: Sequence[PathPiece]
    size: float
    limited: bool


class ParametrisedMarch:
    """An evolution as a function of unknown parameters, with its data; in float64 on the CPU.

    Args:
        residuals: the terms of the loss.

    Attributes:
        parameters: the K parameters: the free initial values, then the unknowns of the problem.
        begin, end: the initial and the final time of the domain.
        data: the terms of the measurements.
        equations: the equation and its conditions as functions of the parameters, by the names of
            their terms.
        residuals: the terms with these `equations`, and a surrogate whose network has no unknown
            parameters, since the equations have the values of the parameters.
        start: the derivatives by the parameters of the value, and for second order the rate, at the
            initial time, (order, m, K).

    Raises:
        InputError: for a problem without unknown parameters or data, or with coefficient fields.
    """

    def __init__(self, residuals: Residuals) -> None:
        surrogate = copy.deepcopy(residuals.surrogate).to("cpu", torch.float64)
        network = require_windows(surrogate.network)
        constants = network.constants
        if any(surrogate.coefficients):
            raise InputError(
                "shooting determines unknown parameters: an unknown coefficient field takes a "
                "network of its own, kp.Beside, and LeastSquares"
            )
        if constants is None:
            raise InputError("shooting is for problems with unknown parameters: use kp.March")
        network.constants = network.sensitivities = None
        terms = [as_residual_term(one, "shooting") for one in residuals.terms]
        terms = [replace(one, points=one.points.to(torch.float64, "cpu")) for one in terms]
        self.data = Measurements.of(terms, surrogate)
        if not self.data.terms:
            raise InputError("shooting needs measurements, such as kp.Observed: there are none")
        equation, *others = [one for one in terms if not one.measured]
        low, high = (corner.double().cpu() for corner in surrogate.domain.bounds)
        self.begin, self.end = float(low[-1]), float(high[-1])
        free, order, fields = low.new_zeros(0), network.order, network.width[-1]
        self.start = low.new_zeros(order, fields, len(constants.unknowns))
        if not network.in_space:
            first = Points(low[None], surrogate.domain.names)
            soon = self.begin + 1e-9 * (self.end - self.begin)
            initial = [t for t in others if float(t.points.coords[:, -1].max()) <= soon]
            condition, free, directions = free_start(initial, self.data.terms, first, fields, order)
            self.start = torch.cat([directions, self.start], dim=2)
            if len(free):
                others = [*(one for one in others if one not in initial), condition]
        self.parameters = Parameters(constants, free=[free])
        terms = [equation, *others]
        self.equations = {t.name: WithParameters(t.equation, self.parameters) for t in terms}
        terms = [replace(t, equation=self.equations[t.name]) for t in terms]
        self.residuals = Residuals(surrogate, terms)

    def fit(
        self,
        settings: March,
        parameters: Tensor,
        until: float,
        tolerant: bool,
        near: Path | None = None,
    ) -> Path | None:
        """Solve the evolution for given parameters, and compare with the data; None if it fails.

        Args:
            settings: the settings of the march.
            parameters: the values of the parameters, (K,).
            until: the time up to which the march goes and data are compared.
            tolerant: whether the result is also None if the march refuses the equation: it may be
                ill-posed for parameters that the user has not chosen.
            near: the solution for other parameters up to the same time, a `Path` of this module.
                Its windows of time are used again where they suit the new parameters.

        Raises:
            InputError: if the march refuses the equation and `tolerant` is False.
        """
        self.parameters.assign(parameters)
        found, most = None, 1000.0 if near is None else 20.0 * len(near.pieces) + 100
        try:
            if near is not None:
                found = self._followed(near, settings, parameters)
            if found is None:
                found = self._marched(settings, until, most)
        except InputError:
            if tolerant:
                return None
            raise
        except (NumericalError, *LINALG_ERRORS):
            return None
        surrogate, data = self.residuals.surrogate, self.data.until(until)
        self.give(require_windows(surrogate.network), found[0], torch.zeros_like(parameters))
        model = data.model(surrogate)
        finite = bool(model.factor.isfinite().all())
        return Path(parameters, model, data.rows, *found) if finite else None

    def _marched(
        self, settings: March, until: float, most: float
    ) -> tuple[list[PathPiece], float, bool]:
        """March to a time, with windows chosen by the tolerance.

        Args:
            settings: the settings of the march.
            until: the time that the last window reaches or passes.
            most: the largest number of windows.

        Returns:
            The windows, the size of the solution, and whether the functions of space are too coarse
            to resolve the solution.

        Raises:
            NumericalError: if the march stops earlier.
            InputError: for a field of which no equation has a derivative in time.
        """
        march, pieces = MarchStage(settings, self.residuals), list[PathPiece]()
        if march.terms.algebraic:
            raise InputError(
                "shooting is for fields with derivatives in time: no equation has one of field "
                f"number {march.terms.algebraic[0] + 1}"
            )
        near = 1e-9 * march.duration
        state = cast(SplineMarch, march.state)
        while state.time < until - near:
            done, before = march.step(), len(pieces)
            if march.accepted > before:
                made = cast(SplineAttempt, march.latest)
                error = made.window.error + made.splines
                pieces.append(self._piece(pieces, made.state.space, made.window, error))
            failed = done.finished is not None and state.time < until - near
            if failed or len(pieces) > most:
                raise NumericalError(done.finished or "there are too many windows")
        return pieces, state.state.size, state.limited

    def _followed(
        self, path: Path, settings: March, parameters: Tensor
    ) -> tuple[list[PathPiece], float, bool] | None:
        """Solve the evolution for other parameters, in the windows of a known solution.

        Each window keeps its start, length, stages and functions of space. In each window Newton's
        method starts from the known solution, changed linearly with the parameters.

        Args:
            path: the known solution, for the parameters `path.parameters`.
            settings: the settings of the march.
            parameters: the new values of the parameters, (K,), already assigned to the equations.

        Returns:
            The windows with the new solution, the larger of the sizes of the known and the new
            solution, and whether the functions of space were too coarse for the known solution.
            None if the windows do not suit the new parameters, so that a new march is needed:

            - Newton's method fails in a window;
            - the error of a window exceeds 3 times the tolerance, and also 2 times the error of the
              known solution in this window;
            - there are more than 8 windows, and their median error for the known parameters is
              below 1/1000 of the tolerance: a new march would take fewer windows.
        """
        pieces, worse, wide = list[PathPiece](), 3.0, 1e-3
        change = parameters - path.parameters
        errors = sorted(piece.error for piece in path.pieces)
        if len(errors) > 8 and errors[len(errors) // 2] < wide * settings.tolerance:
            return None  # a new march would take fewer windows
        size, precision = path.size, max(1e-14, 1e-2 * settings.tolerance)
        space, method = path.pieces[0].space, newton_method(self.residuals.surrogate)
        state = space.initial()[0]
        for old in path.pieces:
            before = old.window
            if old.space is not space:
                state, space = old.space.moved(state, space)[0], old.space
            moved = old.directions.states.unflatten(-1, (len(change), -1))
            guess = before.states + torch.einsum("bnkm,k->bnm", moved, change)
            where, unknowns = (before.stages, before.start, before.length), guess[before.order :]
            newton = method(space.system, *where, state, unknowns)
            window, newton = solve_window(newton, unknowns, size, precision, space.terms.algebraic)
            splines = 0.0
            if space.breaks and window.converged:
                splines = space.error(newton.splines(window)[0]) / (max(size, window.size) or 1.0)
            error, most = window.error + splines, max(worse * settings.tolerance, 2 * old.error)
            if not (window.converged and error <= most):
                return None
            pieces.append(self._piece(pieces, space, window, error))
            size, state = max(size, window.size), window.end()
        return pieces, size, path.limited

    def _piece(
        self, before: Sequence[PathPiece], space: FunctionSpace, window: Window, error: float
    ) -> PathPiece:
        """Return a solved window of time with the derivatives of its solution by the parameters.

        The derivatives at the start of the window are those at the end of the window before it; in
        the first window they are `start`.

        Args:
            before: all windows before this window, in the order of time.
            space: the functions of space in the window.
            window: the solution in the window.
            error: the relative error that the window adds.
        """
        if not before:
            flat = self.start.movedim(2, 1).flatten(1)  # zero unless in time alone
            starts = flat[:, None].expand(-1, space.system.space.size, -1)
        else:
            last, count = before[-1], self.start.shape[2]
            starts = last.directions.end()
            if last.space is not space:
                split = starts.unflatten(-1, (count, -1)).movedim(2, 0)  # (K, order, n, m)
                moved, _ = space.moved(split.flatten(0, 1), last.space)
                starts = moved.unflatten(0, (count, -1)).movedim(0, 2).flatten(2)
        directions = window_sensitivities(space.system, window, starts, self.equations)
        return PathPiece(space, window, directions, error)

    def give(self, network: Windows, pieces: Sequence[PathPiece], errors: Tensor) -> None:
        """Give a network the solution in all of the given windows, and the parameters' errors.

        Args:
            network: the network.
            pieces: the windows.
            errors: the errors of the K parameters, (K,).
        """
        (low, high), ends = (self.begin, self.end), [0.0]
        for piece in pieces:
            end = piece.window.start + piece.window.length
            ends.append(2.0 if end > high - 1e-9 * (high - low) else 2 * (end - low) / (high - low))
        members, directions = zip(*(piece.networks for piece in pieces), strict=True)
        made, like = (members, directions), network.ends
        if (like.dtype, like.device.type) != (torch.float64, "cpu"):
            made = copy.deepcopy(made)  # the pieces keep their networks
        network.follow_numbers(ends, *made, Sensitivities(errors))


@dataclass(frozen=True)
class Shooting(Method):
    """Find the unknown parameters of an evolution by marches that are fitted to data.

    For given parameters a `March` solves the evolution. The derivatives of its solution by the
    parameters solve the linearised collocation equations of each window, whose matrices the march
    has factored. With these derivatives the Levenberg–Marquardt method minimises the misfit of the
    data. So the solution satisfies the equation, to the tolerance, for all values of the
    parameters, and the data alone determine the parameters. In equations in time alone, the data
    also determine initial values that no condition prescribes.

    Over a long time the misfit may have many minima. The data of a short time are therefore fitted
    first, and the time is lengthened while the fit succeeds.

    Args:
        tolerance: the `tolerance` of the last marches; earlier marches have 100 times this
            tolerance. The change of the parameters from earlier to last marches gives the error of
            the marches, which the confidence intervals include.
        steps: the largest number of steps; a step takes one or two marches.
        starts: the largest number of other starts, random multiples of the start values, that are
            tried if the data are not fitted.

    Raises:
        InputError: for values out of range; in a solve, for unknown coefficient fields, for a
            problem without unknown parameters or data, and where a march is not possible.

    Reference: Bard, Nonlinear parameter estimation (1974), chapter 8; Bock, Recent advances in
    parameter identification techniques for O.D.E. (1983).

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> class Decay(kp.Problem):
        ...     domain = kp.Box(t=(0, 1))
        ...     unknowns = {"rate": kp.Unknown(start=1.0)}
        ...     def residual(self, p, u, rate):
        ...         return kp.partial(u, "t") + rate.value * u.value
        ...     def conditions(self):
        ...         times = torch.linspace(0, 1, 5)[:, None]
        ...         data = kp.Observed(self.domain, times, torch.exp(-2 * times))
        ...         return [kp.Initial(self.domain, 1.0), data]
        >>> solution = kp.solve(Decay(), kp.Windows([1, 1]), kp.Shooting())
        >>> f"{solution.estimated['rate'].value:.3f}"
        '2.000'
    """

    tolerance: float = 1e-6
    steps: int = 200
    starts: int = 8
    needs_fixed_points = True
    lowers_loss = False  # more and more data enter the loss
    fits_points = False
    output_layer_only = True

    def __post_init__(self) -> None:
        self.march(1.0)  # refuses what is out of range
        integer("steps", self.steps)
        integer("starts", self.starts, least=0)

    def march(self, factor: float) -> March:
        """A march with `factor` times the tolerance of the search, or 1e-2 if this is less.

        For the factor 1 the tolerance is always that of the search.
        """
        return March(self.tolerance if factor == 1 else min(factor * self.tolerance, 1e-2))

    def check(self, network: Network) -> None:
        require_windows(network)

    def finer(self) -> "Shooting":
        """The search with marches whose errors are about 100 times smaller."""
        return replace(self, tolerance=max(self.tolerance / 100, 1e-14))

    def start(self, residuals: Residuals, seed: int) -> "ShootingStage":
        return ShootingStage(self, residuals, seed)


class ShootingStage(Stage):
    """The search of `Shooting` between its steps: the parameters, and the data that are fitted.

    Over a long time the misfit of data may have many minima. The parameters that fit the data of a
    shorter time start the search near the right minimum.

    Args:
        settings: the settings of the search.
        residuals: the terms of the loss, and the solution.
        seed: the seed of the random starts.

    Attributes:
        march: the evolution as a function of the parameters.
        search: the search for the parameters, by the Levenberg–Marquardt method.
        begin, end: the initial time, and the time of the last measurement.
        shortest: the smallest value of `until`, up to which there are enough data.
        reached: the time up to which the data have been fitted; `begin` before any fit.
        until: the time up to which the data are being fitted.
        growth: the factor by which the fitted time was multiplied last.
        fitted: the parameters that fit the data up to `reached`, (K,).
        left: the undamped step at which the search with the coarser marches has ended, (K,).
        errors: the errors of the parameters due to the coarser marches, (K,): the difference of
            the undamped steps of both marches for the same parameters; None until a march with the
            full tolerance is made.
        fine: whether the marches have the full tolerance.

    Reference: Gábor and Banga, Robust and efficient parameter estimation in dynamic models of
    biological systems (2015), for the many minima.
    """

    kept = ("search", "fitted", "fine", "left", "errors", "reached", "until", "growth")
    damping = 0.1  # the damping of the first step after a change of the data

    def __init__(self, settings: Shooting, residuals: Residuals, seed: int) -> None:
        self.settings, self.residuals = settings, residuals
        self.network = require_windows(residuals.surrogate.network)
        self.march = ParametrisedMarch(residuals)
        self.data, self.names = self.march.data, residuals.surrogate.domain.names
        self.search = ParameterSearch[Path](self.march.parameters, seed, settings.starts)
        self.left = torch.zeros_like(self.search.values)
        self.errors: Tensor | None = None
        self.fine = False
        times = torch.cat([self.data.times(term) for term in self.data.terms]).sort().values
        few = min(2 * len(self.search.values), len(times)) - 1
        self.begin, self.end, self.shortest = self.march.begin, float(times[-1]), float(times[few])
        self._begin()

    def _begin(self) -> None:
        """Begin a search with the data of an eighth of the time, or more time if data are few."""
        self.reached, self.growth, self.fitted = self.begin, 2.0, self.search.values
        self.until = max(self.shortest, self.begin + (self.end - self.begin) / 8)
        self.search.begin(self.fitted, self.damping)

    @property
    def is_whole(self) -> bool:
        """True if the present fit uses the data of the whole time."""
        return self.until >= self.end

    def _lengthen(self, growth: float) -> None:
        """Set `until` to the time up to which data have been fitted, times a factor.

        If this product exceeds the whole time, `until` becomes the whole time. For a factor of at
        least 2 this is done if the product exceeds 0.8 of the whole time.

        Args:
            growth: the factor.
        """
        self.growth, until = growth, self.begin + growth * (self.reached - self.begin)
        # After this moment the whole time is taken, so that no tiny part of it is left.
        near = self.begin + 0.8 * (self.end - self.begin)
        last = until >= self.end or (growth >= 2 and until > near)
        self.until = self.end if last else until

    def step(self) -> Step:
        search, settings = self.search, self.settings.march(1.0 if self.fine else 100.0)
        until = self.march.end if self.fine else self.until
        if search.now is None:
            search.judge(self.march.fit(settings, search.values, until, search.tried > 0))
        if search.now is None:
            return self._failed()
        if self.fine and self.errors is None:  # only the tolerance has changed
            self.errors = (search.now.newton - self.left).abs()
        if not self._is_done(search.now):
            trial = search.now.parameters + search.step()
            search.judge(self.march.fit(settings, trial, until, True, near=search.now))
        self._show(search.now)
        return self._judged(search.now)

    def _is_done(self, now: Path) -> bool:
        """Return whether the fit is as good as possible, or good enough for the present data.

        The result is true if several fits in a row have not lowered the loss, or if the model of
        the loss predicts a small decrease for the next step. While a part of the data is fitted, a
        decrease by 5 % of the loss is small. For all data, a decrease is small if it belongs to a
        change of the parameters by 0.2 standard deviations. Once the marches are no longer coarse
        (`fine`), the result is also true if the next step is below 1 % of `errors`.

        Args:
            now: the latest accepted fit.
        """
        idle = self.search.idle
        if idle >= (3 if self.fine else 6):
            return True
        if self.errors is not None:  # the errors of the march may be far larger than a step
            close = bool((now.newton.abs() <= 1e-2 * self.errors).all())
            return close or now.possible <= now.excess(0.2 if idle else 0.02)
        data, step = self.data.until(self.until), now.newton
        if self.is_whole:
            # A loss below `hidden` is due to the error of the march.
            hidden = (0.1 * self.settings.march(100.0).tolerance) ** 2 * data.spread
            return now.possible <= max(now.excess(0.2), 1e-2 * now.loss * (idle > 0), hidden)
        if data.fits(now.loss):  # parameters that few data hardly determine might run away
            step = self.march.parameters.limited(now.parameters, step)
        return now.loss - now.model.loss(step) <= max(0.05 * now.loss, 1e-6 * data.spread)

    def _judged(self, now: Path) -> Step:
        """Choose the data and the tolerance of the next step, and return this step's result.

        Nothing changes until the fit `now` cannot be improved. Then, if `now` fits the present data
        and these are a part of all data, more data are fitted next. If it fits all data, the
        marches get the full tolerance, and with the full tolerance the search ends. If `now` does
        not fit the present data, `_failed` chooses how to continue.

        Args:
            now: the latest accepted fit.
        """
        whole, finished, damping = self.fine or self.is_whole, None, self.search.damping
        data = "all data" if whole else f"data up to {self.names[-1]} = {self.until:.4g}"
        if self._is_done(now):
            if self.fine and not self.data.fits(now.loss):
                finished = NO_FIT
            elif self.fine and now.limited:
                finished = (
                    "stopped: the functions in space do not resolve the solution to the tolerance "
                    f"{self.settings.tolerance:.1e}"
                )
            elif self.fine:
                finished = CONVERGED
            elif not self.data.until(self.until).fits(now.loss):
                return self._failed(now)
            elif self.is_whole:
                self.fine, self.left = True, now.newton
                self.search.begin(self.search.values)
            else:
                self.reached, self.fitted = self.until, now.parameters
                self._lengthen(min(2.0, self.growth**2))
                self.search.begin(now.parameters, damping)
        notes = {"windows": float(len(now.pieces)), "damping": damping}
        return Step(now.loss, 1, finished, notes, f"{data}, {len(now.pieces)} windows")

    def _failed(self, now: Path | None = None) -> Step:
        """Choose how to continue if no parameters fit the present data; return the step's result.

        The first possible continuation is chosen: the data of a shorter time; other start values;
        the best result of all searches, with the full tolerance. The search ends if there is no
        such result, or if the marches have the full tolerance already.

        Args:
            now: the fit at which the search has ended; None if there is no solution for the
                parameters of the start.
        """
        search, loss = self.search, self.data.until(self.until).spread
        loss = loss if now is None else now.loss
        if self.fine:
            return Step(loss, finished="stopped: no march with the tolerance fits the data")
        if now is not None and self.is_whole:
            search.keep_best(now)
        least, fitted = 1.1, self.reached > self.begin  # least: the smallest growth
        growth = math.sqrt(self.growth)
        if growth > least if fitted else self.until > self.shortest:
            if fitted:
                self._lengthen(growth)
            else:
                self.until = max(self.shortest, (self.begin + self.until) / 2)
            search.begin(self.fitted, self.damping)
            return Step(loss, words=f"fewer data, up to {self.names[-1]} = {self.until:.4g}")
        if search.begin_elsewhere():
            self._begin()
            start = f"start {search.tried} of {search.starts} others"
            return Step(loss, words=f"the data are not fitted: {start}")
        if math.isinf(search.best_loss):
            return Step(loss, finished=NO_FIT)
        self.fine = True
        search.begin(search.values)
        return Step(loss, words="no start leads to a fit of the data: the best end is kept")

    @torch.no_grad()
    def _show(self, now: Path) -> None:
        """Store in the network the solution for the parameters of a path."""
        constants = self.network.constants
        assert constants is not None
        constants.coefficients.copy_(now.parameters[-len(constants.unknowns) :])
        smaller = 0.1  # the fine marches' error, relative to the coarse marches' error
        errors = torch.zeros_like(now.parameters) if self.errors is None else smaller * self.errors
        self.march.give(self.network, now.pieces, errors)
