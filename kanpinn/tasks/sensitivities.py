"""The solution of an evolution as a function of unknown parameters: marches for given values,
with the derivatives of every window by the parameters.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, NumericalError
from kanpinn.geometry.points import Batch
from kanpinn.loss.parameters import Numbered
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import Sensitivities
from kanpinn.spaces.function_space import FunctionSpace
from kanpinn.spaces.galerkin import MomentsInTime, System, TermInSpace
from kanpinn.spaces.jets_in_time import in_time
from kanpinn.spaces.window import Window
from kanpinn.spaces.windows import Separable, Windows
from kanpinn.tasks.collocation import SimplifiedNewton, WindowEquations, newton_method, solve_window
from kanpinn.tasks.march import March, MarchStage


def window_sensitivities(
    system: System, window: Window, starts: Tensor, numbered: Mapping[str, Numbered]
) -> Window:
    """Return the derivatives of a window's solution by K numbers, as polynomials.

    They solve the collocation equations of the window, linearised at its solution at each stage:
    as one dense system, or by iteration with the systems of the stages that are factored for the
    middle of the window, by the method that solves the window itself.

    Args:
        system: the equation in the window's trial space.
        window: its solution.
        starts: the derivatives of the value, and for second order the rate, at the start,
            (order, n, K·m), all fields of one number after the other; the last of the numbers are
            those of the equation.
        numbered: the equation and the conditions on walls, by their names.

    Raises:
        NumericalError: if the iteration does not converge.
        LinAlgError: if the linearised equations are singular.
    """
    order = window.order
    unknowns = window.states[order:]
    equations = WindowEquations(
        system, window.stages, window.start, window.length, window.states[:order]
    )
    terms = [
        _Linearised.of(one, points, equations.moments, window.states, numbered[one.term.name])
        for one, points in zip((system.interior, *system.walls), equations.points, strict=True)
    ]
    linear = _LinearWindow(equations, terms, starts)
    if newton_method(system.interior.surrogate).is_linear:
        found = linear.iterated(SimplifiedNewton(equations, unknowns))
    else:
        found = linear.solved()
    return replace(window, states=torch.cat([starts, found]))


@dataclass(frozen=True, eq=False)
class _LinearWindow:
    """The linearised collocation equations of a window for the derivatives by K numbers.

    The arguments are those of `window_sensitivities`, with the linearised terms.
    """

    equations: WindowEquations
    terms: "Sequence[_Linearised]"
    starts: Tensor

    def rows(self, starts: Tensor, unknowns: Tensor, numbers: bool = True) -> Tensor:
        """The rows of the equations at all stages, (K, s, n·m)."""
        states = torch.cat([starts, unknowns])
        inside, *outside = [one.change(states, numbers) for one in self.terms]
        values = torch.tensordot(self.equations.moments.rates[0], states, dims=1)
        fields, stages = self.equations.system.fields, self.equations.stages.count
        by_number = values.unflatten(-1, (-1, fields)).movedim(2, 0).flatten(0, 1)
        found = torch.from_numpy(self.equations.system.imposed(inside, outside, by_number))
        return found.unflatten(0, (-1, stages))

    def solved(self) -> Tensor:
        """The derivatives of the unknowns of the stages, (s, n, K·m), by one dense system."""
        fields, size = self.equations.system.fields, self.equations.system.space.size
        shape = self.equations.stages.count, size, fields
        total = shape[0] * size * fields
        units = torch.eye(total).to(self.starts).unflatten(1, shape)
        flat = units.permute(1, 2, 0, 3).flatten(2)
        zero = flat.new_zeros(len(self.starts), *flat.shape[1:])
        matrix = self.rows(zero, flat, numbers=False).flatten(1).T
        right = self.rows(self.starts, flat.new_zeros(*shape[:2], self.starts.shape[-1]))
        found = torch.linalg.solve(matrix, -right.flatten(1).T)
        return found.T.unflatten(1, shape).permute(1, 2, 0, 3).flatten(2)

    def iterated(self, newton: SimplifiedNewton) -> Tensor:
        """The same by iteration with the factors of Newton's method for the window."""
        small, most, fields = 1e-9, 60, self.equations.system.fields
        stages, starts = self.equations.stages.count, self.starts
        found = starts.new_zeros(stages, *starts.shape[1:])
        least = torch.inf
        for _ in range(most):
            rows = self.rows(starts, found).numpy()
            change = torch.cat([newton.change(one) for one in rows], dim=-1)
            found = found - change
            size, step = (
                t.unflatten(-1, (-1, fields)).square().sum(dim=(0, 1, 3)).sqrt()
                for t in (found, change)
            )
            part = float((step / size.clamp_min(1e-300)).max())
            if part <= small:
                return found
            if not part < 1e3 * least:
                break
            least = min(least, part)
        raise NumericalError("the sensitivities of a window are not found by iteration")


