"""Run folders found and read: run.json and the configuration in it."""

import json
import os
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.runs.config import Config

PARTIAL = ".partial"
RECORD = "run.json"


def run_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of a run, by its name with or without ".partial", or by a file in it.

    Raises:
        InputError: where there is none.
    """
    given = Path(path).absolute()
    for folder in (given, given.with_name(given.name + PARTIAL), given.parent):
        if (folder / RECORD).is_file():
            return folder
    below = [p.parent for place in ("*", "runs/*") for p in Path(path).glob(f"{place}/{RECORD}")]
    hint = f"; did you mean {max(below)}?" if below else ""
    raise InputError(f"{path} is no run folder: there is no {RECORD} in it{hint}")


def read_record(folder: Path, name: str = RECORD) -> dict[str, Any]:
    """run.json, or another record in a folder.

    Raises:
        InputError: where it is no JSON object.
    """
    try:
        record = json.loads((folder / name).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{folder / name} is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise InputError(f"{folder / name} holds no JSON object")
    return record


def config_of(path: str | os.PathLike[str]) -> Config:
    """The configuration of a run; its class files are the folder's own."""
    folder = run_folder(path)
    record = read_record(folder)
    if not {"config", "name"} <= record.keys():
        raise InputError(f"{folder / RECORD} is no record of a run: it lacks config or name")
    return Config.from_dict(record["config"], folder, record["name"])
