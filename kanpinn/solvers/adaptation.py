"""Adaptation of collocation points to the residual, and of the terms' factors, between steps."""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from kanpinn._support.distributed import together
from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.adaptive import r3, rad
from kanpinn.loss.balance import balance_factors
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.optimizers import Method, Step, as_methods
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.losses import FreshLosses, Losses


def losses_of(discretization: Discretization, optimizers: tuple[Method, ...]) -> Losses:
    """The sequence of losses of a solve: with fixed, fresh or adapted collocation points.

    Args:
        discretization: gives the loss of an epoch, and when to draw or adapt points and factors.
        optimizers: the optimizers of the solve.

    Raises:
        InputError: for a balance with an optimizer that needs the same loss in every step, or
            adaptation of an energy, which is an integral by quadrature.
    """
    if discretization.balance is not None:
        as_methods(optimizers, discretization.surrogate.network, 1, "balance must be None")
    if discretization.balance is not None or discretization.collocation.adapt:
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
        if discretization.form == "energy":
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
        if (by := self._discretization.balance) is not None and due:
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
        if self._discretization.balance is not None:
            done = replace(done, loss=residuals.loss(reported=True), loss_lags=False)
        if done.converged and self._discretization.collocation.adapt and more:
            self.early = True
            return replace(done, finished=None)
        return done
