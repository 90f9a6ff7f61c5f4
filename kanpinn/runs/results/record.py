"""run.json: what a run was and how it ended, in strict JSON."""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any

import numpy
import torch
from torch import Tensor

from kanpinn._support.distributed import world
from kanpinn.jets.jet import Channels, Coordinates, Jet
from kanpinn.networks.kan_layer import KANLayer
from kanpinn.runs.config import Config, Result

LIBRARIES = ("kanpinn", "torch", "numpy", "scipy", "h5py", "matplotlib")


def common_record(result: Result, config: Config) -> dict[str, Any]:
    """What run.json says of solves and fits alike: plain values, None for what is absent.

    seconds leave out imports and figures. loss holds the mean of each term, without its weight.
    outside_grids: for each layer the share of the first term's points at which an input of the
    layer lies outside its grid (None for layers without one).
    """
    return {
        **describe(config.to_dict()),
        "processes": result.processes,
        "status": result.status,
        "parameters": result.parameters,
        "seconds": {"total": result.seconds, "optimizers": list(result.optimizer_seconds)},
        "steps": result.history.steps,
        "loss": {"total": _last_loss(result), "terms": dict(result.loss_terms)},
        "points": {term.name: len(term.points) for term in result.residuals.terms},
        "width": list(result.network.width),
        "outside_grids": outside_grids(result),
    }


def describe(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a run before it has ended."""
    return {
        "status": "running",
        "errors": None,
        "config": dict(settings),
        "seed": settings.get("run", {}).get("seed"),
        "versions": versions(),
        "git": git_commit(),
        "threads": torch.get_num_threads(),
        "processes": world(),
        "platform": {
            "system": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
        },
    }


def versions() -> dict[str, str | None]:
    """The versions of Python and of the libraries that decide a run's numbers."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def git_commit() -> str | None:
    """The commit of the working directory's repository, "-dirty" added where files differ.

    It is looked up once: a process works with the code that it started with.
    """
    return _git_commit(os.getcwd())


@cache
def _git_commit(folder: str) -> str | None:
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


@torch.no_grad()
def outside_grids(result: Result) -> list[float | None]:
    """The share of the first term's points with an input outside its grid, for each layer."""
    points = result.residuals.terms[0].points
    shares: list[float | None] = []
    for part in result.network.parts:
        inputs = result.surrogate.coordinates(points, Channels(points.names))
        assert isinstance(inputs, Coordinates)  # no derivatives
        h: Jet | Coordinates = part.seen(inputs)
        for layer in part.layers:
            shares.append(_share_outside(layer, h.value) if isinstance(layer, KANLayer) else None)
            h = layer(h)
    return shares


def _share_outside(layer: KANLayer, h: Tensor) -> float:
    low, high = layer.breaks[:, 0], layer.breaks[:, -1]
    slack = 1e3 * torch.finfo(h.dtype).eps * (high - low)
    return float(((h < low - slack) | (h > high + slack)).any(dim=1).double().mean())


def _last_loss(result: Result) -> float | None:
    return result.history.rows[-1]["loss"] if len(result.history) else None


def strict(value: Any) -> Any:
    """Plain JSON values: numbers that JSON lacks (NaN, infinity) become None."""
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bool | numpy.bool_):
        return bool(value)
    if isinstance(value, int | numpy.integer):
        return int(value)
    if isinstance(value, float | numpy.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Sequence):
        return [strict(item) for item in value]
    return str(value)


def dump(record: Mapping[str, Any]) -> str:
    """The text of run.json."""
    return json.dumps(strict(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
