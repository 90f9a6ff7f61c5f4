"""The sections and keys that are the same for all files of a kind."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from kanpinn.runs.config.forms import Key

TYPE = Key("type", str)  # of [network], [[optimizer]], [reference] and domains
EQUATION = Key("equation", str)  # of [problem]
BOUNDARY = Key("boundary", Literal["auto", "exact", "penalty"], "auto")  # of [network]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=2**53)]


@dataclass(frozen=True)
class ClassSection:
    """[problem] with a class, and the arguments of its constructor."""

    class_: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LossSection:
    """[loss]: the weights of the mean squared residuals; "energy" minimises one in their place.

    `attention`, `balance` and `causal` are those of `kanpinn.Weighting`.
    """

    interior: Weight = 1.0
    boundary: Weight = 1.0
    form: Literal["strong", "energy"] = "strong"
    attention: Annotated[float, Field(gt=0, lt=1)] | None = None
    balance: Literal["ntk", "gradients"] | None = None
    causal: Annotated[float, Field(gt=0)] | None = None


@dataclass(frozen=True)
class WeightSection:
    """[loss] of an eigenvalue problem: the weights of its operator and of its conditions."""

    interior: Weight = 1.0
    boundary: Weight = 1.0


@dataclass(frozen=True)
class EigenSection:
    """[eigen]: how many eigenvalues, the smallest ones or those nearest to a number."""

    count: Annotated[int, Field(ge=1)] = 6
    near: float | None = None


@dataclass(frozen=True)
class FileSection:
    """[data] with a file of columns.

    `validation` and `test` are shares of its rows, or files of their own; rows that agree in the
    columns `groups` stay together in one part; `seed`, by default the run's, chooses the rows.
    `classes` names all there are, where the file does not have them all.
    """

    path: str
    inputs: list[str] | None = None
    targets: str | list[str] | None = None
    kind: Literal["numbers", "classes"] = "numbers"
    classes: list[str] | None = None
    validation: Share | str = 0.0
    test: Share | str = 0.2
    groups: str | list[str] | None = None
    seed: Seed | None = None


@dataclass(frozen=True)
class FormulaSection:
    """[data] that a formula makes, or several, at so many random points of a domain."""

    formula: str | list[str]
    domain: dict[str, Any]
    rows: Annotated[int, Field(ge=1)] = 1000
    validation: Share = 0.0
    test: Share = 0.2
    seed: Seed | None = None


@dataclass(frozen=True)
class FitSection:
    """[fit]: how inputs are scaled, the range [low, high] of some in place of that of their rows,
    rows that a step sees (0: all), the arguments of `kanpinn.Sparsity`, and steps without a lower
    validation error that end the fit."""

    scaling: Literal["range", "standard", "quantile"] | None = None
    bounds: dict[str, list[float]] | None = None
    batch: Annotated[int, Field(ge=0)] = 0
    sparsity: dict[str, Any] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True)
class RunSection:
    """[run]: what holds for the whole run; `estimate`: the errors of a solve are also estimated
    without the exact solution, which `tolerance`, a relative L2 error, is compared with;
    `budget_seconds`: that the steps may take; `threads` (None: all cores) is for the command line.
    """

    seed: Seed = 0
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"
    estimate: bool = False
    tolerance: Annotated[float, Field(gt=0)] | None = None
    budget_seconds: Annotated[float, Field(gt=0)] | None = None
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
