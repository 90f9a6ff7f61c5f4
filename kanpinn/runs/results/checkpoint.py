"""checkpoint.pt: tensors and plain values from which a run goes on bit for bit."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy
import torch

from kanpinn._support.errors import InputError
from kanpinn._support.files import replacing
from kanpinn.solvers.history import History
from kanpinn.solvers.state import COUNTERS, SolverState

FORMAT = 1
NAME = "checkpoint.pt"


def write_checkpoint(folder: Path, payload: Mapping[str, Any]) -> None:
    """Write a checkpoint at once.

    A run's random state is its seed, its step and its stage's state: nothing else is random.
    """
    # By way of a file, for a full disk then is an OSError; by a path it is torch's own error.
    with replacing(folder / NAME) as temporary, temporary.open("wb") as file:
        torch.save(plain({"format": FORMAT, **payload}), file)


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The checkpoint of a run folder, None where there is none yet.

    Raises:
        InputError: where the file is no checkpoint of this format.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its parts raise
        raise InputError(f"{path} cannot be read as a checkpoint: {error}") from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise InputError(f"{path} is no checkpoint of format {FORMAT}")
    return payload


def ended_state(
    network: Mapping[str, torch.Tensor], history: History, seconds: Sequence[float]
) -> dict[str, Any]:
    """A `SolverState.state_dict` of which only the end is known: it can be loaded, not resumed."""
    counters = {f.name: f.default for f in fields(SolverState) if f.name in COUNTERS}
    known = {"network": network, "history": history.rows, "seconds": list(seconds), "stage": None}
    return counters | known | {"step": history.steps}


def plain(value: Any) -> Any:
    """Tensors and Python's own values only, as torch.load(weights_only=True) wants them."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, numpy.ndarray):
        return torch.from_numpy(value)
    return value.item() if isinstance(value, numpy.generic) else value
