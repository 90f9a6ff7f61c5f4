"""What a problem file describes, built: a job that can be solved."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kanpinn.assembly import default_points
from kanpinn.config.classes import (
    blaming,
    equation_class,
    load_class,
    network_class,
    optimizer_class,
    reference_class,
    sources_of,
)
from kanpinn.config.domains import EXAMPLE, build_domain
from kanpinn.config.forms import Form, construct
from kanpinn.config.limits import check_network, check_points
from kanpinn.config.schema import BOUNDARY, EQUATION, TYPE, RunSection
from kanpinn.errors import InputError
from kanpinn.networks import KAN, Network
from kanpinn.optimizers import LeastSquares, Optimizer, Refine, Stage
from kanpinn.problem import Problem
from kanpinn.references import DataFile, Recipe
from kanpinn.residuals import Residuals
from kanpinn.run import Observer
from kanpinn.sampling import Collocation
from kanpinn.solution import Solution
from kanpinn.solving import solve


@dataclass(frozen=True, eq=False)
class Job:
    """A problem with everything that its solve needs; a network is made for one solve."""

    problem: Problem
    network: Network
    optimizers: tuple[Optimizer, ...]
    points: Collocation
    boundary: str
    weights: dict[str, float]
    seed: int
    name: str
    reference: Recipe | None = None
    form: str = "strong"

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
            reference=self.reference,
            errors=errors,
            seed=self.seed,
            observers=observers,
            checkpoint=checkpoint,
        )

    def preview(self) -> Solution:
        """The state before the first step: residual blocks, points, derivatives that are used."""
        return solve(
            self.problem,
            copy.deepcopy(self.network),
            _NoSteps(),
            self.points,
            boundary=self.boundary,
            weights=self.weights,
            form=self.form,
            errors=False,
            seed=self.seed,
        )

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files of the classes that are not kanpinn's own."""
        own = (self.problem, self.network, *self.optimizers, self.reference)
        return sources_of(*(type(part) for part in own if part is not None))


class _NoSteps(Optimizer):
    steps = 0

    def start(self, residuals: Residuals, seed: int) -> Stage:
        return LeastSquares().start(residuals, seed)


def build_problem(table: dict[str, Any], directory: Path) -> Problem:
    """An instance of the problem's class with its parameters, or the equation that it names."""
    if "equation" in table:
        return build_equation(table, directory)
    found = load_class(table["class"], Problem, directory, "problem.class")
    with blaming(found.__name__, *sources_of(found)):
        problem = construct("problem.parameters", found, table["parameters"])
        problem.check()
    return problem


def build_equation(table: dict[str, Any], directory: Path) -> Problem:
    """One of the common equations with its data."""
    found = equation_class(table["equation"])
    if "domain" not in table:
        raise InputError(f"problem.domain is missing: expected a table such as {EXAMPLE}")
    domain = build_domain("problem.domain", table["domain"], directory)
    data = {key: value for key, value in table.items() if key != "domain"}
    problem = construct("problem", found, data, apart=(EQUATION,), made={"domain": domain})
    try:
        problem.check()
    except InputError as error:
        raise InputError(f"problem.{error}") from None
    return problem


def build_network(table: dict[str, Any], run: RunSection, directory: Path) -> Network:
    """The network on the device and in the precision of [run], whose seed it has by default."""
    found = network_class(table["type"], directory)
    if "seed" in Form.of(found).keys:
        table = {"seed": run.seed} | table
    check_network(table, found)
    with blaming(found.__name__, *sources_of(found)):
        network = construct("network", found, table, apart=(TYPE, BOUNDARY))
    return network.to(device=_device(run.device), dtype=getattr(torch, run.dtype))


def build_optimizers(tables: Sequence[dict[str, Any]], directory: Path) -> tuple[Optimizer, ...]:
    """The optimizers in order; the solve's own choice where there are none."""
    stages = []
    for index, table in enumerate(tables):
        path = f"optimizer[{index}]"
        found = optimizer_class(table["type"], directory, path)
        with blaming(found.__name__, *sources_of(found)):
            stages.append(construct(path, found, table, apart=(TYPE,)))
    return tuple(stages) or (LeastSquares(),)


def build_points(table: dict[str, Any] | None, network: Network, problem: Problem) -> Collocation:
    """The collocation points; the solve's own choice where the file has none."""
    if table is None:
        return default_points(network)
    points = construct("points", Collocation, table)
    check_points(points, problem)
    return points


def build_reference(table: dict[str, Any] | None, directory: Path) -> Recipe | None:
    """How the reference is got; None where the file has none."""
    if table is None:
        return None
    found = reference_class(table["type"], directory)
    if found is DataFile and isinstance(table.get("path"), str):
        table = table | {"path": str(directory / table["path"])}
    with blaming(found.__name__, *sources_of(found)):
        return construct("reference", found, table, apart=(TYPE,))


def check_refinements(network: Network, optimizers: Sequence[Optimizer]) -> None:
    """Refuse refinements that do not fit the network, which would only fail when they are due.

    Raises:
        InputError: naming the optimizer's table.
    """
    for index, optimizer in enumerate(optimizers):
        if isinstance(optimizer, Refine):
            _check_refinement(optimizer, network, f"optimizer[{index}]")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f'run.device = "{name}": no such device here ({reason})') from None
    return device


def _check_refinement(optimizer: Refine, network: Network, path: str) -> None:
    if not isinstance(network, KAN):
        kind = type(network).__name__
        raise InputError(f'{path}.type = "refine": only KANs have grids, the network is a {kind}')
    grid, layers = optimizer.grid, len(network.layers)
    if not isinstance(grid, int) and len(grid) != layers:
        raise InputError(
            f"{path}.grid must be one number or {layers}, one per layer, got {list(grid)}"
        )
