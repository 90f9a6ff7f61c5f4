"""The parts that solves and fits share, built from their tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kanpinn.config.classes import blaming, network_class, optimizer_class, sources_of
from kanpinn.config.forms import Form, Key, construct
from kanpinn.config.limits import check_network
from kanpinn.config.schema import TYPE, RunSection
from kanpinn.errors import InputError
from kanpinn.networks import KAN, Network
from kanpinn.optimizers import Optimizer, Refine


def build_network(
    table: dict[str, Any], run: RunSection, directory: Path, apart: Sequence[Key] = ()
) -> Network:
    """The network on the device and in the precision of [run], whose seed it has by default.

    apart: keys of the table that are not the network's own.
    """
    found = network_class(table["type"], directory)
    if "seed" in Form.of(found).keys:
        table = {"seed": run.seed} | table
    check_network(table, found)
    with blaming(found.__name__, *sources_of(found)):
        network = construct("network", found, table, apart=(TYPE, *apart))
    return network.to(device=_device(run.device), dtype=getattr(torch, run.dtype))


def build_optimizers(
    tables: Sequence[dict[str, Any]], network: Network, directory: Path, default: Optimizer
) -> tuple[Optimizer, ...]:
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
