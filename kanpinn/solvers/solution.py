"""`Solved`, the base class of results, and `Solution`, the result of a solve of a PDE. A `Solution`
gives values, derivatives, integrals, quantities, plots, and confidence intervals of unknowns.
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
    """The fields of a result and their partial derivatives, as a function of points for autograd.

    `apply(coords, solved, names)` returns the partial derivative of the fields of `solved` by the
    coordinates `names`, (n, …), at the points `coords`, (n, d). With empty `names` it returns the
    values of the fields. PyTorch can differentiate the function in backward and forward mode, since
    its derivatives are partial derivatives of one order more, and can map it over batches.
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
        """Return the first derivatives of the output by the d coordinates, (d, n, …)."""
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
        residuals: the loss after the last step, with its terms and points.
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
        """Return points, which may be a tensor (n, d), with the surrogate's dtype and device."""
        like = self.surrogate.low
        return Points.of(points, self.surrogate.domain.names).to(like.dtype, like.device)

    def _values(self, points: Points | Tensor) -> Tensor:
        """Return the values of the m fields at points, (n, m), which PyTorch can differentiate."""
        coords = points.coords if isinstance(points, Points) else torch.as_tensor(points)
        values: Tensor = Differentiable.apply(coords, self, ())
        return values

    def _partial(self, coords: Tensor, names: tuple[str, ...]) -> Tensor:
        """Return the partial derivative of the fields by the coordinates `names`, (n, …).

        With empty `names` these are the values; outside the domain both are NaN.

        Args:
            coords: the points, (n, d).
            names: the names of the coordinates, one for each differentiation.
        """
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
        """Return the values (n, …) at points (n, d), with NaN for points outside the domain.

        Points outside by less than 1e-4 of the domain's size count as inside: the arcs of a mesh
        only approximate its curves. `warned` is whether to warn of points outside.
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
    """The result of a solve of a PDE; calling it returns the values of the fields at points.

    Its methods take points as `Points`, or as tensors (n, d) in the order of the domain's
    coordinates. Notebooks show a solution as tables with a picture.

    Args:
        discretization: the problem, the surrogate and the collocation points of the solve.
        residuals: the loss after the last step, with its terms and points.
        errors: the errors against the exact solution or, if there is none, against the reference;
            None if they were not measured.
        status: "converged", "stopped: ...", "overfitted: ..." or "failed: ...", with the reason.
        history: the recorded quantities, step by step: history.names are their names, and
            history.column("loss") is the loss as an array.
        seconds: the time of the whole solve, in seconds, without the computation of a reference and
            without the verification.
        optimizer_seconds: the time of each optimizer, in seconds.
        loss_terms: the mean square of each term of the loss, by the name of the term.
        optimizers: the optimizers, in the order in which they ran.
        processes: the number of processes that solved the problem together.
        reference: the reference solution, against which the errors are measured if there is no
            exact solution; None without a reference.
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

        The error is from `estimate` or, without an estimate, from the adaptive solve in cells.
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
        """Return the loss of the same solution in a network with additional basis functions.

        The additional functions have the coefficients 0, and the loss has more and other points.
        Unknown coefficient fields get no additional functions, since their network is a part of the
        user's problem.
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
        """The problem's unknown numbers with their 95% confidence intervals, by name."""
        return self.covariance.numbers() if self.problem.unknowns and self.problem.numbers else {}

    @cached_property
    def spreads(self) -> dict[str, HalfWidths]:
        """Half-widths of the 95% confidence intervals of unknown fields at 256 points, by name."""
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
        """Return the ends of the pointwise 95% confidence interval of a field.

        The interval accounts for the noise of the data, not for the error of the solution. The
        interval is infinite where the data do not determine the field, and it is infinite
        everywhere if the search for the unknowns has not converged.

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
        """Return the values of the m fields at points, (n, m).

        `torch.autograd` and `torch.func` can differentiate the values by the points, up to the
        fourth order, and `torch.vmap` can map this call. At points outside the domain the values
        are NaN, with a warning.
        """
        return self._values(points)

    @torch.no_grad()
    def gradient(self, points: Points | Tensor) -> Tensor:
        """Return the first derivatives of the m fields at points, by the d coordinates.

        Outside the domain they are NaN.

        Returns:
            The derivatives, (n, d) for a single field, otherwise (n, d, m).
        """
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
        """Integrate a density over a domain or a boundary, by quadrature.

        Args:
            over: a domain, a boundary or a part of a boundary; by default the problem's domain.
            density: a function density(p, u, …), with the arguments of a problem's residual, that
                returns the m integrands, (n, m); by default the fields are integrated. On a
                boundary p has outward unit normals.
            nodes: the number of Gauss nodes per axis; above three dimensions the rule has 2^16
                Sobol points. For a solution in cells, the rule over the problem's domain has points
                in each cell, and smaller cells at singular corners.
            time: the time at which to integrate over a region in space, if the problem depends on
                time.

        Returns:
            The integrals, (m,).

        Raises:
            InputError: unless the coordinates of `over`, and of time if `time` is given, are the
                coordinates of the problem.
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
        """Return the values of a density at points, (n, m); None for the values of the fields."""
        if density is None:
            return self.surrogate(p)

        def evaluate(channels: Channels) -> Tensor:
            found = density(p, *self.surrogate.evaluate(p, channels).components())
            return stack_equations(found, len(p), "density")

        return find_channels(evaluate, p.names)[1]

    def flux(self, boundary: Boundary | None = None, nodes: int = 48) -> Tensor:
        """Return ∫ ∂u/∂n for each of the m fields, (m,), with the outward unit normal n.

        Args:
            boundary: a boundary or a part of it; by default the boundary of the problem's domain.
            nodes: the number of Gauss nodes per axis.
        """

        def normal(p: Points, *fields: Jet) -> Tensor:
            return torch.cat([normal_derivative(u, p) for u in fields], dim=1)

        return self.integral(boundary or self.problem.domain.boundary, normal, nodes)

    @torch.no_grad()
    def residual(self, points: Points | Tensor) -> Tensor:
        """Return the residual of each equation of the PDE at points, (n, equations)."""
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
            along: the name of the coordinate that varies, or the names of two coordinates; by
                default at most two coordinates, see `plane_of` in `kanpinn.solvers.grid_fields`.
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
                with values everywhere, or if the number of axes is not the number of panels.

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
