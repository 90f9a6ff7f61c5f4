"""Eigenvalue problems: an operator, a mass and homogeneous conditions on a domain."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.pde.evaluate import stack_equations
from kanpinn.pde.problem import Problem
from kanpinn.pde.validate import check_arguments

Columns = Tensor | Jet | tuple[Tensor | Jet, ...]


class EigenProblem(Problem):
    """L u = λ M u: subclass it and write `domain`, `operator` and `conditions`.

    operator(p, u) gives L u, (n, equations) or a tuple of such, from named points and the field's
    jet, and has to be linear; a system takes a jet for each of its `fields`. Conditions are
    homogeneous: u = 0, ∂u/∂n = 0, periodic and the like.

    self_adjoint: whether L and M are, under the conditions; None leaves it to be measured.
    """

    solved_by: ClassVar[str] = "eigen"
    needs_conditions: ClassVar[bool] = False
    self_adjoint: bool | None = None

    @abstractmethod
    def operator(self, p: Points, *fields: Jet) -> Columns:
        """L u, such as -Δu."""

    def mass(self, p: Points, *fields: Jet) -> Columns:
        """M u, by default the fields themselves; as many equations as the operator has."""
        return fields

    def exact_eigenvalues(self, count: int) -> Sequence[float | complex]:
        """The first `count` exact eigenvalues by multiplicity; they give the errors."""
        raise InputError(f"{type(self).__name__} has no exact_eigenvalues(count)")

    @property
    def has_exact_eigenvalues(self) -> bool:
        """Whether the class gives exact eigenvalues."""
        return type(self).exact_eigenvalues is not EigenProblem.exact_eigenvalues

    def residual(self, p: Points, *fields: Jet) -> tuple[Tensor, ...]:
        """(L + M) u, whose derivatives are those that L and M use; no mode solves it."""
        parts = (self.operator(p, *fields), self.mass(p, *fields))
        left, right = (stack_equations(part, len(p), "operator or mass") for part in parts)
        return (left + right,)

    def check(self) -> None:
        """Refuse a class that lacks what `eigen` needs."""
        name = type(self).__name__
        check_arguments(f"{name}.operator", self.operator, self.fields)
        check_arguments(f"{name}.mass", self.mass, self.fields)
        if self.unknowns:
            raise InputError(f"{name}.unknowns: an eigenvalue problem has none")
        super().check()
