"""Optimizers that are to work one after another, and what they import."""

from collections.abc import Sequence

import torch

from kanpinn._support.errors import InputError
from kanpinn.optimizers.optimizer import Optimizer


def as_stages(
    optimizers: Optimizer | Sequence[Optimizer], resample: int, what: str = "resample must be 0"
) -> tuple[Optimizer, ...]:
    """The optimizers as a tuple.

    Raises:
        InputError: for anything else, or one that needs the same points throughout where `what`
            brings fresh ones.
    """
    chosen = (optimizers,) if isinstance(optimizers, Optimizer) else tuple(optimizers)
    if not chosen or not all(isinstance(o, Optimizer) for o in chosen):
        raise InputError(f"optimizers must be one or more kanpinn optimizers, got {optimizers!r}")
    for optimizer in chosen:
        if resample and optimizer.needs_fixed_points:
            raise InputError(
                f"{what} for {optimizer.title}, which needs the same points and weights throughout"
            )
    return chosen


def load_libraries() -> None:
    """Bring what torch and SciPy import at first use, a second: no part of a run's time."""
    import scipy.linalg  # noqa: F401

    one = torch.ones(1, requires_grad=True)
    torch.autograd.grad(one + 0, one, torch.ones(1))
