"""The projected loss, a function of the inner coefficients only, and Gauss–Newton steps on it."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.linalg.triangle import TriangularFactor, outside_range
from kanpinn.linalg.tsqr import fold
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import get_coefficients, set_coefficients
from kanpinn.optimizers.damping import Probes, best_damping
from kanpinn.optimizers.method import require_kan
from kanpinn.optimizers.output_layer import solve_output


class Projection:
    """The projected loss f(θ) = min_c ‖r(θ, c)‖² of the inner coefficients θ, with a fixed gauge.

    The output coefficients c are the least-squares solution for given inner functions, found by
    damped Gauss–Newton steps if the residual is nonlinear in u. Constant shifts between the edges
    into a hidden unit, and the scale and shift of the unit itself, can be undone by other
    coefficients. They are fixed before each solve, since these directions would dominate the step.

    Args:
        residuals: the terms of the loss; the surrogate's network is a KAN with a hidden layer.
        linear: whether the residual is affine in the output coefficients; None if not known yet.
        reach: the fraction of the output layer's grid [-1, 1] that the hidden units fill, below 1.

    Attributes:
        rank: that of the last solve; 0 if to first order the residual does not depend on u.
        evaluations: the number of evaluations of the loss and of Jacobians so far.

    Reference: Golub and Pereyra (1973); Kaufman (1975) for the Jacobian (I - QQᵀ) J_inner.
    """

    def __init__(
        self, residuals: Residuals, linear: bool | None = None, reach: float = 0.98
    ) -> None:
        self.residuals, self.linear, self.reach = residuals, linear, reach
        self.network = require_kan(residuals.surrogate.network, "variable_projection")
        self.evaluations, self.rank = 0, -1
        self._inputs = residuals.surrogate.inputs_at(residuals.points)

    @property
    def inner(self) -> Tensor:
        """θ, the coefficients of all layers but the output layer, (p,)."""
        return get_coefficients(self.network.layers[:-1])

    def zero(self) -> float:
        """Set the output layer to zero; return the loss, to which others are compared."""
        for layer in self.network.output_layers:
            layer.coefficients.detach().zero_()
        return self.residuals.loss()

    @property
    def outer(self) -> Tensor:
        """c, the output layer's coefficients, (q,)."""
        return get_coefficients(self.network.output_layers)

    def __call__(self, inner: Tensor, outer: Tensor | None = None) -> float:
        """Return f(θ), and leave the network at θ with its gauge fixed and output layer solved for.

        Args:
            inner: θ, (p,).
            outer: the start of the steps in c if the residual is nonlinear, (q,). By default it is
                zero or, if the residual has no finite derivative there or does not depend on u to
                first order, all ones or all minus ones.

        Returns:
            The loss; infinite if the residual or its derivatives are not finite at the start.
        """
        set_coefficients(self.network.layers[:-1], inner)
        self._fix_gauge()
        if self.linear:
            return self._solved(self.outer)
        starts = [torch.full_like(self.outer, value) for value in (0.0, 1.0, -1.0)]
        for start in starts if outer is None else [outer]:
            if math.isfinite(loss := self._solved(start)) and self.rank:
                break
            self.linear = False
        return loss

    @torch.no_grad()
    def _fix_gauge(self) -> None:
        last_hidden = len(self.network.layers) - 2
        activations = self.network.activations(self._inputs)
        inputs = next(itertools.islice(activations, last_hidden, None))
        self.network.layers[-2].spread(inputs, self.reach)

    def _solved(self, outer: Tensor) -> float:
        """Solve for the output layer from the given coefficients; return the loss.

        For a nonlinear residual the step is repeated, at most twenty times, until it lowers the
        loss by less than a thousandth.
        """
        set_coefficients(self.network.output_layers, outer)
        loss = math.inf
        for _ in range(20):
            outer = self.outer
            try:
                done = solve_output(self.residuals, linear=self.linear)
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                set_coefficients(self.network.output_layers, outer)
                break
            loss, self.rank = done.loss, done.rank
            self.evaluations += done.evaluations
            if self.linear is None:
                self.linear = done.linear
            if self.linear or done.stationary or done.loss > (1 - 1e-3) * done.before:
                break
        return loss

    def step(self, loss: float, damping: float) -> tuple[float, float]:
        """Take one damped Gauss–Newton step in θ from the network's present coefficients.

        No step is taken if no damping lowers the loss, or if derivatives of the residual are not
        finite.

        Args:
            loss: f(θ) at the present coefficients.
            damping: the damping that is tried first.

        Returns:
            The loss after the step, and the damping.
        """
        start = self.inner, self.outer
        try:
            steps = self._projected_triangle().damped()
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            self.evaluations += 1
            return loss, damping
        reached: dict[float, tuple[Tensor, Tensor]] = {}

        def loss_at(damping: float) -> float:
            # All trials start from the same output layer, so that f does not depend on the order
            # of the dampings.
            loss = self(start[0] + steps.step(damping), start[1])
            reached[damping] = self.inner, self.outer
            return loss

        damping, lowest = best_damping(Probes(loss_at), damping, loss)
        lower = lowest < loss
        inner, outer = reached[damping] if lower else start
        set_coefficients(self.network.layers[:-1], inner)
        set_coefficients(self.network.output_layers, outer)
        return min(lowest, loss), damping

    def _projected_triangle(self) -> TriangularFactor:
        """Return the factor of (I - QQᵀ)[J_inner, r], Q a basis of the range of J_output.

        It comes from the factor [R₁₁, R₁₂; 0, R₂₂] of [J_output, J_inner, r]: its rows are R₂₂ and
        the part of R₁₂ that is orthogonal to the range of R₁₁, if R₁₁ is singular.
        """
        split = self.inner.numel()
        rows = self.residuals.rows(self.network.all_layers)
        factor = fold((j.roll(-split, dims=1), r) for j, r in rows).factor
        outputs = get_coefficients(self.network.output_layers).numel()
        left, upper = factor[:outputs, :outputs], factor[:outputs, outputs:]
        remains = torch.cat([outside_range(left, upper), factor[outputs:, outputs:]])
        return TriangularFactor(torch.linalg.qr(remains, mode="r").R)


@dataclass
class Descent:
    """A sequence of Gauss–Newton steps on a projected loss, from one start or on one grid.

    Args:
        loss: the projected loss at the network's present coefficients.
        damping: that of the last step.
        steps: the number of steps so far.
        stalled: whether the last step lowered the loss too little or was the last one allowed.
    """

    loss: float = math.inf
    damping: float = 1.0
    steps: int = 0
    stalled: bool = False

    def step(self, projection: Projection, least_fall: float, most: int) -> int:
        """Take one step; return the number of evaluations.

        Args:
            projection: the projected loss.
            least_fall: the descent has stalled if a step lowers the loss by less than this
                fraction.
            most: the number of steps after which the descent has stalled in any case.
        """
        before, spent = self.loss, projection.evaluations
        self.loss, self.damping = projection.step(before, self.damping)
        self.steps += 1
        self.stalled = not self.loss < before * (1 - least_fall) or self.steps >= most
        return projection.evaluations - spent
