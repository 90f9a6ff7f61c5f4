"""`Solved`, the base class of results, and `Solution`, the result of a solve of a PDE: values,
derivatives, integrals, quantities, pictures, intervals of unknowns.
"""

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import Ended, InputError, one_of
from kanpinn._support.shown import Shown
from kanpinn.accuracy import Errors, Estimate, Reference
from kanpinn.accuracy.confidence import Covariance, Estimated, HalfWidths
from kanpinn.accuracy.invariants import Invariant, invariants_of
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.geometry.product import at_one_time
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Channels, Jet, find_channels, normal_derivative, partial, stack_equations
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import PROBE_POINTS
from kanpinn.networks import Network, Surrogate
from kanpinn.networks.combined import with_more_functions
from kanpinn.optimizers import Method
from kanpinn.pde.problem import Problem
from kanpinn.solvers.discretization import Discretization
from kanpinn.solvers.state import History
from kanpinn.solvers.summary import text
from kanpinn.solvers.verification import Verification
from kanpinn.spaces.cells.problem import rule_in_cells


class Differentiable(torch.autograd.Function):
    """A function of points with partial derivatives, as one that PyTorch differentiates.

    `apply(coords, solved, names)` returns the partial derivative of a result's fields by the named
    coordinates, (n, …), and their values without names. Its derivatives are again partial ones, so
    that it can be differentiated backward and forward, and mapped over batches of points.
    """

    @staticmethod
    def forward(coords: Tensor, solved: "Solved", names: tuple[str, ...]) -> Tensor:
        return solved._partial(coords, names)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        coords, ctx.solved, ctx.names = inputs
        ctx.save_for_backward(coords)
        ctx.save_for_forward(coords)

    @staticmethod
    def _partials(ctx: Any) -> Tensor:
        """The first derivatives of the output, (d, n, …)."""
        (coords,), solved = ctx.saved_tensors, ctx.solved
        names = [(*ctx.names, name) for name in solved.surrogate.domain.names]
        return torch.stack([Differentiable.apply(coords, solved, each) for each in names])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        partials = Differentiable._partials(ctx)
        products = (gradients[0] * partials.conj()).flatten(2).sum(dim=2)
        return products.real.T.to(ctx.saved_tensors[0]), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        partials = Differentiable._partials(ctx)
        along = tangents[0].T.to(partials.real.dtype)
        return (partials * along[(...,) + (None,) * (partials.ndim - 2)]).sum(dim=0)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        coords: Tensor,
        solved: "Solved",
        names: tuple[str, ...],
    ) -> tuple[Tensor, int]:
        coords = coords.movedim(in_dims[0], 0)
        flat = Differentiable.apply(coords.flatten(0, 1), solved, names)
        return flat.unflatten(0, coords.shape[:2]), 0


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Solved(Shown, Ended):
    """Base class of the results of solves, fits and eigenvalue problems.

    Args:
        residuals: the loss at the end.
        status: "converged", "stopped: ...", "overfitted: ..." or "failed: ...", with the reason.
        history: the recorded quantities, step by step.
        seconds: the time of the whole solve, in seconds.
        optimizer_seconds: the time of each optimizer, in seconds.
        loss_terms: the mean square of each term of the loss, by the name of the term.
        optimizers: the optimizers, in the order in which they ran.
        processes: the number of processes that solved the problem together.
    """

    residuals: Residuals
    status: str
    history: History
    seconds: float = 0.0
    optimizer_seconds: list[float] = field(default_factory=list)
    loss_terms: dict[str, float] = field(default_factory=dict)
    optimizers: tuple[Method, ...] = ()
    processes: int = 1

    def __str__(self) -> str:
        return text(self)

    @property
    def surrogate(self) -> Surrogate:
        """The network, with the maps from coordinates to its inputs and from outputs to fields."""
        return self.residuals.surrogate

    @property
    def network(self) -> Network:
        """The network inside the surrogate."""
        return self.surrogate.network

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return self.network.parameter_count

    def _points(self, points: Points | Tensor) -> Points:
        """Points, or a tensor (n, d), as `Points` with the surrogate's dtype and device."""
        like = self.surrogate.low
        return Points.of(points, self.surrogate.domain.names).to(like.dtype, like.device)

    def _values(self, points: Points | Tensor) -> Tensor:
        """The values of the fields at points, (n, m), which PyTorch differentiates."""
        coords = points.coords if isinstance(points, Points) else torch.as_tensor(points)
        values: Tensor = Differentiable.apply(coords, self, ())
        return values

    def _partial(self, coords: Tensor, names: tuple[str, ...]) -> Tensor:
        """A partial derivative of the fields by the named coordinates, (n, …); see `_values`."""
        points = self._points(coords)

        def evaluate(points: Points, channels: Channels) -> Tensor:
            jet = self.surrogate.evaluate(points, channels)
            return partial(jet, *names) if names else jet.value

        channels = Channels(points.names)
        if names:
            few = points[:PROBE_POINTS]
            channels, _ = find_channels(lambda c: evaluate(few, c), points.names)
        return self._defined(points, evaluate(points, channels), warned=not names)

    def _defined(self, points: Points, values: Tensor, *, warned: bool = True) -> Tensor:
        """Values (n, …) at points (n, d), which become NaN outside the domain, with a warning.

        Points outside by less than 1e-4 of the domain's size count as inside: the arcs of a mesh
        only approximate its curves.
        """
        domain = self.surrogate.domain
        if not isinstance(domain, Domain):
            return values
        low, high = domain.bounds
        slack = 1e-4 * float((high - low).max())
        outside = ~domain.contains(points.coords.to(low), slack)
        if not bool(outside.any()):
            return values
        if warned:
            warnings.warn(
                f"{int(outside.sum())} of {len(points)} points lie outside the domain, where the "
                "solution is not defined: the values there are NaN",
                stacklevel=6,
            )
        undefined = torch.full_like(values, math.nan)
        kept = outside.to(values.device).view(-1, *(1,) * (values.ndim - 1))
        return torch.where(kept, undefined, values)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Solution(Solved):
    """The result of a solve; a call returns the values of the fields at points.

    Its methods take points as `Points`, or as tensors (n, d) in the order of the domain's
    coordinates. Notebooks show a solution as tables with a picture.

    Args:
        discretization: the problem, the surrogate and the collocation points of the solve.
        residuals: the loss at the end.
        errors: the errors against the exact solution or the reference; None without either.
        status: "converged", "stopped: ...", "overfitted: ..." or "failed: ...", with the reason.
        history: the recorded quantities, step by step: history.names are their names, and
            history.column("loss") is the loss as an array.
        seconds: the time of the whole solve, in seconds, without the computation of a reference and
            without the verification.
        optimizer_seconds: the time of each optimizer, in seconds.
        loss_terms: the mean square of each term of the loss, by the name of the term.
        optimizers: the optimizers, in the order in which they ran.
        processes: the number of processes that solved the problem together.
        reference: the reference solution, from which the errors are measured if there is no exact
            solution; None without a reference.
        reference_seconds: the time that computing the reference took, in seconds.
        estimate: the estimated errors; None if they were not estimated.
        verification: the loss at points that no step has seen, and the loss at the points of the
            solve; None for an energy, and for a solve that was interrupted.
        log: one line for each trial of a `TrialSearch`, and the reasons why it ended.

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
    errors: Errors | None
    reference: Reference | None = None
    reference_seconds: float = 0.0
    estimate: Estimate | None = None
    verification: Verification | None = None
    log: tuple[str, ...] = ()

    def __repr__(self) -> str:
        what, steps = type(self.problem).__name__, self.history.steps
        return f"<Solution of {what}: {self.status}; steps: {steps}, unknowns: {self.parameters}>"

    @property
    def problem(self) -> Problem:
        """The problem that was solved."""
        return self.discretization.problem

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(self.problem.fields)

    @property
    def estimated_error(self) -> float | None:
        """The estimated relative L2 error; None if it was not estimated.

        It is that of `estimate` or, without one, that of the adaptive solve in cells.
        """
        if self.estimate is not None and self.estimate.errors is not None:
            return self.estimate.errors.l2_relative
        known = self.network.estimates_error
        return self.history.rows[-1].get("estimated_error") if known else None

    @cached_property
    def covariance(self) -> Covariance:
        """The covariance of the network's coefficients that the noise of the data causes."""
        output_only = all(one.output_layer_only for one in self.optimizers)
        data = [c for c in self.problem.conditions() if c.measurements]
        known = bool(data) and all(c.noise is not None for c in data)
        return Covariance(self.residuals, output_only, known, self._richer_residuals)

    def _richer_residuals(self) -> Residuals:
        """The loss of the same solution in a network with additional functions, at other points.

        The additional functions have the coefficients 0. Unknown coefficient fields get none, since
        their network is a part of the user's problem.
        """
        surrogate, seed = copy.deepcopy(self.surrogate), self.discretization.seed + 7919
        known = dict(enumerate(surrogate.coefficients))
        outputs = [i for i in range(surrogate.network.width[-1]) if known.get(i) is None]
        surrogate.network = with_more_functions(surrogate.network, outputs, seed)
        count = sum(layer.coefficients.numel() for layer in surrogate.network.output_layers)
        chosen = self.discretization.collocation
        interior = max(2 * chosen.interior, math.ceil(1.5 * count / len(outputs)))
        points = Collocation(interior, 2 * chosen.boundary, chosen.sampler)
        made = replace(self.discretization, surrogate=surrogate, collocation=points, seed=seed)
        made.prepare()
        return made.residuals()

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
        """The integrals over space that the problem conserves, at several times, by name."""
        return invariants_of(self.problem, self.surrogate)

    @cached_property
    def quantities(self) -> dict[str, float]:
        """The numbers that the problem computes from its solution, such as a drag, by name.

        Raises:
            InputError: unless the problem's `quantities` returns a dict from names to real numbers,
                or to tensors with one real element.
        """
        problem = self.problem
        if problem.quantities is None:
            return {}
        found, where = problem.quantities(self), f"{type(problem).__name__}.quantities"
        if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
            raise InputError(f"{where} must return a dict from names to numbers, got {found!r}")
        numbers: dict[str, float] = {}
        for name, value in found.items():
            number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
            if isinstance(number, bool) or not isinstance(number, Real):
                raise InputError(f"{where}: {name} must be a real number, got {value!r}")
            numbers[name] = float(number)
        return numbers

    def interval(self, points: Points | Tensor, field: str | None = None) -> tuple[Tensor, Tensor]:
        """The ends of the pointwise 95% confidence interval of a field.

        The interval accounts for the noise of the data, not for the error of the solution. It is
        infinite where the data do not determine the field. If the search for the unknowns has not
        converged, it is infinite everywhere.

        Args:
            points: n points.
            field: the name of the field; may be left out if the problem has only one field.

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
        """The values of the m fields at points, (n, m).

        `torch.autograd` and `torch.func` differentiate them by the points, up to the fourth order,
        and `torch.vmap` maps them. Outside the domain they are NaN, with a warning.
        """
        return self._values(points)

    @torch.no_grad()
    def gradient(self, points: Points | Tensor) -> Tensor:
        """The first derivatives at points, (n, d) for one field, else (n, d, m); NaN outside."""
        channels = Channels(self.problem.domain.names, gradient=True)
        points = self._points(points)
        gradient = self.surrogate.evaluate(points, channels).gradient
        assert gradient is not None
        gradient = self._defined(points, gradient)
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
            nodes: Gauss nodes per axis; above three dimensions the rule is 2^16 Sobol points. Over
                the problem's domain the rule of a solution in cells has points in each cell, and
                smaller cells at singular corners.
            time: the moment at which to integrate over a region in space, if the problem's domain
                is one over time.

        Returns:
            The integral, (m,).

        Raises:
            InputError: unless `over`, together with `time`, has the coordinates of the problem.
        """
        domain, region = self.problem.domain, over
        if isinstance(region, Boundary):
            rules: Iterable[tuple[Points, Tensor]] = [region.quadrature(nodes)]
        elif region is None or isinstance(region, Domain):
            in_cells = rule_in_cells(self.residuals) if region in (None, domain) else None
            rules = in_cells or domain_rule(region or domain, nodes)
        else:
            raise InputError(
                f"an integral is over a domain or a boundary, got {region!r}; a piece is a boundary"
                ' by its name, such as problem.domain.boundary["x_min"]'
            )
        if time is not None and domain.time_name is None:
            raise InputError(f"the problem has no coordinate of time, got time={time}")
        parts = []
        for p, weights in rules:
            if time is not None and domain.time_name is not None:
                p = at_one_time(p, time, domain.time_name)
            if p.names != domain.names:
                at = "" if time is None else " at a time"
                raise InputError(
                    f"expected a region with the coordinates {domain.names}, got one with "
                    f"{p.names}{at}"
                )
            values = self._density(self._points(p), density)
            parts.append(weights.to(values) @ values)
        return torch.stack(parts).sum(dim=0)

    def _density(self, p: Points, density: Callable[..., Tensor] | None) -> Tensor:
        """The values of a density at points, (n, m); None for the values of the fields."""
        if density is None:
            return self.surrogate(p)

        def evaluate(channels: Channels) -> Tensor:
            found = density(p, *self.surrogate.evaluate(p, channels).components())
            return stack_equations(found, len(p), "density")

        return find_channels(evaluate, p.names)[1]

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
        """Draw fields as lines over one coordinate or along a cut, or as maps over two coordinates.

        Line plots also show the exact solution, or the reference if it has been computed already,
        and for an unknown field its 95% interval. If the domain has more coordinates than are
        drawn, the title has the values of the fixed coordinates; without `at` and `time` they are
        fixed at the centre of the domain.

        Args:
            field: the name of a field; by default each field has a panel.
            along: the name of the coordinate that varies, or the names of two; by default both
                coordinates of a plane, and at most two.
            cut: the ends of a straight cut, ((x0, y0), (x1, y1)), in the coordinates that are not
                fixed by `at` or `time`. The horizontal axis is the distance from the first end.
            at: the values of fixed coordinates, by name.
            time: a time, or several times: each time is a line of a panel, or a map.
            error: whether to draw the absolute value of the error, on a logarithmic scale, in place
                of the field.
            nodes: the number of points along each axis; by default 401 for a line, 129 for a map.
            ax: axes of Matplotlib to draw in, one for each panel; by default the axes of a new
                figure of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several panels an array of axes, (fields,) or, for maps
            at several times, (times,) or (fields, times).

        Raises:
            InputError: for a name that is no field or coordinate, a place outside the domain's
                bounding box, errors of a problem that has neither an exact solution nor a reference
                with values everywhere, or if `ax` has not one axes for each panel.

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
