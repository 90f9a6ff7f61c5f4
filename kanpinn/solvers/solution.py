"""`Solved`, the base class of results, and `Solution`, the result of a solve of a PDE. A `Solution`
gives values, derivatives, integrals, quantities, plots, and confidence intervals of unknowns.
"""

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import Ended, InputError, integer, one_of
from kanpinn._support.shown import Shown
from kanpinn.accuracy import Errors, Estimate, Reference
from kanpinn.accuracy.confidence import Covariance, Estimated, HalfWidths
from kanpinn.accuracy.invariants import Invariant, invariants_of
from kanpinn.accuracy.quantity import PARTS, ROWS, Quantity
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
from kanpinn.spaces.cells.quadrature import CellRules, Rule


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
        """Convert points, or a tensor (n, d) of them, to `Points` in the surrogate's dtype."""
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
            """Return the partial derivatives of the fields at points; without names the values."""
            jet = self.surrogate.evaluate(points, channels)
            return partial(jet, *names) if names else jet.value

        channels = Channels(points.names)
        if names:
            few = points[:PROBE_POINTS]
            channels, _ = find_channels(lambda c: evaluate(few, c), points.names)
        return self._defined(points, evaluate(points, channels), warned=not names)

    def _outside(self, points: Points) -> Tensor:
        """A mask (n,) of the points outside the domain, by over 1e-4 of the domain's size."""
        domain = self.surrogate.domain
        if not isinstance(domain, Domain):
            return torch.zeros(len(points), dtype=torch.bool)
        low, high = domain.bounds
        return ~domain.contains(points.coords.to(low), 1e-4 * float((high - low).max()))

    def _defined(self, points: Points, values: Tensor, *, warned: bool = True) -> Tensor:
        """Return the values (n, …) at points (n, d), with NaN for points outside the domain.

        Points outside by less than 1e-4 of the domain's size count as inside: the arcs of a mesh
        only approximate its curves. `warned` is whether to warn of points outside.
        """
        outside = self._outside(points)
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


class FieldsModule(torch.nn.Module):
    """The m fields of a surrogate as a module of PyTorch, which maps points (n, d) to (n, m).

    Its coefficients are constants, and `torch.export` can trace it.

    Args:
        surrogate: the surrogate, of which a copy is made.
    """

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        self.surrogate = copy.deepcopy(surrogate).requires_grad_(False).eval()
        for part in self.modules():  # an export saves no parts of other tensors
            part._buffers = {k: b if b is None else b.clone() for k, b in part._buffers.items()}

    def forward(self, coords: Tensor) -> Tensor:
        """Return the values of the fields at points."""
        names = self.surrogate.domain.names
        points = Points(coords.to(self.surrogate.low), names)
        return self.surrogate.jet(points, Channels(names), numbers=False).value


@dataclass(frozen=True, eq=False)
class Line:
    """Values of a solution along a straight line.

    Args:
        points: the n points.
        distance: the distance of each point from the first point, (n,).
        values: m values at each point with their errors, (n, m).

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="x * (1 - x)")
        >>> line = kp.solve(problem, kp.KAN([1, 1], degree=5)).along((0,), (1,), 5)
        >>> [round(float(value), 6) for value in line.values[:, 0]]
        [0.0, 0.1875, 0.25, 0.1875, 0.0]
    """

    points: Points
    distance: Tensor
    values: Quantity


