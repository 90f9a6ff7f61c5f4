"""The output layer eliminated: a loss, and Gauss–Newton steps, in the inner coefficients alone."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.jets import Coordinates, Jet
from kanpinn.linalg.triangle import Triangle, fold, outside_range
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import get_coefficients, set_coefficients
from kanpinn.optimizers.damping import Probes, best_damping
from kanpinn.optimizers.method import require_kan
from kanpinn.optimizers.output_layer import solve_output


class Projection:
    """f(θ) = min_c ‖r(θ, c)‖² for inner coefficients θ, with the gauge fixed.

    The output coefficients c are the least-squares solution for given inner functions (by damped
    Newton if the residual is nonlinear in u). Shifts between the edges into a hidden unit and the
    unit's scale, which the output layer undoes, are fixed before: these directions would swamp the
    step.

    Args:
        residuals: the terms of the loss; the surrogate's network is a KAN with a hidden layer.
        linear: whether they are affine in the output coefficients; None if that is not known yet.
        reach: the part of the output layer's grid [-1, 1] that the hidden units fill, below 1.

    Attributes:
        rank: of the last solve; 0 if to first order the residual does not depend on u.
        evaluations: of the loss and of Jacobians so far.

    Reference: Golub and Pereyra (1973); Kaufman (1975) for the Jacobian (I - QQᵀ) J_inner.
    """

    def __init__(
        self, residuals: Residuals, linear: bool | None = None, reach: float = 0.98
    ) -> None:
        self.residuals, self.linear, self.reach = residuals, linear, reach
        self.network = require_kan(residuals.surrogate.network, "variable_projection")
        self.evaluations, self.rank = 0, -1
        self._inputs = residuals.surrogate.network_inputs(residuals.points)

    @property
    def inner(self) -> Tensor:
        """θ: all coefficients but the output layer's."""
        return get_coefficients(self.network.layers[:-1])

    def zero(self) -> float:
        """Make the output layer zero; return the loss, the scale of all others."""
        for layer in self.network.output_layers:
            layer.coefficients.detach().zero_()
        return self.residuals.loss()

    @property
    def outer(self) -> Tensor:
        """c: the output layer's coefficients."""
        return get_coefficients(self.network.output_layers)

    def __call__(self, inner: Tensor, outer: Tensor | None = None) -> float:
        """Return f(θ); the network is left there, its gauge fixed and its output layer solved for.

        Args:
            inner: θ, (p,).
            outer: where Newton's method starts if the residual is nonlinear; by default zero and,
                if the residual has no derivative there or does not depend on u, ones or minus ones.

        Returns:
            The loss, infinite if the residual or its derivatives are not finite on the way.
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
        h: Jet | Coordinates = self._inputs
        for layer in self.network.layers[:-2]:
            h = layer(h)
        self.network.layers[-2].spread(h.value, self.reach)

    def _solved(self, outer: Tensor) -> float:
        """Solve for the output layer, starting from these coefficients; return the loss.

        If the residual is nonlinear in it the solve is repeated, at most twenty times, until it
        lowers the loss by less than a thousandth.
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
        """Take one damped Gauss–Newton step in θ from the network's state.

        No step is taken if the residual's derivatives are not all finite.

        Args:
            loss: f(θ) at the network's state.
            damping: the one that is tried first.

        Returns:
            The loss and the damping of the step.
        """
        start = self.inner, self.outer
        try:
            steps = self._projected_triangle().damped()
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            self.evaluations += 1
            return loss, damping
        reached: dict[float, tuple[Tensor, Tensor]] = {}

        def loss_at(damping: float) -> float:
            # Newton's method starts from the same output layer for all dampings: then f does not
            # depend on what was tried before.
            loss = self(start[0] + steps.step(damping), start[1])
            reached[damping] = self.inner, self.outer
            return loss

        damping, lowest = best_damping(Probes(loss_at), damping, loss)
        lower = lowest < loss
        inner, outer = reached[damping] if lower else start
        set_coefficients(self.network.layers[:-1], inner)
        set_coefficients(self.network.output_layers, outer)
        return min(lowest, loss), damping

    def _projected_triangle(self) -> Triangle:
        """Return the factor of (I - QQᵀ)[J_inner, r], Q a basis of the range of J_output.

        With the columns of J_output first that is the lower right block of the factor, and what of
        the upper right one is orthogonal to its left one.
        """
        split = self.inner.numel()
        rows = self.residuals.rows(self.network.all_layers)
        factor = fold((j.roll(-split, dims=1), r) for j, r in rows).factor
        outputs = get_coefficients(self.network.output_layers).numel()
        left, upper = factor[:outputs, :outputs], factor[:outputs, outputs:]
        remains = torch.cat([outside_range(left, upper), factor[outputs:, outputs:]])
        return Triangle(torch.linalg.qr(remains, mode="r").R)


@dataclass
class Descent:
    """Gauss–Newton steps on a projected loss, from one start or on one grid.

    Args:
        loss: of the network's state.
        damping: of the last step.
        steps: the number of steps so far.
        stalled: whether the last step was not worth it, or the last one.
    """

    loss: float = math.inf
    damping: float = 1.0
    steps: int = 0
    stalled: bool = False

    def step(self, projection: Projection, least_fall: float, most: int) -> int:
        """Take a step; return the evaluations that it took.

        Args:
            least_fall: the part of the loss that a step must take away, or the descent has stalled.
            most: the number of steps after which it has stalled as well.
        """
        before, spent = self.loss, projection.evaluations
        self.loss, self.damping = projection.step(before, self.damping)
        self.steps += 1
        self.stalled = not self.loss < before * (1 - least_fall) or self.steps >= most
        return projection.evaluations - spent
