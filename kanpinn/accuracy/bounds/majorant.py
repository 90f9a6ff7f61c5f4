"""Functional error majorants of linear coercive problems: bounds of errors by residuals."""

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import cached_property, partial

from kanpinn.accuracy.bounds.grid import (
    Extension,
    Norms,
    extension,
    flux_bound,
    grid_over,
    noise_norms,
    norms_of,
    residual_of,
)
from kanpinn.accuracy.bounds.operator import barrier, constants_of, operator_of, sides_of
from kanpinn.accuracy.coefficients import Unsuitable
from kanpinn.accuracy.errors import Bound
from kanpinn.accuracy.references.reference import Approximation
from kanpinn.pde.boundary_value_problem import jumps
from kanpinn.pde.problem import Problem


@dataclass(frozen=True, eq=False)
class Approximate:
    """An approximate solution whose error is bounded.

    Args:
        jet: returns its jet at points.
        met: the indices in `conditions()` of those that it satisfies exactly.
        mean_square: the mean of its squared residual at points that no fit has seen.
        error: the standard error of this mean.
        noise: returns the jet of rounding errors in it.
    """

    jet: Approximation
    met: Collection[int]
    mean_square: float
    error: float
    noise: Approximation


@dataclass(frozen=True)
class _Dual:
    """A bound of sup (∫ r w + ∫ ρ w) / |||w||| over all w that vanish where values are prescribed.

    value: the bound. by_flux: whether a flux gives it. largest: max |r|.
    """

    value: float
    by_flux: bool
    largest: float


