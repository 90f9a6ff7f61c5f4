"""Terms that are linear in the parts of the fields' jets: their factors, and what is left at 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, slopes_by_parts, zero_jet
from kanpinn.loss.terms import ResidualTerm


@dataclass(frozen=True, eq=False)
class LinearTerm:
    """A term at n points, linearised at fields that vanish with all derivatives.

    Args:
        term: the term.
        points: the points.
        zero: the jet of such fields.
        rest: the residuals there, (n, equations).
        slopes: for each equation the derivatives by the parts of the jets, (n, parts, m).
    """

    term: ResidualTerm
    points: Points
    zero: Jet
    rest: Tensor
    slopes: Sequence[Tensor]

    @torch.no_grad()
    def holds(self) -> bool:
        """Whether the term equals its linearisation, by a trial with random fields."""
        generator, rounding = torch.Generator().manual_seed(0), 1e-9
        trial = self.zero.map(lambda t: torch.randn(t.shape, generator=generator).to(t))
        found, flat = self.term.equation(self.points, trial), trial.stacked()
        expected = torch.stack([(one * flat).sum(dim=(1, 2)) for one in self.slopes], dim=1)
        gap = float((found - self.rest - expected).abs().max())
        return gap <= rounding * (float(found.abs().max()) + float(expected.abs().max()))


def linear_parts(
    term: ResidualTerm, points: Points, fields: int, channels: Channels | None = None
) -> LinearTerm:
    """Linearise a term at fields that vanish.

    Args:
        term: the term.
        points: n points.
        fields: the number of fields m.
        channels: of the jets, those of the term or more.
    """
    channels = term.channels if channels is None else channels
    zero = zero_jet(channels, points.coords, fields)
    rest, slopes = slopes_by_parts(partial(term.equation, points), zero)
    return LinearTerm(term, points, zero, rest, [one.stacked() for one in slopes])
