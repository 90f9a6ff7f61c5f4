"""A solve whose network, points and optimizers trials choose, ready to be run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.wording import show
from kanpinn.runs.config.classes import NETWORKS, OPTIMIZERS
from kanpinn.runs.config.reading import AUTO
from kanpinn.runs.config.schema import BOUNDARY, LossSection
from kanpinn.runs.config.solve_job import SolveJob
from kanpinn.solvers.auto import Choice, auto
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer

Announce = Callable[[Choice, str], None]


def is_auto(network: Mapping[str, Any], optimizers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a file leaves the choices to trials: it names neither a network nor optimizers, or
    says so.

    Raises:
        InputError: where it leaves a part of them only.
    """
    named = [table.get("type") for table in optimizers]
    kind = network.get("type", AUTO)
    if AUTO in named and len(named) > 1:
        raise InputError(
            f'optimizer[{named.index(AUTO)}].type = "auto": expected to be the only optimizer'
        )
    if AUTO in named and kind != AUTO:
        raise InputError(
            f'optimizer[0].type = "auto": expected no network beside it, got {show(kind)}'
        )
    if kind != AUTO:
        return False
    if named and AUTO not in named:
        raise InputError(
            f"optimizer[0].type = {show(named[0])}: expected a network beside it, trials that "
            "choose one choose the optimizers, too"
        )
    _check_left_out("network", network, ("type", BOUNDARY.name))
    return True


def check_left_out(points: Mapping[str, Any] | None, loss: LossSection) -> None:
    """Refuse sections of a file that say what trials choose."""
    _check_left_out("points", points or {})
    _check_left_out("loss", {} if loss == LossSection() else vars(loss))


def _check_left_out(section: str, table: Mapping[str, Any], kept: Sequence[str] = ()) -> None:
    for key, value in table.items():
        if key not in kept:
            raise InputError(
                f"{section}.{key} = {show(value)}: expected to be left out, trials choose it"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class AutoJob(SolveJob):
    """A solve by `kanpinn.auto`; its network, points and optimizers are those that it begins with.

    announce: called with each choice, and at the end with the one whose solution is kept.
    """

    announce: Announce | None = None

    def solve(
        self,
        observers: Sequence[Observer] = (),
        checkpoint: Mapping[str, Any] | None = None,
        errors: bool = True,
    ) -> Solution:
        """Let trials choose; see `kanpinn.auto`."""
        assert checkpoint is None, "a checkpoint belongs to one of the trials"
        like = next(self.network.parameters())
        return auto(
            self.problem,
            tolerance=self.tolerance,
            budget_seconds=self.budget_seconds,
            boundary=self.boundary,
            reference=self.reference,
            errors=errors,
            seed=self.seed,
            dtype=like.dtype,
            device=like.device,
            observers=observers,
            announce=self.announce,
        )


def chosen_sections(choice: Choice, boundary: str) -> dict[str, Any]:
    """The sections of a file that say what was chosen."""
    return {
        "network": {
            "type": _name(choice.kind, NETWORKS),
            **choice.arguments,
            "boundary": boundary,
        },
        "points": _given(choice.points),
        "loss": {**choice.weights, "form": choice.form},
        "optimizer": [{"type": _name(type(o), OPTIMIZERS), **_given(o)} for o in choice.optimizers],
    }


def _name(target: type, known: Mapping[str, type]) -> str:
    return next(name for name, found in known.items() if found is target)


def _given(settings: Any) -> dict[str, Any]:
    """The arguments of a dataclass that are not its defaults."""
    values = {f.name: (getattr(settings, f.name), f.default) for f in fields(settings) if f.init}
    return {name: value for name, (value, default) in values.items() if value != default}
