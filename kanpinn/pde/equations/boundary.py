"""Boundary data piece by piece, as tables and formulas say them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.geometry import Boundary, Points
from kanpinn.jets.jet import Channels
from kanpinn.jets.operators import normal_derivative
from kanpinn.pde.conditions import Condition, Dirichlet, Neumann, Robin
from kanpinn.pde.conditions.condition import Data, values_of
from kanpinn.pde.equations.data import Function, Value, jet

KINDS = ("dirichlet", "neumann", "robin")
OTHERS = "others"
Spec = Data | Mapping[str, Data | Sequence[Data]]  # "0", "neumann", {"robin": [1, 1, "x"]}
BoundaryData = Spec | Mapping[str, Spec]
Read = Callable[[str, Data], Value]  # of a datum, with its name for messages


@dataclass(frozen=True)
class NormalDerivative:
    """alpha u + beta ∂u/∂n of a known u, at points that carry normals."""

    known: Function
    alpha: Value = 0.0
    beta: Value = 1.0

    def __call__(self, p: Points) -> Tensor:
        u = jet(self.known, p, Channels(p.names, gradient=True))
        alpha, beta = (values_of(v, p, 1, "a Robin coefficient") for v in (self.alpha, self.beta))
        return alpha * u.value + beta * normal_derivative(u, p)


def boundary_conditions(
    walls: Boundary, given: BoundaryData | None, known: Function | None, read: Read
) -> list[Condition]:
    """The conditions on the pieces of `walls`; those that are not named take the known solution's.

    Raises:
        InputError: naming the piece, where what is given for it is no condition, there is no such
            piece, or nothing is said of one.
    """
    maker = _Maker(known, read)
    if not isinstance(given, Mapping) or {*given} & {*KINDS}:
        return _on(walls, maker.condition("boundary", given))
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
        if OTHERS not in given and known is None:
            missing = ", ".join(dict.fromkeys(piece.name for piece in rest))
            raise InputError(
                f"boundary says nothing of the pieces {missing}: name them, or say what holds on "
                f"all of them under {OTHERS}"
            )
        other = maker.condition(f"boundary.{OTHERS}", given.get(OTHERS))
        found += _on(Boundary(rest), other)
    return found


Make = Callable[[Boundary], Condition]


def _on(boundary: Boundary, make: Make | None) -> list[Condition]:
    return [] if make is None else [make(boundary)]


@dataclass(frozen=True)
class _Maker:
    """Turns what is said of a piece into its condition."""

    known: Function | None
    read: Read

    def condition(self, name: str, given: Any) -> Make | None:
        """What makes the condition; None where nothing is to hold."""
        if given is None:
            return self._dirichlet(name, None)
        if given == "none":
            return None
        if isinstance(given, str) and given in KINDS:
            return self._of_kind(name, given, None)
        if not isinstance(given, Mapping):
            return self._dirichlet(name, given)
        if len(given) != 1 or not {*given} <= {*KINDS}:
            raise InputError(
                f"{name} = {show(dict(given))}: expected a value, or a table with one of the keys "
                f"{', '.join(KINDS)}"
            )
        ((kind, datum),) = given.items()
        return self._of_kind(f"{name}.{kind}", kind, datum)

    def _of_kind(self, name: str, kind: str, datum: Any) -> Make:
        if kind == "robin":
            return self._robin(name, datum)
        if isinstance(datum, Mapping) or (isinstance(datum, Sequence) and not _is_text(datum)):
            raise InputError(f"{name} = {show(datum)}: expected a number or a formula")
        return self._neumann(name, datum) if kind == "neumann" else self._dirichlet(name, datum)

    def _dirichlet(self, name: str, datum: Any) -> Make:
        value = self._exact(name) if datum is None else self.read(name, datum)
        return lambda boundary: Dirichlet(boundary, value)

    def _neumann(self, name: str, datum: Any) -> Make:
        known = None if datum is not None else NormalDerivative(self._exact(name))
        value = known or self.read(name, datum)
        return lambda boundary: Neumann(boundary, value)

    def _robin(self, name: str, data: Any) -> Make:
        count = len(data) if isinstance(data, Sequence) and not _is_text(data) else 0
        if count not in (2, 3):
            raise InputError(
                f"{name} = {show(data)}: expected a list [alpha, beta, value], or [alpha, beta] "
                "where there is an exact solution"
            )
        alpha, beta, *rest = (self.read(f"{name}[{i}]", datum) for i, datum in enumerate(data))
        value = rest[0] if rest else NormalDerivative(self._exact(name), alpha, beta)
        return lambda boundary: Robin(boundary, alpha, beta, value)

    def _exact(self, name: str) -> Function:
        if self.known is None:
            raise InputError(f"{name} has no value, and there is no exact solution to take it from")
        return self.known


def _is_text(datum: Any) -> bool:
    return isinstance(datum, str)
