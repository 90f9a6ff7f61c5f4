"""The result of an eigenvalue problem."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn.geometry import Points
from kanpinn.jets import Channels
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Method
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretize import Discretization
from kanpinn.solvers.eigen.checks import mass_of, operator_of
from kanpinn.solvers.eigen.modes import as_modes
from kanpinn.solvers.eigen.pencil import channels_at, problem_of
from kanpinn.solvers.eigen.samples import each
from kanpinn.solvers.history import History

SAME = 1e-6  # values that agree so well, relative to their size, or within their errors, are one


@dataclass(frozen=True, eq=False)
class Eigensolution:
    """Eigenvalues and their modes: call it for the modes' values.

    values: λ (count,), complex only where some are. Modes are normalised to ∫ u·Mu = 1, orthogonal
    to each other, where the problem is self-adjoint; else to ∫ |u|² = 1.

    residual_norms: ‖L u - λ M u‖ of each mode, ∫ |u|² = 1, at points that the solve has not seen.
    bounds: an exact eigenvalue lies no further than that from λ; None where that cannot be said,
    and `unbounded` says why. estimates: the error to be expected, ‖r‖² over the distance to the
    other eigenvalues, none of which must be missing; None where the problem is not self-adjoint.

    exact, errors: the eigenvalues that the problem gives, and how far λ is from them, relative to
    their size but for zeros; None where there are none. status: "converged", "stopped: ..." or
    "failed: ...", in words. unresolved: how many eigenvalues of the discretisation, no
    further out than those given, were left out for their residual: spurious ones, or such that need
    more units.
    """

    discretization: Discretization
    surrogate: Surrogate
    residuals: Residuals
    values: Tensor
    residual_norms: Tensor
    bounds: Tensor | None
    unbounded: str
    estimates: Tensor | None
    self_adjoint: bool
    exact: Tensor | None
    errors: Tensor | None
    unresolved: int
    status: str
    history: History
    seconds: float
    loss_terms: dict[str, float]
    optimizer_seconds: list[float] = field(default_factory=list)
    optimizers: tuple[Method, ...] = ()
    processes: int = 1

    @property
    def problem(self) -> EigenProblem:
        """What was solved."""
        return problem_of(self.discretization)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of a mode's fields."""
        return tuple(self.problem.fields)

    @property
    def count(self) -> int:
        """The number of modes."""
        return len(self.values)

    @property
    def multiplicities(self) -> list[int]:
        """How many of the values each one agrees with, itself included."""
        slack = SAME * self.values.abs()
        if self.estimates is not None:
            slack = torch.maximum(slack, 2 * self.estimates)
        gaps = (self.values[:, None] - self.values[None]).abs()
        return (gaps <= torch.maximum(slack[:, None], slack[None])).sum(dim=1).tolist()

    @property
    def network(self) -> Network:
        """The network, whose outputs are the modes."""
        return self.surrogate.network

    @property
    def parameters(self) -> int:
        """The number of trainable numbers."""
        return self.network.parameter_count

    def __call__(self, points: Points | Tensor) -> Tensor:
        """The modes' values, (n, count), or (n, m, count) for a system of m fields."""
        return self._complex(self.surrogate(self._points(points)))

    @torch.no_grad()
    def gradient(self, points: Points | Tensor) -> Tensor:
        """Their first derivatives, (n, d, count), or (n, d, m, count)."""
        channels = Channels(self.problem.domain.names, gradient=True)
        gradient = self.surrogate.jet(self._points(points), channels).gradient
        assert gradient is not None
        return self._complex(gradient)

    @torch.no_grad()
    def residual(self, points: Points | Tensor) -> Tensor:
        """L u - λ M u of each mode, (n, equations, count)."""
        p, m = self._points(points), len(self.fields)
        both = [each(e, m) for e in (operator_of(self.problem), mass_of(self.problem))]
        jet = self.surrogate.jet(p, channels_at(self.surrogate, both, p))
        left, right = (as_modes(equation(p, jet), self.values) for equation in both)
        return left - self.values * right

    def _complex(self, outputs: Tensor) -> Tensor:
        """(…, outputs) as (…, count), or (…, m, count)."""
        m = len(self.fields)
        modes = as_modes(outputs.unflatten(-1, (-1, m)).transpose(-1, -2), self.values)
        return modes[..., 0, :] if m == 1 else modes

    def _points(self, points: Points | Tensor) -> Points:
        like = self.surrogate.low
        return Points.of(points, self.problem.domain.names).to(like.dtype, like.device)
