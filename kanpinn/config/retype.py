"""What happens to a file's keys when an override changes the type of what they describe."""

import copy
from pathlib import Path
from typing import Any

from kanpinn.config.forms import Form
from kanpinn.config.overrides import Path as KeyPath
from kanpinn.config.overrides import spell
from kanpinn.config.registry import network_class, optimizer_class
from kanpinn.config.sections import BOUNDARY, TYPE
from kanpinn.config.words import show
from kanpinn.networks import KAN


def drop_foreign_keys(
    written: dict[str, Any], data: dict[str, Any], given: set[KeyPath], directory: Path
) -> tuple[dict[str, Any], list[str]]:
    """The tables without what the file says for another type, and a note for each thing dropped.

    Only where an override changes a `type`, and only the keys that come from the file; refine
    stages go, too, where the network is no longer a KAN. What the file itself gets wrong stays.
    """
    data, notes = copy.deepcopy(data), []
    for index, (before, after) in enumerate(zip(_tables(written), _tables(data), strict=False)):
        if _retyped(before, after):
            stage = optimizer_class(after["type"], directory, f"optimizer[{index}]")
            notes += _drop(after, ("optimizer", index), stage, given)
    if _retyped(written.get("network"), data.get("network")):
        network = network_class(data["network"]["type"], directory)
        notes += _drop(data["network"], ("network",), network, given)
        if not issubclass(network, KAN):
            notes += _drop_refinement(data, given)
    return data, notes


def _tables(data: dict[str, Any]) -> list[Any]:
    tables = data.get("optimizer")
    return tables if isinstance(tables, list) else []


def _retyped(before: Any, after: Any) -> bool:
    tables = isinstance(before, dict) and isinstance(after, dict)
    return tables and isinstance(after.get("type"), str) and before.get("type") != after["type"]


def _drop(table: dict[str, Any], path: KeyPath, new: type, given: set[KeyPath]) -> list[str]:
    form = Form.of(new).beside((TYPE, BOUNDARY))
    kept = {*form.keys, *(key[-1] for key in given if key[:-1] == path)}
    foreign = [] if form.open else [key for key in table if key not in kept]
    for key in foreign:
        del table[key]
    keys = ", ".join(f"{spell(path)}.{key}" for key in foreign)
    return [f"type = {show(table['type'])}: the file's {keys} do not apply"] if foreign else []


def _drop_refinement(data: dict[str, Any], given: set[KeyPath]) -> list[str]:
    """Refine stages of the file; one that an override touches stays, and is refused."""
    touched = {path[1] for path in given if path[0] == "optimizer" and len(path) > 1}
    void = [
        index
        for index, stage in enumerate(_tables(data))
        if isinstance(stage, dict) and stage.get("type") == "refine" and index not in touched
    ]
    if not void or ("optimizer",) in given:
        return []
    data["optimizer"] = [s for i, s in enumerate(data["optimizer"]) if i not in void]
    return [f"type = {show(data['network']['type'])}: {len(void)} refine stages are skipped"]
