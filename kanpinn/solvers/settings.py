"""The settings of a solve, which `solve`, `auto` and problem files have in common."""

from collections.abc import Mapping
from dataclasses import dataclass

from kanpinn.geometry.sampling import Collocation


@dataclass(frozen=True, kw_only=True)
class SolveSettings:
    """How a problem is discretized: arguments of `kanpinn.solve`, which describes them.

    Args:
        points: the collocation points.
        boundary: "exact", "penalty" or "auto".
        weights: the weights of the loss terms "interior" and "boundary"; None for 1.
        balance: how factors bring the loss terms to one scale; None for no factors.
        form: "strong" for the squared residual, "energy" for `problem.energy`.
    """

    points: Collocation
    boundary: str = "auto"
    weights: Mapping[str, float | int] | None = None
    balance: str | None = None
    form: str = "strong"