@dataclass(frozen=True, eq=False)
class _Linearised:
    """A term at all stages of a window, linearised at its solution.

    slopes, numbers: those of `Numbered.slopes`.
    """

    term: TermInSpace
    moments: MomentsInTime
    slopes: Tensor
    numbers: Tensor

    @staticmethod
    def of(
        term: TermInSpace, points: Batch, moments: MomentsInTime, states: Tensor, of: Numbered
    ) -> "_Linearised":
        return _Linearised(term, moments, *of.slopes(points, term.jet(points, moments, states)))

    def change(self, directions: Tensor, numbers: bool) -> Tensor:
        """The changes of the residuals at s stages by each of K numbers, (K·s, rows, equations).

        Args:
            directions: the derivatives of the polynomials' coefficients by the numbers,
                (b, n, K·m).
            numbers: whether the equation itself depends on the last of the numbers.
        """
        term, fields, sites = self.term, self.term.fields, self.term.term.sites
        split = directions.unflatten(-1, (-1, fields)).permute(0, 2, 1, 3)  # (b, K, n, m)
        count = split.shape[1]
        jet = in_time(term.space.jet(split.flatten(0, 1)), self.moments.rates, count * fields)
        parts = jet.stacked().unflatten(-1, (count, fields))
        change = torch.einsum("nepf,npkf->nek", self.slopes, parts)
        if numbers:
            change[..., count - self.numbers.shape[2] :] += self.numbers
        rows = change.unflatten(0, (-1, sites)).sum(dim=1)
        stages = len(self.moments.times)
        return rows.unflatten(0, (stages, -1)).permute(3, 0, 1, 2).flatten(0, 1)


@dataclass(frozen=True, eq=False)
class NumberedWindow:
    """A window, its functions of space, and the derivatives of its solution by K numbers.

    error: the relative error that it adds, in time and in space.
    """

    space: FunctionSpace
    window: Window
    directions: Window
    error: float


@dataclass(frozen=True, eq=False)
class Path:
    """The solution for some numbers in all windows up to some time, see `NumberedWindow`.

    numbers: the K numbers. size: the largest root mean square of the solution.
    limited: whether the space does not resolve it to the tolerance.
    """

    numbers: Tensor
    pieces: Sequence[NumberedWindow]
    size: float
    limited: bool

    @cached_property
    def members(self) -> list[Separable]:
        """The networks of the windows."""
        return [piece.space.member(piece.window) for piece in self.pieces]

    @cached_property
    def directions(self) -> list[Separable]:
        """The networks of the derivatives in the windows."""
        return [piece.space.member(piece.directions) for piece in self.pieces]


