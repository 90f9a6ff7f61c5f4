"""The base class of ready-made problems, and their data as formulas, numbers or functions."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from torch import Tensor

from kanpinn._support.errors import InputError, nearest, show
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet, jet_of, laplacian, normal_derivative, partial, total
from kanpinn.pde.conditions import Condition, Dirichlet, Initial, Neumann, Periodic, Robin
from kanpinn.pde.conditions.condition import Data, values_of
from kanpinn.pde.expressions import JUMPS, Expression, check_parameters
from kanpinn.pde.problem import Problem

Function = Callable[[Points], Tensor]
Value = float | int | Function
Parameters = Mapping[str, float | int]
Spec = Data | Mapping[str, Data | Sequence[Data]]  # "0", "neumann", {"robin": [1, 1, "x"]}
BoundaryData = Spec | Mapping[str, Spec]
Read = Callable[[str, Data], Value]  # (name for messages, datum) → value
Make = Callable[[Boundary], Condition]

KINDS = ("dirichlet", "neumann", "robin")
OTHERS = "others"


def value(name: str, given: Data, coordinates: Sequence[str], parameters: Parameters) -> Value:
    """Convert a datum: a constant formula to a number, any other formula to a function of points.

    Numbers and functions are returned unchanged.

    Args:
        name: the name of the datum, for messages.
        given: a number, a formula or a function of points.
        coordinates: the names of the coordinates that a formula may use.
        parameters: the values of further names in the formula.

    Raises:
        InputError: naming the datum, for an invalid formula.
    """
    if type(given) is not str:
        return given  # type: ignore[return-value]
    try:
        expression = Expression(given, **parameters)
        expression.check(coordinates)
    except InputError as error:
        raise InputError(f"{name} = {error}") from None
    constant = expression.constant
    return expression if constant is None else constant


def function(given: Value) -> Function:
    """Return a function unchanged, and a number as a constant function of points."""
    return given if callable(given) else Expression(repr(float(given)))


def jet(given: Function, p: Points, channels: Channels) -> Jet:
    """Return the jet of a datum at points, computed by automatic differentiation."""
    return jet_of(lambda x: given(Points(x, p.names)), p.coords, channels)


def check_values(
    name: str, given: Value, p: Points, least: float | int = -math.inf, *, above: bool = True
) -> None:
    """Refuse a datum whose values at points are not finite or too small.

    Args:
        name: the name of the datum, for messages.
        given: the datum, a number or a function of points.
        p: the points.
        least: the bound that the values have to exceed.
        above: whether values equal to `least` are refused, too.

    Raises:
        InputError: naming the datum and the point.
    """
    values = values_of(given, p, 1, name)
    good = values.isfinite() & ((values > least) if above else (values >= least))
    if not good.all():
        first = int((~good[:, 0]).nonzero()[0])
        wanted = "finite" if least == -math.inf else f"{'above' if above else 'at least'} {least:g}"
        raise InputError(
            f"{name} must be {wanted}, is {float(values[first]):.3g} at {p.show(first)}"
        )


@dataclass(frozen=True)
class NormalDerivative:
    """alpha u + beta ∂u/∂n of a known u, a function (n, 1) of points with normals."""

    known: Function
    alpha: Value = 0.0
    beta: Value = 1.0

    def __call__(self, p: Points) -> Tensor:
        u = jet(self.known, p, Channels(p.names, gradient=True))
        alpha, beta = (values_of(v, p, 1, "a Robin coefficient") for v in (self.alpha, self.beta))
        return alpha * u.value + beta * normal_derivative(u, p)


def conditions_on(
    walls: Boundary, given: BoundaryData | None, known: Function | None, read: Read
) -> list[Condition]:
    """Return the conditions on the pieces of a boundary, made from the argument `boundary`.

    Args:
        walls: the boundary, without pieces at the ends of time and periodic pieces.
        given: the argument `boundary` of `Equation`. Pieces that a table does not name, without an
            entry "others", get the exact solution's values.
        known: the exact solution, where it is known.
        read: turns a datum into a number or a function of points.

    Raises:
        InputError: naming the piece, where its entry is invalid, the boundary has no such piece, or
            a piece has neither an entry nor an exact solution.
    """
    maker = _Maker(known, read)
    match given:
        case Mapping() if not {*given} & {*KINDS}:
            return _by_name(walls, given, maker)
    return _on(walls, maker.condition("boundary", given))


def _by_name(walls: Boundary, given: Mapping[str, Any], maker: "_Maker") -> list[Condition]:
    """Return the conditions of a table whose keys are names of pieces."""
    for name in given:
        if name not in (*walls.names, OTHERS):
            raise InputError(
                f"boundary.{name} is no piece of the boundary{nearest(name, walls.names)} "
                f"(the pieces are {', '.join(dict.fromkeys(walls.names))})"
            )
    named = [name for name in given if name != OTHERS]
    found: list[Condition] = []
    for name in named:
        found += _on(walls[name], maker.condition(f"boundary.{name}", given[name]))
    if rest := tuple(piece for piece in walls.pieces if piece.name not in named):
        if OTHERS not in given and maker.known is None:
            missing = ", ".join(dict.fromkeys(piece.name for piece in rest))
            raise InputError(
                f"boundary says nothing of the pieces {missing}: name them, or say what holds on "
                f"all of them under {OTHERS}"
            )
        other = maker.condition(f"boundary.{OTHERS}", given.get(OTHERS))
        found += _on(Boundary(rest), other)
    return found


def _on(boundary: Boundary, make: Make | None) -> list[Condition]:
    return [] if make is None else [make(boundary)]


@dataclass(frozen=True)
class _Maker:
    """Makes the condition on a piece from its entry in the argument `boundary`."""

    known: Function | None
    read: Read

    def condition(self, name: str, given: Any) -> Make | None:
        """Return a function from a boundary to the condition on it, or None for no condition."""
        match given:
            case "none":
                return None
            case "dirichlet" | "neumann" | "robin":
                if self.known is None:
                    raise InputError(
                        f"{name} has no value, and there is no exact solution to take it from; "
                        f"a table with the key {given} gives one"
                    )
                return self._of_kind(name, given, None)
            case Mapping():
                if len(given) != 1 or not {*given} <= {*KINDS}:
                    raise InputError(
                        f"{name} = {show(dict(given))}: expected a value, or a table with one of "
                        f"the keys {', '.join(KINDS)}"
                    )
                ((kind, datum),) = given.items()
                return self._of_kind(f"{name}.{kind}", kind, datum)
        return self._of_kind(name, "dirichlet", given)

    def _of_kind(self, name: str, kind: str, datum: Any) -> Make:
        if kind == "robin":
            return self._robin(name, datum)
        if _is_list(datum) or type(datum) is dict:
            raise InputError(f"{name} = {show(datum)}: expected a number or a formula")
        if kind == "neumann":
            flux = self.read(name, datum) if datum is not None else self._normal(name)
            return lambda boundary: Neumann(boundary, flux)
        value = self.read(name, datum) if datum is not None else self._exact(name)
        return lambda boundary: Dirichlet(boundary, value)

    def _robin(self, name: str, data: Any) -> Make:
        if not _is_list(data) or len(data) not in (2, 3):
            raise InputError(
                f"{name} = {show(data)}: expected a list [alpha, beta, value], or [alpha, beta] "
                "where there is an exact solution"
            )
        alpha, beta, *rest = (self.read(f"{name}[{i}]", datum) for i, datum in enumerate(data))
        value = rest[0] if rest else self._normal(name, alpha, beta)
        return lambda boundary: Robin(boundary, alpha, beta, value)

    def _normal(self, name: str, alpha: Value = 0.0, beta: Value = 1.0) -> Function:
        return NormalDerivative(self._exact(name), alpha, beta)

    def _exact(self, name: str) -> Function:
        if self.known is None:
            raise InputError(f"{name} has no value, and there is no exact solution to take it from")
        return self.known


def _is_list(datum: Any) -> bool:
    return isinstance(datum, Sequence) and type(datum) is not str


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
        >>> isinstance(problem, Equation), len(problem.conditions())
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
        self._coefficients: list[tuple[str, Value, float, bool]] = []  # with their limits
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
        for name, given, least, above in self._coefficients:
            check_values(name, given, inside, least, above=above)

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

    def coefficient(
        self,
        name: str,
        given: Data,
        least: float = -math.inf,
        *,
        above: bool = True,
        differentiable: bool = False,
    ) -> Value:
        """Return a coefficient as a number or a function of points; its values are checked later.

        Args:
            name: the name of its argument.
            given: a number, a formula or a function of points.
            least: the bound that its values have to exceed.
            above: whether values equal to `least` are refused, too.
            differentiable: whether formulas that can jump are refused, since automatic
                differentiation would ignore the jump without a message.
        """
        found = self.value(name, given)
        jumps = found.functions & {*JUMPS} if isinstance(found, Expression) else ()
        if differentiable and jumps:
            raise InputError(
                f"{name} = {show(given)}: must have a gradient everywhere, {min(jumps)} can jump"
            )
        self._coefficients.append((name, found, least, above))
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
