"""The quadratic energy of a problem that is stated by an energy, or by an equation with constant
coefficients and conditions on values and fluxes on whole sides of a box.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Jet, Linearised, coefficients_of_derivatives, find_channels, grad, zero_jet
from kanpinn.pde.conditions import Condition, Prescribed
from kanpinn.pde.problem import Problem

Side = tuple[int, bool]  # the coordinate that is constant on a side of a box; True at its upper end
Equation = Callable[[Points, Jet], Tensor]


@dataclass(frozen=True, eq=False)
class WeakForm:
    """An energy with values that are prescribed on sides of a box; the solution minimises it.

    Args:
        density: the density in the domain, a function (p, u, …) as `Problem.energy`.
        sides: the densities on parts of the boundary, as `Problem.boundary_energies` returns them.
        prescribed: the values that are prescribed, each on a whole side of a box.
    """

    density: Callable[..., Tensor]
    sides: Sequence[tuple[Boundary, Callable[..., Tensor]]]
    prescribed: Sequence[Prescribed]

    @classmethod
    def of(cls, problem: Problem) -> "WeakForm":
        """The weak form of a problem.

        An energy is taken as it is. From a linear equation -Σ_ij A_ij ∂_ij u + c u = f with
        constant matrices follow the sums A_ij + A_ji, and from conditions on fluxes,
        n_i Σ_j A_ij ∂_j u + α u = g, the matrices A_ij themselves, where A_ji is A_ij transposed.
        For a system such as elasticity, several energies have the same equation, and their fluxes
        differ.

        Args:
            problem: the problem, as `stated` returns it.

        Raises:
            InputError: for a problem without such an energy, or with other conditions.
        """
        prescribed, fluxes = list[Prescribed](), list[Condition]()
        for condition in problem.conditions():
            if problem.is_from_energy and condition.is_natural:
                continue
            if found := condition.prescribed(problem.fields):
                prescribed += found
            elif not problem.is_from_energy and condition.pieces and condition.sites == 1:
                fluxes.append(condition)
            else:
                _refuse(
                    problem, f"{condition.title} prescribes no values of single fields on sides"
                )
        pieces = [one.piece for one in prescribed]
        for piece in (*pieces, *(piece for one in fluxes for piece in one.pieces)):
            if piece.side is None or piece.names != problem.domain.names:
                _refuse(problem, f"{piece.name} is no whole side of a box")
        if problem.is_from_energy:
            return cls(problem.energy, problem.boundary_energies(), prescribed)
        return _Recovery.of(problem, prescribed, fluxes).form


def _refuse(problem: Problem, why: str) -> NoReturn:
    """Refuse a problem without a known weak form.

    Args:
        problem: the problem.
        why: the reason, in words.
    """
    raise InputError(f"no quadratic energy of {type(problem).__name__} is known: {why}")


@dataclass(frozen=True, eq=False)
class _Recovery:
    """The weak form of an equation, from its coefficients and those of conditions on fluxes.

    Args:
        problem: the problem.
        prescribed: the prescribed values.
        free: for each side the indices of the fields that are not prescribed.
        fluxes: for each side with free fields the conditions, (n, e) each.
        coefficients: the coefficients of the equation by multi-index, (m, m) each.
        sign: -1 if the equation is multiplied by -1 so that the energy is positive, otherwise 1.
    """

    problem: Problem
    prescribed: Sequence[Prescribed]
    free: dict[Side, list[int]]
    fluxes: dict[Side, Equation]
    coefficients: dict[tuple[int, ...], Tensor]
    sign: float

    @classmethod
    def of(
        cls, problem: Problem, prescribed: Sequence[Prescribed], fluxes: Sequence[Condition]
    ) -> "_Recovery":
        """Linearise the equation, and sort the conditions by sides; see `WeakForm.of`."""
        domain, fields = problem.domain, problem.fields
        free, rows = dict[Side, list[int]](), dict[Side, Equation]()
        for side in itertools.product(range(domain.dim), (False, True)):
            known = {one.field for one in prescribed if one.piece.side == side}
            free[side] = [i for i, name in enumerate(fields) if name not in known]
            own = [one for one in fluxes if any(piece.side == side for piece in one.pieces)]
            if free[side] and not own:
                _refuse(problem, "a field has no condition on a side")

            def equation(p: Points, u: Jet, own: Sequence[Condition] = own) -> Tensor:
                """The residuals of all conditions of a side."""
                return torch.cat([one.stacked_residual(p, u) for one in own], dim=1)

            if own:
                rows[side] = equation
        found = _coefficients(problem, problem.equation, _few(problem))
        trace = sum(float(found[_index(domain.dim, i, i)].trace()) for i in range(domain.dim))
        sign = -1.0 if trace > 0 else 1.0
        every = {index: sign * one for index, one in found.items()}
        if any(len(one) != len(fields) for one in every.values()):
            _refuse(problem, "it has not as many equations as fields")
        if any(sum(index) == 1 or sum(index) > 2 for index, one in every.items() if one.any()):
            _refuse(problem, "the equation has derivatives of first or of high order")
        if not all(torch.allclose(one, one.T, rtol=1e-9, atol=1e-12) for one in every.values()):
            _refuse(problem, "the equation is not symmetric")
        return cls(problem, prescribed, free, rows, every, sign)

    def _symmetric(self, i: int, j: int) -> Tensor:
        """The matrix (A_ij + A_ji) / 2."""
        own = self.coefficients.get(_index(self.problem.domain.dim, i, j))
        size = len(self.problem.fields)
        none = torch.zeros(size, size, dtype=torch.float64)
        return none if own is None else -own / (1 if i == j else 2)

    @property
    def form(self) -> WeakForm:
        """The weak form.

        Raises:
            InputError: if conditions are not those of fluxes of the equation.
        """
        dim, size = self.problem.domain.dim, len(self.problem.fields)
        matrices = {ij: self._symmetric(*ij) for ij in itertools.product(range(dim), repeat=2)}
        found = {side: self._of_side(side) for side in self.fluxes}
        for (axis, _), (free, rows, _, _) in found.items():
            for j in (one for one in range(dim) if one != axis):
                turned = torch.zeros(size, size, dtype=torch.float64)
                whole = self._symmetric(axis, j)
                own = rows[j] - whole[free]
                turned[:, free], turned[free] = -own.T, own
                matrices[axis, j], matrices[j, axis] = whole + turned, whole - turned
        scale = max(float(one.abs().max()) for one in matrices.values())
        for (axis, _), (free, rows, robin, _) in found.items():
            misfits = [rows[j] - matrices[axis, j][free] for j in range(dim)]
            misfits += [matrices[axis, j] - matrices[j, axis].T for j in range(dim)]
            misfits += [robin - robin.T]
            if max(float(one.abs().max()) for one in misfits) > 1e-8 * scale:
                _refuse(self.problem, "conditions are not those of fluxes of the equation")
        blocks = [torch.cat([matrices[i, j] for j in range(dim)], dim=1) for i in range(dim)]
        form, values = torch.cat(blocks), self.coefficients.get((0,) * dim)
        channels, _ = _tried(self.problem, self.problem.equation, _few(self.problem))

        def density(p: Points, *u: Jet) -> Tensor:
            """The density of the energy, (n, 1)."""
            slopes = torch.stack([grad(one) for one in u], dim=2).flatten(1)  # (n, d m)
            found = 0.5 * torch.einsum("na,ab,nb->n", slopes, form, slopes)
            value = torch.cat([one.value for one in u], dim=1)
            if values is not None:
                found = found + 0.5 * torch.einsum("na,ab,nb->n", value, values, value)
            source = self.problem.equation(p, zero_jet(channels, p.coords, size)).detach()
            return (found + self.sign * (source * value).sum(dim=1))[:, None]

        every = {piece.side: piece for piece in self.problem.domain.boundary.pieces}
        sides = [
            (Boundary((every[side],)), self._on_side(side, *known)) for side, known in found.items()
        ]
        return WeakForm(density, sides, self.prescribed)

    def _of_side(self, side: Side) -> tuple[list[int], list[Tensor], Tensor, Tensor]:
        """The flux on a side from the conditions there: n_i (Σ_j A_ij ∂_j u)_F + α u_F + S⁻¹ r = 0.

        Here F are the fields that are not prescribed, and r the conditions' residuals at zero.

        Returns:
            F, the matrices (A_ij)_F of each j, (e, m), α, (e, e), and S⁻¹, (e, e).
        """
        (axis, upper), free, dim = side, self.free[side], self.problem.domain.dim
        (piece,) = (one for one in self.problem.domain.boundary.pieces if one.side == side)
        p = piece.gauss(4)
        found = _coefficients(self.problem, self.fluxes[side], p)
        unit = [tuple(int(i == j) for i in range(dim)) for j in range(dim)]
        size = len(self.problem.fields)
        none = torch.zeros(len(free), size, dtype=torch.float64)
        if any(len(one) != len(free) for one in found.values()) or not free:
            _refuse(self.problem, f"{piece.name} has not as many conditions as free fields")
        if any(sum(index) > 1 for index, one in found.items() if one.any()):
            _refuse(self.problem, f"conditions on {piece.name} have second derivatives")
        normal = self._symmetric(axis, axis)[free][:, free] * (1.0 if upper else -1.0)
        across = found.get(unit[axis], none)[:, free]
        if not float(torch.linalg.cond(across)) < 1e9:
            _refuse(self.problem, f"conditions on {piece.name} are not those of fluxes")
        inverse = normal @ torch.linalg.inv(across)
        outward = 1.0 if upper else -1.0
        rows = [outward * inverse @ found.get(unit[j], none) for j in range(dim)]
        robin = inverse @ found.get((0,) * dim, none)
        others = [i for i in range(size) if i not in free]
        if bool(robin[:, others].any()):
            _refuse(self.problem, f"conditions on {piece.name} contain values of given fields")
        return free, rows, robin[:, free], inverse

    def _on_side(
        self, side: Side, free: list[int], rows: list[Tensor], robin: Tensor, inverse: Tensor
    ) -> Callable[..., Tensor]:
        """The density of the energy on a side; the arguments are those of `_of_side`."""
        equation, size = self.fluxes[side], len(self.problem.fields)
        (piece,) = (one for one in self.problem.domain.boundary.pieces if one.side == side)
        channels, _ = _tried(self.problem, equation, piece.gauss(4))

        def density(p: Points, *u: Jet) -> Tensor:
            """The density of the energy on the side, (n, 1)."""
            value = torch.cat([u[i].value for i in free], dim=1)
            given = equation(p, zero_jet(channels, p.coords, size)).detach() @ inverse.T
            found = 0.5 * torch.einsum("na,ab,nb->n", value, robin, value)
            return (found + (given * value).sum(dim=1))[:, None]

        return density


def _few(problem: Problem) -> Points:
    """A few points in the domain of a problem."""
    return sample(problem.domain, 16, "uniform")


def _index(dim: int, i: int, j: int) -> tuple[int, ...]:
    """The multi-index of the derivative by the coordinates i and j."""
    return tuple(int(i == axis) + int(j == axis) for axis in range(dim))


def _tried(problem: Problem, equation: Equation, p: Points) -> tuple[Any, Tensor]:
    """The channels of the derivatives in an equation, and its values at zero fields."""
    size = len(problem.fields)
    return find_channels(lambda c: equation(p, zero_jet(c, p.coords, size)), p.names)


def _coefficients(problem: Problem, equation: Equation, p: Points) -> dict[tuple[int, ...], Tensor]:
    """The constant coefficients of a linear equation by multi-index, (e, m) each.

    Args:
        problem: the problem.
        equation: a function of points and the jet of all fields that returns (n, e).
        p: the points at which the coefficients are compared.

    Raises:
        InputError: if the equation is not linear, or has other coefficients at other points.
    """
    channels, _ = _tried(problem, equation, p)
    linear = Linearised.at_zero(equation, p, channels, len(problem.fields))
    found = coefficients_of_derivatives(linear.slopes.detach(), channels)
    if not linear.is_affine():
        _refuse(problem, "it is not linear")
    scale = max(float(one.abs().max()) for one in found.values())
    if any(float((one - one[:1]).abs().max()) > 1e-10 * scale for one in found.values()):
        _refuse(problem, "its coefficients are not constant")
    return {index: one[0] for index, one in found.items()}
