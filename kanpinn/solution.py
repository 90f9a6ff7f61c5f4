"""The result of a solve."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.history import History
from kanpinn.jet import Channels
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.norms import Errors
from kanpinn.optimizers import Optimizer
from kanpinn.problem import Problem
from kanpinn.residuals import Residuals


@dataclass(frozen=True, eq=False)
class Solution:
    """The result of a solve: call it for values; it also gives gradients and residuals.

    status is "converged", "stopped: ..." or "failed: ...", in words. Points are `Points`
    or tensors (n, d) in the order of the domain's coordinates.
    """

    problem: Problem
    surrogate: Surrogate
    residuals: Residuals
    errors: Errors | None
    status: str
    history: History
    seconds: float
    optimizer_seconds: list[float]
    loss_terms: dict[str, float]
    optimizers: tuple[Optimizer, ...]
    processes: int = 1  # that solved it together

    @property
    def network(self) -> Network:
        """The network inside the surrogate."""
        return self.surrogate.network

    @property
    def parameters(self) -> int:
        """The number of trainable numbers."""
        return self.network.parameter_count

    def __call__(self, points: Points | Tensor) -> Tensor:
        """Values (n, m)."""
        return self.surrogate(self._points(points))

    @torch.no_grad()
    def gradient(self, points: Points | Tensor) -> Tensor:
        """First derivatives, (n, d) for one field, else (n, d, m)."""
        channels = Channels(self.problem.domain.names, gradient=True)
        gradient = self.surrogate.jet(self._points(points), channels).gradient
        assert gradient is not None
        return gradient[..., 0] if gradient.shape[-1] == 1 else gradient

    @torch.no_grad()
    def residual(self, points: Points | Tensor) -> Tensor:
        """The PDE's residual, (n, equations)."""
        return self.residuals.blocks[0].residual(self.surrogate, self._points(points))

    def _points(self, points: Points | Tensor) -> Points:
        like = next(self.network.parameters())
        if not isinstance(points, Points):
            points = Points(torch.as_tensor(points), self.problem.domain.names)
        return points.to(like.dtype, like.device)
