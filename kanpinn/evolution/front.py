"""The front of a march: the solution at the end of the windows so far."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kanpinn.evolution.function_space import FunctionSpace
from kanpinn.evolution.time.stages import Stages, stages
from kanpinn.evolution.window.window import Window
from kanpinn.evolution.window.window_equations import WindowEquations


@dataclass(frozen=True, eq=False)
class FrontInTime:
    """The solution at the end of the windows so far, from which the next window starts.

    Args:
        time: the end of the windows.
        space: the functions of space.
        state: the coefficients of the value there, and for second order the rate, (order, n, m).
        size: the largest root mean square of the solution so far.
        errors: the root mean square errors with which the space represents it in each element,
            (E,); None where it is the end of a window.
        carried: the estimated error of the state, (order, n, m).
        before: the last window that has been solved, in the same space: the one that ends here, or
            one that starts here and was not accepted; None at the first moment.
        lasting: the part of the whole time for which errors in each element last, (E,), known at
            the first moment; None for all of it.
    """

    time: float
    space: FunctionSpace
    state: Tensor
    size: float
    carried: Tensor
    errors: Tensor | None = None
    before: Window | None = None
    lasting: Tensor | None = None

    @property
    def is_first(self) -> bool:
        """Whether it is at the first moment."""
        return self.time == float(self.space.surrogate.domain.bounds[0][-1])

    @property
    def change(self) -> float:
        """The relative error with which the space represents the solution, of what lasts of it.

        It is the root mean square over the whole time.
        """
        if self.errors is None or not self.size:
            return 0.0
        return self.space.error(self.felt) / self.size

    @property
    def felt(self) -> Tensor:
        """The errors in each element in the root mean square over the whole time, (E,)."""
        assert self.errors is not None
        return self.errors if self.lasting is None else self.errors * self.lasting.sqrt()

    def guess(self, scheme: Stages, length: float) -> Tensor:
        """A guess for the unknowns of the stages of the next window, (s, n, m)."""
        if self.before is None:
            return self.state.new_zeros(scheme.count, *self.state.shape[1:])
        return self.before.guess(scheme, self.time, length)

    def again(self, window: Window, space: FunctionSpace) -> "FrontInTime":
        """The same front after a window that starts here, in some space, has not been accepted.

        If it has been solved, it is a guess for a shorter one, unless it is far from the solution.
        """
        useful = window.converged and window.error < 0.1 and space is self.space
        return replace(self, before=window) if useful else self

    def after(self, window: Window, carried: Tensor, time: float | None = None) -> "FrontInTime":
        """The front at the end of a window that starts here.

        Args:
            window: the window.
            carried: the estimated error of its state at the end, (order, n, m).
            time: that of the end, where it is known without rounding.
        """
        end = window.start + window.length if time is None else time
        size = max(self.size, window.size)
        return FrontInTime(float(end), self.space, window.end(), size, carried, None, window)

    def regraded(self, errors: Tensor, error: float, smooth: bool = True) -> FunctionSpace:
        """A space with intervals graded for a relative error of its splines.

        The kinks of the initial values stay breaks at the first moment only.

        Args:
            errors: the present root mean square errors on each interval, (G,).
            error: the relative error.
            smooth: see `FunctionSpace.regraded`.
        """
        space = self.space if self.is_first else replace(self.space, kinks=None)
        return space.regraded(errors, self.size * error, smooth)

    def moved(self, space: FunctionSpace) -> "FrontInTime":
        """The same front in another space."""
        if self.before is None or self.is_first:
            return first_front(space, self.time)
        order = len(self.state)
        together = torch.cat([self.state, self.carried, self.before.states])
        states, errors = space.moved(together, self.space)
        state, carried, last = states.split([order, order, len(states) - 2 * order])
        before = replace(self.before, states=last)
        return replace(
            self, space=space, state=state, carried=carried, errors=errors, before=before
        )

    def state_dict(self) -> dict[str, Any]:
        """What `of_state` makes the front of again."""
        last = self.before
        return {
            "time": self.time,
            "state": self.state,
            "size": self.size,
            "errors": self.errors,
            "carried": self.carried,
            "breaks": list(self.space.breaks),
            "kinks": self.space.kinks,
            "lasting": self.lasting,
            "states": None if last is None else last.states,
            "last": None if last is None else (last.start, last.length, last.stages.count),
            "scheme": None if last is None else last.stages.kind,
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any], space: FunctionSpace) -> "FrontInTime":
        """The front that `state_dict` has described, in its space."""
        before = None
        if state["last"] is not None:
            start, length, count = state["last"]
            scheme = stages(count, state["scheme"])
            before = Window.of_states(scheme, start, length, state["states"])
        known = {
            name: state[name] for name in ("time", "state", "size", "errors", "carried", "lasting")
        }
        return cls(space=space, before=before, **known)


def first_front(space: FunctionSpace, time: float) -> FrontInTime:
    """The front at the first moment: the initial values in a space."""
    state, errors = space.initial()
    size = space.size(state, time)
    lasting = None if space.kinks is None else _lasting(space, state, time)
    return FrontInTime(time, space, state, size, torch.zeros_like(state), errors, None, lasting)


def _lasting(space: FunctionSpace, state: Tensor, time: float) -> Tensor:
    """The part of the whole time for which errors of splines in each interval last, (G,).

    state: the coefficients at a time, (order, n, m).
    """
    low, high = (float(corner[-1]) for corner in space.surrogate.domain.bounds)
    still = WindowEquations(space.system, stages(1), time, high - low, state)
    states = still.states(torch.zeros_like(state[:1]))
    linearised = space.system.interior.linearised(still.moment(0.0), states)
    return (space.system.lifetimes(linearised) / (high - low)).clamp_max(1.0)