class Majorant:
    """Bounds of the errors of approximate solutions of one linear coercive problem.

    With B(u, w) = ∫ A∇u·∇w + (b·∇u + c u) w and e = u - v, for all w that vanish where values are
    prescribed B(e, w) = ∫ r w + ∫ ρ w, with the residual r and the misfits ρ of prescribed fluxes.
    If v has all prescribed values, w = e gives |||e||| ≤ sup (∫ r w + ∫ ρ w) / |||w|||. If it
    misses them by m, e - φ takes the place of e, where φ is an extension of m.

    Args:
        problem: the problem; its `conditions()` should return the same conditions at each call.

    Raises:
        Unsuitable: where the theory does not apply.

    Reference: Repin, A Posteriori Estimates for Partial Differential Equations (2008), chapter 4.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.operator = problem, operator_of(problem)
        if found := jumps(problem):
            raise Unsuitable(f"the solution has an infinite energy: {found[0]}")
        self.sides = sides_of(problem, self.operator)
        self.constants = constants_of(problem, self.operator, self.sides)
        self.grid = grid_over(self.operator)

    def __call__(self, v: Approximate, finer: Approximate | None = None) -> Bound:
        """Return bounds of the errors of v.

        Args:
            v: the approximation.
            finer: a better one, v₂; ‖v₂ - v‖ + ‖u - v₂‖ is taken where it is the lesser bound.

        Raises:
            Unsuitable: where v misses boundary values in more than three dimensions.
        """
        dual, misfit, measure = self._dual(v), self._extension(v), self.problem.domain.measure
        best = self._remaining(dual, misfit)
        if finer is not None:
            other = finer.jet
            rest = self._remaining(self._dual(finer), self._extension(finer))
            far = partial(norms_of, self.operator, self.grid, upper=True)
            best = best.least(far(lambda p, c: other(p, c) + -1 * v.jet(p, c)).plus(rest))
        size = asdict(norms_of(self.operator, self.grid, v.jet))
        noise = asdict(noise_norms(self.operator, v.noise))
        absolute, relative = {}, {}
        for name, bound in asdict(best).items():
            whole = bound + 3 * noise[name]  # rounding errors are known by their size only
            left = size[name] - whole
            absolute[name] = whole / math.sqrt(measure)
            relative[name] = whole / left if left > 0 else math.inf
        if not self.operator.is_elliptic:
            absolute["h1"] = relative["h1"] = math.nan
        return Bound(
            l2=absolute["l2"],
            l2_relative=relative["l2"],
            h1=absolute["h1"],
            h1_relative=relative["h1"],
            energy=absolute["energy"],
            energy_relative=relative["energy"],
            maximum=misfit.largest + self._largest(dual) + 6 * noise["l2"] / math.sqrt(measure),
            theorem=self._theorem(dual, misfit),
            constants=self._named_constants,
        )

    @cached_property
    def _barrier(self) -> float:
        return barrier(self.problem.domain, self.operator)

    def _largest(self, dual: _Dual) -> float:
        """Bound max |u - v| for a v with all prescribed values; NaN without maximum principle.

        In one dimension the energy bounds it, too.
        """
        if not self._has_maximum_principle:
            return math.nan
        found, domain = self._barrier * dual.largest, self.problem.domain
        if domain.dim > 1 or not self.operator.is_elliptic:
            return found
        slope = dual.value / (self.constants.factor * math.sqrt(float(self.operator.diffusion)))
        return min(found, math.sqrt(domain.measure) / 2 * slope)

    @property
    def _has_maximum_principle(self) -> bool:
        return self.operator.potential[0] >= 0 and not self.sides.natural

    @property
    def _named_constants(self) -> dict[str, float]:
        operator = self.operator
        known = {
            "friedrichs": self.constants.friedrichs,
            "diffusion": float(operator.diffusion[operator.diffusion > 0].min()),
            "effective_reaction": operator.effective_reaction[0],
            "coercivity": self.constants.factor,
        }
        if self.constants.traces:
            known["trace"] = max(self.constants.traces)
        return known | ({"barrier": self._barrier} if self._has_maximum_principle else {})

    def _theorem(self, dual: _Dual, misfit: Extension) -> str:
        parts = ["functional a posteriori estimate (Repin 2000)"]
        if dual.by_flux:
            parts.append("equilibrated flux with Payne and Weinberger's constants in its cells")
        else:
            parts.append("Friedrichs' inequality")
        if self.sides.natural:
            parts.append("trace inequality")
        if misfit.largest:
            parts.append("extension of boundary values (McShane 1934)")
        return ", ".join(parts)

    def _remaining(self, dual: _Dual, phi: Extension) -> Norms:
        """Bound the norms of u - v by the dual norm of its residual and the extension φ."""
        operator, known = self.operator, self.constants
        friedrichs, root = known.friedrichs, math.sqrt(self.problem.domain.measure)
        on_sides = sum(one.largest * one.piece.measure for one in self.sides.natural)
        gamma = max(operator.effective_reaction[1], 0.0)
        energy_of_phi = math.sqrt(phi.flux**2 + gamma * phi.value**2 + on_sides * phi.largest**2)
        inner = dual.value / known.factor  # bounds |||e - φ||| for φ = 0
        if operator.convection == 0 and known.factor == 1:
            energy = math.hypot(inner, energy_of_phi)  # u - v is the sum of two orthogonal parts
            l2 = friedrichs * energy
        else:
            tied = (dual.value + self._form(phi) + on_sides * phi.largest) / known.factor
            energy, l2 = tied + energy_of_phi, friedrichs * tied + phi.value
        if self._has_maximum_principle:
            l2 = min(l2, friedrichs * inner + root * phi.largest)
        least = float(operator.diffusion.min())
        h1 = math.hypot(l2, energy / math.sqrt(least)) if least > 0 else math.inf
        return Norms(l2, h1, energy)

    def _form(self, phi: Extension) -> float:
        """Bound sup B(φ, w) / |||w|||, with b·∇φ w integrated by parts where that is better."""
        operator, friedrichs = self.operator, self.constants.friedrichs
        potential = max(map(abs, operator.potential))
        found = friedrichs * (operator.convection * phi.gradient + potential * phi.value)
        if operator.is_elliptic and not self.sides.natural:
            # |c - div b| = |2γ - c|
            adjoint = potential + 2 * max(map(abs, operator.effective_reaction))
            part = operator.convection / math.sqrt(float(operator.diffusion.min()))
            found = min(found, (part + friedrichs * adjoint) * phi.value)
        return phi.flux + found

    def _dual(self, v: Approximate) -> _Dual:
        measure, friedrichs = self.problem.domain.measure, self.constants.friedrichs
        safety = 3  # standard errors
        square, flux, largest = measure * (v.mean_square + safety * v.error), math.inf, math.nan
        if (grid := self.grid) is not None:
            residual = residual_of(self.problem, v.jet, grid.points)
            largest = float(residual.abs().max())
            own = float(grid.integral(residual.square()[:, None])[0])
            square = max(square, own)
            missed = measure * v.mean_square / own if own else 1.0
            most = 1.5  # of the residual's square at other points relative to that on the grid
            if missed <= most:
                found = flux_bound(grid, self.operator, self.sides, residual)
                flux = math.inf if found is None else found * math.sqrt(max(missed, 1.0))
        inside = min(friedrichs * math.sqrt(square), flux)
        return _Dual(inside + self._on_sides(v), flux == inside, largest)

    def _on_sides(self, v: Approximate) -> float:
        """Bound the part of the misfits ρ of prescribed fluxes, with the change by a finer rule."""
        total = 0.0
        for side, trace in zip(self.sides.natural, self.constants.traces, strict=True):
            coarse, fine = (side.misfit(v.jet, nodes) for nodes in (32, 48))
            total += trace * (fine + abs(fine - coarse))
        return total

    def _extension(self, v: Approximate) -> Extension:
        return extension(self.operator, self.grid, self.sides, v.jet, v.met)
