"""run.json, the record of a run's settings, environment and outcome in strict JSON."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from kanpinn._support.errors import InputError, expecting
from kanpinn._support.files import refuse_irregular, replacing
from kanpinn._support.memory import written_size
from kanpinn._support.versions import version_of
from kanpinn.networks.kan import KANLayer
from kanpinn.runs.config import Config, Result
from kanpinn.runs.results.sources import refuse_foreign_code

PARTIAL = ".partial"
RECORD = "run.json"


@cache
def software(folder: str) -> Mapping[str, Any]:
    """Return the "versions" of the libraries, the "platform", and the commit of a folder as "git".

    The commit ends with "-dirty" if files differ from it, and is None without git or a repository.
    The returned dict is cached, because a process keeps the code that it started with.
    """
    packages = ("kanpinn", "torch", "numpy", "scipy", "h5py", "matplotlib")
    versions = {"python": platform.python_version()} | {one: version_of(one) for one in packages}
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    commit = None
    with suppress(OSError, subprocess.SubprocessError):
        quiet: dict[str, Any] = {"stderr": subprocess.DEVNULL, "timeout": 5}
        found = subprocess.check_output(command, cwd=folder, text=True, **quiet)
        commit = found.strip() or None
    processor = platform.processor() or platform.machine()
    machine = {"system": platform.platform(), "processor": processor, "cores": os.cpu_count()}
    return {"versions": versions, "git": commit, "platform": machine}


@torch.no_grad()
def outside_grids(result: Result) -> list[float | None]:
    """Return for each layer the fraction of points at which an input lies outside the spline grid.

    The points are the collocation points of the first loss term. Layers without a grid have None.
    """
    points = result.residuals.terms[0].points
    shares: list[float | None] = []
    for part in result.network.parts:
        outside = [0] * len(part.layers)
        for inputs in result.surrogate.activations(points, part):
            for i, (layer, h) in enumerate(zip(part.layers, inputs, strict=True)):
                if isinstance(layer, KANLayer):
                    low, high = layer.basis.breaks[:, 0], layer.basis.breaks[:, -1]
                    slack = 1e3 * torch.finfo(low.dtype).eps * (high - low)  # rounding margin
                    out = (h < low - slack) | (h > high + slack)
                    outside[i] += int(out.any(dim=1).sum())
        shares += [
            count / len(points) if isinstance(layer, KANLayer) else None
            for layer, count in zip(part.layers, outside, strict=True)
        ]
    return shares


def strict(value: Any) -> Any:
    """Return a value in the types of strict JSON: dicts, lists, texts, numbers; None for NaN.

    Infinity becomes None, too.
    """
    return json.loads(json.dumps(value, default=_plain), parse_constant=lambda _: None)


def _plain(value: Any) -> Any:
    """Convert a value that the json module cannot write to a number, list, dict or text."""
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays, tensors
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) else str(value)


def write_record(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write a record to a JSON file, and return it as strict JSON."""
    written: dict[str, Any] = strict(record)
    text = json.dumps(written, indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
    return written


def run_folder(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a run folder.

    Args:
        path: the run folder, with or without ".partial", or a file in it.

    Raises:
        InputError: if there is no run folder; the message names a run folder below `path`, if any.
    """
    given = Path(path).absolute()
    for folder in (given, given.with_name(given.name + PARTIAL), given.parent):
        if (folder / RECORD).is_file():
            return folder
    below = [p.parent for place in ("*", "runs/*") for p in Path(path).glob(f"{place}/{RECORD}")]
    hint = f"; did you mean {max(below)}?" if below else ""
    raise InputError(f"{path} is not a run folder: it has no {RECORD}{hint}")


def read_record(folder: Path, name: str = RECORD) -> dict[str, Any]:
    """Read run.json, or another JSON file, in a folder.

    Raises:
        InputError: if it is no regular file, has more than 256 MiB, or does not hold a JSON object.
        OSError: if the file cannot be read.
    """
    path, most = folder / name, 2**28  # bytes
    refuse_irregular(path)
    if (size := path.stat().st_size) > most:
        raise InputError(f"{path} has {written_size(size)}, more than {written_size(most)}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    except RecursionError:
        raise InputError(f"{path} has objects or lists that are nested too deeply") from None
    if not isinstance(record, dict):
        raise InputError(f"{path} does not hold a JSON object")
    return record


def config_of(path: str | os.PathLike[str], trust: bool = False) -> Config:
    """Return the configuration of a run; its class files are the copies in the run folder.

    Args:
        path: the run folder, with or without ".partial", or a file in it.
        trust: whether class files may lie outside the folder or have changed since the run.

    Raises:
        InputError: if there is no run folder, run.json lacks the configuration, or, without
            `trust`, class files lie outside the folder or have changed.
    """
    folder = run_folder(path)
    record = read_record(folder)
    if not {"config", "name"} <= record.keys():
        raise InputError(f"{folder / RECORD} is no record of a run: it lacks config or name")
    with expecting(folder / RECORD):
        if not trust:
            refuse_foreign_code(folder, record["config"], record)
        return Config.from_dict(record["config"], folder, str(record["name"]))
