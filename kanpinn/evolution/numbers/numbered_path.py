"""The solution of an evolution as a function of numbers: windows, with their sensitivities."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, NumericalError
from kanpinn.evolution.function_space import FunctionSpace
from kanpinn.evolution.march import March, MarchStage
from kanpinn.evolution.numbers.window_sensitivities import window_sensitivities
from kanpinn.evolution.space.separable import Separable
from kanpinn.evolution.window.window import Window
from kanpinn.evolution.window.window_equations import WindowEquations
from kanpinn.evolution.window.window_solve import solve_window
from kanpinn.evolution.windows import Windows
from kanpinn.loss.numbered import Numbered
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.sensitivities import Sensitivities


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
