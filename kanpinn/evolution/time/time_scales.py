"""How fast functions of time change: intervals that resolve them, and the lengths of windows there.

A window is solved at a few moments, its stages, and a pulse between two of them stays unseen.
Therefore functions that are known beforehand are sampled densely over the whole time, which takes
little work.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.errors import InputError


@dataclass(frozen=True)
class TimeScales:
    """Intervals of the whole time, in each of which a polynomial of low degree fits the functions.

    Args:
        ends: the first moment and the ends of the intervals, in increasing order; empty if nothing
            limits the windows.
        share: the largest length of a window that begins in an interval or reaches into it, for
            each stage, as a part of the length of the interval.
    """

    ends: tuple[float, ...] = ()
    share: float = 0.4

    @classmethod
    def of_samples(cls, samples: Tensor, begin: float, duration: float, small: float) -> Self:
        """The intervals for functions that are sampled in the middles of equal parts of the time.

        The whole time is halved until polynomials of degree 6 fit all functions in an interval, or
        until it has 8 samples.

        Args:
            samples: of c functions, (parts, c), for a number of parts that is a power of two.
            begin, duration: of the whole time.
            small: the largest error of the polynomials.

        Raises:
            InputError: if the number of parts is no power of two, or less than 8.
        """
        degree, least = 6, 8
        parts = len(samples)
        if parts & (parts - 1) or parts < least:
            raise InputError(f"samples must be as many as a power of two from {least}, got {parts}")
        if not samples.shape[1]:
            return cls()
        starts, found, width = torch.zeros(1, dtype=torch.long), list[Tensor](), parts
        while len(starts):
            pieces = samples.unflatten(0, (-1, width))[starts // width]
            places = (np.arange(width) + 0.5) / width * 2 - 1
            powers = np.polynomial.legendre.legvander(places, degree)
            basis = torch.from_numpy(np.linalg.qr(powers)[0])
            left = pieces - basis @ (basis.T @ pieces)
            done = (left.abs().amax(dim=(1, 2)) <= small) | (width <= least)
            found.append(starts[done] + width)
            halves = starts[~done, None] + torch.tensor([0, width // 2])
            starts, width = halves.flatten(), width // 2
        ends = torch.cat(found).sort().values.double() / parts
        return cls((begin, *(begin + duration * ends).tolist()))

    def reach(self, time: float, length: float, stages: int) -> float:
        """The length of the next window: the largest that the intervals permit, up to `length`.

        A window that is too long for an interval that it reaches into ends where this begins, or
        has the largest length that `share` permits there, whichever is longer.

        Args:
            time: the moment at which the window begins.
            length: the wanted length.
            stages: the number of stages.
        """
        for start, end in pairwise(self.ends):
            if start >= time + length:
                break
            if end > time:
                length = min(length, max(start - time, self.share * stages * (end - start)))
        return length
