"""The natural conditions of a problem's energy, where its fields are not prescribed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import show
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Jet
from kanpinn.pde.conditions import Condition
from kanpinn.pde.conditions.condition import OnBoundary
from kanpinn.pde.random_jets import random_jets
from kanpinn.pde.stationary import Density, Integrand, euler_lagrange, natural_residual

OnWalls = Sequence[tuple[Boundary, Density]]


@dataclass(frozen=True, eq=False)
class Natural(OnBoundary):
    """The first variation of an energy vanishes on a part of the boundary.

    Args:
        boundary: the part.
        energy: the density in the domain.
        others: the densities on this part, with their names in messages.
        columns: the number of fields and unknown numbers of the problem.
        free: the numbers of the fields that are not prescribed there.
        what: the name of `energy` in messages.

    fixes_constant: whether the densities on the boundary are not affine in the fields.
    """

    energy: Density
    others: Sequence[tuple[Density, str]]
    columns: int
    free: Sequence[int]
    what: str

    is_natural: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        p = Points.cat(piece.gauss(3) for piece in self.pieces)
        jet, _ = random_jets(self._of_all, p, self.columns)
        change = self._of_all(p, replace(jet, value=jet.value + 1)) - self._of_all(p, jet)
        vars(self)["fixes_constant"] = bool(self.others and change.abs().max() > 1e-10)

    @property
    def needs_energy(self) -> bool:
        return False  # it is made of the energy

    def _of_all(self, p: Points, u: Jet) -> Tensor:
        return self.residual(p, *(u[i] for i in range(self.columns)))

    def stacked_residual(self, fields: Sequence[str], what: str, p: Points, u: Jet) -> Tensor:
        return self._of_all(p, u)

    def residual(self, p: Points, *columns: Jet) -> Tensor:
        """Return ∂b/∂u + n·∂e/∂∇u for the fields that are free, (n, their number).

        Args:
            p: the points.
            columns: the jets of the fields, followed by those of unknown numbers.
        """
        found = natural_residual(self.energy, self.others, p, columns, self.what)
        return found[:, list(self.free)]


def with_natural(
    conditions: Sequence[Condition],
    domain: Domain,
    fields: Sequence[str],
    columns: Sequence[str],
    energy: Density,
    on_walls: OnWalls,
    what: str,
) -> list[Condition]:
    """The conditions of a problem with the natural ones of its energy.

    The latter take the place of those that are stated as fluxes.

    Args:
        conditions: those that are stated.
        domain: the domain, without a time.
        fields: the names of the problem's fields.
        columns: those of the fields and unknown numbers.
        energy, what: the density in the domain, and its name in messages.
        on_walls: parts of the boundary with the density there.

    Raises:
        InputError: where a condition couples fields on a piece of the boundary, so that none of
            them is prescribed or free.
    """
    essential = [one for one in conditions if not one.is_natural]
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[Piece]] = defaultdict(list)
    for piece in domain.boundary.pieces:
        if not any(piece in one.tied for one in essential):
            fixed = {name for one in essential for name in _fixed(one, piece, fields)}
            free = tuple(i for i, name in enumerate(fields) if name not in fixed)
            there = tuple(i for i, (part, _) in enumerate(on_walls) if piece in part.pieces)
            if free:
                alike[free, there].append(piece)
    densities = [(one, f"boundary_energies()[{i}]") for i, (_, one) in enumerate(on_walls)]
    found = [
        Natural(
            Boundary(tuple(pieces)), energy, [densities[i] for i in there], len(columns), free, what
        )
        for (free, there), pieces in alike.items()
    ]
    return [*essential, *found]


def _fixed(condition: Condition, piece: Piece, fields: Sequence[str]) -> set[str]:
    """The fields that a condition determines on a piece of the boundary."""
    if piece not in condition.pieces:
        return set()
    about = condition.about or tuple(fields)
    found = {one.field for one in condition.prescribed(fields) if one.piece == piece}
    if not found and len(about) > 1:
        raise InputError(
            f"a {type(condition).__name__} on {piece.name} couples the fields {', '.join(about)}: "
            "natural conditions of an energy are derived beside values of single fields, as "
            "kp.Dirichlet prescribes"
        )
    return found or set(about)


def check_fluxes(conditions: Sequence[Condition], on_walls: OnWalls, name: str) -> None:
    """Refuse fluxes that are stated as a condition, but not as a density on the boundary.

    Args:
        conditions: those that are stated.
        on_walls: what `boundary_energies` returned.
        name: the name of the problem.

    Raises:
        InputError: naming the condition; or for densities of another kind.
    """
    for i, pair in enumerate(on_walls):
        match pair:
            case (Boundary(), density) if callable(density):
                continue
        raise InputError(
            f"{name}.boundary_energies()[{i}] must be a pair of a part of the boundary and a "
            f"function (p, u, …), such as (domain.boundary, density), got {show(pair)}"
        )
    covered = {piece for part, _ in on_walls for piece in part.pieces}
    for index, condition in enumerate(conditions):
        if condition.needs_energy and not covered.issuperset(condition.pieces):
            raise InputError(
                f"conditions()[{index}], a {type(condition).__name__}, is natural for an energy, "
                f"but {name}.boundary_energies() has no density there: for ∂u/∂n = g it is -g u, "
                "for ∂u/∂n + αu = g it is αu²/2 - g u"
            )


def check_energy(energy: Density, domain: Domain, count: int, what: str) -> int:
    """Refuse a density whose derivatives by the coordinates are not those of its values.

    They are compared with differences at a few points, for random fields. Where a coefficient is
    computed without a graph, as from a table, its derivatives would be missing in the equation.

    Args:
        energy, what: the density, and its name in messages.
        domain: its domain.
        count: the number of fields and unknown numbers.

    Returns:
        The order of the highest derivatives in the density.

    Raises:
        InputError: see above, and for a problem with a time.
    """
    if domain.time_name is not None:
        raise InputError(
            f"{what} has the time {domain.time_name}: an equation is derived from energies of "
            "problems without a time"
        )

    def equation(p: Points, u: Jet) -> Tensor:
        return euler_lagrange(energy, p, [u[i] for i in range(count)], what, count)

    p = sample(domain, 5, "uniform")
    jet, _ = random_jets(equation, p, count)
    columns = [jet[i] for i in range(count)]
    steps = 1e-5 * (domain.bounds[1] - domain.bounds[0])
    with torch.enable_grad():
        at = Integrand.at(energy, p, columns, what)
        for axis, step in enumerate(torch.diag(steps)):
            ends = [_fluxes(energy, p, columns, sign * step, what) for sign in (-1, 1)]
            for own, *both in zip(_columns(at), *ends, strict=True):
                exact = at.slopes(own)[0][:, axis]
                gap = (both[1] - both[0])[:, 0] / (2 * steps[axis]) - exact
                size = own.abs().max() / (steps[axis] * 1e5) + exact.abs().max()
                if float(gap.detach().abs().max()) > 1e-4 * float(size.detach()):
                    raise InputError(
                        f"{what} has a coefficient whose derivative by {domain.names[axis]} is not "
                        "that of its values: compute it from p by functions of torch, without "
                        "detach() or NumPy"
                    )
    return at.order


def _columns(at: Integrand) -> list[Tensor]:
    """The derivatives of a density by those of the fields, (n, 1) each."""
    _, by_levels = at.slopes(at.density)
    return [one for level in by_levels[1:] for slope in level for one in slope.split(1, dim=1)]


def _fluxes(
    energy: Density, p: Points, fields: Sequence[Jet], shift: Tensor, what: str
) -> list[Tensor]:
    """The derivatives of a density by those of the fields at shifted points, (n, 1) each."""
    return _columns(Integrand.at(energy, Points(p.coords + shift, p.names), fields, what))
