"""The parts that solves and fits share, built from their tables."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from kanpinn._support.errors import InputError
from kanpinn._support.wording import show
from kanpinn.networks import KAN, Beside, Network
from kanpinn.networks.beside import SEEDS
from kanpinn.optimizers import InsertKnots, Method, Refine
from kanpinn.pde.problem import Problem
from kanpinn.runs.config.classes import (
    blaming,
    load_class,
    network_class,
    optimizer_class,
    sources_of,
)
from kanpinn.runs.config.forms import Form, Key, construct
from kanpinn.runs.config.limits import check_network
from kanpinn.runs.config.schema import TYPE, RunSection

OF = Key("of", list[dict[str, Any]])  # of networks side by side


def build_own(table: dict[str, Any], base: type, directory: Path) -> Problem:
    """An instance of the class that [problem] names, a subclass of `base`, with its parameters."""
    found = load_class(table["class"], base, directory, "problem.class")
    with blaming(found.__name__, *sources_of(found)):
        problem: Problem = construct("problem.parameters", found, table["parameters"])
        problem.check()
    return problem


def build_network(
    table: dict[str, Any],
    run: RunSection,
    directory: Path,
    apart: Sequence[Key] = (),
    path: str = "network",
) -> Network:
    """The network on the device and in the precision of [run], whose seed it has by default.

    apart: keys of the table that are not the network's own. path: of the table, for messages.
    """
    found = network_class(table["type"], directory, path)
    if found is Beside:
        return _beside(table, run, directory, apart, path)
    if "seed" in Form.of(found).keys:
        table = {"seed": run.seed} | table
    check_network(table, found, path)
    with blaming(found.__name__, *sources_of(found)):
        network = construct(path, found, table, apart=(TYPE, *apart))
    dtype, device = placement(run)
    return network.to(device=device, dtype=dtype)


def placement(run: RunSection) -> tuple[torch.dtype, torch.device]:
    """The precision and the device that [run] names.

    Raises:
        InputError: where there is no such device.
    """
    return getattr(torch, run.dtype), _device(run.device)


def _beside(
    table: dict[str, Any], run: RunSection, directory: Path, apart: Sequence[Key], path: str
) -> Network:
    """The networks in the tables of `of`, each with a seed of its own by default."""
    tables = Form({"of": OF}).beside((TYPE, *apart)).read(path, table)["of"]
    parts = []
    for index, one in enumerate(tables):
        where = f"{path}.of[{index}]"
        if "type" not in one:
            raise InputError(f'{where}.type is missing: expected such as "kan"')
        seeded = replace(run, seed=run.seed + SEEDS * index)
        parts.append(build_network(one, seeded, directory, path=where))
    made = {"of": parts}
    own = {key: value for key, value in table.items() if key != "of"}
    return construct(path, Beside, own, apart=(TYPE, *apart), made=made)


def build_optimizers(
    tables: Sequence[dict[str, Any]], network: Network, directory: Path, default: Method
) -> tuple[Method, ...]:
    """The optimizers in order; the default where there are none.

    Raises:
        InputError: also for refinements that do not fit the network, which would only fail when
            they are due.
    """
    stages = []
    for index, table in enumerate(tables):
        path = f"optimizer[{index}]"
        found = optimizer_class(table["type"], directory, path)
        with blaming(found.__name__, *sources_of(found)):
            stage = construct(path, found, table, apart=(TYPE,))
        if isinstance(stage, InsertKnots) and not isinstance(network, KAN):
            kind, own = type(network).__name__, show(table["type"])
            raise InputError(f"{path}.type = {own}: only for KANs, the network is a {kind}")
        if isinstance(stage, Refine):
            _check_refinement(stage, network, path)
        stages.append(stage)
    return tuple(stages) or (default,)


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
