"""Equidistribution: a steady problem is solved in coordinates that its solution stretches."""

import math
from dataclasses import dataclass, replace

import torch

from kanpinn._support.errors import InputError, integer
from kanpinn._support.status import CONVERGED
from kanpinn.evolution.stretching.stretched_terms import mean_over_space, stretched_points
from kanpinn.evolution.stretching.stretches import (
    Stretches,
    apply,
    check_stretchable,
    no_stretch,
    stretches_for,
)
from kanpinn.evolution.terms.evolution_terms import as_residual_term
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step, require_kan
from kanpinn.optimizers.output_layer import solve_newton


@dataclass(frozen=True)
class Equidistribute(Optimizer):
    """Solve for the output layer of a KAN with `stretch`, in coordinates stretched by the solution.

    The first step solves in the original coordinates. Every further step computes from the last
    solution a stretch x → s(x) of each coordinate with ds/dx ∝ max |∂²u/∂x²|^½ + a floor. The
    network's first layer maps x to s, so that its knots are evenly spaced in s; the collocation
    points are moved to be evenly spaced in s, too. Newton's method then starts from a zero output
    layer. A step that does not lower the loss is undone and ends the method. It is not a
    `Transform`, since that changes the network once and leaves its function unchanged.

    Args:
        steps: the largest number of solves.

    Raises:
        InputError: in a solve, for a network without a stretching layer or a domain that is not a
            box.

    Reference: de Boor, Good approximation by splines with variable knots (1974); Huang and Russell,
    Adaptive moving mesh methods (2011).

    Example:
        >>> import kanpinn as kp
        >>> layer = "x - exp((x - 1) / 0.02)"
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact=layer)
        >>> network = kp.KAN([1, 1], degree=7, grid=20, stretch=True)
        >>> solution = kp.solve(problem, network, kp.Equidistribute(steps=6))
        >>> solution.errors.l2_relative < 1e-4
        True
    """

    steps: int = 4
    needs_fixed_points = True

    def __post_init__(self) -> None:
        integer("steps", self.steps)

    def check(self, network: Network) -> None:
        if not require_kan(network, "equidistribute").stretched:
            raise InputError("equidistribute needs a layer that stretches: stretch = true")

    def start(self, residuals: Residuals, seed: int) -> "EquidistributeStage":
        return EquidistributeStage(residuals)


class EquidistributeStage(Stage):
    """The state of an equidistribution: the stretches and the loss of the last accepted step."""

    kept = ("stretches", "loss")

    def __init__(self, residuals: Residuals) -> None:
        self.surrogate, self.residuals = residuals.surrogate, residuals
        self.network = require_kan(self.surrogate.network, "equidistribute")
        check_stretchable(self.surrogate)
        self.stretches: Stretches | None = None
        self.loss = math.inf

    def step(self) -> Step:
        before = {name: t.clone() for name, t in self.network.state_dict().items()}
        stretches = no_stretch(self.surrogate.domain.dim)
        if self.stretches is not None:
            axes = range(len(stretches))
            stretches = stretches_for(self.surrogate, axes, self.stretches)
        loss, evaluations = self._solve(stretches)
        if not loss < self.loss and self.stretches is not None:
            self.network.load_state_dict(before)
            return Step(self.loss, evaluations, CONVERGED, words="stretch taken back")
        self.stretches, self.loss = stretches, loss
        return Step(loss, evaluations)

    def _solve(self, stretches: Stretches) -> tuple[float, int]:
        """Solve in stretched coordinates; return the loss and the number of evaluations."""
        apply(stretches, self.network)
        terms = []
        for index, term in enumerate(self.residuals.terms):
            own = as_residual_term(term, "equidistribute")
            made = replace(own, points=stretched_points(own.points, self.surrogate, stretches))
            terms.append(made if index else mean_over_space(made, self.surrogate, stretches))
        with torch.no_grad():
            self.network.layers[-1].coefficients.zero_()
        self.network.placed = False
        residuals = Residuals(self.surrogate, terms)
        self.surrogate.prepare(residuals.points)
        return solve_newton(residuals)
