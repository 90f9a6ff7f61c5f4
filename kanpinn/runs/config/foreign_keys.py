"""What becomes of a file's keys where an override changes the type that they belong to."""

import copy
from pathlib import Path
from typing import Any

from kanpinn._support.wording import show
from kanpinn.networks import KAN
from kanpinn.runs.config.classes import equation_class, network_class, optimizer_class
from kanpinn.runs.config.forms import Form
from kanpinn.runs.config.overrides import KeyPath, spell
from kanpinn.runs.config.reading import AUTO
from kanpinn.runs.config.schema import BOUNDARY, EQUATION, TYPE

LEFT = 'type = "auto"'


def drop_foreign_keys(
    written: dict[str, Any], data: dict[str, Any], given: set[KeyPath], directory: Path
) -> tuple[dict[str, Any], list[str]]:
    """The tables without what the file says for another type, and a note for each thing dropped.

    Only where an override changes a `type`, and only the keys that come from the file; refine
    stages go, too, where the network is no longer a KAN. What the file itself gets wrong stays.
    """
    data, notes = copy.deepcopy(data), []
    notes += _drop_from_equation(written.get("problem"), data.get("problem"), given)
    for index, (before, after) in enumerate(zip(_tables(written), _tables(data), strict=False)):
        if _retyped(before, after):
            stage = optimizer_class(after["type"], directory, f"optimizer[{index}]")
            notes += _drop_for_type(after, ("optimizer", index), stage, given)
    if not _retyped(written.get("network"), data.get("network")):
        return data, notes
    if data["network"]["type"] == AUTO:
        notes += _drop_chosen(data, given)
    else:
        network = network_class(data["network"]["type"], directory)
        notes += _drop_for_type(data["network"], ("network",), network, given)
        if not issubclass(network, KAN):
            notes += _drop_refinement(data, given)
    return data, notes


def _drop_chosen(data: dict[str, Any], given: set[KeyPath]) -> list[str]:
    """What the file says of what trials now choose."""
    notes = _drop(data["network"], ("network",), Form({}).beside((TYPE, BOUNDARY)), given, LEFT)
    void = {"points", "loss", "optimizer"} & data.keys() - {path[0] for path in given}
    for name in void:
        del data[name]
    return [*notes, *(f"{LEFT}: the file's [{name}] does not apply" for name in sorted(void))]


def _tables(data: dict[str, Any]) -> list[Any]:
    tables = data.get("optimizer")
    return tables if isinstance(tables, list) else []


def _retyped(before: Any, after: Any) -> bool:
    tables = isinstance(before, dict) and isinstance(after, dict)
    return tables and isinstance(after.get("type"), str) and before.get("type") != after["type"]


def _drop_for_type(
    table: dict[str, Any], path: KeyPath, new: type, given: set[KeyPath]
) -> list[str]:
    form = Form.of(new).beside((TYPE, BOUNDARY))
    return _drop(table, path, form, given, f"type = {show(table['type'])}")


def _drop(
    table: dict[str, Any], path: KeyPath, form: Form, given: set[KeyPath], now: str
) -> list[str]:
    kept = {*form.keys, *(key[-1] for key in given if key[:-1] == path)}
    foreign = [] if form.open else [key for key in table if key not in kept]
    for key in foreign:
        del table[key]
    keys = ", ".join(f"{spell(path)}.{key}" for key in foreign)
    return [f"{now}: the file's {keys} do not apply"] if foreign else []


def _drop_from_equation(before: Any, after: Any, given: set[KeyPath]) -> list[str]:
    """What the file says for another equation."""
    if not (isinstance(before, dict) and isinstance(after, dict) and "equation" in before):
        return []
    name = after.get("equation")
    if not isinstance(name, str) or name == before["equation"]:
        return []
    form = Form.of(equation_class(name)).beside((EQUATION,))
    return _drop(after, ("problem",), form, given, f"equation = {show(name)}")


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
