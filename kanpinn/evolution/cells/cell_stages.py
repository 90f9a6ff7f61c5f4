"""The stages of a window with cells in space: one least-squares problem for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kanpinn.cells.system.cell_fields import CellField
from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.evolution.cells.linearised_cells import LinearisedCells
from kanpinn.evolution.time.polynomials import ErrorForm, at_moments, error_form_of_ratio
from kanpinn.evolution.time.stages import Stages


@dataclass(frozen=True, eq=False)
class CellStages:
    """The collocation equations of a window.

    With the inverse Butcher matrix D = V Λ V⁻¹, the states X_i at the stages have the derivatives
    Σ_j D_ij (X_j - x) / h in time. For W = V⁻¹ X these are λ/h W_λ - λ/h (V⁻¹ 1)_λ x, so that there
    is one least-squares problem for each eigenvalue λ, see `LinearisedCells.solve`.

    Args:
        cells: the linearised equation.
        stages: the stages, an odd number of them, so that one eigenvalue is real.
        start, length: the first moment and the length h.
        initial: the state x at the start, (N, L, p m).
    """

    cells: LinearisedCells
    stages: Stages
    start: float
    length: float
    initial: Tensor

    @cached_property
    def rates(self) -> list[complex]:
        """λ / h of each eigenvalue with an imaginary part of at least 0."""
        return [_plain(value) / self.length for value in self.stages.eigenvalues]

    @property
    def real(self) -> int:
        """The number of the real eigenvalue."""
        return int(np.abs(self.stages.eigenvalues.imag).argmin())

    @property
    def of_real(self) -> CellSystem:
        """The least-squares problem of the real eigenvalue."""
        return self.cells.system(self.rates[self.real])

    @property
    def form(self) -> ErrorForm:
        """The form of the error in time, see `error_in_time`."""
        return error_form_of_ratio(self.stages, float(self.stages.eigenvalues[self.real].real))

    def motions(self, states: Tensor) -> Tensor:
        """The motions at the stages, (s, N, L, (p + 1) m), from the states, (s, N, L, p m)."""
        slopes = torch.from_numpy(self.stages.slopes / self.length)
        rates = torch.tensordot(slopes, states - self.initial, dims=1)
        return motion_of(states, rates, self.cells.fields)

    def at(self, states: Tensor, moment: float) -> tuple[Tensor, Tensor]:
        """The polynomials in time at a moment from 0 to 1, and their rates, (N, L, p m) each."""
        return state_at(self.stages, self.length, self.initial, states, moment)

    def wanted(self, states: Tensor) -> list[Tensor]:
        """b at all stages for each term, near given states, (s, c, q, equations) each."""
        times = self.start + self.length * self.stages.nodes
        motions = self.motions(states)
        return [
            torch.stack(
                [
                    term.wanted(term.parts(own), time)
                    for own, time in zip(motions, times.tolist(), strict=True)
                ]
            )
            for term in self.cells.terms
        ]

    def are_alike(self, wanted: Sequence[Tensor], other: Sequence[Tensor], states: Tensor) -> bool:
        """Whether b near two solutions is the same to rounding, as for linear equations.

        Args:
            wanted, other: b, see `wanted`.
            states: the second solution, (s, N, L, p m).
        """
        rounding, motions = 1e-11, self.motions(states)
        for term, one, two in zip(self.cells.terms, wanted, other, strict=True):
            sizes = torch.stack([term.sizes(term.parts(own)) for own in motions])
            if not bool(((one - two).abs() <= rounding * (sizes + two.abs())).all()):
                return False
        return True

    def component(self, number: int, wanted: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """W_λ of one eigenvalue, (N, L, p m), and each cell's part of its functional, (N,).

        Args:
            number: the number of the eigenvalue.
            wanted: b, see `wanted`.
        """
        row, rate = self.stages.rows[number], self.rates[number]
        row = row if isinstance(rate, complex) else row.real
        weights, total = torch.from_numpy(row), _plain(row.sum())
        rights = [torch.tensordot(weights, b.to(weights.dtype), dims=1)[None] for b in wanted]
        found, shares = self.cells.solve(rate, rate * total * self.initial[None], rights)
        return found[0], shares[0]

    def states_of(self, components: Sequence[Tensor]) -> Tensor:
        """The states X at the stages, (s, N, L, p m), from W_λ, (N, L, p m) each."""
        columns = torch.from_numpy(self.stages.vectors)
        parts = [
            torch.tensordot(column[:, None], one.to(column.dtype)[None], dims=1).real
            for column, one in zip(columns.T, components, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)

    def solved(self, wanted: Sequence[Tensor]) -> Tensor:
        """The states at the stages, (s, N, L, p m), for given b, see `wanted`."""
        found = self.states_of([self.component(k, wanted)[0] for k in range(len(self.rates))])
        return self.centred(found)

    def centred(self, states: Tensor) -> Tensor:
        """States (…, N, L, p m), shifted to mean zero in fields that are free up to a constant."""
        system, order = self.of_real, self.cells.order
        free = [one + r * self.cells.fields for one in system.free_fields for r in range(order)]
        if free:
            flat = states.flatten(0, -4) if states.ndim > 3 else states[None]
            each = [system.norms.without_means(CellField(one), free) for one in flat]
            states = torch.stack([one.coefficients for one in each]).view_as(states)
        return states

    def carried(self, starts: Tensor) -> Tensor:
        """The changes of the end that small changes of the start cause, both (n, N, L, p m)."""
        ends = torch.zeros_like(starts)
        for number, rate in enumerate(self.rates):
            total = rate * _plain(self.stages.rows[number].sum())
            found, _ = self.cells.solve(rate, total * starts)
            last = complex(self.stages.vectors[-1, number])
            factor = last if isinstance(rate, complex) else last.real
            ends += (factor * found).real
        return self.centred(ends)

    def damped(self, state: Tensor) -> Tensor:
        """What a step with the real eigenvalue leaves of a change of the state, (N, L, p m)."""
        rate = self.rates[self.real]
        return self.cells.solve(rate, rate * state[None])[0][0]

    def corrected(self, states: Tensor, moment: float) -> tuple[Tensor, Tensor]:
        """The polynomials in time at a moment, corrected by a step with the real eigenvalue.

        Args:
            states: the solution at the stages, (s, N, L, p m).
            moment: from 0 to 1.

        Returns:
            The corrected state, (N, L, p m), and each cell's part of the functional, (N,).
        """
        rate, (state, slope) = self.rates[self.real], self.at(states, moment)
        motion = motion_of(state, slope, self.cells.fields)
        time = self.start + moment * self.length
        rights = [term.wanted(term.parts(motion), time)[None] for term in self.cells.terms]
        found, shares = self.cells.solve(rate, (rate * state - slope)[None], rights)
        return self.centred(found[0]), shares[0]  # jumps between cells become zero

    def error_in_time(self, states: Tensor) -> Tensor:
        """The error of the polynomials in time at the moment of `form`, (N, L, p m).

        At this moment the ratio of the error's derivative to the error is the real eigenvalue, so
        that the least-squares problem for the error is the one of this eigenvalue.
        """
        moment = self.form.moment
        return self.corrected(states, moment)[0] - self.at(states, moment)[0]


def state_at(
    stages: Stages, length: float, initial: Tensor, states: Tensor, moment: float
) -> tuple[Tensor, Tensor]:
    """A window's polynomials in time at a moment, and their rates, (N, L, p m) each.

    Args:
        stages, length: of the window.
        initial: the state at the start, (N, L, p m).
        states: those at the stages, (s, N, L, p m).
        moment: from 0 to 1 in the window.
    """
    changes = torch.cat([initial[None], states - initial])
    rates = at_moments(stages, np.array([moment]), length, 1, 1).rates
    state, slope = (torch.tensordot(torch.from_numpy(one[0]), changes, dims=1) for one in rates)
    return state, slope


def motion_of(states: Tensor, rates: Tensor, fields: int) -> Tensor:
    """The motions of states with given rates of change, (…, (p + 1) m).

    states, rates: (…, p m). fields: m.
    """
    return torch.cat([states, rates[..., -fields:]], dim=-1)


def _plain(value: complex) -> complex:
    """The number itself, or its real part if its imaginary part is a rounding error."""
    rounding = 1e-12
    return complex(value) if abs(value.imag) > rounding * abs(value) else float(value.real)
