"""Points and weights that follow the residual while a solve is under way."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from kanpinn._support.distributed import together
from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.adaptive import r3, rad
from kanpinn.loss.residuals import MAX_ROWS
from kanpinn.loss.row_weights import RowWeights, row_squares
from kanpinn.loss.terms import ResidualTerm
from kanpinn.loss.weighting import WeightedTerm, Weighting
from kanpinn.optimizers import CONVERGED, Method, Step
from kanpinn.solvers.discretize import Discretization
from kanpinn.solvers.loop import Resampling
from kanpinn.solvers.state import SolverState

STRIDE = 7_368_787  # between the seeds of epochs


class Adaptation(Resampling):
    """Adapts points every `resample` steps and weights after every step.

    An optimizer that has converged has done so for the present points and weights: while these
    move, it goes on with the next ones up to its limit of steps. Losses are reported without
    weights. Points depend on the seed, the epoch and the network; of several ranks each finds them
    all for itself.

    Raises:
        InputError: for an energy, which is an integral by quadrature, causal weights without time,
            or attention to points that stay for one step only.
    """

    def __init__(self, discretization: Discretization, weighting: Weighting) -> None:
        super().__init__(discretization.terms, discretization.collocation.resample)
        if discretization.form == "energy":
            raise InputError(
                'the form "energy" is an integral: it takes no adapted points or weights of rows'
            )
        if weighting.attention is not None and self.every == 1:
            raise InputError(
                "attention remembers residuals at the same points: with it resample must be 0 or "
                "an integer of at least 2, got 1"
            )
        self.discretization = discretization
        self.weights = RowWeights(weighting, _time_of(discretization, weighting))
        self.since, self.seen = 0, -1  # the steps at which the epoch began, and last looked at
        self.early = False  # whether the next epoch is to begin before its time
        self.interior: Tensor | None = None  # the coordinates of adapted points
        self.squares: list[Tensor] | None = None  # of the residuals after the last step
        self._memory: Mapping[str, Any] | None = None

    def __call__(self, run: SolverState) -> None:
        if run.step == self.seen and run.residuals.terms:
            return
        if not run.residuals.terms:
            self.epoch = max(self.epoch, 0)
            self._show(run)
            if run.step == self.seen:  # a run that goes on: its weights came with their memory
                return
        if self.every and (self.early or run.step - self.since >= self.every):
            self.epoch, self.since, self.early = self.epoch + 1, run.step, False
            if self.discretization.collocation.adapt:
                with together():
                    self.interior = self._adapted(run).coords
            self._show(run)
            self.squares = None
        self.weights.update(run.residuals, run.step, self.squares)
        self.seen, self.squares = run.step, None

    def _show(self, run: SolverState) -> None:
        """Put the terms of the epoch into the run."""
        interior = None
        if self.interior is not None:
            like = run.surrogate.low
            interior = Points(self.interior, run.surrogate.domain.names)
            interior = interior.to(like.dtype, like.device)
        with together():
            terms = self.discretization.terms(self.epoch, interior)
        run.residuals.terms = tuple(self.weights.wrap(terms))
        if self._memory is not None:
            self.weights.load_state_dict(dict(self._memory), run.residuals.terms)
            self._memory = None

    def _adapted(self, run: SolverState) -> Points:
        chosen, domain = self.discretization.collocation, self.discretization.problem.domain
        generator = torch.Generator().manual_seed(self.discretization.seed + STRIDE * self.epoch)
        term = cast(ResidualTerm, run.residuals.terms[0])

        def sizes(points: Points) -> Tensor:
            return _sizes(run, term, points)

        if chosen.adapt == "rad":
            return rad(domain, chosen.interior, sizes, generator)
        current = Points(term.points.coords, domain.names)
        return r3(current, domain, chosen.fresh, sizes, generator)

    def judged(self, run: SolverState, optimizer: Method, step: Step) -> Step:
        step = self._plainly(run, step)
        moving = bool(self.discretization.collocation.adapt) or not self.weights.settled
        if step.finished != CONVERGED:
            return step
        if moving and run.stage_step + 1 < optimizer.steps:
            self.early = bool(self.discretization.collocation.adapt)
            return replace(step, finished=None)
        return replace(step, finished=self.weights.verdict() or CONVERGED)

    def _plainly(self, run: SolverState, step: Step) -> Step:
        """The step with its loss without weights, which `weights` are to follow."""
        residuals = run.residuals
        if not self.weights.settings.any:
            return step
        if not self.weights.following:
            return replace(step, loss=residuals.plain_loss(), loss_lags=False)
        terms = cast(Sequence[WeightedTerm], residuals.terms)
        self.squares = [row_squares(residuals, term) for term in terms]
        means = (float(squares.mean(dtype=torch.float64)) for squares in self.squares)
        loss = sum(b.weight * mean for b, mean in zip(terms, means, strict=True))
        return replace(step, loss=loss, loss_lags=False)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint."""
        names = ("epoch", "since", "seen", "early", "interior")
        return {name: getattr(self, name) for name in names} | {"rows": self.weights.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave; the weights' memory waits for its terms."""
        for name in ("epoch", "since", "seen", "early", "interior"):
            setattr(self, name, state[name])
        self._memory = state["rows"]


@torch.no_grad()
def _sizes(run: SolverState, term: ResidualTerm, points: Points) -> Tensor:
    """|r| at points, over all equations, in float64 on the CPU."""
    like = run.surrogate.low
    there = points.to(like.dtype, like.device)
    parts = [
        term.residual(run.surrogate, there[i : i + MAX_ROWS]).norm(dim=1)
        for i in range(0, len(there), MAX_ROWS)
    ]
    return torch.cat(parts).double().cpu()


def _time_of(discretization: Discretization, weighting: Weighting) -> int | None:
    """The column of time, where causal weights ask for it."""
    if weighting.causal is None:
        return None
    domain = discretization.problem.domain
    product = getattr(domain, "time", None)
    name = "t" if product is None else product.names[0]
    if name not in domain.names:
        raise InputError(
            "causal weights need a coordinate of time, t or that of a domain over time; the "
            f"coordinates are {', '.join(domain.names)}"
        )
    return domain.names.index(name)
