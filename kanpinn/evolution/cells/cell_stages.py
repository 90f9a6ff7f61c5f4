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

    With the inverse Butcher matrix D = V Λ V⁻¹, the values U_i at the stages satisfy
    K U_i + M Σ_j D_ij (U_j - u) / h = b_i. In W = V⁻¹ U they are one least-squares problem
    (K + λ/h M) W_λ = (V⁻¹ b)_λ + λ/h (V⁻¹ 1)_λ M u for each eigenvalue λ.

    Args:
        cells: the linearised equation.
        stages: the stages, an odd number of them, so that one eigenvalue is real.
        start, length: the first moment and the length h.
        initial: the state u at the start, (N, L, m).
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

    def both(self, values: Tensor) -> Tensor:
        """Values and rates at the stages from the values, (s, N, L, 2 m); values: (s, N, L, m)."""
        slopes = torch.from_numpy(self.stages.slopes / self.length)
        return torch.cat([values, torch.tensordot(slopes, values - self.initial, dims=1)], dim=-1)

    def at(self, values: Tensor, moment: float) -> Tensor:
        """Values and rates of the polynomial in time at a moment from 0 to 1, (N, L, 2 m)."""
        return values_and_rates(self.stages, self.length, self.initial, values, moment)

    def wanted(self, values: Tensor) -> list[Tensor]:
        """b at all stages for each term, near given values, (s, c, q, equations) each."""
        times = self.start + self.length * self.stages.nodes
        both = self.both(values)
        return [
            torch.stack(
                [
                    term.wanted(term.parts(own), time)
                    for own, time in zip(both, times.tolist(), strict=True)
                ]
            )
            for term in self.cells.terms
        ]

    def are_alike(self, wanted: Sequence[Tensor], other: Sequence[Tensor], values: Tensor) -> bool:
        """Whether b near two solutions is the same to rounding, as for linear equations.

        Args:
            wanted, other: b, see `wanted`.
            values: the second solution, (s, N, L, m).
        """
        rounding, both = 1e-11, self.both(values)
        for term, one, two in zip(self.cells.terms, wanted, other, strict=True):
            sizes = torch.stack([term.sizes(term.parts(own)) for own in both])
            if not bool(((one - two).abs() <= rounding * (sizes + two.abs())).all()):
                return False
        return True

    def component(self, number: int, wanted: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """W_λ of one eigenvalue, (N, L, m), and each cell's part of its functional, (N,).

        Args:
            number: the number of the eigenvalue.
            wanted: b, see `wanted`.
        """
        row, rate = self.stages.rows[number], self.rates[number]
        row = row if isinstance(rate, complex) else row.real
        weights, total = torch.from_numpy(row), _plain(row.sum())
        rights = []
        for term, own in zip(self.cells.terms, wanted, strict=True):
            right = torch.tensordot(weights, own.to(weights.dtype), dims=1)
            start = term.of_rates(term.parts(self.initial))
            rights.append((right + rate * total * start)[..., None])
        found, shares = self.cells.solve(rate, rights)
        return found[..., 0], shares[:, 0]

    def values_of(self, components: Sequence[Tensor]) -> Tensor:
        """The values U at the stages, (s, N, L, m), from W_λ, (N, L, m) for each eigenvalue."""
        columns = torch.from_numpy(self.stages.vectors)
        parts = [
            torch.tensordot(column[:, None], one.to(column.dtype)[None], dims=1).real
            for column, one in zip(columns.T, components, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)

    def solved(self, wanted: Sequence[Tensor]) -> Tensor:
        """The values at the stages, (s, N, L, m), for given b, see `wanted`."""
        found = self.values_of([self.component(k, wanted)[0] for k in range(len(self.rates))])
        return self.centred(found)

    def centred(self, values: Tensor) -> Tensor:
        """Values (…, N, L, m), shifted to mean zero in fields that are free up to a constant."""
        system = self.of_real
        for field in system.free_fields:
            flat = values.flatten(0, -4) if values.ndim > 3 else values[None]
            each = [system.norms.without_means(CellField(one), [field]) for one in flat]
            flat = torch.stack([one.coefficients for one in each])
            values = flat.view_as(values)
        return values

    def carried(self, starts: Tensor) -> Tensor:
        """The changes of the end that small changes of the start cause, both (n, N, L, m)."""
        ends = torch.zeros_like(starts)
        for number, rate in enumerate(self.rates):
            total = rate * _plain(self.stages.rows[number].sum())
            rights = []
            for term in self.cells.terms:
                own = [total * term.of_rates(term.parts(one)) for one in starts]
                rights.append(torch.stack(own, dim=-1))
            found, _ = self.cells.solve(rate, rights)
            last = complex(self.stages.vectors[-1, number])
            factor = last if isinstance(rate, complex) else last.real
            ends += (factor * found).real.movedim(-1, 0)
        return self.centred(ends)

    def corrected(self, values: Tensor, moment: float) -> tuple[Tensor, Tensor]:
        """The polynomial in time at a moment, corrected by a step with the real eigenvalue.

        Args:
            values: the solution at the stages, (s, N, L, m).
            moment: from 0 to 1.

        Returns:
            The corrected values, (N, L, m), and each cell's part of the functional, (N,).
        """
        rate, both = self.rates[self.real], self.at(values, moment)
        time, fields = self.start + moment * self.length, both.shape[-1] // 2
        rights = []
        for term in self.cells.terms:
            parts = term.parts(both)
            own = parts[..., :fields]
            right = term.applied(own) + rate * term.of_rates(own) - term.residual(parts, time)
            rights.append(right[..., None])
        found, shares = self.cells.solve(rate, rights)  # jumps between cells become zero
        return self.centred(found[..., 0]), shares[:, 0]

    def error_in_time(self, values: Tensor) -> Tensor:
        """The error of the polynomials in time at the moment of `form`, (N, L, m).

        At this moment the ratio of the error's derivative to the error is the real eigenvalue, so
        that the least-squares problem for the error is the one of this eigenvalue.
        """
        found, moment = self.corrected(values, self.form.moment)[0], self.form.moment
        return found - self.at(values, moment)[..., : found.shape[-1]]


def values_and_rates(
    stages: Stages, length: float, initial: Tensor, values: Tensor, moment: float
) -> Tensor:
    """Values and rates of a window's polynomial in time, (N, L, 2 m).

    Args:
        stages, length: of the window.
        initial: the state at the start, (N, L, m).
        values: those at the stages, (s, N, L, m).
        moment: from 0 to 1 in the window.
    """
    states = torch.cat([initial[None], values - initial])
    rates = at_moments(stages, np.array([moment]), length, 1, 1).rates
    found = [torch.tensordot(torch.from_numpy(one[0]), states, dims=1) for one in rates]
    return torch.cat(found, dim=-1)


def _plain(value: complex) -> complex:
    """The number itself, or its real part if its imaginary part is a rounding error."""
    rounding = 1e-12
    return complex(value) if abs(value.imag) > rounding * abs(value) else float(value.real)
