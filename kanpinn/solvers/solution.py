"""The result of a solve: values, derivatives, integrals, quantities, pictures, intervals of
unknowns.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, one_of
from kanpinn._support.shown import Solved
from kanpinn.accuracy.confidence import Covariance, Estimated, HalfWidths
from kanpinn.accuracy.errors import Errors, Estimate
from kanpinn.accuracy.invariants import Invariant, invariants_of
from kanpinn.accuracy.references import Reference
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.geometry.product import at_one_time
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet, find_channels, normal_derivative, stack_equations
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import PROBE_POINTS
from kanpinn.networks.combined import with_more_functions
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Method
from kanpinn.pde.problem import Problem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.state import History
from kanpinn.solvers.verification import Verification


def quantities_of(problem: Problem, solution: object) -> dict[str, float]:
    """Return the quantities of a problem's solution by name; empty if the class defines none.

    Raises:
        InputError: unless `quantities` returns a dict from names to real numbers, or to tensors
            with one real element.
    """
    if problem.quantities is None:
        return {}
    found, where = problem.quantities(solution), f"{type(problem).__name__}.quantities"
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise InputError(f"{where} must return a dict from names to numbers, got {found!r}")
    return {name: _number(value, f"{where}: {name}") for name, value in found.items()}


def _number(value: object, where: str) -> float:
    number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    if isinstance(number, bool) or not isinstance(number, Real):
        raise InputError(f"{where} must be a real number, got {value!r}")
    return float(number)


def rules_of(region: Domain | Boundary, nodes: int) -> Iterable[tuple[Points, Tensor]]:
    """Quadrature rules on the parts of a region.

    Args:
        region: a domain, a boundary or a part of one.
        nodes: of Gauss' rules, per axis.

    Raises:
        InputError: for anything else, such as the name of a piece.
    """
    if isinstance(region, Boundary):
        return [region.quadrature(nodes)]
    if not isinstance(region, Domain):
        raise InputError(
            f"an integral is over a domain or a boundary, got {region!r}; a piece is a boundary by "
            'its name, such as problem.domain.boundary["x_min"]'
        )
    return domain_rule(region, nodes)


def points_of_region(domain: Domain, points: Points, time: float | None) -> Points:
    """The points of a region, at a time if they are points in space.

    Args:
        domain: the domain of the problem.
        points: points of a part of the domain, or of the domain in space.
        time: the moment for points in space.

    Raises:
        InputError: unless the points, with the time, have the coordinates of the domain.
    """
    if time is not None:
        if domain.time_name is None:
            raise InputError(f"the problem has no coordinate of time, got time={time}")
        points = at_one_time(points, time, domain.time_name)
    if points.names != domain.names:
        at = "" if time is None else " at a time"
        raise InputError(
            f"expected a region with the coordinates {domain.names}, got one with "
            f"{points.names}{at}"
        )
    return points


def integral(
    surrogate: Surrogate,
    rules: Iterable[tuple[Points, Tensor]],
    density: Callable[..., Tensor] | None,
) -> Tensor:
    """The sum of a density (n, m) at the points of some rules times their weights, (m,).

    Args:
        surrogate: the fields.
        rules: points and weights.
        density: see `Solution.integral`.
    """
    parts = []
    for points, weights in rules:
        found = _values(surrogate, points, density)
        parts.append(weights.to(found) @ found)
    return torch.stack(parts).sum(dim=0)


def _values(surrogate: Surrogate, p: Points, density: Callable[..., Tensor] | None) -> Tensor:
    if density is None:
        return surrogate(p)

    def evaluate(channels: Channels) -> Tensor:
        found = density(p, *surrogate.evaluate(p, channels).components())
        return stack_equations(found, len(p), "density")

    return find_channels(evaluate, p.names)[1]


def richer_residuals(discretization: Discretization[Problem], residuals: Residuals) -> Residuals:
    """Return the loss of a solution in a network with additional functions, at other points.

    The fields that are solved for get more functions; unknown coefficient fields do not, since
    their network is part of what a user states. The function itself is the same at first.

    Args:
        discretization: that of the solve.
        residuals: the loss at its end.
    """
    surrogate, seed = copy.deepcopy(residuals.surrogate), discretization.seed + 7919
    fields = range(surrogate.network.width[-1])
    known = dict(enumerate(surrogate.coefficients))
    outputs = [i for i in fields if known.get(i) is None]
    surrogate.network = with_more_functions(surrogate.network, outputs, seed)
    count = sum(layer.coefficients.numel() for layer in surrogate.network.output_layers)
    chosen = discretization.collocation
    points = replace(
        chosen,
        interior=max(2 * chosen.interior, math.ceil(1.5 * count / len(outputs))),
        boundary=2 * chosen.boundary,
        resample=0,
        adapt=None,
    )
    made = replace(discretization, surrogate=surrogate, collocation=points, seed=seed)
    made.prepare()
    return made.residuals()


@dataclass(frozen=True, eq=False, repr=False)
class Solution(Solved):
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

    shown_by = "kanpinn.plotting.solutions"

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

    def plot(
        self,
        field: str | None = None,
        *,
        along: str | Sequence[str] | None = None,
        cut: tuple[Sequence[float | int], Sequence[float | int]] | None = None,
        at: Mapping[str, float | int] | None = None,
        time: float | int | Sequence[float | int] | None = None,
        error: bool = False,
        nodes: int | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw fields as lines over one coordinate or along a cut, or as maps over two.

        Lines have the exact solution beside them, or the reference if it has been made already, and
        an unknown field its 95% interval. Where the domain has more coordinates than are drawn, the
        title says at which values the others are held: without `at` and `time`, at the centre of
        the domain.

        Args:
            field: the name of a field; by default there is a panel for each field.
            along: the name of the coordinate, or the names of two, that vary; by default both of a
                plane, and at most two.
            cut: the ends of a straight cut, ((x0, y0), (x1, y1)), in the coordinates that are not
                fixed by `at` or `time`. The horizontal axis is the distance from the first end.
            at: values of coordinates that do not vary, by name.
            time: the time, or several of them: lines of one panel, or a map for each.
            error: whether to draw the absolute value of the error, on a logarithmic scale, in place
                of the field.
            nodes: points along each axis; by default 401 of a line, 129 of a map.
            ax: axes of Matplotlib to draw in, one for each panel; by default those of a new figure
                of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several panels an array of them, (fields,) or, for maps
            at several times, (times,) or (fields, times).

        Raises:
            InputError: for a name that is no field or coordinate, a place outside the domain's box,
                errors of a problem without an exact solution or a reference with values
                everywhere, or another number of axes than of panels.

        Example:
            >>> import kanpinn as kp
            >>> from matplotlib.figure import Figure
            >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), source="1", boundary="0")
            >>> solution = kp.solve(problem, kp.KAN([2, 16, 1], grid=4))
            >>> ax = solution.plot(cut=((0, 0.5), (1, 0.5)), ax=Figure().subplots())
            >>> ax.get_xlabel(), ax.get_ylabel()
            ('distance from (0, 0.5) to (1, 0.5)', '$u$')
        """
        options = {"along": along, "cut": cut, "at": at, "time": time}
        return self._view().plot(self, field, **options, error=error, nodes=nodes, ax=ax)

    def _points(self, points: Points | Tensor) -> Points:
        like = next(self.network.parameters())
        return Points.of(points, self.problem.domain.names).to(like.dtype, like.device)
