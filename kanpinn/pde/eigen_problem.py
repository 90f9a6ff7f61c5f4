"""The base class of eigenvalue problems L u = λ M u with homogeneous conditions."""

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Jet, stack_equations
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.unknown import check_arguments, check_fields

Columns = Tensor | Jet | tuple[Tensor | Jet, ...]


class EigenProblem(BoundaryValueProblem):
    """An eigenvalue problem L u = λ M u: subclass it and write `domain`, `operator`, `conditions`.

    `operator(p, u)` returns L u, (n, equations) or a tuple of such, from points with named
    coordinates and the field's jet, and has to be linear. For a system it takes a jet for each of
    the `fields`. The conditions have to be homogeneous, such as u = 0, ∂u/∂n = 0 or periodic.

    `self_adjoint` says whether L and M are self-adjoint under the conditions; with None this is
    determined numerically.

    Example:
        >>> import kanpinn as kp
        >>> class String(kp.EigenProblem):
        ...     domain = kp.Box(x=(0, 1))
        ...     def operator(self, p, u):
        ...         return -kp.laplacian(u)
        ...     def conditions(self):
        ...         return [kp.Dirichlet(self.domain.boundary)]
        >>> modes = kp.eigen(String(), kp.KAN([1, 1], degree=9, grid=8), count=2)
        >>> [f"{value:.6f}" for value in modes.values.tolist()]
        ['9.869604', '39.478418']
    """

    needs_conditions = False
    self_adjoint: bool | None = None

    @abstractmethod
    def operator(self, p: Points, *fields: Jet) -> Columns:
        """Return L u at n points, such as -Δu: (n, equations) or a tuple of such."""

    def mass(self, p: Points, *fields: Jet) -> Columns:
        """Return M u at n points, by default the fields themselves.

        The number of equations has to be that of the operator.
        """
        return fields

    def exact_eigenvalues(self, count: int) -> Sequence[float | complex]:
        """Return the first `count` exact eigenvalues, repeated by multiplicity, to compute errors.

        Raises:
            InputError: where the class does not define them.
        """
        raise InputError(f"{type(self).__name__} has no exact_eigenvalues(count)")

    @property
    def has_exact_eigenvalues(self) -> bool:
        """Whether the class defines exact eigenvalues."""
        return type(self).exact_eigenvalues is not EigenProblem.exact_eigenvalues

    def operator_values(self, p: Points, u: Jet) -> Tensor:
        """Return L u at n points, (n, equations), from the jet of all fields.

        Raises:
            InputError: where `operator` returns another shape.
        """
        return stack_equations(self.operator(p, *u.components()), len(p), "operator")

    def mass_values(self, p: Points, u: Jet) -> Tensor:
        """Return M u at n points, (n, equations), from the jet of all fields.

        Raises:
            InputError: where `mass` returns another shape.
        """
        return stack_equations(self.mass(p, *u.components()), len(p), "mass")

    def equation(self, p: Points, u: Jet) -> Tensor:
        """Return (L + M) u, which uses the derivatives of L and M; it is not zero for modes."""
        return self.operator_values(p, u) + self.mass_values(p, u)

    def check(self) -> None:
        """Refuse a class whose attributes or methods are missing or invalid.

        Raises:
            InputError: naming the attribute or the method, and what it must be.
        """
        name, domain = type(self).__name__, getattr(self, "domain", None)
        check_fields(name, domain, self.fields, self.free_constant)
        if getattr(self, "unknowns", None):
            raise InputError(f"{name}.unknowns: an eigenvalue problem has none")
        check_arguments(f"{name}.operator", self.operator, self.fields)
        check_arguments(f"{name}.mass", self.mass, self.fields)
