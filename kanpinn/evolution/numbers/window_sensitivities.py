"""The derivatives of a window's solution by numbers in the equation and in the initial values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.errors import NumericalError
from kanpinn.evolution.space.system import System
from kanpinn.evolution.space.term_in_space import MomentsInTime, TermInSpace
from kanpinn.evolution.time.in_time import in_time
from kanpinn.evolution.window.newton import SimplifiedNewton
from kanpinn.evolution.window.window import Window
from kanpinn.evolution.window.window_equations import WindowEquations
from kanpinn.evolution.window.window_solve import newton_method
from kanpinn.geometry.points import Batch
from kanpinn.loss.numbered import Numbered


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
    slopes: Sequence[Tensor]
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
        found = [torch.einsum("npf,npkf->nk", slopes, parts) for slopes in self.slopes]
        change = torch.stack(found, dim=1)  # (points, equations, K)
        if numbers:
            change[..., count - self.numbers.shape[2] :] += self.numbers
        rows = change.unflatten(0, (-1, sites)).sum(dim=1)
        stages = len(self.moments.times)
        return rows.unflatten(0, (stages, -1)).permute(3, 0, 1, 2).flatten(0, 1)
