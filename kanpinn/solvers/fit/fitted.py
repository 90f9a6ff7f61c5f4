"""The result of a fit."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
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


@dataclass(frozen=True, eq=False)
class Fitted:
    """A network fitted to data: call it for values, or for the logits of classes.

    status is "converged", "stopped: ..." or "failed: ...", in words. scores are those of the parts
    of the data, "train", "validation" and "test". The surrogate keeps the data's frame.
    """

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
    processes: int = 1  # that fitted it together

    @property
    def fields(self) -> tuple[str, ...]:
        """What the outputs are called: the targets, or the classes (of two the second)."""
        train = self.data.train
        return train.classes[-self.network.width[-1] :] if train.classes else train.outputs

    @property
    def network(self) -> Network:
        """The network inside the surrogate."""
        return self.surrogate.network

    @property
    def parameters(self) -> int:
        """The number of trainable numbers."""
        return self.network.parameter_count

    @torch.no_grad()
    def __call__(self, inputs: Points | Tensor) -> Tensor:
        """Values (n, m) at rows of inputs (n, d), in the order of `data.train.names`."""
        like, names = self.surrogate.low, self.data.train.names
        points = Points.of(inputs, names)
        return self.surrogate.jet(points.to(like.dtype, like.device), Channels(names)).value

    def probabilities(self, inputs: Points | Tensor) -> Tensor:
        """The probability of each class, (n, classes)."""
        self._check_classes()
        return full_logits(self(inputs)).softmax(dim=1)

    def predict(self, inputs: Points | Tensor) -> Tensor:
        """The number of the likeliest class, (n,); `data.train.classes` has their names."""
        self._check_classes()
        return full_logits(self(inputs)).argmax(dim=1)

    def _check_classes(self) -> None:
        if not self.data.train.classes:
            raise InputError("the targets are numbers, not classes: call the fit for its values")