class Forward:
    """Solves an evolution for given numbers: free initial values, then those of the equation.

    Args:
        residuals: the equation and its conditions, with `Numbered` equations, for a surrogate
            without unknown numbers, with 64 bits in the main memory.
        numbered: these equations, by the names of their terms.
        start: ∂(value, rate)/∂numbers at the first moment, (order, m, K).
    """

    def __init__(
        self, residuals: Residuals, numbered: Mapping[str, Numbered], start: Tensor
    ) -> None:
        self.residuals, self.numbered, self.start = residuals, numbered, start

    def marched(self, settings: March, numbers: Tensor, until: float, most: float) -> Path:
        """March to a time, with windows chosen by the tolerance.

        Args:
            settings: of the march.
            numbers: the K numbers, which the equations have.
            until: the time that the last window reaches or passes.
            most: the largest number of windows.

        Raises:
            NumericalError: if the march stops earlier.
            InputError: for fields without derivatives in time.
        """
        march, pieces = MarchStage(settings, self.residuals), list[NumberedWindow]()
        if march.terms.algebraic:
            raise InputError(
                "shooting is for fields with derivatives in time: no equation has one of field "
                f"number {march.terms.algebraic[0] + 1}"
            )
        near = 1e-9 * march.duration
        while march.front.time < until - near:
            done, before = march.step(), len(pieces)
            if march.accepted > before:
                made = march.attempt
                pieces.append(
                    self._piece(
                        pieces, made.front.space, made.window, made.window.error + made.splines
                    )
                )
            failed = done.finished is not None and march.front.time < until - near
            if failed or len(pieces) > most:
                raise NumericalError(done.finished or "there are too many windows")
        return Path(numbers, pieces, march.front.size, march.limited)

    def followed(self, path: Path, settings: March, numbers: Tensor) -> Path | None:
        """Solve the windows of a path again for other numbers; None if they do not suit them.

        Args:
            path: the path.
            settings: of the march.
            numbers: the K numbers, which the equations have.
        """
        pieces, change, worse, wide = list[NumberedWindow](), numbers - path.numbers, 3.0, 1e-3
        errors = sorted(piece.error for piece in path.pieces)
        if len(errors) > 8 and errors[len(errors) // 2] < wide * settings.tolerance:
            return None  # it would take fewer windows
        size, precision = path.size, max(1e-14, 1e-2 * settings.tolerance)
        state = path.pieces[0].space.initial()[0]
        space = path.pieces[0].space
        for old in path.pieces:
            before = old.window
            if old.space is not space:
                state, space = old.space.moved(state, space)[0], old.space
            moved = old.directions.states.unflatten(-1, (len(change), -1))
            guess = before.states + torch.einsum("bnkm,k->bnm", moved, change)
            equations = WindowEquations(
                space.system, before.stages, before.start, before.length, state
            )
            unknowns, algebraic = guess[before.order :], space.terms.algebraic
            window = solve_window(equations, unknowns, size, precision, algebraic)
            splines = 0.0
            if space.breaks and window.converged:
                splines = space.error(window.splines) / (max(size, window.size) or 1.0)
            error = window.error + splines
            if not window.converged or error > max(worse * settings.tolerance, 2 * old.error):
                return None
            pieces.append(self._piece(pieces, space, window, error))
            size, state = max(size, window.size), window.end()
        return Path(numbers, pieces, size, path.limited)

    def _piece(
        self, before: Sequence[NumberedWindow], space: FunctionSpace, window: Window, error: float
    ) -> NumberedWindow:
        """The window with its sensitivities, which start as those before it end."""
        if not before:
            flat = self.start.movedim(2, 1).flatten(1)  # zero where there is space
            starts = flat[:, None].expand(-1, space.system.space.size, -1)
        else:
            last, count = before[-1], self.start.shape[2]
            starts = last.directions.end()
            if last.space is not space:
                split = starts.unflatten(-1, (count, -1)).movedim(2, 0)  # (K, order, n, m)
                moved, _ = space.moved(split.flatten(0, 1), last.space)
                starts = moved.unflatten(0, (count, -1)).movedim(0, 2).flatten(2)
        found = window_sensitivities(space.system, window, starts, self.numbered)
        return NumberedWindow(space, window, found, error)

    def given_to(self, network: Windows, path: Path, errors: Tensor) -> None:
        """Make a network the solution of a path.

        errors: those of the numbers, (K,).
        """
        domain = self.residuals.surrogate.domain
        low, high = (float(corner[-1]) for corner in domain.bounds)
        ends = [0.0]
        for piece in path.pieces:
            end = piece.window.start + piece.window.length
            ends.append(2.0 if end > high - 1e-9 * (high - low) else 2 * (end - low) / (high - low))
        made, like = (path.members, path.directions), network.ends
        if (like.dtype, like.device.type) != (torch.float64, "cpu"):
            made = copy.deepcopy(made)  # the path keeps its own
        network.follow_numbers(ends, *made, Sensitivities(errors))
