"""The natural conditions of a problem's energy, where its fields are not prescribed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Boundary, Domain, Piece, Points
from kanpinn.jets import Jet
from kanpinn.pde.conditions import Condition
from kanpinn.pde.conditions.condition import OnBoundary
from kanpinn.pde.evaluate import jets_of_fields
from kanpinn.pde.random_jets import random_jets
from kanpinn.pde.stationary import Density, OnWalls, natural_residual


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
        return self.residual(p, *jets_of_fields(u))

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
    count: int,
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
        count: the number of fields and unknown numbers.
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
        Natural(Boundary(tuple(pieces)), energy, [densities[i] for i in there], count, free, what)
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
