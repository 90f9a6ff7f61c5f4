"""The base class of the ready-made equations: formulas, derived sources, boundary tables."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import show
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet, laplacian, partial, total
from kanpinn.pde.conditions import Condition, Initial, Periodic
from kanpinn.pde.conditions.values import Data, values_of
from kanpinn.pde.equations.data import (
    BoundaryData,
    Function,
    Parameters,
    Value,
    check_values,
    conditions_on,
    function,
    jet,
    value,
)
from kanpinn.pde.expressions import Expression, check_parameters
from kanpinn.pde.expressions.tree import JUMPS
from kanpinn.pde.problem import Problem


class Shared(TypedDict, total=False):
    """The keyword arguments that all ready-made equations accept; see `Equation`."""

    exact: Data | None
    source: Data | None
    boundary: BoundaryData | None
    periodic: Sequence[str]
    parameters: Parameters | None


class Equation(Problem):
    """Base class of equations L u = f for one field u; data are numbers, formulas or functions.

    With `exact` the source is derived from it (a manufactured solution), and so are boundary and
    initial data that are not given. The exact solution is not used in the loss in any other way.

    Args:
        domain: a domain of space, or of space and time: a box with a coordinate t, or
            `space.over(t=(0, 1))`.
        exact: the exact solution, where it is known.
        source: the right-hand side f; by default it is derived from `exact`, or 0 without.
        boundary: the boundary data, given as the values of u; or as "neumann" or "none" (no
            condition); or as a table with one of the entries {"dirichlet": u}, {"neumann": ∂u/∂n},
            {"robin": [alpha, beta, alpha u + beta ∂u/∂n]}; or as a table that gives any of these
            for pieces by their names, and for all other pieces under "others". With `exact`, the
            words "dirichlet" and "neumann" and {"robin": [alpha, beta]} need no value.
        periodic: the names of the coordinates in which u is periodic.
        parameters: the values of names in the formulas.

    Raises:
        InputError: naming the argument that does not fit.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> mixed = {"x_min": 0, "x_max": {"neumann": 1}, "others": {"neumann": 0}}
        >>> problem = kp.Poisson(box, source="sin(pi*x)", boundary=mixed)
        >>> isinstance(problem, kp.Equation), len(problem.conditions())
        (True, 3)
    """

    exact: Function | None = None

    def __init__(
        self,
        domain: Domain,
        *,
        exact: Data | None = None,
        source: Data | None = None,
        boundary: BoundaryData | None = None,
        periodic: Sequence[str] = (),
        parameters: Parameters | None = None,
    ) -> None:
        self.domain = domain
        self.parameters = dict(parameters or {})
        check_parameters(self.parameters)
        self.time = _time_of(domain)
        self.space = tuple(name for name in domain.names if name != self.time)
        if exact is not None:
            self.exact = function(self.value("exact", exact))
        self._source: Value | None = None  # then it is derived from the exact solution
        if source is not None or exact is None:
            self._source = self.value("source", 0.0 if source is None else source)
        self._conditions = [*self._periodic(periodic)]
        if walls := self._walls(periodic):
            self._conditions += conditions_on(walls, boundary, self.exact, self.value)

    @abstractmethod
    def operator(self, p: Points, u: Jet) -> Tensor:
        """Return L u of the equation L u = f at n points, (n, 1)."""

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        return self.operator(p, *fields) - self.source(p)

    def source(self, p: Points) -> Tensor:
        given = self._source
        if given is None:
            return super().source(p)
        return p.once(self.source, lambda: values_of(given, p, 1, "source"))

    def conditions(self) -> Sequence[Condition]:
        return self._conditions

    def value(self, name: str, given: Data) -> Value:
        """Return a datum as a number or a function of points; `name` is its argument's name."""
        return value(name, given, self.domain.names, self.parameters)

    def check(self) -> None:
        super().check()
        inside = sample(self.domain, 64, "sobol")
        if self.exact is not None:
            check_values("exact", self.exact, inside)
        if self._source is not None:
            check_values("source", self._source, inside)
        self.check_coefficients(inside)

    def check_coefficients(self, inside: Points) -> None:
        """Refuse coefficients with invalid values at the given points of the domain."""

    def steady(self) -> None:
        """Refuse a domain with time, for equations without a time derivative."""
        if self.time is not None:
            kind = type(self).__name__
            raise InputError(f"domain has the time {self.time}, which {kind} does not have")

    def add_initial(self, given: Data | None, rate: Value | None = None) -> None:
        """Add the initial condition of an equation with time.

        Args:
            given: the initial values; None takes them from `exact`.
            rate: the initial time derivative, for equations of second order in time.

        Raises:
            InputError: where the domain has no time, or there are neither values nor `exact`.
        """
        if self.time is None:
            raise InputError(
                f"domain has no time, which {type(self).__name__} needs: give it a coordinate t "
                "or, where it is no box, a time"
            )
        start = self.exact if given is None else self.value("initial", given)
        if start is None:
            raise InputError("initial is missing: there is no exact solution to take it from")
        self._conditions.append(Initial(self.domain, start, rate))

    def diffusion_term(self, p: Points, u: Jet, a: Value) -> Tensor:
        """Return ∇·(a ∇u) with derivatives in space only, (n, 1)."""
        if self.time is None:
            second = laplacian(u)
        else:
            second = total(partial(u, name, name) for name in self.space)
        if not callable(a):
            return a * second
        known = jet(a, p, Channels(p.names, gradient=True))
        slopes = (partial(known, name) * partial(u, name) for name in self.space)
        return values_of(a, p, 1, "diffusion") * second + total(slopes)

    def differentiable(self, name: str, given: Data) -> Value:
        """Return the value of a coefficient that is differentiated; refuse formulas that can jump.

        Automatic differentiation would ignore the jump without a message.
        """
        found = self.value(name, given)
        if isinstance(found, Expression) and (jumps := found.functions & {*JUMPS}):
            raise InputError(
                f"{name} = {show(given)}: must have a gradient everywhere, {min(jumps)} can jump"
            )
        return found

    def _walls(self, periodic: Sequence[str]) -> Boundary | None:
        """Return the boundary without its pieces at the ends of time and its periodic pieces."""
        ends = ("initial", "final", f"{self.time}_min", f"{self.time}_max")
        ties = {f"{name}_{end}" for name in periodic for end in ("min", "max")}
        apart = ties | ({*ends} if self.time else set())
        pieces = tuple(p for p in self.domain.boundary.pieces if p.name not in apart)
        return Boundary(pieces) if pieces else None

    def _periodic(self, names: Sequence[str]) -> Iterator[Condition]:
        for name in names:
            if name not in self.space:
                raise InputError(
                    f"periodic = {list(names)}: expected coordinates of space, which are "
                    f"{', '.join(self.space)}"
                )
            if not {f"{name}_min", f"{name}_max"} <= {*self.domain.boundary.names}:
                raise InputError(
                    f"periodic = {list(names)}: the boundary has no pieces {name}_min and "
                    f"{name}_max; its pieces are {', '.join(self.domain.boundary.names)}"
                )
            yield Periodic(self.domain, name)


def _time_of(domain: Any) -> str | None:
    """Return the name of the time coordinate, or None for a domain without time."""
    if not isinstance(domain, Domain):
        raise InputError(f"domain must be a kanpinn domain such as Box(x=(-1, 1)), got {domain!r}")
    return domain.time_name
