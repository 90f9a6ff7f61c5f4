"""Conditions at walls: which unknowns they tie, and the tests of the equation that they replace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.space.element_space import ElementSpace
from kanpinn.evolution.space.term_in_space import MomentsInTime, TermInSpace
from kanpinn.loss.terms import ResidualTerm

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Ties:
    """Conditions that tie some unknowns, and the tests of the equation that they replace.

    The linearised conditions determine as many of the unknowns `numbers` as they have independent
    rows. The equation is tested with those combinations of the functions that satisfy the
    conditions for zero data, so that the conditions hold exactly and the tests are as in a space
    whose functions satisfy them.

    Args:
        numbers: of the unknowns, (u,).
        kept: the combinations, orthonormal columns (u, u - c).
        rows: the combinations (c, r) of all rows of the conditions that are independent.
    """

    numbers: Array
    kept: Array
    rows: Array


def condition_rows(
    walls: Sequence[TermInSpace], unknowns: int, moments: MomentsInTime, states: Tensor
) -> list[Array]:
    """The linearised conditions for the derivatives of order r = 0, 1, … in time, (rows, n·m)."""
    by_order: list[list[Array]] = []
    for wall in walls:
        space = cast(ElementSpace, wall.space)
        index = space.index  # one place for each element
        columns = (index[:, :, None] * wall.fields + torch.arange(wall.fields)).flatten(1)
        for r, slopes in enumerate(space.by_functions(wall.linearised(moments, states))):
            entries = slopes[:, :, 0].transpose(-1, -2).flatten(2)  # (equations, places, columns)
            rows = entries.new_zeros(*entries.shape[:2], unknowns)
            rows.scatter_add_(2, columns.expand_as(entries), entries)
            rows = rows.unflatten(1, (-1, wall.term.sites)).sum(dim=2)
            by_order += [[]] * (r == len(by_order))
            by_order[r] = [*by_order[r], rows.transpose(0, 1).flatten(0, 1).numpy()]
    return [np.concatenate(one) for one in by_order]


def ties_of(conditions: Sequence[Array], rate: float, small: float = 1e-10) -> list[Ties]:
    """What linearised conditions tie.

    Args:
        conditions: their rows for the derivatives of order r in time, see `condition_rows`.
        rate: the size of a derivative in time, such as the inverse of a window's length.
        small: the relative size below which a combination of conditions is taken to hold anyway.

    Raises:
        InputError: for a row that ties no unknowns.
    """
    total = sum(rate**r * rows for r, rows in enumerate(conditions))
    total = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)
    total[np.abs(total) < small] = 0
    if not total.any(axis=1).all():
        raise InputError(
            "march cannot impose a condition on walls that does not depend on the solution where "
            "it has its initial values"
        )
    found, left = [], set(range(len(total)))
    while left:
        group = {left.pop()}
        while True:  # all rows that share unknowns
            columns = total[sorted(group)].any(axis=0)
            more = {i for i in left if total[i, columns].any()}
            if not more:
                break
            group |= more
            left -= more
        rows, numbers = sorted(group), np.flatnonzero(columns)
        u, sizes, v = np.linalg.svd(total[rows][:, numbers])
        rank = int((sizes > small * sizes[0]).sum())
        combined = np.zeros((rank, len(total)))
        combined[:, rows] = u[:, :rank].T
        found.append(Ties(numbers, v[rank:].T, combined))
    return found


def check_places(ties: Sequence[Ties], walls: Sequence[ResidualTerm]) -> None:
    """Refuse fewer places at walls than conditions that the functions can violate."""
    enough = 0.8  # of the number of rows
    if any(len(tie.rows) > enough * tie.rows.any(axis=0).sum() for tie in ties):
        count = sum(wall.rows for wall in walls)
        raise InputError(
            f"march needs more than {count} places at walls for the network's functions: "
            "boundary in [points], or Collocation(boundary=…), must be larger"
        )
