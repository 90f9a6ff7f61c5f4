"""Stretching the coordinates of a steady problem by its solution."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from kanpinn._support.errors import InputError, integer
from kanpinn.evolution.stretches import (
    Stretches,
    apply,
    check_stretchable,
    no_stretch,
    stretches_for,
)
from kanpinn.evolution.window_terms import stretched, weighted
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.kan import KAN
from kanpinn.optimizers.method import CONVERGED, Optimizer, Stage, Step
from kanpinn.optimizers.output_layer import solve_newton


@dataclass(frozen=True)
class Equidistribute(Optimizer):
    """Solves for the output layer of a KAN with `stretch`, its inputs stretched by the solution.

    The first step is a solve in the coordinates as they are. Every further one makes for each
    coordinate x → s(x) with ds/dx ∝ max |∂²u/∂x²|^½ + a floor, puts it into the network's first
    layer, the knots of which are even in s, and the collocation points with it, and solves again
    from zero by Newton's method. A step that does not lower the loss is taken back; it is the last.

    Args:
        steps: the largest number of solves.

    Raises:
        InputError: for networks without such a layer, domains that are no boxes.

    Reference: de Boor, Good approximation by splines with variable knots (1974); Huang and Russell,
    Adaptive moving mesh methods (2011).
    """

    steps: int = 4
    needs_fixed_points = True

    def __post_init__(self) -> None:
        integer("steps", self.steps)

    def start(self, residuals: Residuals, seed: int) -> "EquidistributeStage":
        return EquidistributeStage(residuals)


class EquidistributeStage(Stage):
    """Solve, stretch, solve again: it remembers the stretches and the loss."""

    def __init__(self, residuals: Residuals) -> None:
        network, self.surrogate = residuals.surrogate.network, residuals.surrogate
        if not (isinstance(network, KAN) and network.stretched):
            raise InputError(
                "equidistribute is for KANs with a layer that stretches: stretch = true"
            )
        check_stretchable(self.surrogate)
        self.network, self.terms = network, residuals.terms
        self.stretches: Stretches | None = None
        self.loss = math.inf

    def step(self) -> Step:
        before = {name: t.clone() for name, t in self.network.state_dict().items()}
        stretches = no_stretch(self.surrogate.domain.dim)
        if self.stretches is not None:
            axes = range(len(stretches))
            stretches = stretches_for(self.surrogate, axes, None, self.stretches)
        loss, evaluations = self._solve(stretches)
        if not loss < self.loss and self.stretches is not None:
            self.network.load_state_dict(before)
            return Step(self.loss, evaluations, CONVERGED)
        self.stretches, self.loss = stretches, loss
        return Step(loss, evaluations)

    def _solve(self, stretches: Stretches) -> tuple[float, int]:
        apply(stretches, self.network)
        terms = []
        for index, term in enumerate(self.terms):
            if not isinstance(term, ResidualTerm):
                raise InputError(f"the term {term.name} is no mean of squared residuals")
            made = replace(term, points=stretched(term.points, self.surrogate, stretches))
            terms.append(made if index else weighted(made, self.surrogate, stretches))
        with torch.no_grad():
            self.network.layers[-1].coefficients.zero_()
        self.network.placed = False
        residuals = Residuals(self.surrogate, terms)
        self.surrogate.prepare(residuals.points)
        return solve_newton(residuals)

    def state_dict(self) -> dict[str, Any]:
        pairs = None if self.stretches is None else [list(pair) for pair in self.stretches]
        return {"stretches": pairs, "loss": self.loss}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pairs = state["stretches"]
        self.stretches = None if pairs is None else [(xi, s) for xi, s in pairs]
        self.loss = state["loss"]
