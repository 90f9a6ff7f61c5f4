"""The solution of an eigenvalue problem, and the pairs of its eigenvalues with exact ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Number
from typing import Any

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels
from kanpinn.networks.network import Network
from kanpinn.pde.eigen_problem import EigenProblem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.eigen.modes import as_modes, channels_at, each
from kanpinn.solvers.solution import Solved


def paired_exact_values(
    problem: EigenProblem, values: Tensor, near: float | None, doublings: int = 8
) -> Tensor | None:
    """Return the exact eigenvalue that is paired with each computed one, (count,).

    The pairing is one to one and minimises the sum of the distances, so a mode that is missing
    shows as an error of another one.

    Args:
        problem: which may give exact eigenvalues.
        values: the computed eigenvalues, (count,).
        near: the number that the values are nearest to; None if they are the first ones. With it,
            more and more exact eigenvalues are requested until they enclose those around `near`.
        doublings: the largest number of these requests; the first is for 4 · count eigenvalues,
            each later one for twice as many as the one before.

    Returns:
        The exact eigenvalues; None if the problem gives none, or too few of them around `near`.

    Raises:
        InputError: if the problem gives fewer than `count`, or anything but finite numbers.
    """
    count = len(values)
    if not problem.has_exact_eigenvalues or count == 0:
        return None
    if near is None:
        return paired(values, _exact(problem, count)[:count])
    reach = float((values - near).abs().max())
    for asked in (4 * count * 2**power for power in range(doublings)):
        exact = _exact(problem, asked, least=count)
        if float((exact - near).abs()[-1]) > reach and float(exact[-1].abs()) > abs(near):
            return paired(values, exact[(exact - near).abs().argsort()[:count]])
        if len(exact) < asked:
            return None
    return None


def _exact(problem: EigenProblem, count: int, least: int | None = None) -> Tensor:
    """Request `count` exact eigenvalues; raise if there are fewer than `least`, or no numbers."""
    given = problem.exact_eigenvalues(count)
    what = f"{type(problem).__name__}.exact_eigenvalues({count})"
    least = count if least is None else least
    if not isinstance(given, Sequence | numpy.ndarray | Tensor) or len(given) < least:
        raise InputError(f"{what} must give {least} numbers, got {given!r}")
    if not all(isinstance(v, Number) or getattr(v, "ndim", 1) == 0 for v in given):
        raise InputError(f"{what} must give numbers, got {given!r}")
    exact = torch.tensor([complex(v) for v in given], dtype=torch.complex128)
    if not bool(torch.isfinite(exact).all()):
        raise InputError(f"{what} must give finite numbers, got {given!r}")
    return exact if bool(exact.imag.any()) else exact.real


def paired(values: Tensor, others: Tensor) -> Tensor:
    """Return the other number that is paired with each value, (count,); others: at least as many.

    The pairing is one to one and minimises the sum of the distances.
    """
    from scipy.optimize import linear_sum_assignment

    distances = (values.cpu()[:, None] - others).abs().double()
    _, columns = linear_sum_assignment(distances.numpy())
    return others[torch.from_numpy(columns)]


def relative_errors(values: Tensor, exact: Tensor) -> Tensor:
    """Return |λ - exact| / |exact|, (count,); the absolute error where the exact value is zero."""
    size = exact.abs()
    return (values.cpu() - exact).abs() / torch.where(size > 0, size, torch.ones_like(size))


# Eigenvalues that differ by less than this, relative to their size, or by less than their errors
# count as one multiple eigenvalue.
SAME = 1e-6


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Eigensolution(Solved):
    """Eigenvalues and their modes; calling it evaluates the modes at points.

    Notebooks show it as tables with a picture.

    If the problem is self-adjoint, the modes are normalised to ∫ u·Mu = 1 and orthogonal to each
    other for ∫ u·Mv; otherwise they are normalised to ∫ |u|² = 1.

    Args:
        discretization: problem, network, points and weights of the solve.
        surrogate: with one output for each field of each mode.
        residuals: L u - λ M u of all modes, and of the conditions that are not met exactly.
        status: "converged", "stopped: ..." or "failed: ...", in words.
        history: one row for each step, see `eigen`.
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
        seconds: the wall time of the solve.
        loss_terms: the value of each loss term, by name.
        optimizer_seconds: the seconds of the steps.
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

    shown_by = "kanpinn.plotting.modes"

    discretization: Discretization[EigenProblem]
    values: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    residual_norms: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    bounds: Tensor | None = None
    unbounded: str = "there are no modes"
    estimates: Tensor | None = None
    self_adjoint: bool = False
    exact: Tensor | None = None
    errors: Tensor | None = None
    unresolved: int = 0

    def __repr__(self) -> str:
        what = type(self.problem).__name__
        return f"<Eigensolution of {what}: {self.status}; values: {self.values.tolist()}>"

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
