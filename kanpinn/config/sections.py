"""The sections of a problem file that are the same for every problem."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from kanpinn.config.forms import Key

TYPE = Key("type", str)  # of [network] and [[optimizer]]
BOUNDARY = Key("boundary", Literal["exact", "penalty"], "exact")  # of [network]
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class ProblemSection:
    """[problem]: the class, and the arguments of its constructor."""

    class_: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LossSection:
    """[loss]: the weights of the mean squared residuals."""

    interior: Weight = 1.0
    boundary: Weight = 1.0


@dataclass(frozen=True)
class RunSection:
    """[run]: what holds for the whole run; `threads` (None: all cores) is for the command line."""

    seed: Annotated[int, Field(ge=0, le=2**53)] = 0
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"
    threads: Annotated[int, Field(ge=1)] | None = None
