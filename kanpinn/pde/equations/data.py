"""The data of the ready-made equations, and the boundary conditions that are made from them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.geometry import Boundary, Points
from kanpinn.jets import Channels, Jet, jet_of, normal_derivative
from kanpinn.pde.conditions import Condition, Dirichlet, Neumann, Robin
from kanpinn.pde.conditions.values import Data, values_of
from kanpinn.pde.expressions import Expression

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
