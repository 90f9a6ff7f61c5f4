"""Marching in time: one window after the other is solved by Newton's method on its output layer."""

import math
from dataclasses import dataclass, replace
from typing import Any

from kanpinn._support.errors import InputError, integer, number
from kanpinn._support.status import CONVERGED
from kanpinn.evolution.stretches import (
    Stretches,
    apply,
    check_stretchable,
    no_stretch,
    stretches_for,
)
from kanpinn.evolution.window_lengths import WindowLengths
from kanpinn.evolution.window_terms import (
    in_solution_units,
    interior_points,
    mean_over_space,
    points_in_window,
    solution_size,
    terms_at_all_times,
)
from kanpinn.evolution.windows import Windows
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm
from kanpinn.networks.network import Network
from kanpinn.optimizers.method import Optimizer, Stage, Step
from kanpinn.optimizers.output_layer import solve_newton


@dataclass(frozen=True)
class March(Optimizer):
    """Solve a problem window by window in time; the network is a `Windows`.

    Each step is one attempt to solve a window. Newton's method on the window's output layer starts
    from zero, at the solve's collocation points mapped into the window. The residual r gives an
    estimate of the relative error that the window adds to the solution u, for an equation
    c ∂_t^m u + …: e_w = Δt^m / m! · rms(r / c) / rms(u). If it is too large, the coordinates are
    stretched by the solution just found and the window is solved again; if that does not suffice,
    the window is shortened to half. The march is causal: a window depends on earlier windows only,
    through their values (and rates) at its beginning.

    Args:
        windows: the number of windows of equal length, whose errors are not limited; None to choose
            lengths by the tolerance.
        tolerance: the largest sum Σ_w e_w, relative to u. Each window may use it in proportion to
            its length, except for a fifth that is reserved for the first windows. It bounds the
            error if the equation does not amplify earlier errors; true errors are 20 to 1000 times
            smaller on the library's problems, since most of a residual averages out. If halving a
            window hardly lowers its e_w per time, the grid in space limits it: the window is
            accepted, and the final status says so.
        restretch: how often the coordinates of a window are stretched again, on boxes.
        times: the number of Gauss points in time in a window, at each of N / times Gauss points in
            space, N the solve's number of interior points.
        least: the length of the shortest window, as a fraction of the whole time; at most 0.1, the
            length of the first window.
        steps: the largest number of attempts.

    Raises:
        InputError: for values out of range; in a solve, for another kind of network, a domain
            that is not a product of space and time, or a term that is not imposed at all times.

    Reference: Wight and Zhao, Solving Allen–Cahn and Cahn–Hilliard equations using the adaptive
    physics informed neural networks (2020); Krishnapriyan et al. (2021); Penwarden et al. (2023).
    """

    windows: int | None = None
    tolerance: float = 1e-6
    restretch: int = 2
    times: int = 16
    least: float = 1e-4
    steps: int = 1000
    needs_fixed_points = True
    lowers_loss = False  # each window has its own loss

    def __post_init__(self) -> None:
        if self.windows is not None:
            integer("windows", self.windows)
        number("tolerance", self.tolerance, above=True)
        integer("restretch", self.restretch, least=0)
        integer("times", self.times)
        integer("steps", self.steps)
        if not 0 < self.least <= 0.1:
            raise InputError(f"least must be above 0 and at most 0.1, got {self.least!r}")

    def check(self, network: Network) -> None:
        _require_windows(network)

    def start(self, residuals: Residuals, seed: int) -> "MarchStage":
        return MarchStage(self, residuals)


