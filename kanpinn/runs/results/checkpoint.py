"""checkpoint.pt: tensors and plain values from which a run resumes with bitwise equal results."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch

from kanpinn._support.errors import InputError, expecting
from kanpinn._support.files import refuse_irregular, replacing
from kanpinn.solvers.state import History, StepCounts

FORMAT = 3  # of checkpoint.pt; files of another format are refused
NAME = "checkpoint.pt"


def write_checkpoint(
    folder: Path,
    state: Mapping[str, Any],
    settings: Mapping[str, Any],
    earlier: Sequence[Mapping[str, Any]],
    name: str = NAME,
) -> None:
    """Write checkpoint.pt atomically.

    No state of a random generator is stored: random numbers depend on the seed, the step and the
    state of the optimizer.

    Args:
        folder: the run folder.
        state: the solver's `state_dict`.
        settings: the sections of the configuration.
        earlier: the status, steps and seconds at each earlier end of a run that was resumed.
        name: the name of the file.
    """
    # torch.save gets an open file so that a full disk raises OSError, not an error of torch's own.
    with replacing(folder / name) as temporary, temporary.open("wb") as file:
        payload = {"format": FORMAT, "run": state, "config": settings, "resumed": earlier}
        torch.save(storable(payload), file)


def read_checkpoint(folder: Path, name: str = NAME) -> dict[str, Any] | None:
    """Read checkpoint.pt, or another file of its format, in a run folder; None if it is absent.

    Returns:
        A dict with the keys "format", "run" (the solver's state), "config" and "resumed".

    Raises:
        InputError: if the path is no regular file, the file's contents do not have the checksums
            stored in the file, or the file is not a checkpoint of this format.
    """
    path = folder / name
    if not path.exists():
        return None
    refuse_irregular(path)
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load does not compare the checksums
            damaged = archive.testzip()
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # for a damaged file the unpickler can raise any exception
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} cannot be read as a checkpoint: {reason}") from error
    if damaged is not None:
        raise InputError(
            f"{path} is damaged: the checksum of {damaged} is not that of its contents"
        )
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise InputError(f"{path} is not a checkpoint of format {FORMAT}")
    with expecting(path):
        parts = {"run": dict, "config": dict, "resumed": list}
        for key, kind in parts.items():
            if not isinstance(payload[key], kind):
                raise TypeError(f"{key} is no {kind.__name__}")
    return payload


def ended_state(
    network: Mapping[str, torch.Tensor], history: History, seconds: Sequence[float]
) -> dict[str, Any]:
    """Return the solver's state of a finished run without the state of its optimizer.

    A result can be loaded from it, but the run cannot be resumed.

    Args:
        network: the network's `state_dict`.
        history: the recorded rows of the run.
        seconds: the time in seconds of each optimizer.
    """
    known = {"network": network, "history": history.rows, "seconds": list(seconds), "stage": None}
    return vars(StepCounts(step=history.steps)) | known


def storable(value: Any) -> Any:
    """Convert a value to tensors and builtin types, which torch.load(weights_only=True) reads.

    NumPy arrays become tensors, NumPy numbers Python numbers, and tuples lists.
    """
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