def _separate(scaled: Tensor, coords: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return up to 8 of n points that have large values and are not close to each other.

    Args:
        scaled: the coordinates of the n points, divided by the domain's widths, (n, d).
        coords: the coordinates of the n points, (n, d).
        values: the values at the n points, (n,).

    Returns:
        The coordinates of the k ≤ 8 points, (k, d), and their values, (k,).
    """
    most, apart, chosen = 8, 0.1, list[int]()
    for number in values.argsort(descending=True)[:2048].tolist():
        if len(chosen) == most:
            break
        if not chosen or float((scaled[chosen] - scaled[number]).norm(dim=1).min()) > apart:
            chosen.append(number)
    return coords[chosen], values[chosen]


def _pulled_inside(domain: Domain, best: Tensor, moved: Tensor) -> Tensor:
    """Return k groups of points, with points outside the domain moved to its boundary.

    A point outside is moved on a straight line, up to the boundary, towards the mean of the points
    of its group that are inside. If there are none, or if their mean is outside, it is moved
    towards the point of `best` that belongs to the group.

    Args:
        domain: the domain.
        best: a point in the domain for each group, (k, d).
        moved: the points of each group, which lie around its point of `best`, (k, count, d).
    """

    def contains(coords: Tensor) -> Tensor:
        """Return whether points are in the domain: (a, b, d) to a mask (a, b, 1)."""
        return domain.contains(coords.flatten(0, 1)).view(coords.shape[:2])[..., None]

    inside, halvings = contains(moved), 30
    if bool(inside.all()):
        return moved
    mean = (moved * inside).sum(dim=1) / inside.sum(dim=1).clamp_min(1)
    kept = contains(mean[:, None])[:, 0] & inside.any(dim=1)
    near, far = torch.where(kept, mean, best)[:, None].expand_as(moved), moved
    for _ in range(halvings):
        middle = (near + far) / 2
        between = contains(middle)
        near, far = torch.where(between, middle, near), torch.where(between, far, middle)
    return torch.where(inside, moved, near)


def sum_over(rules: Sequence[Rule], density: Callable[[Points], Tensor]) -> Tensor:
    """Return the integrals Σ weight · density of m densities over the points of a quadrature rule.

    Args:
        rules: the rule, in groups of points with their weights.
        density: returns the m densities at n points, (n, m).
    """
    parts = []
    for p, weights in rules:
        values = density(p)
        parts.append(weights.to(values) @ values)
    return torch.stack(parts).sum(dim=0)


def compared(
    value: Tensor,
    rules: Sequence[Rule],
    coarse: Sequence[Rule],
    density: Callable[[Points], Tensor],
    better: tuple[Callable[[Points], Tensor], float] | None,
) -> Tensor:
    """Compute m integrals again in several ways, whose differences show their errors.

    The change of an integral is factor · (integral of the better density - integral of the
    density). Row 0 of the result, (ROWS, m), is `value` plus the change. Each of the next `PARTS`
    rows is `value` plus the contribution of one part of the points to the change. The last row is
    the integral by the coarser rule. Without a better solution all rows are NaN.

    Args:
        value: the integrals of the density by the rule, (m,).
        rules: the rule, in groups of points. In their order the points are divided into `PARTS`
            parts with equal numbers of points.
        coarse: a coarser rule.
        density: the density of the solution, as a function of points.
        better: the density of the better solution, and the factor by which errors may exceed the
            differences between the two solutions; None if there is no better solution.
    """
    rows = value.expand(ROWS, *value.shape).clone()
    rows[-1] = sum_over(coarse, density)
    if better is None:
        return rows.fill_(math.nan)
    (its, factor), begun = better, 0
    total = sum(len(weights) for _, weights in rules)
    for p, weights in rules:
        change = factor * weights.to(value)[:, None] * (its(p) - density(p))
        part = 1 + (begun + torch.arange(len(weights))) * PARTS // total
        rows.index_add_(0, part.to(rows.device), change)
        rows[0] += change.sum(dim=0)
        begun += len(weights)
    return rows


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
    # The module that solves for a better solution imports this class.
    compared_by: ClassVar[str] = "kanpinn.solvers.error_estimate"

    discretization: Discretization[Problem]
    errors: Errors | None
    reference: Reference | None = None
    reference_seconds: float = 0.0
    estimate: Estimate | None = None
    verification: Verification | None = None
    log: tuple[str, ...] = ()

    def __repr__(self) -> str:
        what, steps = type(self.problem).__name__, self.history.steps
        return f"<Solution of {what}: {self.status}; steps: {steps}, parameters: {self.parameters}>"

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

        The error is from `estimate` or, without an estimate, from the solve itself.
        """
        if self.estimate is not None and self.estimate.errors is not None:
            return self.estimate.errors.l2_relative
        return self.own_estimate

    @property
    def own_estimate(self) -> float | None:
        """The relative L2 error that the solve itself has estimated; None if it has not.

        Adaptive solves in cells estimate it, and marches that have reached the last moment.
        """
        known = self.marched == 1 if self.network.in_windows else self.network.estimates_error
        return self.history.rows[-1].get("estimated_error") if known else None

    @property
    def marched(self) -> float:
        """The part of the span of time that a march has solved, from 0 to 1.

        At later times the solution keeps the values of the last moment that was solved. For
        solutions that are no march the result is 1.
        """
        if not self.network.in_windows:
            return 1.0
        begin, end = self.problem.domain.time_span
        part = (self.history.rows[-1].get("time", begin) - begin) / (end - begin)
        return part if part < 1 - 1e-9 else 1.0

    @cached_property
    def covariance(self) -> Covariance:
        """The covariance of the network's coefficients that the noise of the data causes."""
        output_only = all(one.output_layer_only for one in self.optimizers)
        data = [c for c in self.problem.conditions() if c.measurements]
        known = bool(data) and all(c.noise is not None for c in data)
        return Covariance(self.residuals, output_only, known, self._richer_residuals)

    def _richer_residuals(self) -> Residuals:
        """Return the loss of this solution in a network with additional basis functions.

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
        """The unknown scalar parameters of the problem with 95% confidence intervals, by name."""
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
                or to tensors or quantities with one real element.
        """
        where, numbers = f"{type(self.problem).__name__}.quantities", dict[str, float]()
        for name, value in self._computed.items():
            number: Any = value
            if isinstance(value, Tensor | Quantity) and value.shape.numel() == 1:
                number = value.item()
            if isinstance(number, bool) or not isinstance(number, Real):
                raise InputError(f"{where}: {name} must be a real number, got {value!r}")
            numbers[name] = float(number)
        return numbers

    @cached_property
    def _computed(self) -> Mapping[str, Any]:
        """What the problem's `quantities` returns; empty if the problem has no such method."""
        problem = self.problem
        if problem.quantities is None:
            return {}
        found: Any = problem.quantities(self)
        if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
            where = f"{type(problem).__name__}.quantities"
            raise InputError(f"{where} must return a dict from names to numbers, got {found!r}")
        return found

    @cached_property
    def quantity_errors(self) -> dict[str, float]:
        """The estimated errors of `quantities`, by name, as far as they need no further solve."""
        known = {
            k: q for k, q in self._computed.items() if isinstance(q, Quantity) and q.is_ready()
        }
        return {name: float(number.error.item()) for name, number in known.items()}

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

    def module(self) -> torch.nn.Module:
        """Return the fields as a module of PyTorch that `torch.export` and ONNX's exporter take.

        The module maps points (n, d) to the values of the m fields, (n, m), without kanpinn once it
        is exported. Unlike the solution it has values outside the domain too; they mean nothing.

        Raises:
            InputError: for a network in cells or time windows, whose points are looked up.
        """
        network = self.network
        if network.solved_by:
            raise InputError(
                f"a solution in {type(network).__name__} cannot be exported, since it looks up the "
                "cell or window of each point: solve with kp.KAN or kp.MLP, or give kp.fit its "
                "values at many points"
            )
        return FieldsModule(self.surrogate).eval()

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

    @cached_property
    def _better(self) -> tuple[Surrogate, float] | None:
        """The surrogate of a better solution, and an error factor; None if there is none.

        The error of a number that is computed from this solution is at most about the error factor
        times its difference between the two solutions, see `better_surrogate`.
        """
        found: tuple[Surrogate, float] | None
        found = import_module(self.compared_by).better_surrogate(self)
        return found

    def _is_compared(self) -> bool:
        """Return whether a better solution is known, so that errors need no further solve."""
        return "_better" in vars(self) or self.network.better is not None

    @torch.no_grad()
    def integral(
        self,
        over: Domain | Boundary | None = None,
        density: Callable[..., Tensor] | None = None,
        nodes: int = 48,
        time: float | None = None,
    ) -> Quantity:
        """Integrate a density over a domain or a boundary, by quadrature.

        Args:
            over: a domain, a boundary or a part of a boundary; by default the problem's domain.
            density: a function density(p, u, …), with the arguments of a problem's residual, that
                returns the m integrands, (n, m); by default the fields are integrated. On a
                boundary p has outward unit normals.
            nodes: the number of Gauss nodes per axis; above three dimensions the rule has 2^16
                Sobol points. For a solution in cells, the rules over the problem's domain and over
                pieces of its boundary have points in each cell, and smaller cells at singular
                corners.
            time: the time at which to integrate over a region in space, if the problem depends on
                time; None if `over` has all coordinates of the problem.

        Returns:
            The integrals with their estimated errors, (m,).

        Raises:
            InputError: unless the coordinates of `over`, and of time if `time` is given, are the
                coordinates of the problem, and `over` lies in the domain.
        """
        rules = self._rules(over, nodes, time)
        value = sum_over(rules, self._density(density))

        def others() -> Tensor:
            """The integrals computed again in other ways, for their errors, see `compared`."""
            coarse = self._rules(over, max(1, 2 * nodes // 3), time, finer=False)
            return compared(value, rules, coarse, self._density(density), self._compare(density))

        return Quantity(value, others, self._is_compared)

    def _compare(
        self, density: Callable[..., Tensor] | None
    ) -> tuple[Callable[[Points], Tensor], float] | None:
        """Return a density of the better solution, as a function of points, and the error factor.

        The property `_better` has this solution and this factor. The result is None if there is no
        better solution.

        Args:
            density: the density as a function of points and jets; None for the fields.
        """
        if self._better is None:
            return None
        surrogate, factor = self._better
        return self._density(density, surrogate), factor

    def _rules(
        self, over: Domain | Boundary | None, nodes: int, time: float | None, *, finer: bool = True
    ) -> list[Rule]:
        """Return a quadrature rule in groups of points with the coordinates of the problem.

        Args:
            over, nodes, time: as for `integral`.
            finer: whether rules in cells and rules of Sobol points have their usual numbers of
                points; if False, they have fewer points.
        """
        domain = self.problem.domain
        if not isinstance(over, Boundary | Domain | None):
            raise InputError(
                f"an integral is over a domain or a boundary, got {over!r}; a piece is a boundary"
                ' by its name, such as problem.domain.boundary["x_min"]'
            )
        if time is not None and domain.time_name is None:
            raise InputError(f"the problem has no coordinate of time, got time={time}")
        cells = self._cell_rules if time is None else None
        rules: Iterable[Rule] | None = None
        if isinstance(over, Boundary):
            if cells is not None:
                rules = cells.on(over, 2 if finer else 0)
            rules = rules or [over.quadrature(nodes)]
        else:
            if cells is not None and over in (None, domain):
                rules = cells.finer if finer else cells.coarser
            rules = rules or domain_rule(over or domain, nodes, draws=2**16 if finer else 2**15)
        found = []
        for p, weights in rules:
            if time is not None and domain.time_name is not None:
                p = at_one_time(p, time, domain.time_name)
            if p.names != domain.names:
                at = "" if time is None else " at a time"
                raise InputError(
                    f"expected a region with the coordinates {domain.names}, got one with "
                    f"{p.names}{at}"
                )
            found.append((p := self._points(p), weights))
            if count := int(self._outside(p).sum()):
                raise InputError(
                    f"the solution is not defined outside the domain {domain!r}, where {count} of "
                    f"{len(p)} points of the region lie; integrate over their intersection"
                )
        return found

    @cached_property
    def _cell_rules(self) -> CellRules | None:
        """The quadrature rules in the cells of the solution; None without such rules."""
        return CellRules.of(self.residuals)

    def _density(
        self, density: Callable[..., Tensor] | None, surrogate: Surrogate | None = None
    ) -> Callable[[Points], Tensor]:
        """Return a function from n points to the values of a density, (n, m).

        Args:
            density: the density as a function of points and jets; None for the fields.
            surrogate: the surrogate whose jets the density gets; by default this solution's.
        """
        used = surrogate or self.surrogate
        if density is None:
            return used

        def values(p: Points) -> Tensor:
            """The values of the density at n points, (n, m)."""

            def evaluate(channels: Channels) -> Tensor:
                """Return the density at the points, from jets with these channels."""
                found = density(p, *used.evaluate(p, channels).components())
                return stack_equations(found, len(p), "density")

            return find_channels(evaluate, p.names)[1]

        return values

    def flux(self, boundary: Boundary | None = None, nodes: int = 48) -> Quantity:
        """Return ∫ ∂u/∂n for each of the m fields, (m,), with the outward unit normal n.

        Args:
            boundary: a boundary or a part of it; by default the boundary of the problem's domain.
            nodes: the number of Gauss nodes per axis.
        """

        def normal(p: Points, *fields: Jet) -> Tensor:
            """Return the normal derivatives of the fields at points, one column each."""
            return torch.cat([normal_derivative(u, p) for u in fields], dim=1)

        return self.integral(boundary or self.problem.domain.boundary, normal, nodes)

    def force(
        self,
        boundary: Boundary | None = None,
        traction: Callable[..., Tensor | tuple[Tensor, ...]] | None = None,
        about: Sequence[float | int] | None = None,
        nodes: int = 48,
        time: float | None = None,
    ) -> Quantity:
        """Return the force ∫ t on a boundary for a traction t, of elasticity or of a flow.

        On a clamped side the force is the reaction. Over the whole boundary the forces balance the
        force in the volume.

        Args:
            boundary: a boundary or a part of it; by default the boundary of the problem's domain.
            traction: a function traction(p, u, …), with the arguments of a problem's residual, that
                returns t = σ n for the outward unit normals `p.normals`, (n, d) or a tuple of d
                columns, in d = 2 or 3 dimensions of space; by default the problem's `traction`.
            about: a point a in space; the moment ∫ (x - a) × t about it follows the force.
            nodes, time: as for `integral`.

        Returns:
            The components of the force, (d,), and after them those of the moment: one in the plane,
            three in space.

        Raises:
            InputError: if there is no traction, or unless it has d = 2 or 3 components and `about`
                d coordinates.
        """
        domain, given = self.problem.domain, traction or self.problem.traction
        if given is None:
            raise InputError(
                f"{type(self.problem).__name__} has no traction(p, {', '.join(self.fields)}): "
                "define this method, or give force(boundary, traction) a function that returns σ n"
            )
        space = [i for i, name in enumerate(domain.names) if name != domain.time_name]

        def density(p: Points, *fields: Jet) -> Tensor:
            """Return the traction at points and, if `about` is given, the torque after it."""
            t = stack_equations(given(p, *fields), len(p), "traction")
            if not 2 <= t.shape[1] == len(space) <= 3:
                expected = "2 or 3 components, as many as space has dimensions"
                raise InputError(f"a traction has {expected}, got {t.shape[1]} of {len(space)}")
            if about is None:
                return t
            at = torch.as_tensor(about).to(p.coords)
            if at.shape != (len(space),):
                raise InputError(f"about must have {len(space)} coordinates, got {about!r}")
            arm = p.coords[:, space] - at
            if len(space) == 2:
                return torch.cat([t, arm[:, :1] * t[:, 1:] - arm[:, 1:] * t[:, :1]], dim=1)
            return torch.cat([t, torch.linalg.cross(arm, t)], dim=1)

        return self.integral(boundary or domain.boundary, density, nodes, time)

    @torch.no_grad()
    def at(self, points: Points | Tensor, density: Callable[..., Tensor] | None = None) -> Quantity:
        """Return values at points, such as fields, derivatives or stresses, with their errors.

        Args:
            points: n points.
            density: a function density(p, u, …), with the arguments of a problem's residual, that
                returns m values at each point, (n, m); by default the values are the fields.

        Returns:
            The values, (n, m); NaN outside the domain. The error at a point is the difference from
            a better solution, at least its root mean square at points nearby.
        """
        p, evaluate = self._points(points), self._density(density)
        value = self._defined(p, evaluate(p))

        def others() -> Tensor:
            """The values computed again with the better solution, here and nearby, (ROWS, n, m)."""
            rows = value.expand(ROWS, *value.shape).clone()
            found = self._compare(density)
            if found is None:
                return rows.fill_(math.nan)
            better, factor = found
            rows[0] += factor * (better(p) - value)
            for number, near in enumerate(self._nearby(p), 1):
                rows[number] += factor * (better(near) - evaluate(near)) / math.sqrt(PARTS)
            return rows

        return Quantity(value, others, self._is_compared)

    def _nearby(self, p: Points) -> Iterator[Points]:
        """Yield `PARTS` tensors of n points: near each of n given points one random point.

        Relative to the sides of the domain's bounding box, a point is moved by 0.03 in a random
        direction. If the moved point would be outside the domain, the given point is used instead.

        Args:
            p: the n given points.
        """
        domain, near = self.problem.domain, 0.03
        low, high = domain.bounds
        generator = torch.Generator().manual_seed(0)
        for _ in range(PARTS):
            step = torch.randn(p.coords.shape, generator=generator, dtype=torch.float64)
            step = step / step.norm(dim=1, keepdim=True) * near * (high - low)
            moved = p.coords + step.to(p.coords)
            inside = domain.contains(moved.to(low)).to(moved.device)[:, None]
            yield self._points(torch.where(inside, moved, p.coords))

    @torch.no_grad()
    def largest(
        self, density: Callable[..., Tensor] | None = None, points: int = 2**14
    ) -> tuple[Quantity, Points]:
        """Return the largest value of a density in the domain with its error, and where it is.

        The density is evaluated at many points in the domain and on its boundary. Random searches
        for larger values start from at most eight of these points, which have large values and are
        not close to each other. A narrow maximum between the points is missed.

        Args:
            density: as for `at`, with one value at each point; by default the first field. For the
                least value take the negative density, for the largest size the absolute value.
            points: the number of points of the first search, of which half are on the boundary.

        Returns:
            The value, (), and its point.

        Raises:
            InputError: unless `points` is an integer of at least 2.
        """
        integer("points", points, least=2)
        domain, count = self.problem.domain, 32
        low, high = domain.bounds
        generator = torch.Generator().manual_seed(0)

        def evaluate(coords: Tensor) -> Tensor:
            """Return the density at coordinates, (n,), minus infinity for NaN."""
            p = self._points(coords)
            return self._density(density)(p)[:, 0].to(low).nan_to_num(nan=-math.inf)

        both = [sample(part, points // 2, "sobol") for part in (domain, domain.boundary)]
        tried = torch.cat([one.coords for one in both]).to(low)
        best, top = _separate(tried / (high - low), tried, evaluate(tried))
        starts = torch.arange(len(top))
        width, spread = torch.full_like(top, 0.05), torch.zeros_like(top)
        least, shrinks = 1e-13, 0.6
        while bool((width > least).any()):
            step = 2 * torch.rand(len(top), count, domain.dim, generator=generator).to(low) - 1
            moved = (best[:, None] + width[:, None, None] * step * (high - low)).clamp(low, high)
            moved = _pulled_inside(domain, best, moved)
            found = evaluate(moved.flatten(0, 1)).view(len(top), count)
            values, number = found.max(dim=1)
            spread = torch.maximum(values, top) - found.amin(dim=1)
            rises = values > top
            best = torch.where(rises[:, None], moved[starts, number], best)
            top, width = torch.maximum(values, top), torch.where(rises, width, shrinks * width)
        chosen = int(top.argmax())
        place, unresolved = self._points(best[chosen : chosen + 1]), spread[chosen]
        found_value = self.at(place, density)[0, 0]

        def others() -> Tensor:
            """The largest value computed again in other ways, for its error."""
            rows = found_value.others().clone()
            rows[-1] += unresolved
            return rows

        return Quantity(found_value.value, others, self._is_compared), place

    def along(
        self,
        start: Sequence[float | int],
        end: Sequence[float | int],
        n: int = 101,
        density: Callable[..., Tensor] | None = None,
    ) -> "Line":
        """Return values at n points at equal distances along a straight line.

        Args:
            start, end: the ends of the line, in the coordinates of the problem.
            n: the number of points, both ends included.
            density: as for `at`.

        Raises:
            InputError: unless the ends have the coordinates of the problem, as finite numbers.

        Example:
            >>> import kanpinn as kp
            >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), source="1", boundary="0")
            >>> solution = kp.solve(problem, kp.Cells(degree=8), tolerance=1e-6)
            >>> line = solution.along((0, 0.5), (1, 0.5), 5)
            >>> line.distance.tolist(), line.values.shape
            ([0.0, 0.25, 0.5, 0.75, 1.0], torch.Size([5, 1]))
        """
        domain = self.problem.domain
        both = []
        for name, given in (("start", start), ("end", end)):
            try:
                both.append(torch.tensor([float(x) for x in given], dtype=torch.float64))
            except (TypeError, ValueError):
                both.append(torch.empty(0))
            if len(both[-1]) != domain.dim or not bool(both[-1].isfinite().all()):
                names = ", ".join(domain.names)
                raise InputError(f"{name} must have the coordinates {names}, got {given!r}")
        share = torch.linspace(0, 1, integer("n", n, least=2), dtype=torch.float64)[:, None]
        points = Points(both[0] + share * (both[1] - both[0]), domain.names)
        distance = share[:, 0] * float((both[1] - both[0]).norm())
        return Line(points, distance, self.at(points, density))

    @torch.no_grad()
    def residual(self, points: Points | Tensor) -> Tensor:
        """Return the residual of each equation of the PDE at points, (n, equations).

        Outside the domain it is NaN.
        """
        p = self._points(points)
        few = p[:PROBE_POINTS]
        channels, _ = find_channels(
            lambda c: self.problem.equation(few, self.surrogate.jet(few, c)), p.names
        )
        return self._defined(p, self.problem.equation(p, self.surrogate.jet(p, channels)))

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
