"""The result of an eigenvalue problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.shown import Shown
from kanpinn._support.status import CONVERGED
from kanpinn.geometry import Points
from kanpinn.jets import Channels
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Method
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.eigen.modes import as_modes
from kanpinn.solvers.eigen.pencil import channels_at
from kanpinn.solvers.eigen.samples import each
from kanpinn.solvers.history import History

# Eigenvalues that differ by less than this, relative to their size, or by less than their errors
# count as one multiple eigenvalue.
SAME = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Eigensolution(Shown):
    """Eigenvalues and their modes; calling it evaluates the modes at points.

    Notebooks show it as tables with a picture.

    If the problem is self-adjoint, the modes are normalised to ∫ u·Mu = 1 and orthogonal to each
    other for ∫ u·Mv; otherwise they are normalised to ∫ |u|² = 1.

    Args:
        discretization: problem, network, points and weights of the solve.
        surrogate: with one output for each field of each mode.
        residuals: L u - λ M u of all modes, and of the conditions that are not met exactly.
        values: the eigenvalues λ, (count,); a complex tensor only if some are complex.
        residual_norms: ‖L u - λ M u‖ / ‖u‖ of each mode, (count,), at points that the solve has
            not used.
        bounds: an exact eigenvalue lies within this distance of λ, (count,); None if there is no
            such bound.
        unbounded: why `bounds` is None, in words; empty if it is not.
        estimates: expected errors of the eigenvalues, (count,): residual norm squared over the
            distance to the other eigenvalues, valid if none of these is missing; None where there
            are no bounds. Eigenvalues in cells have no bounds, but estimates from the functional of
            each mode and from a higher degree.
        self_adjoint: whether the problem was solved as a self-adjoint one.
        exact: the exact eigenvalues, (count,), paired with `values`; None if the problem gives
            none.
        errors: |λ - exact| / |exact|, (count,), absolute where the exact value is zero; or None.
        unresolved: the number of eigenvalues of the discretisation, no further from the shift than
            those given, that were left out for their large residual: they are spurious or need
            more units.
        status: "converged", "stopped: ..." or "failed: ...", in words.
        history: one row for the solve; empty if it has failed.
        seconds: the wall time of the solve.
        loss_terms: the value of each loss term, by name.
        optimizer_seconds: the seconds of the one stage; empty if the solve has failed.
        optimizers: empty, since none is used.
        processes: the number of processes, always 1.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> class String(kp.EigenProblem):
        ...     domain = kp.Box(x=(0, 1))
        ...     def operator(self, p, u):
        ...         return -kp.laplacian(u)
        ...     def conditions(self):
        ...         return [kp.Dirichlet(self.domain.boundary)]
        >>> modes = kp.eigen(String(), kp.KAN([1, 1], degree=9, grid=8), count=2)
        >>> modes(torch.tensor([[0.5]])).shape, modes.multiplicities
        (torch.Size([1, 2]), [1, 1])
    """

    shown_by = "kanpinn.plotting.notebook.eigenmodes"

    discretization: Discretization[EigenProblem]
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

    def __repr__(self) -> str:
        what = type(self.problem).__name__
        return f"<Eigensolution of {what}: {self.status}; values: {self.values.tolist()}>"

    @property
    def success(self) -> bool:
        """Whether the status is "converged", with or without further words."""
        return self.status.startswith(CONVERGED)

    @property
    def problem(self) -> EigenProblem:
        """The eigenvalue problem that was solved."""
        return self.discretization.problem

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
        """The multiplicity of each value: the number of values equal to it up to their errors."""
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
        """The number of trainable parameters."""
        return self.network.parameter_count

    def __call__(self, points: Points | Tensor) -> Tensor:
        """Return the modes at points (n, d): (n, count), or (n, m, count) for m > 1 fields."""
        return self._complex(self.surrogate(self._points(points)))

    @torch.no_grad()
    def gradient(self, points: Points | Tensor) -> Tensor:
        """Return the modes' first derivatives, (n, d, count), or (n, d, m, count) for m > 1."""
        channels = Channels(self.problem.domain.names, gradient=True)
        gradient = self.surrogate.jet(self._points(points), channels).gradient
        assert gradient is not None
        return self._complex(gradient)

    @torch.no_grad()
    def residual(self, points: Points | Tensor) -> Tensor:
        """Return L u - λ M u of each mode at points (n, d): (n, equations, count)."""
        p, m, problem = self._points(points), len(self.fields), self.problem
        both = [each(e, m) for e in (problem.operator_values, problem.mass_values)]
        jet = self.surrogate.jet(p, channels_at(self.surrogate, both, p))
        left, right = (as_modes(equation(p, jet), self.values) for equation in both)
        return left - self.values * right

    def plot(
        self,
        mode: int | Sequence[int] | None = None,
        field: str | None = None,
        *,
        imaginary: bool = False,
        along: str | Sequence[str] | None = None,
        at: Mapping[str, float | int] | None = None,
        nodes: int | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw modes as lines over one coordinate, or as maps over two with their nodal lines.

        Args:
            mode: the number of a mode, or several: 1 is that of the first eigenvalue, as in
                titles, tables and files. By default the first twelve.
            field: the name of a field of the modes; by default the first one.
            imaginary: whether to draw the imaginary part of complex modes; by default the real one.
            along: the name of the coordinate, or the names of two, that vary; by default both of a
                plane, and at most two.
            at: values of coordinates that do not vary, by name; by default those of the centre.
            nodes: points along each axis; by default 401 of a line, 129 of a map.
            ax: axes of Matplotlib to draw in, one for each mode; by default those of a new figure
                of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several modes an array of them, (modes,).

        Raises:
            InputError: for a mode, field or coordinate that there is not, the imaginary part of
                real modes, or another number of axes than of modes.

        Example:
            >>> import kanpinn as kp
            >>> from matplotlib.figure import Figure
            >>> class String(kp.EigenProblem):
            ...     domain = kp.Box(x=(0, 1))
            ...     def operator(self, p, u):
            ...         return -kp.laplacian(u)
            ...     def conditions(self):
            ...         return [kp.Dirichlet(self.domain.boundary)]
            >>> modes = kp.eigen(String(), kp.KAN([1, 1], degree=6, grid=8), count=2)
            >>> modes.plot(2, ax=Figure().subplots()).get_xlabel()
            '$x$'
        """
        options = {"along": along, "at": at, "nodes": nodes}
        return self._view().plot(self, mode, field, imaginary=imaginary, **options, ax=ax)

    def _complex(self, outputs: Tensor) -> Tensor:
        """Return real outputs (…, outputs) as modes: (…, count), or (…, m, count) for m > 1."""
        m = len(self.fields)
        modes = as_modes(outputs.unflatten(-1, (-1, m)).transpose(-1, -2), self.values)
        return modes[..., 0, :] if m == 1 else modes

    def _points(self, points: Points | Tensor) -> Points:
        like = self.surrogate.low
        return Points.of(points, self.problem.domain.names).to(like.dtype, like.device)
