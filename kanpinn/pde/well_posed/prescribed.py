"""The values that conditions prescribe for a field, piece by piece."""

from dataclasses import dataclass

from torch import Tensor

from kanpinn.geometry import Piece, Points
from kanpinn.pde.conditions import Dirichlet, Initial
from kanpinn.pde.problem import Problem


@dataclass(frozen=True, eq=False)
class Prescribed:
    """The values of one field on one piece, by a Dirichlet or an initial condition.

    fields: how many the condition is about; column: the field's place among them.
    """

    piece: Piece
    condition: Dirichlet | Initial
    fields: int
    column: int

    def __call__(self, p: Points) -> Tensor:
        """Values (n, 1) at points of the piece."""
        found = self.condition.target(p, self.fields).to(p.coords)
        return found if found.shape[1] == 1 else found[:, self.column, None]

    def rate(self, p: Points) -> Tensor:
        """An initial condition's rates (n, 1) at points of the piece."""
        assert isinstance(self.condition, Initial)
        found = self.condition.rates(p, self.fields).to(p.coords)
        return found if found.shape[1] == 1 else found[:, self.column, None]

    @property
    def has_rate(self) -> bool:
        """Whether it prescribes a rate as well."""
        return isinstance(self.condition, Initial) and self.condition.rate is not None

    @property
    def is_zero(self) -> bool:
        """Whether the number 0 is prescribed."""
        value = self.condition.value
        return not callable(value) and value == 0


def prescribed(problem: Problem, name: str) -> list[Prescribed]:
    """What is prescribed for a field, in the order of the conditions."""
    column, found = problem.fields.index(name), []
    for condition in problem.conditions():
        if isinstance(condition, Dirichlet | Initial) and condition.field in (None, name):
            several = condition.field is None
            place = (len(problem.fields), column) if several else (1, 0)
            found += [Prescribed(piece, condition, *place) for piece in condition.boundary.pieces]
    return found
