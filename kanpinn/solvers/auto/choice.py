"""A choice of network, points and optimizers, in the form that a problem file would give it."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from kanpinn.geometry.sampling import Collocation
from kanpinn.networks import KAN, Beside, Network
from kanpinn.networks.beside import SEEDS
from kanpinn.optimizers import Method
from kanpinn.solvers.settings import SolveSettings


def even() -> dict[str, float]:
    """Return weights of one for all loss terms."""
    return {"interior": 1.0, "boundary": 1.0}


@dataclass(frozen=True)
class Choice:
    """A network's class and arguments, collocation points and optimizers of one trial.

    Args:
        kind: the network's class.
        arguments: of this class; for `Beside` a list "of" with a table for each network.
        points: the collocation points.
        optimizers: run in order.
        work: the number of operations up to a factor, from which the times of trials are forecast.
        form: of the loss, "strong" or "energy".
        weights: of the loss terms, by name.
        balanced: whether residuals are divided by their sizes, see `kanpinn.solve`.
    """

    kind: type[Network]
    arguments: Mapping[str, Any]
    points: Collocation
    optimizers: tuple[Method, ...]
    work: float
    form: str = "strong"
    weights: Mapping[str, float] = field(default_factory=even)
    balanced: bool = True

    def network(self, seed: int, dtype: torch.dtype, device: torch.device | str) -> Network:
        """Return a new network of this choice."""
        return self._made(seed).to(device=device, dtype=dtype)

    def settings(self, boundary: str) -> SolveSettings:
        """Return the settings of a solve with this choice; boundary: as for `solve`."""
        return SolveSettings(
            points=self.points,
            boundary=boundary,
            weights=self.weights,
            balance=self.balance,
            form=self.form,
        )

    @property
    def balance(self) -> str | None:
        """The argument `balance` of a solve."""
        return "sizes" if self.balanced else None

    def _made(self, seed: int) -> Network:
        if not issubclass(self.kind, Beside):
            random = "seed" in inspect.signature(self.kind).parameters
            return self.kind(**self.arguments, **{"seed": seed} if random else {})
        tables = [_without_type(table) for table in self.arguments["of"]]
        return Beside([KAN(**table, seed=seed + SEEDS * i) for i, table in enumerate(tables)])

    def smaller(self, part: float) -> "Choice":
        """Return a choice with a part (0 to 1) of the hidden units and of the points."""
        assert self.kind is KAN
        inputs, units, outputs = self.arguments["width"]
        p = self.points
        interior, boundary = math.ceil(part * p.interior), math.ceil(part * p.boundary)
        return replace(
            self,
            arguments={**self.arguments, "width": [inputs, math.floor(part * units), outputs]},
            points=replace(p, interior=interior, boundary=boundary),
            work=self.work * part**3,
        )

    def with_more_points(self, factor: float, only_boundary: bool = False) -> "Choice":
        """Return the choice with `factor` times as many points, or as many on the boundary."""
        p, inside = self.points, 1.0 if only_boundary else factor
        interior, boundary = math.ceil(inside * p.interior), math.ceil(factor * p.boundary)
        more = replace(p, interior=interior, boundary=boundary)
        work = self.work * (interior + boundary) / (p.interior + p.boundary)
        return replace(self, points=more, work=work)

    def with_other_points(self) -> "Choice | None":
        """Return the choice with twice as many points by another sampler, or None.

        There is none for energies, whose points are a rule, for marches and cells, which place
        them, and for stretched networks, which move them.
        """
        if self.kind is not KAN or self.form == "energy" or self.arguments.get("stretch"):
            return None
        sampler = "sobol" if self.points.sampler == "gauss" else "gauss"
        if self.arguments["width"][0] > 3:
            sampler = "halton"  # product rules would be too large
        more = self.with_more_points(2.0)
        return replace(more, points=replace(more.points, sampler=sampler))

    @property
    def units(self) -> int:
        """The number of hidden units; 0 if the network is not a KAN with one hidden layer."""
        width: list[int] = self.arguments["width"] if self.kind is KAN else []
        return width[1] if len(width) == 3 else 0

    def __str__(self) -> str:
        stages = ", ".join(optimizer.title.lower() for optimizer in self.optimizers)
        kind = "" if self.points.sampler == "gauss" else f" {self.points.sampler}"
        points = f"{self.points.interior} + {self.points.boundary}{kind} points"
        return f"{self._network}, {points}, {stages}"

    @property
    def _network(self) -> str:
        if self.kind is Beside:
            return " beside ".join(f"KAN with {_listed(table)}" for table in self.arguments["of"])
        return f"{self.kind.__name__} with {_listed(self.arguments)}"


def _without_type(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != "type"}


def _listed(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in _without_type(table).items())
