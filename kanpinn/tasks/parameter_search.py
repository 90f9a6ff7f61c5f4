"""The search for unknown parameters by the Levenberg–Marquardt method, from several starts."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from torch import Tensor

from kanpinn.linalg.qr import TriangularFactor
from kanpinn.loss.parameters import Parameters
from kanpinn.optimizers.method import Kept

NO_FIT = "stopped: no start leads to a fit of the data"


@dataclass(frozen=True, eq=False)
class MisfitModel:
    """The Gauss–Newton model of the misfit of data: its loss for small changes of the parameters.

    Args:
        parameters: the values of the parameters, (K,).
        model: the matrix R (k, K) and the vector z (k,) such that ‖R d + z‖² is the loss of the
            data after a change d of the parameters, with the misfit linearised.
        rows: the number of data.
    """

    parameters: Tensor
    model: TriangularFactor
    rows: int

    @property
    def loss(self) -> float:
        return self.model.loss()

    @cached_property
    def newton(self) -> Tensor:
        """The undamped step of the parameters, (K,)."""
        return self.model.damped().step(0.0)

    @property
    def possible(self) -> float:
        """The decrease of the loss that the model predicts for the step `newton`."""
        return self.loss - self.model.loss(self.newton)

    def excess(self, deviations: float) -> float:
        """The increase of the loss if the parameters are off by some standard deviations.

        It is deviations² times the variance of the noise. The variance is estimated as the loss
        divided by the degrees of freedom, `rows` - K.

        Args:
            deviations: the number of standard deviations.
        """
        return deviations**2 * self.loss / max(self.rows - len(self.newton), 1)


Fit = TypeVar("Fit", bound=MisfitModel)


class ParameterSearch(Kept, Generic[Fit]):
    """The search for the parameters that fit data best, by the Levenberg–Marquardt method.

    A fit for new parameters is accepted unless its loss exceeds that of the latest accepted fit;
    the damping follows from a comparison with the predicted loss. If a search ends without a fit of
    the data, another search begins from random values. The best result of all searches is kept.

    Args:
        parameters: the parameters, whose present values are the first start.
        seed: the seed of the random starts.
        starts: the largest number of random starts.

    Attributes:
        values: the parameters of the latest accepted fit, or of the start, (K,).
        now: the latest accepted fit; None if there is none.
        damping: the damping of the next step.
        idle: the number of fits in a row that have not lowered the loss.
        predicted: the loss after the latest step, as the model predicts it.
        expected: whether the latest accepted fit has the predicted loss.
        tried: the number of random starts so far.
        best, best_loss: the parameters with the lowest loss at the end of a search, and this loss.

    Reference: Bard, Nonlinear parameter estimation (1974), chapter 8; Moré, The Levenberg–Marquardt
    algorithm (1978).
    """

    kept = ("values", "damping", "idle", "predicted", "expected", "tried", "best", "best_loss")
    now: Fit | None

    def __init__(self, parameters: Parameters, seed: int, starts: int) -> None:
        self.parameters, self.seed, self.starts, self.tried = parameters, seed, starts, 0
        self.best, self.best_loss = parameters.values, math.inf
        self.begin(self.best)

    def begin(self, values: Tensor, damping: float = 0.0) -> None:
        """Begin a search: forget the latest fit and its prediction.

        Args:
            values: the values of the parameters from which the search begins, (K,).
            damping: the damping of the first step.
        """
        self.values, self.damping, self.now = values, damping, None
        self.idle, self.predicted, self.expected = 0, math.inf, False

    def judge(self, fit: Fit | None, noise: float = 0.0) -> None:
        """Accept or refuse the fit for the first parameters, or for the parameters after a step.

        A fit is refused if it is None or if its loss exceeds the loss of the latest accepted fit by
        more than `noise`; the damping then becomes ten times as large, at least 0.01. The damping
        falls to a tenth (to 0 from 0.001 on) if the loss is as predicted or fell by more than 0.75
        of the predicted decrease. It becomes four times as large if the loss fell by less than 0.25
        of that decrease.

        Args:
            fit: the fit; None where there is no solution for these parameters.
            noise: changes of the loss up to this size do not count.
        """
        now, large, small = self.now, 1e-2, 1e-3  # large, small: dampings
        if fit is None or (now is not None and fit.loss > now.loss + noise):
            self.damping, self.idle = max(10 * self.damping, large), self.idle + 1
            return
        self.expected = abs(fit.loss - self.predicted) <= max(0.1 * fit.loss, noise)
        if now is not None:
            gain, promised = now.loss - fit.loss, now.loss - self.predicted
            self.idle = 0 if gain > noise else self.idle + 1
            if self.expected or gain > 0.75 * promised:
                self.damping = self.damping / 10 if self.damping > small else 0.0
            elif gain < 0.25 * promised:
                self.damping = 4 * max(self.damping, 1e-4)
        self.now, self.values = fit, fit.parameters

    def step(self) -> Tensor:
        """Return the next change of the parameters from the latest accepted fit, (K,).

        The change is the step with the present damping. It is limited where it would multiply a
        positive number by more than 10 or less than 1/10. The loss that the model predicts after
        the change is stored in `predicted`.
        """
        assert self.now is not None
        step = self.now.model.damped().step(self.damping)
        step = self.parameters.limited(self.now.parameters, step)
        self.predicted = self.now.model.loss(step)
        return step

    def keep_best(self, fit: Fit) -> None:
        """Keep the parameters of the last fit of a search if its loss is the lowest so far."""
        if fit.loss < self.best_loss:
            self.best, self.best_loss = fit.parameters, fit.loss

    def begin_elsewhere(self) -> bool:
        """Begin another search from random values, and return True.

        If all random starts are used up, begin from the best result so far instead, and return
        False.
        """
        if self.tried == self.starts:
            self.begin(self.best)
            return False
        self.tried += 1
        self.begin(self.parameters.random(self.seed, self.tried))
        return True
