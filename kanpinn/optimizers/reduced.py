"""Gauss–Newton in a problem's unknowns alone: the fields follow them as the equation says."""

import torch
from torch import Tensor

from kanpinn.linalg.triangle import Triangle, column_scale, rank_tolerance
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Layer, get_coefficients, set_coefficients
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers.damping import Probes, best_damping
from kanpinn.optimizers.output_layer import OutputStep

FOLLOWED = 1e-3  # a part of the loss: what the fields could still take away of it is little
MOST_SOLVES = 8  # for the fields, at given unknowns
SETTLED = 1e-8  # a part of the loss: unknowns that could still lower it by so little have arrived
ENOUGH = 0.5  # of the predicted fall: a full step that brings less is compared with damped ones
START_DAMPING = 1e-6


def solve_reduced(residuals: Residuals, rcond: float | None = None) -> OutputStep:
    """One step for the unknowns, numbers and coefficient fields, the fields solved for at each.

    Where the equation holds all but exactly, the loss of fields and unknowns together is a narrow
    curved valley, in which no straight step gets far. A step in the unknowns is therefore judged by
    the loss after the fields have followed. Where they have not yet followed, that is the step.

    Reference: Golub and Pereyra (1973), variable projection; Haber, Ascher and Oldenburg (2000), on
    reduced-space methods for inverse problems.
    """
    reduced = _Reduced(residuals, rcond)
    triangle = residuals.model(reduced.layers)
    before, rank = triangle.loss(), 0
    old = get_coefficients(reduced.layers)
    followed, rank = reduced.fields_solution(triangle, old)
    if before - triangle.loss(followed - old) > FOLLOWED * before:
        loss = reduced.follow(followed)
        return reduced.report(before, triangle.loss(followed - old), loss, rank, 0.0)
    new, rank = triangle.solve(triangle.matrix @ old - triangle.target, rcond)
    predicted = triangle.loss(new - old)
    loss, damping = reduced.follow(new), 0.0
    if not before - loss >= ENOUGH * (before - predicted):
        loss, damping = reduced.damped(triangle, old, (loss, new), before)
    return reduced.report(before, predicted, loss, rank, damping)


class _Reduced:
    """The loss as a function of the unknowns alone."""

    def __init__(self, residuals: Residuals, rcond: float | None) -> None:
        self.residuals, self.rcond, self.evaluations = residuals, rcond, 1
        network = residuals.surrogate.network
        self.layers: list[Layer] = network.output_layers
        self.unknown = unknown_columns(residuals.surrogate)

    def fields_solution(self, triangle: Triangle, old: Tensor) -> tuple[Tensor, int]:
        """The coefficients with those of the fields by least squares, and the rank."""
        free = ~self.unknown
        columns = torch.cat([free, free.new_ones(1)])
        part = Triangle(torch.linalg.qr(triangle.factor[:, columns], mode="r").R)
        new = old.clone()
        new[free], rank = part.solve(part.matrix @ old[free] - part.target, self.rcond)
        return new, rank

    def follow(self, coefficients: Tensor) -> float:
        """The loss after the fields have followed the unknowns from these coefficients."""
        set_coefficients(self.layers, coefficients)
        loss, best = self.residuals.loss(), coefficients
        self.evaluations += 1
        for _ in range(MOST_SOLVES):
            triangle = self.residuals.model(self.layers)
            new, _ = self.fields_solution(triangle, best)
            predicted = triangle.loss(new - best)
            if not loss - predicted > FOLLOWED * predicted:
                break
            set_coefficients(self.layers, new)
            found = self.residuals.loss()
            self.evaluations += 2
            if not found < loss:
                break
            loss, best = found, new
            if found - predicted <= FOLLOWED * predicted:
                break
        set_coefficients(self.layers, best)
        return loss

    def damped(
        self, triangle: Triangle, old: Tensor, full: tuple[float, Tensor], before: float
    ) -> tuple[float, float]:
        """Loss and damping of the best step, the full one among them, at which things are left."""
        steps = self._projected(triangle).damped()

        def at(damping: float) -> float:
            change = torch.zeros_like(old)
            change[self.unknown] = steps.step(damping)
            return self.follow(old + change)

        damping, loss = best_damping(Probes(at), START_DAMPING, before)
        if full[0] < min(loss, before):
            return self.follow(full[1]), 0.0
        if loss < before:
            return at(damping), damping
        set_coefficients(self.layers, old)
        return before, damping

    def _projected(self, triangle: Triangle) -> Triangle:
        """The factor of (I - QQᵀ)[J_unknown, r], Q a basis of the range of the fields' columns."""
        last = self.unknown.new_zeros(1)
        fields = triangle.factor[:, torch.cat([~self.unknown, last])]
        rest = triangle.factor[:, torch.cat([self.unknown, ~last])]
        u, s, _ = torch.linalg.svd(fields / column_scale(fields), full_matrices=False)
        q = u[:, s > rank_tolerance(s.dtype) * s[0]]
        return Triangle(torch.linalg.qr(rest - q @ (q.T @ rest), mode="r").R)

    def report(
        self, before: float, predicted: float, loss: float, rank: int, damping: float
    ) -> OutputStep:
        """The step in the words of `OutputStep`."""
        share = float(loss < before)
        return OutputStep(
            before,
            predicted,
            loss,
            rank,
            share,
            damping,
            SETTLED * before,
            False,
            self.evaluations,
        )


def unknown_columns(surrogate: Surrogate) -> Tensor:
    """Which of the output layers' coefficients belong to unknowns, numbers or fields."""
    network, columns = surrogate.network, []
    chosen = [one is not None for one in surrogate.coefficients]
    fields = {}  # of each output layer; their coefficients' last axis runs over them
    first = 0
    for part in network.parts:
        fields[part.layers[-1]] = chosen[first : first + part.width[-1]]
        first += part.width[-1]
    for layer in network.output_layers:
        own = [True] if layer is network.constants else fields.get(layer, chosen)
        like = layer.coefficients
        columns.append(torch.tensor(own, device=like.device).expand(like.shape).flatten())
    return torch.cat(columns)
