"""Damaged run folders: files that are cut off, with flipped bits, or with other contents."""

import argparse
import copy
import io
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common.verdicts import Figure

from hostile.commands import run
from hostile.jobs import JOBS

VALUES: tuple[Any, ...] = (None, 5, -1e300, "x", [], [1], {}, {"a": 1})
Damage = tuple[str, bytes]  # its name, and the contents of the damaged file


@dataclass(frozen=True)
class Outcome:
    """What a command said of a damaged folder.

    name: of the damage. faults: what is wrong with the command; empty if nothing is. refused:
    whether it ended with an error.
    """

    name: str
    faults: list[str]
    refused: bool


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, Figure]:
    """Give damaged copies of two run folders to two commands."""
    folder = chosen.output / "runs"
    found: dict[str, Figure] = {}
    for kind in ("solve", "fit"):
        source = finished(kind, folder)
        ended = [*outcomes(kind, source, folder, chosen.damages, chosen.seed)]
        wrong = [f"{one.name}: {', '.join(one.faults)}" for one in ended if one.faults]
        failures += wrong
        found[f"damaged {kind}: commands that fail"] = {
            "value": len(wrong),
            "target": f"0 of {len(ended)}",
            "met": not wrong,
        }
        found[f"damaged {kind}: commands that refuse it"] = {
            "value": sum(one.refused for one in ended),
            "target": "all but those that do not read what is damaged",
            "met": None,
        }
    return found


def finished(kind: str, folder: Path) -> Path:
    """Make a run of a kind of file, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}.toml"
    path.write_text(JOBS[kind].text, encoding="utf-8")
    done = run([kind, str(path), "--quiet", "--output", str(folder)], 120)
    if done.code:
        raise RuntimeError(f"{path} cannot be run: {done.said}")
    return Path(done.said.strip().splitlines()[-1])


def outcomes(kind: str, source: Path, folder: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Yield what two commands say of copies of a run folder with one damaged file.

    Args:
        kind: "solve" or "fit".
        source: the folder of a finished run.
        folder: where the copies are made.
        count: the number of damages, drawn from all.
        seed: the seed of all random choices.
    """
    chosen = random.Random(f"{seed} {kind}")
    found = [
        (name, f"{name}: {what}", contents)
        for name, damages in (("run.json", _records), ("checkpoint.pt", _checkpoints))
        for make in (_cuts, _flips, damages)
        for what, contents in make((source / name).read_bytes(), chosen)
    ]
    for name, what, contents in chosen.sample(found, min(count, len(found))):
        for command in ("export", kind):
            yield _outcome(command, source, folder / "copy", name, what, contents)


def _outcome(
    command: str, source: Path, path: Path, name: str, what: str, contents: bytes
) -> Outcome:
    for left in (path, path.with_name(f"{path.name}.partial")):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(source, path)
    (path / name).write_bytes(contents)
    export = ["export", str(path), "--format", "npz", "--output", str(path.with_suffix(".npz"))]
    more = ["--set", "optimizer[0].steps=5", "--quiet"]
    done = run(export if command == "export" else [command, "--resume", str(path), *more], 60)
    faults = done.faults()
    kept = path.is_dir() and (path / name).read_bytes() == contents
    if done.code == 2 and not kept:
        faults.append("the folder has changed")
    return Outcome(f"{command} {what}", faults, done.code == 2)


def _cuts(content: bytes, chosen: random.Random) -> Iterator[Damage]:
    for part in (0.0, 0.001, chosen.random(), 0.99, 0.9999):
        size = int(part * len(content))
        yield f"cut to {size} bytes", content[:size]


def _flips(content: bytes, chosen: random.Random) -> Iterator[Damage]:
    for _ in range(40):
        at, bit = chosen.randrange(len(content)), chosen.randrange(8)
        changed = bytearray(content)
        changed[at] ^= 1 << bit
        yield f"bit {bit} of byte {at}", bytes(changed)


def _records(content: bytes, chosen: random.Random) -> Iterator[Damage]:
    for what, value in _changed(json.loads(content)):
        yield what, json.dumps(value).encode()


def _checkpoints(content: bytes, chosen: random.Random) -> Iterator[Damage]:
    payload = torch.load(io.BytesIO(content), weights_only=True)
    for what, value in _changed(payload, torch.zeros(3)):
        stream = io.BytesIO()
        torch.save(value, stream)
        yield what, stream.getvalue()


def _changed(whole: Any, *more: Any) -> Iterator[tuple[str, Any]]:
    """Yield copies of nested tables in which one entry is missing or has another value."""
    for path in _paths(whole):
        for value in (*VALUES, *more):
            changed = copy.deepcopy(whole)
            place = _at(changed, path[:-1])
            place[path[-1]] = value
            yield f"{'.'.join(path)} = {value}", changed
        changed = copy.deepcopy(whole)
        del _at(changed, path[:-1])[path[-1]]
        yield f"{'.'.join(path)} is missing", changed


def _paths(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*above, key)
            yield from _paths(inner, (*above, key))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
