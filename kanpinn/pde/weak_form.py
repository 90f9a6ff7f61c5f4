"""The quadratic energy of a problem that is stated by an energy, or by an equation with constant
coefficients and conditions on values and fluxes on whole sides of a box.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet, find_channels, grad, zero_jet
from kanpinn.pde.coefficients import Coefficients, Unsuitable, read_coefficients
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
        coefficients: the coefficients of the equation, one row.
        sign: -1 if the equation is multiplied by -1 so that the energy is positive, otherwise 1.
    """

    problem: Problem
    prescribed: Sequence[Prescribed]
    free: dict[Side, list[int]]
    fluxes: dict[Side, Equation]
    coefficients: Coefficients
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
        found = _constant(problem, problem.equation, _few(problem))
        if found.zeroth.shape[1] != len(fields):
            _refuse(problem, "it has not as many equations as fields")
        trace = float(torch.einsum("kiiaa->", found.second))
        sign = -1.0 if trace > 0 else 1.0
        every = found.times(sign)
        if bool(every.first.any()):
            _refuse(problem, "the equation has derivatives of first order")
        if not all(
            torch.allclose(one, one.swapaxes(1, 2), rtol=1e-9, atol=1e-12)
            for one in (every.second, every.zeroth)
        ):
            _refuse(problem, "the equation is not symmetric")
        return cls(problem, prescribed, free, rows, every, sign)

    def _symmetric(self, i: int, j: int) -> Tensor:
        """The matrix (A_ij + A_ji) / 2."""
        return -self.coefficients.second[0, :, :, i, j]

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
        form, values = torch.cat(blocks), self.coefficients.zeroth[0]
        channels = _channels(self.problem, self.problem.equation, _few(self.problem))

        def density(p: Points, *u: Jet) -> Tensor:
            """The density of the energy, (n, 1)."""
            slopes = torch.stack([grad(one) for one in u], dim=2).flatten(1)  # (n, d m)
            found = 0.5 * torch.einsum("na,ab,nb->n", slopes, form, slopes)
            value = torch.cat([one.value for one in u], dim=1)
            found = found + 0.5 * torch.einsum("na,ab,nb->n", value, values, value)
            source = self.problem.equation(p, zero_jet(channels, p.coords, size)).detach()
            return (found + self.sign * (source * value).sum(dim=1))[:, None]

        every = {piece.side: piece for piece in self.problem.domain.boundary.pieces}
        sides = [
            (Boundary((every[side],)), self._on_side(side, *known)) for side, known in found.items()
        ]
        return WeakForm(density, sides, self.prescribed)

    def _of_side(self, side: Side) -> tuple[list[int], list[Tensor], Tensor, Tensor]:
        """The conditions on the fluxes of a side whose normal n is along axis i, in a normal form.

        The normal form is n_i (Σ_j A_ij ∂_j u)_F + α u_F + S r = 0. Here F are the e fields that
        are not prescribed on the side, r are the residuals of the e conditions for u = 0, and the
        matrix S converts the conditions, which may have any sign and scale.

        Returns:
            The indices F, for each j the matrix (A_ij)_F, (e, m), α, (e, e), and S, (e, e).
        """
        (axis, upper), free, dim = side, self.free[side], self.problem.domain.dim
        (piece,) = (one for one in self.problem.domain.boundary.pieces if one.side == side)
        p = piece.gauss(4)
        found = _constant(self.problem, self.fluxes[side], p)
        size, (slopes, values) = len(self.problem.fields), (found.first[0], found.zeroth[0])
        if len(values) < len(free) or not free:
            _refuse(self.problem, f"{piece.name} has not as many conditions as free fields")
        if bool(found.second.any()):
            _refuse(self.problem, f"conditions on {piece.name} have second derivatives")
        normal = self._symmetric(axis, axis)[free][:, free] * (1.0 if upper else -1.0)
        across = slopes[:, free, axis]
        if not float(torch.linalg.cond(across)) < 1e9:
            _refuse(self.problem, f"conditions on {piece.name} are not those of fluxes")
        solved = torch.linalg.pinv(across)
        every = torch.cat([slopes.flatten(1), values], dim=1)
        if float((every - across @ (solved @ every)).abs().max()) > 1e-9 * float(every.abs().max()):
            _refuse(self.problem, f"{piece.name} has more conditions than free fields")
        inverse = normal @ solved
        outward = 1.0 if upper else -1.0
        rows = [outward * inverse @ slopes[:, :, j] for j in range(dim)]
        robin = inverse @ values
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
        channels = _channels(self.problem, equation, piece.gauss(4))

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


def _channels(problem: Problem, equation: Equation, p: Points) -> Channels:
    """The channels of the derivatives in an equation."""
    size = len(problem.fields)
    return find_channels(lambda c: equation(p, zero_jet(c, p.coords, size)), p.names)[0]


def _constant(problem: Problem, equation: Equation, p: Points) -> Coefficients:
    """The constant coefficients of linear equations, one row.

    Args:
        problem: the problem.
        equation: a function of points and the jet of all fields that returns (n, e).
        p: the points at which the coefficients are compared.

    Raises:
        InputError: if the equations are not linear, have derivatives above the second order, or
            have other coefficients at other points.
    """
    try:
        found = read_coefficients(equation, p, "it", len(problem.fields))
    except Unsuitable as reason:
        _refuse(problem, str(reason))
    if not found.are_constant:
        _refuse(problem, "its coefficients are not constant")
    return Coefficients(*(part[:1] for part in found.parts))
