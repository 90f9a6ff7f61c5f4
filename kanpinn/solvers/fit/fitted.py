"""The result of a fit."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shown import Shown
from kanpinn._support.status import CONVERGED
from kanpinn.data import Data
from kanpinn.geometry import Points
from kanpinn.jets import Channels
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Method
from kanpinn.solvers.fit.scores import Scores
from kanpinn.solvers.fit.terms import full_logits
from kanpinn.solvers.history import History


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(Shown):
    """A network fitted to data; calling it evaluates the targets, or the logits of the classes.

    Notebooks show it as tables with a picture.

    Args:
        data: the parts for training, validation and test.
        surrogate: the network with the maps between its inputs and outputs and the data's units.
        residuals: the loss on all training rows.
        scores: of each part of the data, by the names "train", "validation" and "test".
        status: "converged", "stopped: ..." or "failed: ...", in words.
        history: the recorded rows of the run.
        seconds: the wall time of the run.
        optimizer_seconds: the seconds of each optimizer.
        loss_terms: the value of each loss term on all training rows, by name.
        optimizers: in the order in which they ran.
        processes: the number of processes that fitted the network together.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, torch.sin(3 * x)))
        >>> fitted.scores["train"].rmse < 1e-4, fitted(x[:3]).shape
        (True, torch.Size([3, 1]))
    """

    shown_by = "kanpinn.plotting.notebook.agreement"

    data: Data
    surrogate: Surrogate
    residuals: Residuals
    scores: dict[str, Scores]
    status: str
    history: History
    seconds: float
    optimizer_seconds: list[float]
    loss_terms: dict[str, float]
    optimizers: tuple[Method, ...]
    processes: int = 1

    def __repr__(self) -> str:
        what, steps = ", ".join(self.data.train.outputs), self.history.steps
        return f"<Fitted {what}: {self.status}; steps: {steps}, unknowns: {self.parameters}>"

    @property
    def success(self) -> bool:
        """Whether the status is "converged", with or without further words."""
        return self.status.startswith(CONVERGED)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the outputs: targets or classes; for a single logit, the second class."""
        train = self.data.train
        return train.classes[-self.network.width[-1] :] if train.classes else train.outputs

    @property
    def network(self) -> Network:
        """The network inside the surrogate."""
        return self.surrogate.network

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return self.network.parameter_count

    @torch.no_grad()
    def __call__(self, inputs: Points | Tensor) -> Tensor:
        """Return values (n, m) at inputs (n, d), whose columns are those of `data.train.names`."""
        like, names = self.surrogate.low, self.data.train.names
        points = Points.of(inputs, names)
        return self.surrogate.jet(points.to(like.dtype, like.device), Channels(names)).value

    def probabilities(self, inputs: Points | Tensor) -> Tensor:
        """Return the probability of each class, (n, classes), at inputs (n, d).

        Raises:
            InputError: if the targets are numbers.
        """
        self._check_classes()
        return full_logits(self(inputs)).softmax(dim=1)

    def predict(self, inputs: Points | Tensor) -> Tensor:
        """Return the index in `data.train.classes` of the likeliest class, (n,), at inputs (n, d).

        Raises:
            InputError: if the targets are numbers.
        """
        self._check_classes()
        return full_logits(self(inputs)).argmax(dim=1)

    def plot(self, target: str | None = None, *, error: bool = False, ax: Any = None) -> Any:
        """Draw fitted values against the data, or the confusion matrix of classes.

        Training and test rows are drawn, at most 4000 of each; the confusion matrix is that of the
        test rows or, without any, of the training rows.

        Args:
            target: the name of a target; by default there is a panel for each.
            error: whether to draw fitted - data in place of the fitted values.
            ax: axes of Matplotlib to draw in, one for each panel; by default those of a new figure
                of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several targets an array of them, (targets,).

        Raises:
            InputError: for a name that is no target, an option that is not for classes, or another
                number of axes than of panels.
        """
        return self._view().plot(self, target, error=error, ax=ax)

    def _check_classes(self) -> None:
        if not self.data.train.classes:
            raise InputError("the targets are numbers, not classes: call the fit for its values")
