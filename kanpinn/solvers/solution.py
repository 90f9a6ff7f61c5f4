"""The result of a solve."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.errors import one_of
from kanpinn._support.status import CONVERGED
from kanpinn.accuracy.confidence import Covariance, Estimated, HalfWidths
from kanpinn.accuracy.errors import Errors
from kanpinn.accuracy.estimate import Estimate
from kanpinn.accuracy.invariants import Invariant, invariants_of
from kanpinn.accuracy.references import Reference
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet, normal_derivative
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import PROBE_POINTS
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Method
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.drawn_fields import DrawnFields
from kanpinn.solvers.history import History
from kanpinn.solvers.integrals import integral, points_of_region, rules_of
from kanpinn.solvers.quantities import quantities_of
from kanpinn.solvers.richer import richer_residuals
from kanpinn.solvers.verification import Verification


@dataclass(frozen=True, eq=False, repr=False)
class Solution(DrawnFields):
    """The result of a solve: call it for values; it also gives gradients and residuals.

    Notebooks show it as tables with a picture.

    Points are `Points` or tensors (n, d) in the order of the domain's coordinates.

    Args:
        discretization: the problem, the surrogate and the points that it was solved with.
        residuals: the loss at the end.
        errors: the errors against the exact solution or the reference; None without either.
        status: "converged", "stopped: ...", "overfitted: ..." or "failed: ...", with the reason.
        history: the recorded quantities, step by step: history.names are their names, and
            history.column("loss") is one of them, as an array.
        seconds: the time of the whole solve, without that of a reference or of the verification.
        optimizer_seconds: the time of each optimizer.
        loss_terms: the mean square of each term of the loss, by its name.
        optimizers: the optimizers, in the order in which they ran.
        processes: the number of processes that solved the problem together.
        reference: the reference of the errors if there is no exact solution.
        reference_seconds: the time that computing the reference took.
        estimate: the estimated errors, if `estimate_error` was called.
        verification: the residual at points that no step has seen, beside that at the solve's own;
            None for an energy, and for a solve that was interrupted.
        log: for `auto`, the trials and the reason why it ended.

    Attributes:
        problem: the problem that was solved.
        surrogate: the network with scaled coordinates and exact data built in.
        network: the network inside the surrogate.
        fields: the names of the fields.
        parameters: the number of trainable parameters.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> solution = kp.solve(problem, kp.KAN([1, 1], degree=7, grid=8))
        >>> solution.status
        'converged'
        >>> middle = torch.tensor([[0.5]])
        >>> solution(middle).shape, solution.gradient(middle).shape, solution.residual(middle).shape
        (torch.Size([1, 1]), torch.Size([1, 1]), torch.Size([1, 1]))
    """

    discretization: Discretization[Problem]
    residuals: Residuals
    errors: Errors | None
    status: str
    history: History
    seconds: float
    optimizer_seconds: list[float]
    loss_terms: dict[str, float]
    optimizers: tuple[Method, ...]
    processes: int = 1
    reference: Reference | None = None
    reference_seconds: float = 0.0
    estimate: Estimate | None = None
    verification: Verification | None = None
    log: tuple[str, ...] = ()
    problem: Problem = field(init=False, repr=False)
    surrogate: Surrogate = field(init=False, repr=False)
    network: Network = field(init=False, repr=False)
    fields: tuple[str, ...] = field(init=False, repr=False)
    parameters: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        problem, surrogate = self.discretization.problem, self.discretization.surrogate
        network = surrogate.network
        vars(self).update(  # a frozen instance takes no assignment
            problem=problem,
            surrogate=surrogate,
            network=network,
            fields=tuple(problem.fields),
            parameters=network.parameter_count,
        )

    def __repr__(self) -> str:
        what, steps = type(self.problem).__name__, self.history.steps
        return f"<Solution of {what}: {self.status}; steps: {steps}, unknowns: {self.parameters}>"

    @property
    def success(self) -> bool:
        """Whether the status is "converged", with or without further words."""
        return self.status.startswith(CONVERGED)

    @cached_property
    def covariance(self) -> Covariance:
        """The covariance of the coefficients due to the noise of the data."""
        output_only = all(one.output_layer_only for one in self.optimizers)
        data = [c for c in self.problem.conditions() if c.measurements]
        known = bool(data) and all(c.noise is not None for c in data)
        richer = partial(richer_residuals, self.discretization, self.residuals)
        return Covariance(self.residuals, output_only, known, richer)

    @cached_property
    def estimated(self) -> dict[str, Estimated]:
        """The problem's unknown numbers with their 95% intervals, by name."""
        return self.covariance.numbers() if self.problem.unknowns and self.problem.numbers else {}

    @cached_property
    def spreads(self) -> dict[str, HalfWidths]:
        """The half-widths of the unknown fields' 95% intervals over the domain, by name."""
        unknown = [name for name in self.fields if name in self.problem.unknowns]
        if not unknown:
            return {}
        points = self._points(sample(self.problem.domain, 256, "sobol"))
        fields = {name: self.covariance.field(points, self.fields.index(name)) for name in unknown}
        return {name: field.summary for name, field in fields.items()}

    @cached_property
    def invariants(self) -> dict[str, Invariant]:
        """The integrals over space that the problem conserves, at the ends of windows, by name."""
        return invariants_of(self.problem, self.surrogate)

    @cached_property
    def quantities(self) -> dict[str, float]:
        """The numbers that the problem computes from its solution, such as a drag, by name."""
        return quantities_of(self.problem, self)

    def interval(self, points: Points | Tensor, field: str | None = None) -> tuple[Tensor, Tensor]:
        """The ends of the pointwise 95% confidence interval of a field.

        The interval accounts for the noise of the data, not for the error of the solution. It is
        infinite where the data do not determine the field, and everywhere if the search for the
        unknowns has not converged.

        Args:
            points: n points.
            field: the name of the field; may be left out if there is only one.

        Returns:
            The lower and upper ends, (n,) each.

        Raises:
            InputError: for a field that the problem does not have.
        """
        if field is None and len(self.fields) == 1:
            (field,) = self.fields
        one_of("field", field, self.fields)
        points = self._points(points)
        low, high = self.covariance.field(points, self.fields.index(field)).bounds
        return low.to(points.coords), high.to(points.coords)

    def __call__(self, points: Points | Tensor) -> Tensor:
        """The values of the m fields at points, (n, m)."""
        return self.surrogate(self._points(points))

    @torch.no_grad()
    def gradient(self, points: Points | Tensor) -> Tensor:
        """The first derivatives at points, (n, d) for one field, else (n, d, m)."""
        channels = Channels(self.problem.domain.names, gradient=True)
        gradient = self.surrogate.evaluate(self._points(points), channels).gradient
        assert gradient is not None
        return gradient[..., 0] if gradient.shape[-1] == 1 else gradient

    @torch.no_grad()
    def integral(
        self,
        over: Domain | Boundary | None = None,
        density: Callable[..., Tensor] | None = None,
        nodes: int = 48,
        time: float | None = None,
    ) -> Tensor:
        """The integral of a density, by quadrature.

        Args:
            over: a domain, a boundary or a part of one; by default the problem's domain.
            density: density(p, u, …), with the arguments of a problem's residual, gives (n, m); by
                default it is the fields themselves. On a boundary p has outward unit normals.
            nodes: Gauss nodes per axis; above three dimensions the rule is 2^16 Sobol points.
            time: the moment at which to integrate over a region in space, if the problem's domain
                is one over time.

        Returns:
            The integral, (m,).

        Raises:
            InputError: unless the region, with the time, has the coordinates of the problem.
        """
        region = self.problem.domain if over is None else over
        rules = (
            (self._points(points_of_region(self.problem.domain, points, time)), weights)
            for points, weights in rules_of(region, nodes)
        )
        return integral(self.surrogate, rules, density)

    def flux(self, boundary: Boundary | None = None, nodes: int = 48) -> Tensor:
        """∫ ∂u/∂n over the boundary or a part of it, (m,), where n is the outward unit normal."""

        def normal(p: Points, *fields: Jet) -> Tensor:
            return torch.cat([normal_derivative(u, p) for u in fields], dim=1)

        return self.integral(boundary or self.problem.domain.boundary, normal, nodes)

    @torch.no_grad()
    def residual(self, points: Points | Tensor) -> Tensor:
        """The residual of the PDE at points, (n, equations)."""
        p = self._points(points)
        few = p[:PROBE_POINTS]
        channels, _ = find_channels(
            lambda c: self.problem.equation(few, self.surrogate.jet(few, c)), p.names
        )
        return self.problem.equation(p, self.surrogate.jet(p, channels))

    def _points(self, points: Points | Tensor) -> Points:
        like = next(self.network.parameters())
        return Points.of(points, self.problem.domain.names).to(like.dtype, like.device)
