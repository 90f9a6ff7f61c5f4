"""The equation of an evolution in cells, linearised at one moment, and its residuals at others."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.geometry.contacts import CoupledContacts
from kanpinn.cells.system.cell_fields import CellField
from kanpinn.cells.system.cell_functions import jets_at
from kanpinn.cells.system.cell_system import CellSystem
from kanpinn.cells.system.cell_terms import SampledTerm
from kanpinn.evolution.cells.in_space import AtMoment, at_moment
from kanpinn.geometry.points import Points
from kanpinn.jets import Jet, jet_of_stacked


@dataclass(frozen=True, eq=False)
class TermInCells:
    """A term at points of cells, for the motion of the fields at any moment.

    Args:
        sampled: the term, linearised at one moment.
    """

    sampled: SampledTerm
    _jets: dict[tuple[float, ...], Tensor] = field(default_factory=dict, repr=False)

    def parts(self, coefficients: Tensor) -> Tensor:
        """The parts of the jets of functions at all points, (c, q, parts, f).

        coefficients: of the functions in all cells, (N, L, f); real or complex.
        """
        if coefficients.is_complex():
            return torch.complex(self.parts(coefficients.real), self.parts(coefficients.imag))
        one = self.sampled
        return jets_at(one.at, one.polynomials, one.term.channels, coefficients, self._jets)

    def residual(self, parts: Tensor, time: float) -> Tensor:
        """The residuals of a motion at a moment, (c, q, equations).

        parts: those of its jets, (c, q, parts, (p + 1) m).
        """
        term, at = at_moment(self.sampled.term, time), self.sampled.at
        jet = jet_of_stacked(self.sampled.term.channels, parts.flatten(0, 1))
        return term.equation(at.points, jet).unflatten(0, parts.shape[:2])

    def in_time(self, coefficients: Tensor) -> tuple[Points, Jet]:
        """The points in space and time, and the jets of the fields there.

        coefficients: of the motion, (N, L, (p + 1) m).
        """
        moment = self.sampled.term.equation
        assert isinstance(moment, AtMoment)
        jet = jet_of_stacked(self.sampled.term.channels, self.parts(coefficients).flatten(0, 1))
        return moment.at(self.sampled.at.points, jet)

    def wanted(self, parts: Tensor, time: float) -> Tensor:
        """b near a motion: its slopes times this minus residuals, (c, q, equations)."""
        return self.applied(parts) - self.residual(parts, time)

    def applied(self, parts: Tensor) -> Tensor:
        """The slopes times a motion, (c, q, equations)."""
        return torch.einsum("cqepf,cqpf->cqe", self.sampled.slopes, parts)

    def sizes(self, parts: Tensor) -> Tensor:
        """The sums of the absolute values that `applied` adds, (c, q, equations)."""
        return torch.einsum("cqepf,cqpf->cqe", self.sampled.slopes.abs(), parts.abs())

    def of_rates(self, parts: Tensor) -> Tensor:
        """The slopes times the derivatives in time, (c, q, equations).

        parts: those of their jets, (c, q, parts, p m); real or complex.
        """
        slopes = self.sampled.slopes[..., -parts.shape[3] :].to(parts.dtype)
        return torch.einsum("cqepf,cqpf->cqe", slopes, parts)


@dataclass(frozen=True, eq=False)
class LinearisedCells:
    """An evolution in cells, K u + M u' = b or K u + M u' + N u'' = b, linearised at one moment.

    Its order in time p is 1 or 2. The state is u, or u and u', and the motion is the state and the
    derivative of order p.

    Args:
        base: the equation and the conditions for the motion of m fields, (p + 1) m fields.
        order: p.
        algebraic: the numbers of the fields of which no equation has a rate.
    """

    base: CellSystem
    order: int
    algebraic: Sequence[int] = ()
    _systems: dict[complex, CellSystem] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        places: CellSystem,
        motion: Tensor,
        time: float,
        order: int,
        algebraic: Sequence[int] = (),
    ) -> "LinearisedCells":
        """The linearisation.

        Args:
            places: the evolution in the cells, at any moment and about any solution.
            motion: about which it is linearised, (N, L, (p + 1) m).
            time: the moment.
            order, algebraic: see above.
        """

        def moved(one: SampledTerm) -> SampledTerm:
            return SampledTerm(at_moment(one.term, time), one.at, one.polynomials, motion)

        equation, walls = ([moved(one) for one in s] for s in (places.equation, places.walls))
        return cls(replace(places, equation=equation, walls=walls), order, algebraic)

    @cached_property
    def equation(self) -> list[TermInCells]:
        """The equation."""
        return [TermInCells(one) for one in self.base.equation]

    @cached_property
    def walls(self) -> list[TermInCells]:
        """The conditions at walls."""
        return [TermInCells(one) for one in self.base.walls]

    @property
    def terms(self) -> Sequence[TermInCells]:
        """Equation and conditions."""
        return [*self.equation, *self.walls]

    def norm(self, function: Tensor) -> float:
        """The L2 norm of the counted fields of a state over the domain; (N, L, p m)."""
        return self.base.norms.total(CellField(function))

    @property
    def fields(self) -> int:
        """The number of fields m."""
        return self.base.equation[0].slopes.shape[-1] // (self.order + 1)

    def system(self, rate: complex) -> CellSystem:
        """The least-squares problem (K + rate M + rate² N) u = b, whose factors are kept."""
        if rate not in self._systems:

            def at_rate(term: SampledTerm) -> SampledTerm:
                value, *others = term.slopes.split(self.fields, dim=-1)
                for power, one in enumerate(others, 1):
                    value = value + rate**power * one
                return term.with_slopes(value)

            both = [
                [at_rate(one) for one in some] for some in (self.base.equation, self.base.walls)
            ]
            self._systems[rate] = replace(self.base, equation=both[0], walls=both[1])
        return self._systems[rate]

    def solve(
        self, rate: complex, starts: Tensor, rights: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Find states x with the derivative in time x' = rate x - s that satisfy the equation.

        Args:
            rate: real or complex.
            starts: s, (n, N, L, p m).
            rights: b for each of `terms`, (n, c, q, equations); None for zero.

        Returns:
            The states (n, N, L, p m), and each cell's part of the functional, (n, N).
        """
        system, m = self.system(rate), self.fields
        less = [torch.zeros_like(starts[..., :m])]  # the derivative r is rate^r u - less[r]
        for one in starts.split(m, dim=-1):
            less.append(rate * less[-1] + one)
        known = torch.cat(less[1:], dim=-1)
        values: dict[SampledTerm | CoupledContacts, Tensor] = {}
        for k, own in enumerate((*system.equation, *system.walls)):
            term = self.terms[k]
            right = torch.stack([term.of_rates(term.parts(one)) for one in known])
            values[own] = (right if rights is None else right + rights[k]).movedim(0, -1)
        found = system.cell_factors.solve(system.rights(values), again=True)
        fields = torch.from_numpy(found.coefficients).unflatten(1, (-1, m)).movedim(-1, 0)
        states = [rate**r * fields - less[r] for r in range(self.order)]
        return torch.cat(states, dim=-1), torch.from_numpy(found.shares).T
