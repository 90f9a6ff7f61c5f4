"""In words: whether modes are what was asked for, and why there are no bounds."""

import math

import torch
from torch import Tensor

from kanpinn.solvers.eigen.finding import Found

ADVICE = "more units, or points, would show more"
POOR = 1e-3  # of its size: an eigenvalue that is known no better is told
ZERO = 1e-3  # of its distance to the shift: the least size, since an eigenvalue may be zero
NAMED = 6  # of these by their number


def status_of(found: Found, values: Tensor, unknown: Tensor, count: int, near: float | None) -> str:
    """What a solve for `count` eigenvalues ends with.

    unknown: how far each of the values can be expected to be from an exact one, (len(values),).
    """
    if near is not None and found.nearer:
        return (
            f"stopped: eigenvalues nearer to {near:g} are not resolved ({found.nearer}): {ADVICE}"
        )
    if len(values) < count:
        return f"stopped: only {len(values)} of {count} eigenvalues are resolved: {ADVICE}"
    distances = (values - found.spectrum.shift).abs()
    part = unknown / torch.maximum(values.abs(), ZERO * distances)
    poor = [str(index + 1) for index, share in enumerate(part.tolist()) if not share <= POOR]
    if not poor:
        return "converged"
    named = f"{', '.join(poor[:NAMED])}{', …' if len(poor) > NAMED else ''}"
    which = f"eigenvalues {named} are" if len(poor) > 1 else f"eigenvalue {named} is"
    return f"stopped: {which} known to {float(part.max()):.1%} only: {ADVICE}"


def not_self_adjoint(asymmetry: float) -> str:
    """That a problem is not, as it says itself or by its forms; or that it was not found to be."""
    if math.isinf(asymmetry):
        return "the problem is not self-adjoint"
    return (
        f"the problem was not found to be self-adjoint (asymmetry {asymmetry:.0e}); where it is, "
        "more points show it, or self_adjoint = True says so"
    )
