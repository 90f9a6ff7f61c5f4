"""The losses of a solve, step by step: fixed, on fresh points, on points adapted to the
residual, with balanced terms.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import torch
from torch import Tensor

from kanpinn._support.distributed import together
from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import r3, rad
from kanpinn.loss.residuals import Residuals, balance_factors
from kanpinn.loss.terms import ResidualTerm
from kanpinn.optimizers import Method, Step, as_methods
from kanpinn.solvers.discretization import Discretization


class Losses(ABC):
    """The sequence of losses of a solve.

    kept: the names of the attributes that a checkpoint stores, tensors and plain values. They are
    restored before `first` is called.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def first(self, step: int) -> Residuals:
        """The loss with which a solve begins (step 0) or continues after `step` steps."""

    @abstractmethod
    def following(self, residuals: Residuals, step: int) -> Residuals:
        """The loss of the next step.

        Args:
            residuals: the loss of the last step.
            step: the number of steps done.

        Returns:
            The loss: the same object if nothing changes.
        """

    def judged(self, residuals: Residuals, done: Step, more: bool) -> Step:
        """The result of a step, adjusted if later steps minimise another loss.

        Args:
            residuals: the loss of the step.
            done: the result as the optimizer gives it.
            more: whether the optimizer's limit leaves further steps.
        """
        return done


@dataclass
class FreshLosses(Losses):
    """A fixed loss, or one with fresh points in every epoch, which depend on its number alone.

    Args:
        draw: returns the loss of an epoch, given its number.
        every: the steps of an epoch; 0 for the same loss in every step.
    """

    draw: Callable[[int], Residuals]
    every: int = 0
    _epoch: int = field(default=0, init=False)

    def first(self, step: int) -> Residuals:
        self._epoch = step // self.every if self.every else 0
        with together():
            return self.draw(self._epoch)

    def following(self, residuals: Residuals, step: int) -> Residuals:
        if not self.every or step // self.every == self._epoch:
            return residuals
        return self.first(step)


def losses_of(discretization: Discretization, optimizers: tuple[Method, ...]) -> Losses:
    """The sequence of losses of a solve: with fixed, fresh or adapted collocation points.

    Args:
        discretization: gives the loss of an epoch, and when to draw or adapt points and factors.
        optimizers: the optimizers of the solve.

    Raises:
        InputError: for a balance with an optimizer that needs the same loss in every step, or
            adaptation of an energy, which is an integral by quadrature.
    """
    if discretization.loss.balance is not None:
        as_methods(optimizers, discretization.surrogate.network, 1, "balance must be None")
    if discretization.loss.balance is not None or discretization.collocation.adapt:
        return Adaptation(discretization)
    return FreshLosses(discretization.residuals, discretization.collocation.resample)


class Adaptation(Losses):
    """Adapts points every `resample` steps, and the terms' factors every `rebalance` steps.

    An optimizer converges for the present points only: if points adapt, the next epoch then begins
    at once, up to the optimizer's limit of steps. Losses are reported without the factors. The
    points depend on the seed, the epoch and the network; every rank computes all of them.

    Args:
        discretization: gives the loss of an epoch, and how the factors are computed.
        rebalance: steps after which the factors are computed again, from a Jacobian or gradients.

    Raises:
        InputError: for an energy, which is an integral by quadrature.
    """

    kept = ("epoch", "since", "seen", "early", "interior", "factors", "balanced")

    def __init__(self, discretization: Discretization, rebalance: int = 100) -> None:
        if discretization.loss.form == "energy":
            raise InputError(
                'the form "energy" is an integral: it takes neither adapted points nor a balance'
            )
        self._discretization, self._rebalance = discretization, rebalance
        self.epoch = 0
        self.since, self.seen = 0, -1  # the first step of the epoch; the last step checked
        self.early = False  # whether the next epoch begins before `resample` steps
        self.interior: Tensor | None = None  # the coordinates of adapted points
        self.factors: dict[str, float] = {}
        self.balanced: int | None = None  # the step at which the factors were computed

    def first(self, step: int) -> Residuals:
        interior, surrogate = None, self._discretization.surrogate
        if self.interior is not None:
            interior = Points(self.interior, surrogate.domain.names)
            interior = interior.to(surrogate.low.dtype, surrogate.low.device)
        with together():
            residuals = self._discretization.residuals(self.epoch, interior)
        return residuals.with_factors(self.factors) if self.factors else residuals

    def following(self, residuals: Residuals, step: int) -> Residuals:
        if step == self.seen:
            return residuals
        self.seen, chosen = step, self._discretization.collocation
        if chosen.resample and (self.early or step - self.since >= chosen.resample):
            self.epoch, self.since, self.early = self.epoch + 1, step, False
            if chosen.adapt:
                with together():
                    self.interior = self._adapted(residuals).coords
            residuals = self.first(step)
        due = self.balanced is None or step - self.balanced >= self._rebalance
        if (by := self._discretization.loss.balance) is not None and due:
            self.factors, self.balanced = balance_factors(residuals, by), step
            residuals = residuals.with_factors(self.factors)
        return residuals

    def _adapted(self, residuals: Residuals) -> Points:
        """The interior points of the next epoch, adapted to the present residual."""
        chosen, domain = self._discretization.collocation, self._discretization.problem.domain
        stride = 7_368_787  # a large prime: other seeds and epochs have other generator seeds
        generator = torch.Generator().manual_seed(self._discretization.seed + stride * self.epoch)
        term = cast(ResidualTerm, residuals.terms[0])

        @torch.no_grad()
        def sizes(points: Points) -> Tensor:
            """The norm of the residual over the equations, (n,), in float64 on the CPU."""
            low = residuals.surrogate.low
            pieces = points.to(low.dtype, low.device)
            parts = [
                term.residual(residuals.surrogate, pieces[i : i + 4096]).norm(dim=1)
                for i in range(0, len(pieces), 4096)  # chunks bound the memory
            ]
            return torch.cat(parts).double().cpu()

        if chosen.adapt == "rad":
            return rad(domain, chosen.interior, sizes, generator)
        current = Points(term.points.coords, domain.names)
        return r3(current, domain, chosen.fresh, sizes, generator)

    def judged(self, residuals: Residuals, done: Step, more: bool) -> Step:
        if self._discretization.loss.balance is not None:
            done = replace(done, loss=residuals.loss(reported=True), loss_lags=False)
        if done.converged and self._discretization.collocation.adapt and more:
            self.early = True
            return replace(done, finished=None)
        return done
