"""In words: whether modes are what was asked for, and why there are no bounds."""

import math

import torch
from torch import Tensor

from kanpinn.solvers.eigen.finding import Found

ADVICE = "more units, or points, would show more"


def status_of(found: Found, values: Tensor, unknown: Tensor, count: int, near: float | None) -> str:
    """How a solve for `count` eigenvalues has ended, in words.

    Args:
        found: the resolved modes.
        values: the first eigenvalues of them, at most `count`.
        unknown: how far each of the values can be expected to be from an exact one, (len(values),).
        count: eigenvalues that were asked for.
        near: they were to be the nearest to it, None for those at the end of the spectrum.
    """
    poor_from, named_at_most = 1e-3, 6  # known to a tenth of a per cent of its size is well known
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
    """That a problem is not, as it says itself or by its forms; or that it was not found to be."""
    if math.isinf(asymmetry):
        return "the problem is not self-adjoint"
    return (
        f"the problem was not found to be self-adjoint (asymmetry {asymmetry:.0e}); where it is, "
        "more points show it, or self_adjoint = True says so"
    )
