"""Several starts for a problem with unknowns, if the given one does not fit the data."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.optimizers.method import Stage, Step
from kanpinn.optimizers.reduced import solve_reduced


@dataclass
class SeveralStarts(Stage):
    """A descent from the given start and, if it does not fit the data, descents from others.

    The first of the other starts raises the weight of the equation in steps. With a small weight
    the fields interpolate the data, and the unknowns follow from the equation's residual, which is
    mostly linear in them, so that their start values hardly matter. The next ones start the unknown
    numbers from random multiples of their start values. One step is a whole descent. The best end
    is followed until it has converged.

    Args:
        descent: takes the steps from the given start, and those from the best end.
        rcond: see `LeastSquares`.
        starts: the largest number of other starts; 0 for the given one only.
        seed: of the random starts.
        unexplained: the data are fitted if the loss is at most this part of their variance.
        spread: random starts are multiples between 1 / spread and spread of the start values.
        tried: the number of other starts so far; -1 during the first descent.
        patience: the first descent also ends after this many slow steps in a row, each of which
            lowers the loss by less than 10%, if the data are not fitted then.
        slow: the number of slow steps in a row.
        last_loss: the loss after the last step of the first descent.
        best_loss: the lowest loss at the end of a descent so far.
        best: the coefficients of the output layers there, (p,); None before the first end.
        last: whether the best end is being followed.

    Reference: Ramsay et al., Parameter estimation for differential equations: a generalized
    smoothing approach (2007), for the weight of the equation that is raised in steps.
    """

    descent: Stage
    rcond: float | None
    starts: int
    seed: int
    unexplained: float = 0.05
    spread: float = 30.0
    patience: int = 5
    tried: int = -1
    slow: int = 0
    last_loss: float = math.inf
    best_loss: float = math.inf
    best: Tensor | None = None
    last: bool = False
    kept = ("tried", "slow", "last_loss", "best_loss", "best", "last")

    @property
    def residuals(self) -> Residuals:
        """The terms of the loss, which are those of `descent`."""
        return self.descent.residuals

    @residuals.setter
    def residuals(self, changed: Residuals) -> None:
        self.descent.residuals = changed

    def step(self) -> Step:
        if self.tried < 0 or self.last:
            return self._descend()
        layers = self.residuals.surrogate.network.output_layers
        evaluations = self._from_data() if self.tried == 0 else self._from_random()
        loss = self.residuals.loss()
        if loss < self.best_loss:
            self.best_loss, self.best = loss, get_coefficients(layers)
        assert self.best is not None
        set_coefficients(layers, self.best)
        self.tried += 1
        self.last = self.tried >= self.starts or self._is_fitted(self.best_loss)
        words = f"start {self.tried} of at most {self.starts} has led to the loss {loss:.3g}"
        return Step(self.best_loss, evaluations, words=words)

    def _descend(self) -> Step:
        """Take a step from the given start or from the best end; other starts may follow."""
        layers = self.residuals.surrogate.network.output_layers
        before = get_coefficients(layers)
        try:
            done = self.descent.step()
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            if self.last or not self.starts:
                raise
            set_coefficients(layers, before)
            done = Step(self.residuals.loss(), finished="failed")
        self.slow = self.slow + 1 if done.loss > 0.9 * self.last_loss else 0
        self.last_loss = done.loss
        goes_on = done.finished is None and self.slow < self.patience
        if goes_on or self.last or not self.starts or self._is_fitted(done.loss):
            return done
        self.tried, self.best = 0, get_coefficients(layers)
        self.best_loss = done.loss if math.isfinite(done.loss) else math.inf
        words = "the data are not fitted: other starts follow"
        return Step(done.loss, done.evaluations, notes=done.notes, words=words)

    @torch.no_grad()
    def _is_fitted(self, loss: float) -> bool:
        """Return whether the loss is a small part of the variance of the data."""
        surrogate, variance = self.residuals.surrogate, 0.0
        measured = [term for term in self.residuals.terms if term.measured]
        for term in measured:
            assert isinstance(term, ResidualTerm)
            u = surrogate.jet(term.points, term.channels)
            data = term.equation(term.points, u.map(torch.zeros_like))
            variance += term.weight * float(data.var(dim=0, correction=0).sum())
        return not measured or loss <= self.unexplained * variance

    def _from_data(self) -> int:
        """Descend with a weight of the equation that is raised in steps; count evaluations."""
        residuals, layers = self.residuals, self.residuals.surrogate.network.output_layers
        set_coefficients(layers, torch.zeros_like(get_coefficients(layers)))
        model = [one for one in residuals.terms if not one.measured]
        data = [one for one in residuals.terms if one.measured]
        sizes = [
            float(Residuals(residuals.surrogate, part).model(layers).matrix.square().sum())
            for part in (data, model)
            if part
        ]
        if len(sizes) < 2 or not sizes[1]:
            return 1
        # With the first weight the data and the equation are equally sensitive to the coefficients.
        factor, evaluations = min(sizes[0] / sizes[1], 1.0), 2
        while True:
            weighed = residuals.with_factors({one.name: factor for one in model})
            evaluations += self._followed(weighed, most=6)
            if factor == 1.0:
                return evaluations
            factor = min(10 * factor, 1.0)

    def _from_random(self) -> int:
        """Descend from random multiples of the unknown numbers' start values; count evaluations."""
        network = self.residuals.surrogate.network
        layers = network.output_layers
        set_coefficients(layers, torch.zeros_like(get_coefficients(layers)))
        if (constants := network.constants) is not None:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.tried)
            found = [u.random_start(self.spread, generator) for u in constants.unknowns.values()]
            set_coefficients([constants], constants.coefficients.new_tensor(found))
        return self._followed(self.residuals, most=20)

    def _followed(self, residuals: Residuals, most: int) -> int:
        """Take steps until they lower the loss by less than 1%; return the evaluations."""
        evaluations, idle = 0, 0
        for _ in range(most):
            try:
                done = solve_reduced(residuals, self.rcond)
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                break
            evaluations += done.evaluations
            idle = idle + 1 if done.loss > 0.99 * done.before else 0
            if idle == 2:
                break
        return evaluations

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"descent": self.descent.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({name: state[name] for name in state if name != "descent"})
        self.descent.load_state_dict(state["descent"])
