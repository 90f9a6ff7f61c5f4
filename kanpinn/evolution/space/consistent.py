"""Initial values that are made consistent with the conditions at walls."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn.evolution.space.term_in_space import MomentsInTime, TermInSpace

Array = NDArray[Any]


def consistent_states(
    states: Tensor,
    walls: Sequence[TermInSpace],
    moments: MomentsInTime,
    rows_at: Callable[[Tensor], Sequence[Array]],
    inverse_mass: Callable[[Array], Array],
    combined: Sequence[Array] | None = None,
    passes: int = 3,
) -> Tensor:
    """States, the first one changed as little as possible so that conditions at walls hold.

    The change is the least in the mean square over space. Conditions that contain derivatives in
    time say nothing about the first moment.

    Args:
        states: the coefficients of the value and, for second order, the rate, (order, n, m).
        walls: the conditions.
        moments: the first moment.
        rows_at: gives the linearised conditions for the derivatives of order r = 0, 1, … in time,
            (rows, n·m) each, at coefficients of the polynomials (b, n, m).
        inverse_mass: solves with the matrix of the integrals of products of two functions.
        combined: combinations of all conditions to satisfy, (c, rows) each; None for all of them
            themselves.
        passes: of Newton's method, for conditions that are not linear.
    """
    places = [wall.points(moments.times) for wall in walls]
    for _ in range(passes):
        whole = torch.cat([states, 0 * states[:1]])
        values, *later = rows_at(whole)
        own = values.any(axis=1) & ~np.any([one.any(axis=1) for one in later], axis=0)
        if not own.any():
            return states
        both = zip(walls, places, strict=True)
        misfits = [wall.residual(at, moments, whole).flatten() for wall, at in both]
        right = torch.cat(misfits).numpy()
        if combined is None:
            rows, right = values[own], right[own]
        else:
            rows = np.concatenate([(one * own) @ values for one in combined])
            right = np.concatenate([(one * own) @ right for one in combined])
        near = np.stack([inverse_mass(np.ascontiguousarray(row)) for row in rows], axis=1)
        change = near @ np.linalg.lstsq(rows @ near, right, rcond=1e-10)[0]
        first = states[:1] - torch.from_numpy(change).view_as(states[:1])
        states = torch.cat([first, states[1:]])
    return states