class MarchStage(Stage):
    """The state of a march: the lengths of its windows, and the network with its windows so far."""

    def __init__(self, settings: March, residuals: Residuals) -> None:
        surrogate = residuals.surrogate
        self.network = _require_windows(surrogate.network)
        self.settings, self.surrogate = settings, surrogate
        self.terms = terms_at_all_times(residuals.terms, surrogate, settings.times)
        if self.network.stretch and settings.restretch:
            check_stretchable(surrogate)
        points = residuals.terms[0].points
        inside = interior_points(surrogate.domain, len(points), settings.times)
        self.inside = inside.to(points.coords.dtype, points.coords.device)
        self.lengths = WindowLengths(settings.windows, settings.tolerance, settings.least)

    def state_dict(self) -> dict[str, Any]:
        names = ("accepted", "length", "spent", "rate", "floor", "limited")
        return {name: getattr(self.lengths, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.lengths = replace(self.lengths, **state)

    def step(self) -> Step:
        lengths = self.lengths
        start = float(self.network.ends[-1]) if lengths.accepted else -1.0
        end = lengths.end_after(start)
        error, evaluations = self._attempt(start, end)
        accepted = math.isfinite(error) and lengths.accepts(error, start, end)
        if accepted:
            lengths.accept(error, start, end)
            finished = self._verdict() if end == 1 else None
        else:
            self.network.close()
            finished = None if lengths.shorten(start, end) else self._failed(start, end, error)
        a, b = self._time(start), self._time(end)
        return Step(
            error**2 if math.isfinite(error) else lengths.spent**2,
            evaluations,
            finished,
            notes={
                "time": b if accepted else a,
                "window": float(lengths.accepted),
                "length": b - a,
                "window_error": error,
            },
            words=(
                f"window {lengths.accepted} up to t = {b:.4g}, error {error:.1e}"
                if accepted
                else f"too large an error, {error:.1e}, from t = {a:.4g} to {b:.4g}"
            ),
        )

    def _verdict(self) -> str:
        """Return the status after the last window."""
        spent, tolerance = self.lengths.spent, self.settings.tolerance
        if self.settings.windows is not None:
            hopeless = f"stopped: the windows' errors add up to {spent:.1e}: nothing is resolved"
            return CONVERGED if spent < 1 else hopeless
        if not self.lengths.limited:
            return CONVERGED
        return (
            f"stopped: the windows' errors add up to {spent:.1e}, the tolerance is "
            f"{tolerance:.1e}; shorter windows would not lower them, a finer grid would"
        )

    def _failed(self, start: float, end: float, error: float) -> str:
        """Return the status for a window that is not accepted and cannot be shortened."""
        a, b = self._time(start), self._time(end)
        return (
            f"stopped: the window from t = {a:.6g} to {b:.6g} does not reach the tolerance "
            f"{self.settings.tolerance:g}, its error is {error:.1e}; the solution up to "
            f"t = {a:.6g} is kept, and the network is constant in time after it"
        )

    def _time(self, scaled_time: float) -> float:
        low, high = (float(corner[-1]) for corner in self.surrogate.domain.bounds)
        return low + (scaled_time + 1) / 2 * (high - low)

    def _attempt(self, start: float, end: float) -> tuple[float, int]:
        """Add a window and solve it, again with new stretches while its error is too large.

        Args:
            start, end: the window in scaled time.

        Returns:
            The error e_w that the window adds, infinite if it cannot be solved, and the number of
            evaluations.
        """
        stretches, evaluations, error = None, 0, math.inf
        if self.network.stretch and self.settings.restretch:
            stretches = self._stretched([start], no_stretch(self.surrogate.domain.dim))
        self.network.open(end, first=not self.lengths.accepted)
        tries = 1 if stretches is None else 1 + self.settings.restretch
        for trial in range(tries):
            if trial and stretches is not None:
                moments = [start + (end - start) * i / 4 for i in range(5)]
                stretches = self._stretched(moments, stretches)
            error, count = self._solve(start, end, stretches)
            evaluations += count
            if error <= self.lengths.allowed(start, end):
                break
        return error, evaluations

    def _stretched(self, moments: list[float], old: Stretches) -> Stretches:
        space = range(self.surrogate.domain.dim - 1)
        return stretches_for(self.surrogate, space, moments, old)

    def _solve(self, start: float, end: float, stretches: Stretches | None) -> tuple[float, int]:
        """Solve the last window by Newton's method; return its error e_w and the evaluations."""
        if stretches is not None:
            apply(stretches, self.network.members[-1])
        terms = self._within(start, end, stretches)
        self.network.reset()
        self.surrogate.prepare(terms[0].points)
        loss, evaluations = solve_newton(Residuals(self.surrogate, terms))
        size = solution_size(terms[0].points, self.surrogate, stretches)
        return math.sqrt(loss) / (size if size > 0 else 1.0), evaluations

    def _within(self, start: float, end: float, stretches: Stretches | None) -> list[ResidualTerm]:
        """Return the terms at points in a window, scaled so that the loss is an error of u."""
        here = []
        for index, term in enumerate(self.terms):
            points = term.points if index else self.inside
            points = points_in_window(points, self.surrogate, start, end, stretches)
            here.append(replace(term, points=points))
        duration = self._time(end) - self._time(start)
        first, *rest = in_solution_units(here, self.surrogate, duration, self.network.order)
        return [mean_over_space(first, self.surrogate, stretches), *rest]


def _require_windows(network: Network) -> Windows:
    """Return the network if it is one in time windows.

    Raises:
        InputError: for another kind of network.
    """
    if not isinstance(network, Windows):
        raise InputError(
            'march is for networks in time windows, network.type = "windows": this one is a '
            f"{type(network).__name__}"
        )
    return network
