"""Gauss–Newton in the unknowns of an inverse problem; the fields are solved for at each step."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn.linalg.triangle import TriangularFactor, outside_range
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.layer import Layer, get_coefficients, set_coefficients
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers.damping import Probes, best_damping
from kanpinn.optimizers.output_layer import OutputStep


def solve_reduced(residuals: Residuals, rcond: float | None = None) -> OutputStep:
    """Take one Gauss–Newton step in the unknowns, and solve for the fields that belong to them.

    The unknowns are the numbers and coefficient fields that an inverse problem identifies. If the
    residual is nearly zero, the loss as a function of fields and unknowns together is a narrow
    curved valley, in which straight steps must be short. A step in the unknowns is therefore judged
    by the loss after the fields are solved for. If the fields are not yet the solution for the
    present unknowns, the step solves for the fields only.

    Args:
        residuals: the terms of the loss; the surrogate's output layers are changed.
        rcond: singular values below rcond times the largest are cut off; None for 50 eps.

    Returns:
        The result of the step.

    Reference: Golub and Pereyra (1973), variable projection; Haber, Ascher and Oldenburg (2000), on
    reduced-space methods for inverse problems.
    """
    reduced = _Reduced(residuals, rcond)
    triangle = residuals.model(reduced.layers)
    before = triangle.loss()
    old = get_coefficients(reduced.layers)
    new, rank = reduced.fields_solution(triangle, old)
    predicted = triangle.loss(new - old)
    columns, damping = int((~reduced.unknown).sum()), 0.0
    if before - predicted > reduced.followed * before:
        loss = reduced.follow(new)
    else:
        columns = len(old)
        new, rank = triangle.solve(old, rcond)
        predicted = triangle.loss(new - old)  # of a shorter step the fields are not yet known
        new = reduced.limited(old, new)
        loss = reduced.follow(new)
        if not before - loss >= 0.5 * (before - predicted):
            loss, damping = reduced.damped(triangle, old, (loss, new), before)
    return OutputStep(
        before=before,
        predicted=predicted,
        loss=loss,
        rank=rank,
        columns=columns,
        share=float(loss < before),
        damping=damping,
        floor=1e-8 * before,
        evaluations=reduced.evaluations,
    )


@dataclass
class _Reduced:
    """The loss as a function of the unknowns only, with the fields solved for.

    Args:
        residuals: the terms of the loss.
        rcond: see `solve_reduced`.
        followed: the fields count as solved for if their next step would lower the loss by less
            than this fraction. Smaller values cost more solves, larger ones judge a step in the
            unknowns by too high a loss; 1e-2 to 1e-6 are sensible.
        evaluations: the number of evaluations of the loss and of Jacobians so far.
        unknown: a mask of the output coefficients that belong to unknowns, (p,).
    """

    residuals: Residuals
    rcond: float | None
    followed: float = 1e-3
    evaluations: int = 1
    layers: list[Layer] = field(init=False)
    unknown: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.layers = self.residuals.surrogate.network.output_layers
        self.unknown = unknown_columns(self.residuals.surrogate)

    def limited(self, old: Tensor, new: Tensor) -> Tensor:
        """Return the new coefficients (p,) with positive unknown numbers near the old ones.

        A step changes such a number at most tenfold, and all steps by a factor of 1e12 at most: far
        from the solution, a step in its logarithm may be arbitrarily long.
        """
        constants = self.residuals.surrogate.network.constants
        if constants is None:
            return new
        step, most = math.log(10), math.log(1e12)
        for i, unknown in enumerate(reversed(constants.unknowns.values()), start=1):
            if unknown.positive:  # the constants are the last layer
                low, high = float(old[-i]) - step, float(old[-i]) + step
                new[-i] = new[-i].clamp(max(low, -most), min(high, most))
        return new

    def fields_solution(self, triangle: TriangularFactor, old: Tensor) -> tuple[Tensor, int]:
        """Solve for the fields at fixed unknowns; return all coefficients (p,) and the rank."""
        free = ~self.unknown
        columns = torch.cat([free, free.new_ones(1)])
        part = TriangularFactor(torch.linalg.qr(triangle.factor[:, columns], mode="r").R)
        new = old.clone()
        new[free], rank = part.solve(old[free], self.rcond)
        return new, rank

    def follow(self, coefficients: Tensor) -> float:
        """Solve for the fields at fixed unknowns by Gauss–Newton steps; return the loss.

        The network keeps the coefficients. At most eight steps are taken.

        Args:
            coefficients: the unknowns, and the fields at which the steps start, (p,).
        """
        set_coefficients(self.layers, coefficients)
        loss, best = self.residuals.loss(), coefficients
        self.evaluations += 1
        for _ in range(8):
            triangle = self.residuals.model(self.layers)
            new, _ = self.fields_solution(triangle, best)
            predicted = triangle.loss(new - best)
            if not loss - predicted > self.followed * predicted:
                break
            set_coefficients(self.layers, new)
            found = self.residuals.loss()
            self.evaluations += 2
            if not found < loss:
                break
            loss, best = found, new
            if found - predicted <= self.followed * predicted:
                break
        set_coefficients(self.layers, best)
        return loss

    def damped(
        self, triangle: TriangularFactor, old: Tensor, full: tuple[float, Tensor], before: float
    ) -> tuple[float, float]:
        """Take the best step among the full one and damped ones, or none if all raise the loss.

        Args:
            triangle: the linearised residual at the old coefficients.
            old: the coefficients before the step, (p,).
            full: the loss and the coefficients (p,) of the full step.
            before: the loss at the old coefficients.

        Returns:
            The loss after the step, and its damping.
        """
        steps = self._projected(triangle).damped()

        def at(damping: float) -> float:
            change = torch.zeros_like(old)
            change[self.unknown] = steps.step(damping)
            return self.follow(self.limited(old, old + change))

        damping, loss = best_damping(Probes(at), 1e-6, before)
        if full[0] < min(loss, before):
            return self.follow(full[1]), 0.0
        if loss < before:
            return at(damping), damping
        set_coefficients(self.layers, old)
        return before, damping

    def _projected(self, triangle: TriangularFactor) -> TriangularFactor:
        """Return the factor of (I - QQᵀ)[J_unknown, r], Q a basis of the range of J_fields."""
        last = self.unknown.new_zeros(1)
        fields = triangle.factor[:, torch.cat([~self.unknown, last])]
        rest = triangle.factor[:, torch.cat([self.unknown, ~last])]
        return TriangularFactor(torch.linalg.qr(outside_range(fields, rest), mode="r").R)


def unknown_columns(surrogate: Surrogate) -> Tensor:
    """Return a mask (p,) of the output layers' coefficients that belong to unknowns."""
    network, columns = surrogate.network, []
    chosen = [one is not None for one in surrogate.coefficients]
    fields = {}  # by output layer: for each of its outputs (last axis) whether it is unknown
    first = 0
    for part in network.parts:
        fields[part.layers[-1]] = chosen[first : first + part.width[-1]]
        first += part.width[-1]
    for layer in network.output_layers:
        numbers = layer in (network.constants, network.sensitivities)
        own = [True] if numbers else fields.get(layer, chosen)
        like = layer.coefficients
        columns.append(torch.tensor(own, device=like.device).expand(like.shape).flatten())
    return torch.cat(columns)
