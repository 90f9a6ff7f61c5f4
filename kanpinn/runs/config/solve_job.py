"""A solve, ready to be run."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kanpinn.accuracy.references import Recipe
from kanpinn.geometry.sampling import Collocation
from kanpinn.loss.weighting import Weighting
from kanpinn.pde.problem import Problem
from kanpinn.runs.config.classes import sources_of
from kanpinn.runs.config.job import Job, NoSteps
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.solve import solve
from kanpinn.solvers.state import Observer


@dataclass(frozen=True, eq=False, kw_only=True)
class SolveJob(Job):
    """A problem with everything that its solve needs."""

    problem: Problem
    points: Collocation
    boundary: str
    weights: dict[str, float]
    reference: Recipe | None = None
    form: str = "strong"
    weighting: Weighting = field(default_factory=Weighting)
    estimate: bool = False
    tolerance: float | None = None
    budget_seconds: float | None = None

    def run(
        self, observers: Sequence[Observer] = (), checkpoint: Mapping[str, Any] | None = None
    ) -> Solution:
        return self.solve(observers, checkpoint)

    def solve(
        self,
        observers: Sequence[Observer] = (),
        checkpoint: Mapping[str, Any] | None = None,
        errors: bool = True,
    ) -> Solution:
        """Solve it, from a checkpoint's state where one is given; see `kanpinn.solve`."""
        return solve(
            self.problem,
            self.network,
            self.optimizers,
            self.points,
            boundary=self.boundary,
            weights=self.weights,
            form=self.form,
            weighting=self.weighting,
            reference=self.reference,
            errors=errors,
            seed=self.seed,
            budget_seconds=self.budget_seconds,
            observers=observers,
            checkpoint=checkpoint,
        )

    def preview(self) -> Solution:
        """The state before the first step: residual terms, points, derivatives that are used."""
        return solve(
            self.problem,
            copy.deepcopy(self.network),
            NoSteps(),
            self.points,
            boundary=self.boundary,
            weights=self.weights,
            form=self.form,
            weighting=self.weighting,
            errors=False,
            seed=self.seed,
        )

    @property
    def title(self) -> str:
        return type(self.problem).__name__

    @property
    def sources(self) -> tuple[Path, ...]:
        own = (self.problem, self.network, *self.optimizers, self.reference)
        return sources_of(*(type(part) for part in own if part is not None))
