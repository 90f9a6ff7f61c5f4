"""The libraries that optimizers use, loaded before any time is measured."""

import torch


def load_libraries() -> None:
    """Import the modules that torch and SciPy load lazily, so that no run's time includes this."""
    import scipy.linalg  # noqa: F401

    one = torch.ones(1, requires_grad=True)
    torch.autograd.grad(one + 0, one, torch.ones(1))
