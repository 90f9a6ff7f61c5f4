"""A solution read back from its run folder."""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

from kanpinn.errors import InputError
from kanpinn.norms import Errors
from kanpinn.results.checkpoint import read_checkpoint
from kanpinn.results.hdf5 import read_state
from kanpinn.results.reading import PARTIAL, config_of, read_record, run_folder
from kanpinn.solution import Estimate, Solution


def load(path: str | os.PathLike[str]) -> Solution:
    """The solution that a run folder holds: callable, with its errors, status and history as saved.

    A folder whose run was killed ("….partial") gives the state of its last checkpoint, and errors
    computed from it. Without checkpoint.pt the network comes from result.h5.

    Raises:
        InputError: where there is no run folder, or nothing that can be loaded in it.
    """
    folder = run_folder(path)
    job = config_of(folder).build()
    payload = read_checkpoint(folder)
    state = read_state(folder / "result.h5") if payload is None else payload["run"]
    if state is None:
        raise InputError(f"{folder} holds neither a checkpoint nor a result yet")
    # Beyond the last stage there is no step to take: solving only puts the pieces together.
    state = {**state, "stage": None, "stage_index": len(job.optimizers), "finished": None}
    unfinished = folder.name.endswith(PARTIAL)
    solution = job.solve(checkpoint=state, errors=unfinished)
    if unfinished:
        status = f"stopped: not finished, at step {state['step']}"
        return dataclasses.replace(solution, status=status)
    return _as_saved(solution, read_record(folder))


def _as_saved(solution: Solution, record: Mapping[str, Any]) -> Solution:
    return dataclasses.replace(
        solution,
        errors=_errors(record["errors"]),
        estimate=_estimate(record["estimate"]),
        status=record["status"],
        seconds=record["seconds"]["total"],
        optimizer_seconds=list(record["seconds"]["optimizers"]),
        loss_terms=_numbers(record["loss"]["terms"]),
        processes=record.get("processes", 1),
        reference_seconds=record["seconds"]["reference"],
    )


def _estimate(saved: Mapping[str, Any] | None) -> Estimate | None:
    if saved is None:
        return None
    rest = {k: v for k, v in saved.items() if k not in ("contraction", "seconds")}
    errors = _errors(rest)
    assert errors is not None
    return Estimate(errors, saved["contraction"], saved["seconds"])


def _errors(saved: Mapping[str, Any] | None) -> Errors | None:
    if saved is None:
        return None
    fields = {name: _one(one) for name, one in saved["fields"].items()}
    return dataclasses.replace(_one(saved), fields=fields)


def _one(saved: Mapping[str, Any]) -> Errors:
    values = _numbers({name: value for name, value in saved.items() if name != "fields"})
    return Errors(**values, fields={})


def _numbers(saved: Mapping[str, float | None]) -> dict[str, float]:
    """JSON has no NaN: null stands for it."""
    return {name: math.nan if value is None else value for name, value in saved.items()}
