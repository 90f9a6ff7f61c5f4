"""A result read back from its run folder."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.runs.results.checkpoint import read_checkpoint
from kanpinn.runs.results.contents import numbers
from kanpinn.runs.results.hdf5 import read_state
from kanpinn.runs.results.kinds import CONTENTS
from kanpinn.runs.results.reading import PARTIAL, config_of, read_record, run_folder
from kanpinn.runs.results.resuming import check_files
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution


def load(path: str | os.PathLike[str]) -> Solution | Eigensolution | Fitted:
    """The solution, the modes or the fit that a run folder holds: callable, with its errors or
    scores, status and history as saved.

    A folder whose run was killed ("….partial") gives the state of its last checkpoint, and errors
    computed from it. Without checkpoint.pt the network comes from result.h5.

    Raises:
        InputError: where there is no run folder, nothing that can be loaded in it, or the data of
            a fit are gone or have changed.
    """
    folder = run_folder(path)
    record, config = read_record(folder), config_of(folder)
    check_files(record, config)
    job, contents = config.build(), CONTENTS[config.kind]
    payload = read_checkpoint(folder)
    state = read_state(folder / "result.h5") if payload is None else payload["run"]
    if state is None:
        raise InputError(f"{folder} holds neither a checkpoint nor a result yet")
    # Beyond the last stage there is no step to take: running only puts the pieces together.
    state = {**state, "stage": None, "stage_index": len(job.optimizers), "finished": None}
    unfinished = folder.name.endswith(PARTIAL)
    result = contents.restore(job, state, unfinished)
    if unfinished:
        status = f"stopped: not finished, at step {state['step']}"
        return dataclasses.replace(result, status=status)
    return dataclasses.replace(result, **_shared(record), **contents.saved(record))


def _shared(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "status": record["status"],
        "seconds": record["seconds"]["total"],
        "optimizer_seconds": list(record["seconds"]["optimizers"]),
        "loss_terms": numbers(record["loss"]["terms"]),
        "processes": record.get("processes", 1),
    }
