"""Checks whether a run can be resumed, and with which settings."""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError, expecting
from kanpinn._support.status import FAILED
from kanpinn.runs.config import Config
from kanpinn.runs.results.checkpoint import NAME as CHECKPOINT
from kanpinn.runs.results.checkpoint import read_checkpoint
from kanpinn.runs.results.named_files import fingerprints
from kanpinn.runs.results.record import PARTIAL, RECORD, read_record, run_folder
from kanpinn.runs.results.trials import TRIALS, read_trials


@dataclass(frozen=True, eq=False)
class Resumable:
    """A run that can be resumed: its folder, configuration and state.

    state: the solver's state, None if an unfinished run has no checkpoint yet.
    earlier: for each time the finished run was resumed, how it had ended before.
    files: path and sha256 of its data files.
    """

    path: Path
    config: Config
    state: dict[str, Any] | None
    earlier: list[dict[str, Any]]
    files: list[dict[str, str]]


def resumable(path: str | os.PathLike[str], config: Config) -> Resumable:
    """Return the run in a folder, to be resumed with this configuration.

    Raises:
        InputError: if a finished run has no checkpoint or no step left, the settings are of another
            run, or data files have changed.
    """
    found = run_folder(path)
    if (searched := read_trials(found)) is not None:
        return _search_to_resume(found, config, searched)
    record, payload = read_record(found), read_checkpoint(found)
    with expecting(found / RECORD):
        check_settings(record["config"], config.to_dict())
        check_files(record, config)
        files = list(record.get("files", ()))
    finished = not found.name.endswith(PARTIAL)
    if payload is None and finished:
        raise InputError(f"{found} has no checkpoint to resume from")
    if payload is None:
        return Resumable(found, config, None, [], files)
    check_payload(found, payload, record)
    state, earlier = payload["run"], list(payload["resumed"])
    if finished:
        with expecting(found / RECORD):
            last = {key: record[key] for key in ("status", "steps", "seconds")}
            if _goes_on(str(record["status"]), state, record["config"], config.to_dict()):
                state["finished"] = None
            else:
                _check_remaining(found, str(record["status"]), state, config)
        earlier.append(last)
    return Resumable(found, config, state, earlier, files)


def _search_to_resume(found: Path, config: Config, searched: Mapping[str, Any]) -> Resumable:
    """Return a run whose trials choose its settings, to go on with these trials."""
    record = read_record(found)
    with expecting(found / TRIALS):
        check_settings(searched["config"], config.to_dict())
    payload, earlier = read_checkpoint(found), []
    if payload is not None:
        earlier = list(payload["resumed"])
    with expecting(found / RECORD):
        check_files(record, config)
        files = list(record.get("files", ()))
        if not found.name.endswith(PARTIAL):
            earlier.append({key: record[key] for key in ("status", "steps", "seconds")})
    return Resumable(found, config, searched["run"], earlier, files)


def check_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse settings with which a run cannot be resumed because they describe another run.

    Steps and tolerance of an optimizer, the time budget and the number of threads may change, and
    optimizers may be appended.

    Raises:
        InputError: if another key differs; the message names the first one.
    """
    before, after = copy.deepcopy(dict(old)), copy.deepcopy(dict(new))
    stages = [settings.pop("optimizer", None) or [] for settings in (before, after)]
    for settings in (before, after):
        for free in ("threads", "budget_seconds"):
            settings.get("run", {}).pop(free, None)
    for number, stage in enumerate(stages[0]):
        kept = stages[1][number] if number < len(stages[1]) else {}
        same = {"steps": 0, "tolerance": 0}
        difference = _difference({**stage, **same}, {**kept, **same})
        if difference is not None:
            raise InputError(_refusal(f"optimizer[{number}].{difference}"))
    difference = _difference(before, after)
    if difference is not None:
        raise InputError(_refusal(difference))


def check_payload(folder: Path, payload: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose settings are not those of the record beside it.

    Args:
        folder: the run folder.
        payload: the contents of its checkpoint.
        record: those of its run.json; the checkpoint of a run that was resumed may have more steps.

    Raises:
        InputError: if the checkpoint is that of another run.
    """
    path = folder / CHECKPOINT
    with expecting(path):
        try:
            check_settings(record["config"], payload["config"])
        except InputError:
            raise InputError(
                f"{path} has other settings than {RECORD}: it is of another run"
            ) from None


def _goes_on(
    status: str, state: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> bool:
    """Whether an optimizer that has failed to reach its tolerance goes on with another one."""
    number = state["stage_index"]
    stages = [settings.get("optimizer", []) for settings in (old, new)]  # none in [eigen]
    if not status.startswith(FAILED) or number >= len(stages[0]):
        return False
    before, after = (one[number].get("tolerance") for one in stages)
    return before != after


def _check_remaining(folder: Path, status: str, state: Mapping[str, Any], config: Config) -> None:
    """Refuse to resume a finished run that has no step left to take.

    Raises:
        InputError: if no step is left; the message says how the run ended and what can be changed.
    """
    if status.startswith(FAILED):
        advice = " (with another tolerance it can)" if "tolerance" in status else ""
        raise InputError(f"{folder} cannot be resumed: it {status}{advice}")
    optimizers = config.build().optimizers
    stage = state["stage_index"]
    if stage + 1 < len(optimizers):
        return
    limit = stage < len(optimizers) and state["finished"] is None
    if limit and state["stage_step"] < optimizers[stage].steps:
        return
    advice = "raise the steps of its last optimizer, or append one"
    if status.startswith("converged"):
        raise InputError(f"{folder} has converged: there is nothing to resume ({advice})")
    raise InputError(f"{folder} has ended ({status}): to resume it, {advice}")


def check_files(record: Mapping[str, Any], config: Config) -> None:
    """Refuse data files that have changed since the run.

    Raises:
        InputError: if a file is missing or has changed; the message names it.
    """
    found = fingerprints(config.to_dict(), config.directory)
    for before, now in zip(record.get("files", ()), found, strict=True):
        if not now["sha256"]:
            raise InputError(f"{now['path']} is missing: the run has read its data from it")
        if before["sha256"] != now["sha256"]:
            raise InputError(f"{now['path']} has changed since the run has read its data from it")


def _refusal(key: str) -> str:
    return (
        f"{key} differs from the run that is resumed: only steps and tolerance of an optimizer, "
        "run.budget_seconds and run.threads may change, and optimizers may be appended"
    )


def _difference(a: Any, b: Any) -> str | None:
    """Return the path of the first key in which two settings differ, None if they are equal.

    The path is "" if the settings themselves are different values.
    """
    match a, b:
        case Mapping(), Mapping():
            for key in {**a, **b}:
                inner = _difference(a.get(key), b.get(key))
                if inner is not None:
                    return f"{key}.{inner}" if inner else str(key)
            return None
    return None if a == b else ""
