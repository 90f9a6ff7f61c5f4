"""The sections and keys that are the same for every problem."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from kanpinn.config.forms import Key

TYPE = Key("type", str)  # of [network], [[optimizer]], [reference] and domains
EQUATION = Key("equation", str)  # of [problem]
BOUNDARY = Key("boundary", Literal["auto", "exact", "penalty"], "auto")  # of [network]
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class ClassSection:
    """[problem] with a class, and the arguments of its constructor."""

    class_: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LossSection:
    """[loss]: the weights of the mean squared residuals; "energy" minimises one in their place."""

    interior: Weight = 1.0
    boundary: Weight = 1.0
    form: Literal["strong", "energy"] = "strong"


@dataclass(frozen=True)
class RunSection:
    """[run]: what holds for the whole run; `estimate`: the errors are also estimated without the
    exact solution; `threads` (None: all cores) is for the command line."""

    seed: Annotated[int, Field(ge=0, le=2**53)] = 0
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"
    estimate: bool = False
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
