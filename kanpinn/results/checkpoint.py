"""checkpoint.pt: tensors and plain values from which a run goes on bit for bit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import torch

from kanpinn.errors import InputError
from kanpinn.results.files import replacing
from kanpinn.solution import Solution

FORMAT = 1
NAME = "checkpoint.pt"


def write_checkpoint(folder: Path, payload: Mapping[str, Any]) -> None:
    """Write a checkpoint at once.

    A run's random state is its seed, its step and its stage's state: nothing else is random.
    """
    with replacing(folder / NAME) as temporary:
        torch.save(plain({"format": FORMAT, **payload}), temporary)


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


def state_of(solution: Solution) -> dict[str, Any]:
    """The state of a run whose steps nobody watched: it can be loaded, not resumed."""
    rows = solution.history.rows
    return {
        "network": solution.network.state_dict(),
        "stage": None,
        "history": rows,
        "seconds": list(solution.optimizer_seconds),
        "stage_index": 0,
        "stage_step": 0,
        "step": int(rows[-1]["step"]) if rows else 0,
        "finished": None,
    }


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
