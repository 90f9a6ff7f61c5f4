"""What the data of an equation may be, and what they are turned into."""

import math
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets.autograd_jet import jet_of
from kanpinn.jets.jet import Channels, Jet
from kanpinn.pde.conditions.condition import Data, values_of
from kanpinn.pde.expressions import Expression

Function = Callable[[Points], Tensor]
Value = float | int | Function
Parameters = Mapping[str, float | int]


def value(name: str, given: Data, coordinates: Sequence[str], parameters: Parameters) -> Value:
    """A number where the datum is the same everywhere, otherwise a function of points.

    Raises:
        InputError: naming the datum, where it is a formula that cannot be used.
    """
    if not isinstance(given, str):
        return given
    try:
        expression = Expression(given, **parameters)
        expression.check(coordinates)
    except InputError as error:
        raise InputError(f"{name} = {error}") from None
    constant = expression.constant
    return expression if constant is None else constant


def function(given: Value) -> Function:
    """A value as a function of points."""
    return given if callable(given) else Expression(repr(float(given)))


def jet(given: Function, p: Points, channels: Channels) -> Jet:
    """A datum's derivatives at points, by automatic differentiation."""
    return jet_of(lambda x: given(Points(x, p.names)), p.coords, channels)


def check_values(
    name: str, given: Value, p: Points, least: float | int = -math.inf, *, above: bool = True
) -> None:
    """Refuse values at points that are not finite, or not at least (above: above) some number.

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
