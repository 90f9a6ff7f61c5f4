"""An evolution with unknown numbers: its equation for given numbers, and its data."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.evolution.numbers.free_start import FreeStart
from kanpinn.evolution.numbers.numbered_path import Forward
from kanpinn.evolution.terms.evolution_terms import as_residual_term
from kanpinn.evolution.windows import require_windows
from kanpinn.geometry import Points
from kanpinn.loss.numbered import Numbered
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.constants import Constants


@dataclass(frozen=True, eq=False)
class NumberedProblem:
    """An evolution as a function of numbers: free initial values, then the unknown numbers.

    Args:
        forward: solves it.
        data: the terms of the data.
        constants: the unknown numbers, as the equations have them.
        free: the free initial values, (f,), as the conditions have them.
        begin, end: the first and the last moment.
    """

    forward: Forward
    data: Sequence[ResidualTerm]
    constants: Constants
    free: Tensor
    begin: float
    end: float

    @property
    @torch.no_grad()
    def numbers(self) -> Tensor:
        """The present numbers, (K,): the coefficients c of the unknown numbers are the last."""
        return torch.cat([self.free, self.constants.coefficients])

    @torch.no_grad()
    def assign(self, numbers: Tensor) -> None:
        """Give numbers to equations and conditions."""
        self.free.copy_(numbers[: len(self.free)])
        self.constants.coefficients.copy_(numbers[len(self.free) :])

    def limited(self, old: Tensor, change: Tensor) -> Tensor:
        """A change of the numbers, with that of the unknown ones limited."""
        free = len(self.free)
        return torch.cat([change[:free], self.constants.limited(old[free:], change[free:])])

    def random(self, generator: torch.Generator) -> Tensor:
        """Numbers for another start: random multiples of the start values, see `Unknown`."""
        return torch.cat([torch.zeros_like(self.free), self.constants.random(generator)])


def numbered_problem(residuals: Residuals) -> NumberedProblem:
    """Return an evolution with unknown numbers, with 64 bits in the main memory.

    Args:
        residuals: the terms of the loss.

    Raises:
        InputError: for a problem without unknown numbers or data, or with coefficient fields.
    """
    surrogate = copy.deepcopy(residuals.surrogate).to("cpu", torch.float64)
    network = require_windows(surrogate.network)
    constants = network.constants
    if any(surrogate.coefficients):
        raise InputError(
            "shooting determines unknown numbers: an unknown coefficient field takes a network of "
            "its own, kp.Beside, and LeastSquares"
        )
    if constants is None:
        raise InputError("shooting is for problems with unknown numbers: use kp.March")
    network.constants = network.sensitivities = None
    terms = [as_residual_term(one, "shooting") for one in residuals.terms]
    terms = [replace(one, points=one.points.to(torch.float64, "cpu")) for one in terms]
    data = [one for one in terms if one.measured]
    if not data:
        raise InputError("shooting needs measurements, such as kp.Observed: there are none")
    equation, *others = [one for one in terms if not one.measured]
    low, high = (corner.double().cpu() for corner in surrogate.domain.bounds)
    begin, end = float(low[-1]), float(high[-1])
    free, order, fields = low.new_zeros(0), network.order, network.width[-1]
    start = low.new_zeros(order, fields, len(constants.unknowns))
    if not network.in_space:
        first, near = Points(low[None], surrogate.domain.names), 1e-9 * (end - begin)
        initial = [one for one in others if float(one.points.coords[:, -1].max()) <= begin + near]
        found = FreeStart.of(initial, data, first, fields, order)
        free, start = found.shift, torch.cat([found.directions, start], dim=2)
        if len(free):
            others = [*(one for one in others if one not in initial), found.term(first)]
    numbered = {one.name: Numbered(one.equation, constants) for one in (equation, *others)}
    bound = [replace(one, equation=numbered[one.name]) for one in (equation, *others)]
    forward = Forward(Residuals(surrogate, bound), numbered, start)
    return NumberedProblem(forward, data, constants, free, begin, end)
