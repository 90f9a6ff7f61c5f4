"""checkpoint.pt: tensors and plain values from which a run goes on bit for bit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch

from kanpinn._support.errors import InputError
from kanpinn._support.files import replacing
from kanpinn.solvers.history import History
from kanpinn.solvers.progress import Progress

FORMAT = 1  # of checkpoints: another one is refused
NAME = "checkpoint.pt"


def write_checkpoint(
    folder: Path,
    state: Mapping[str, Any],
    settings: Mapping[str, Any],
    earlier: Sequence[Mapping[str, Any]],
) -> None:
    """Write checkpoint.pt, whole or not at all.

    A run's random state is its seed, its step and its stage's state: nothing else is random.

    state: of the solver, its `state_dict`; settings: the sections of the configuration; earlier:
    the ends from which the run was resumed.
    """
    # torch.save to an open file: a full disk is an OSError then, not an error of torch's own.
    with replacing(folder / NAME) as temporary, temporary.open("wb") as file:
        payload = {"format": FORMAT, "run": state, "config": settings, "resumed": earlier}
        torch.save(storable(payload), file)


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Read the checkpoint of a run folder; None where there is none yet.

    Raises:
        InputError: where the file is no checkpoint of this format.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file torch raises whatever its unpickler raises
        raise InputError(f"{path} cannot be read as a checkpoint: {error}") from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise InputError(f"{path} is no checkpoint of format {FORMAT}")
    return payload


def ended_state(
    network: Mapping[str, torch.Tensor], history: History, seconds: Sequence[float]
) -> dict[str, Any]:
    """A solver's state with nothing but the end of a run: it can be loaded, not resumed."""
    known = {"network": network, "history": history.rows, "seconds": list(seconds), "stage": None}
    return vars(Progress(step=history.steps)) | known


def storable(value: Any) -> Any:
    """The value as torch.load(weights_only=True) takes it: tensors and Python's own values only."""
    match value:
        case Mapping():
            return {key: storable(item) for key, item in value.items()}
        case list() | tuple():
            return [storable(item) for item in value]
        case torch.Tensor():
            return value.detach()
        case numpy.ndarray():
            return torch.from_numpy(value)
        case numpy.generic():
            return value.item()
    return value
