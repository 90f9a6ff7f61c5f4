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
    """A term at points of cells, for values and rates at any moment.

    Args:
        sampled: the term, linearised at one moment.
    """

    sampled: SampledTerm
    _jets: dict[tuple[float, ...], Tensor] = field(default_factory=dict, repr=False)

    def parts(self, coefficients: Tensor) -> Tensor:
        """The parts of the jets of functions at all points, (c, q, parts, f).

        coefficients: of the functions in all cells, (N, L, f).
        """
        one = self.sampled
        return jets_at(one.at, one.polynomials, one.term.channels, coefficients, self._jets)

    def residual(self, parts: Tensor, time: float) -> Tensor:
        """The residuals of values and rates at a moment, (c, q, equations).

        parts: those of their jets, (c, q, parts, 2 m).
        """
        term, at = at_moment(self.sampled.term, time), self.sampled.at
        jet = jet_of_stacked(self.sampled.term.channels, parts.flatten(0, 1))
        return term.equation(at.points, jet).unflatten(0, parts.shape[:2])

    def in_time(self, coefficients: Tensor) -> tuple[Points, Jet]:
        """The points in space and time, and the jets of the fields there.

        coefficients: of values and rates, (N, L, 2 m).
        """
        moment = self.sampled.term.equation
        assert isinstance(moment, AtMoment)
        jet = jet_of_stacked(self.sampled.term.channels, self.parts(coefficients).flatten(0, 1))
        return moment.at(self.sampled.at.points, jet)

    def wanted(self, parts: Tensor, time: float) -> Tensor:
        """b near given values and rates: slopes times these minus residuals, (c, q, equations)."""
        return self.applied(parts) - self.residual(parts, time)

    def applied(self, parts: Tensor) -> Tensor:
        """The slopes times values and rates, or times values alone, (c, q, equations)."""
        slopes = self.sampled.slopes[..., : parts.shape[3]]
        return torch.einsum("cqepf,cqpf->cqe", slopes, parts)

    def sizes(self, parts: Tensor) -> Tensor:
        """The sums of the absolute values that `applied` adds, (c, q, equations)."""
        slopes = self.sampled.slopes[..., : parts.shape[3]]
        return torch.einsum("cqepf,cqpf->cqe", slopes.abs(), parts.abs())

    def of_rates(self, parts: Tensor) -> Tensor:
        """The slopes times rates, (c, q, equations); parts: (c, q, parts, m)."""
        return torch.einsum("cqepf,cqpf->cqe", self.sampled.slopes[..., parts.shape[3] :], parts)


@dataclass(frozen=True, eq=False)
class LinearisedCells:
    """An evolution in cells, K u + M u' = b, linearised at one moment.

    Args:
        base: the equation and the conditions for 2 m fields, values and rates.
        algebraic: the numbers of the fields of which no equation has a rate.
    """

    base: CellSystem
    algebraic: Sequence[int] = ()
    _systems: dict[complex, CellSystem] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        places: CellSystem,
        both: Tensor,
        time: float,
        algebraic: Sequence[int] = (),
    ) -> "LinearisedCells":
        """The linearisation.

        Args:
            places: the evolution in the cells, at any moment and about any solution.
            both: the values and rates about which it is linearised, (N, L, 2 m).
            time: the moment.
            algebraic: see above.
        """

        def moved(one: SampledTerm) -> SampledTerm:
            return SampledTerm(at_moment(one.term, time), one.at, one.polynomials, both)

        equation, walls = ([moved(one) for one in s] for s in (places.equation, places.walls))
        return cls(replace(places, equation=equation, walls=walls), algebraic)

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
        """The L2 norm of the counted fields of a function over the domain; (N, L, m)."""
        return self.base.norms.total(CellField(function))

    @property
    def fields(self) -> int:
        """The number of fields m."""
        return self.base.equation[0].slopes.shape[-1] // 2

    def system(self, rate: complex) -> CellSystem:
        """The least-squares problem (K + rate M) u = b, whose factors are kept."""
        if rate not in self._systems:
            m = self.fields

            def at_rate(term: SampledTerm) -> SampledTerm:
                slopes = term.slopes[..., :m] + rate * term.slopes[..., m:]
                return term.with_slopes(slopes)

            both = [
                [at_rate(one) for one in some] for some in (self.base.equation, self.base.walls)
            ]
            self._systems[rate] = replace(self.base, equation=both[0], walls=both[1])
        return self._systems[rate]

    def solve(self, rate: complex, rights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Solve (K + rate M) u = b.

        Args:
            rate: real or complex.
            rights: b for each of `terms`, (c, q, equations, n).

        Returns:
            The coefficients (N, L, m, n), and each cell's part of the functional, (N, n).
        """
        system = self.system(rate)
        both = zip((*system.equation, *system.walls), rights, strict=True)
        values: dict[SampledTerm | CoupledContacts, Tensor] = dict(both)
        found = system.cell_factors.solve(system.rights(values), again=True)
        coefficients = torch.from_numpy(found.coefficients).unflatten(1, (-1, self.fields))
        return coefficients, torch.from_numpy(found.shares)
