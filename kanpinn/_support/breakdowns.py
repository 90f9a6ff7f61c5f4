"""The exceptions that a numerical breakdown raises."""

from typing import Final

import numpy as np
import torch

# A system is singular, an entry is not finite, or a decomposition does not converge.
LINALG_ERRORS: Final[tuple[type[Exception], type[Exception]]] = (
    np.linalg.LinAlgError,
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]
)
BREAKDOWNS: Final = (*LINALG_ERRORS, FloatingPointError, OverflowError, ZeroDivisionError)
