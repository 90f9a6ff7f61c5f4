"""The status of an eigenvalue solve, and the reason for missing bounds, in words."""

import math

import torch
from torch import Tensor

from kanpinn.solvers.eigen.finding import FoundModes

ADVICE = "more units, or points, would show more"


def status_of(
    found: FoundModes, values: Tensor, unknown: Tensor, count: int, near: float | None
) -> str:
    """Return the status of a solve for `count` eigenvalues, in words.

    Args:
        found: the resolved modes.
        values: their first eigenvalues, at most `count`.
        unknown: the expected error of each value, (len(values),).
        count: the number of eigenvalues requested.
        near: the number they should be nearest to; None for those at the end of the spectrum.
    """
    poor_from, named_at_most = 1e-3, 6  # a relative error of 0.1 % is good enough
    if near is not None and found.nearer:
        return (
            f"stopped: eigenvalues nearer to {near:g} are not resolved ({found.nearer}): {ADVICE}"
        )
    if len(values) < count:
        return f"stopped: only {len(values)} of {count} eigenvalues are resolved: {ADVICE}"
    distances = (values - found.spectrum.shift).abs()
    part = unknown / torch.maximum(values.abs(), 1e-3 * distances)  # an eigenvalue may be zero
    poor = [str(index + 1) for index, share in enumerate(part.tolist()) if not share <= poor_from]
    if not poor:
        return "converged"
    named = f"{', '.join(poor[:named_at_most])}{', …' if len(poor) > named_at_most else ''}"
    which = f"eigenvalues {named} are" if len(poor) > 1 else f"eigenvalue {named} is"
    return f"stopped: {which} known to {float(part.max()):.1%} only: {ADVICE}"


def not_self_adjoint(asymmetry: float) -> str:
    """Return in words why a problem was not solved as a self-adjoint one.

    Args:
        asymmetry: the measured asymmetry; infinite if the problem says so itself or has no forms.
    """
    if math.isinf(asymmetry):
        return "the problem is not self-adjoint"
    return (
        f"the problem was not found to be self-adjoint (asymmetry {asymmetry:.0e}); where it is, "
        "more points show it, or self_adjoint = True says so"
    )
