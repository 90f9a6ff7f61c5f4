"""trials.pt: the trials of a run that searches its settings, from which the search continues."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kanpinn._support.errors import expecting
from kanpinn.runs.config import Config
from kanpinn.runs.results.checkpoint import read_checkpoint, write_checkpoint
from kanpinn.runs.results.record import config_of, read_record, run_folder
from kanpinn.runs.results.sources import refuse_foreign_code

TRIALS = "trials.pt"


def write_trials(folder: Path, state: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write trials.pt atomically.

    Args:
        folder: the run folder.
        state: of the search, as `kanpinn.auto` announces it.
        settings: the sections of the configuration, which leave the rest to the trials.
    """
    write_checkpoint(folder, state, settings, [], TRIALS)


def read_trials(folder: Path) -> dict[str, Any] | None:
    """Read trials.pt of a run folder, as `read_checkpoint` does; None if there is none."""
    return read_checkpoint(folder, TRIALS)


def config_to_resume(path: str | os.PathLike[str], trust: bool = False) -> Config:
    """Return the configuration with which a run is resumed: `config_of`, or that of its search.

    Args:
        path: the run folder, with or without ".partial", or a file in it.
        trust: as for `config_of`.

    Raises:
        InputError: as `config_of`, also for the classes that trials.pt names, and for a damaged
            trials.pt.
    """
    folder = run_folder(path)
    known, searched = config_of(path, trust), read_trials(folder)
    if searched is None:
        return known
    with expecting(folder / TRIALS):
        if not trust:
            refuse_foreign_code(folder, searched["config"], read_record(folder))
    return Config.from_dict(searched["config"], known.directory, known.name)
