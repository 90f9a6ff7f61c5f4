"""Removal of the keys of a class that an override has replaced by another class."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kanpinn._support.wording import show
from kanpinn.networks import KAN
from kanpinn.runs.config.models import TomlTable
from kanpinn.runs.config.named import SOLVE_NETWORKS, SOLVE_STAGES
from kanpinn.runs.config.overrides import KeyPath, spell
from kanpinn.runs.config.problems import PROBLEMS
from kanpinn.runs.config.variants import Variants

CHOSEN = ("loss", "optimizer", "points")  # the sections that trials choose


def drop_foreign_keys(
    written: dict[str, Any], data: dict[str, Any], given: set[KeyPath], directory: Path
) -> list[str]:
    """Remove the keys of a file that do not belong to a type that an override has set.

    If the network is no longer a KAN, refinements are removed as well. If its type is "auto", the
    sections that trials choose are removed. Keys that overrides set are kept. Tables whose type is
    unchanged or unknown are left as they are, so that their errors are reported.

    Args:
        written: the sections of the file.
        data: the same sections with the overrides; they are changed in place.
        given: the keys that the overrides set.
        directory: the folder in which classes of the user's own are looked for.

    Returns:
        A note for each part of the file that was removed.

    Raises:
        InputError: if a class of the user's own cannot be loaded.
    """
    notes: list[str] = []
    for path, variants, before, after in _tables(written, data):
        key = variants.key
        tag = variants.tag(after)
        if key not in before or before[key] == after.get(key) or tag not in variants.tables:
            continue
        table, now = variants.tables[tag], f"{key} = {show(after[key])}"
        kept = {*table.by_key(), *(one[-1] for one in given if one[:-1] == path)}
        table = table.described(after[key], directory, spell(path))
        kept |= {*table.by_key()}
        if table.model_config["extra"] == "forbid":
            notes += _drop_keys(after, path, kept, now)
        if path == ("network",):
            notes += _drop_sections(table, data, given, now)
    return notes


def _tables(
    written: dict[str, Any], data: dict[str, Any]
) -> Iterator[tuple[KeyPath, Variants, dict[str, Any], dict[str, Any]]]:
    """Yield path, union, values before and values after the overrides, for tables with a type."""
    stages = [one.get("optimizer") for one in (written, data)]
    found: list[Any] = [(("problem",), PROBLEMS, written.get("problem"), data.get("problem"))]
    if all(type(stage) is list for stage in stages):
        pairs = zip(*stages, strict=False)
        found += [(("optimizer", i), SOLVE_STAGES, *pair) for i, pair in enumerate(pairs)]
    found.append((("network",), SOLVE_NETWORKS, written.get("network"), data.get("network")))
    yield from [one for one in found if type(one[2]) is type(one[3]) is dict]


def _drop_keys(table: dict[str, Any], path: KeyPath, kept: set[Any], now: str) -> list[str]:
    foreign = [key for key in table if key not in kept]
    for key in foreign:
        del table[key]
    keys = ", ".join(f"{spell(path)}.{key}" for key in foreign)
    verb = "does" if len(foreign) == 1 else "do"
    return [f"{now}: {keys} of the file {verb} not apply"] if foreign else []


def _drop_sections(
    table: type[TomlTable], data: dict[str, Any], given: set[KeyPath], now: str
) -> list[str]:
    """Remove sections that trials choose, and refinements if the network is no KAN.

    Those that an override sets stay, and are refused when the file is checked.
    """
    if table.about is None:
        void = [name for name in CHOSEN if name in data and name not in {one[0] for one in given}]
        for name in void:
            del data[name]
        return [f"{now}: section [{name}] of the file does not apply" for name in void]
    stages = data.get("optimizer", [])
    touched = {one[1] for one in given if one[0] == "optimizer" and len(one) > 1}
    refining = [
        i for i, stage in enumerate(stages) if type(stage) is dict and stage.get("type") == "refine"
    ]
    skipped = {*refining} - touched
    if issubclass(table.about, KAN) or not skipped or ("optimizer",) in given:
        return []
    data["optimizer"] = [stage for i, stage in enumerate(stages) if i not in skipped]
    return [f"{now}: {len(skipped)} refine stages of the file are skipped"]
