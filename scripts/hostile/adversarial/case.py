"""A problem with a network and points that may not suit it."""

from dataclasses import dataclass

import kanpinn as kp


@dataclass(frozen=True)
class Case:
    """A problem with an exact solution, and a solve of it.

    Args:
        name: says what is hard about it.
        problem: with `exact`.
        network: of the solve.
        points: of the solve; None for the default.
    """

    name: str
    problem: kp.Problem
    network: kp.KAN
    points: kp.Collocation | None = None
