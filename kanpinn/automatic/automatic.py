"""A solve for which nothing is chosen beforehand: trials from small to large."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from kanpinn.assembly import assemble
from kanpinn.automatic.choice import Choice
from kanpinn.automatic.judging import Trial, judge
from kanpinn.automatic.ladder import Family, families
from kanpinn.automatic.traits import Traits
from kanpinn.automatic.warm import start_from
from kanpinn.distributed import world
from kanpinn.errors import InputError, integer, number
from kanpinn.estimate import judged
from kanpinn.networks import KAN
from kanpinn.problem import Problem
from kanpinn.references import Recipe
from kanpinn.run import Observer
from kanpinn.solution import Solution
from kanpinn.solving import solve

TOLERANCE, BUDGET = 1e-9, 300.0
STALLED = 0.5  # of the residual left by a larger network: no further ones of its family
INTERRUPTED = "stopped: interrupted"

Announce = Callable[[Choice, str], None]


@dataclass(frozen=True)
class Settings:
    """What holds for every trial; see `auto`."""

    tolerance: float | int = TOLERANCE
    budget_seconds: float | int = BUDGET
    boundary: str = "auto"
    reference: Recipe | None = None
    errors: bool = True
    seed: int = 0
    dtype: torch.dtype = torch.float64
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, above=True)
        number("budget_seconds", self.budget_seconds, above=True)
        integer("seed", self.seed, least=0)


def auto(
    problem: Problem,
    *,
    tolerance: float | int | None = None,
    budget_seconds: float | int | None = None,
    boundary: str = "auto",
    reference: Recipe | None = None,
    errors: bool = True,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    observers: Sequence[Observer] = (),
    announce: Announce | None = None,
) -> Solution:
    """Solve a PDE with a network, points and optimizers that trials choose.

    They go from small to large in families: random inner functions first, then finer grids or, for
    evolutions, windows in time; above three dimensions sums of functions of one coordinate, linear
    inner functions, and inner functions by variable projection. Two solutions tell the errors of
    both: where the second one leaves the part ρ of the residual at fresh points, the first one's is
    their distance / (1 - ρ), and the second one's ρ times that. A family is left where ρ is above a
    half. Names and exact solutions play no part. What was tried, and why, is in `Solution.log`.

    Args:
        problem: the equation, its domain and conditions.
        tolerance: the estimated relative L2 error that is enough, 1e-9 by default.
        budget_seconds: that the trials may take, 300 by default; none is begun that is forecast to
            take longer, except the first.
        boundary, reference, errors, seed, observers: as for `solve`.
        dtype, device: of the networks.
        announce: called with each choice before it is tried, and with why.

    Raises:
        InputError: where the problem does not fit together, or several processes would have to
            choose together.
    """
    if world() > 1:
        raise InputError("auto is for one process: name a network and optimizers for several")
    settings = Settings(
        TOLERANCE if tolerance is None else tolerance,
        BUDGET if budget_seconds is None else budget_seconds,
        boundary,
        reference,
        errors,
        seed,
        dtype,
        torch.device(device),
    )
    return _Search(problem, settings, observers, announce or _silent).run()


def _silent(choice: Choice, why: str) -> None:
    """Nobody is told."""


class _Search:
    """The trials so far: the best of them, and the time that is left."""

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        observers: Sequence[Observer],
        announce: Announce,
    ) -> None:
        self.problem, self.settings = problem, settings
        self.observers, self.announce = observers, announce
        self.begun = time.perf_counter()
        self.best: Trial | None = None
        self.log: list[str] = []
        self.interrupted = False

    def run(self) -> Solution:
        """Family after family, until the error is small enough or the time is used up."""
        ended = ""
        for family in families(Traits.of(self.problem)):
            ended = self._climb(family)
            self.log.append(f"{family.name}: {ended}")
            if self._is_over():
                break
        assert self.best is not None
        return self._finished(self.best, ended)

    def _climb(self, family: Family) -> str:
        """Larger and larger networks of a family; returns why no larger one is tried."""
        last: Trial | None = None
        idle = 0
        for choice in family.choices:
            known = last or self.best
            if known is not None and (why := self._unaffordable(choice, known)):
                return why
            try:
                trial = self._try(choice, family.name, known)
            except InputError as error:
                if self.best is None:
                    raise
                return f"not for this problem ({error})"  # windows, where conditions tie times
            if trial.failed and self.best is not None:
                return trial.solution.status
            ratio = self._keep(known, trial)
            if self._is_over():
                return "the search ends here"
            idle = idle + 1 if last is not None and ratio > STALLED else 0
            if idle >= family.patience:
                return f"the last one leaves {min(ratio, 99):.2g} of the residual"
            last = trial
        return "there is no larger one"

    def _try(self, choice: Choice, why: str, known: Trial | None) -> Trial:
        self.announce(choice, why)
        begun, chosen = time.perf_counter(), self.settings
        network = choice.network(chosen.seed, chosen.dtype, chosen.device)
        if known is not None and known.repeats and isinstance(network, KAN):
            self._start_from(known, choice, network)
        solution = solve(
            self.problem,
            network,
            choice.optimizers,
            choice.points,
            boundary=chosen.boundary,
            weights=choice.weights,
            reference=chosen.reference,
            errors=chosen.errors,
            seed=chosen.seed,
            budget_seconds=max(self._left, 1e-3),
            observers=self.observers,
        )
        self.interrupted = solution.status == INTERRUPTED
        return Trial(choice, solution, time.perf_counter() - begun)

    def _start_from(self, known: Trial, choice: Choice, network: KAN) -> None:
        chosen = self.settings
        points, weights = choice.points, choice.weights
        form, seed = chosen.boundary, chosen.seed
        start_from(known.solution, assemble(self.problem, network, points, form, weights, seed))

    def _keep(self, known: Trial | None, trial: Trial) -> float:
        """Judge a trial by another one, and keep the best; returns ρ."""
        ratio = 0.0
        if known is not None:
            known, trial, ratio = judge(known, trial)
            self._consider(known)
        self._consider(trial)
        error = "" if known is None else f", estimated error {trial.error:.1e}"
        self.log.append(f"{trial.choice}: {trial.seconds:.2g} s{error}")
        return ratio

    def _consider(self, trial: Trial) -> None:
        if self.best is None or self.best.error >= trial.error:
            self.best = trial
        elif self.best.choice is trial.choice:  # what is known of it has become worse
            self.best = trial

    @property
    def _left(self) -> float:
        return self.settings.budget_seconds - (time.perf_counter() - self.begun)

    def _unaffordable(self, choice: Choice, known: Trial) -> str | None:
        """Why there is no time for a choice, going by what another trial took."""
        forecast = known.seconds * choice.work / known.choice.work
        if forecast <= self._left:
            return None
        return f"the next one would take {forecast:.2g} s, {max(self._left, 0):.2g} s are left"

    def _is_over(self) -> bool:
        assert self.best is not None
        met = self.best.error <= self.settings.tolerance
        return met or self._left <= 0 or self.interrupted

    def _finished(self, best: Trial, ended: str) -> Solution:
        """The best solution, its status by the tolerance."""
        self.announce(best.choice, "kept")
        seconds = time.perf_counter() - self.begun
        solution = replace(best.solution, seconds=seconds, log=tuple(self.log))
        if self.interrupted:
            return replace(solution, status=INTERRUPTED)
        if best.failed:
            return solution
        return judged(solution, self.settings.tolerance)
