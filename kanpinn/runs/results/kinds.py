"""Results of every kind: writing run.json, reading a run folder, export to other formats."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy

from kanpinn._support.errors import InputError, expecting
from kanpinn._support.files import replacing
from kanpinn.runs.config import Config, Result
from kanpinn.runs.results.checkpoint import read_checkpoint
from kanpinn.runs.results.contents import Contents, with_nan
from kanpinn.runs.results.eigens import EigenContents
from kanpinn.runs.results.fits import FitContents
from kanpinn.runs.results.hdf5 import read_state, write_vtkhdf
from kanpinn.runs.results.record import (
    PARTIAL,
    RECORD,
    config_of,
    outside_grids,
    read_record,
    run_folder,
)
from kanpinn.runs.results.resuming import check_files, check_payload
from kanpinn.runs.results.solves import SolveContents
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution

CONTENTS: dict[str, Contents[Any, Any]] = {  # by the kind of the problem file
    "problem": SolveContents(),
    "eigen": EigenContents(),
    "fit": FitContents(),
}
KINDS = {Solution: "problem", Eigensolution: "eigen", Fitted: "fit"}


def run_record(result: Result, config: Config) -> dict[str, Any]:
    """Return the entries of run.json that a result adds to those known at the start of the run.

    success: whether the run has converged. seconds: times without imports and figures. loss: the
    total, and the mean of each term without its weight. outside_grids: for each layer, the fraction
    of the first term's points at which an input of the layer lies outside its grid; None for layers
    without a grid.
    """
    rows = result.history.rows
    common = {
        "processes": result.processes,
        "status": result.status,
        "success": result.success,
        "parameters": result.parameters,
        "seconds": {"total": result.seconds, "optimizers": list(result.optimizer_seconds)},
        "steps": result.history.steps,
        "loss": {"total": rows[-1]["loss"] if rows else None, "terms": dict(result.loss_terms)},
        "points": {term.name: len(term.points) for term in result.residuals.terms},
        "width": list(result.network.width),
        "outside_grids": outside_grids(result),
    }
    return common | CONTENTS[config.file.kind].record(result)


def load(path: str | os.PathLike[str], *, trust: bool = False) -> Solution | Eigensolution | Fitted:
    """Read the solution, the modes or the fit that a run folder holds.

    It runs the class files in the folder, as a script would.

    The result has its errors or scores, status and history as they were saved. For an unfinished
    run ("….partial") it is the state of the last checkpoint, with errors computed from it. Without
    checkpoint.pt the network is read from result.h5.

    Args:
        path: the run folder, with or without ".partial", or a file in it.
        trust: whether class files may be run that are outside the folder, or are not those that
            the run has used, as the hashes in run.json say.

    Returns:
        A callable result of the kind of the run.

    Raises:
        InputError: if there is no run folder, it holds neither a checkpoint nor a result, data
            files of the run are missing or have changed, or class files are refused.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import kanpinn as kp
        >>> interval = {"type": "box", "x": [0, 1]}
        >>> base = {
        ...     "problem": {"equation": "poisson", "domain": interval, "exact": "sin(x)"},
        ...     "network": {"type": "kan", "width": [1, 1], "degree": 5},
        ... }
        >>> with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as here:
        ...     study = kp.sweep(base, {"run.seed": [0]}, output=folder, executor=here)
        ...     solution = kp.load(Path(study.path, "runs", study.rows[0]["run"]))
        >>> solution.status
        'converged'
    """
    folder = run_folder(path)
    record, config = read_record(folder), config_of(folder, trust)
    with expecting(folder / RECORD):
        check_files(record, config)
    job, contents = config.build(), CONTENTS[config.file.kind]
    payload = read_checkpoint(folder)
    if payload is not None:
        check_payload(folder, payload, record)
    state = read_state(folder / "result.h5") if payload is None else payload["run"]
    if state is None:
        raise InputError(f"{folder} holds neither a checkpoint nor a result yet")
    # With the stage index past the last stage, `restore` assembles the result and takes no step.
    state = {**state, "stage": None, "stage_index": len(job.optimizers), "finished": None}
    unfinished = folder.name.endswith(PARTIAL)
    result = contents.restore(job, state, unfinished)
    if unfinished:
        status = f"stopped: not finished, at step {state['step']}"
        return dataclasses.replace(result, status=status)
    with expecting(folder / RECORD):
        common = {
            "status": str(record["status"]),
            "seconds": float(record["seconds"]["total"]),
            "optimizer_seconds": list(record["seconds"]["optimizers"]),
            "loss_terms": with_nan(record["loss"]["terms"]),
            "processes": int(record.get("processes", 1)),
        }
        return dataclasses.replace(result, **common, **contents.saved(record))


def to_npz(result: Solution | Eigensolution | Fitted, path: str | os.PathLike[str]) -> None:
    """Write a solution's fields or modes on a grid, with the coordinates of its axes, as .npz.

    Above three dimensions the grid is that of the first three coordinates, with the others fixed at
    the centre. For a fit the file has, for each part of the data, the inputs (n, d), the targets
    (n, m) or class numbers (n,), and the fitted values or logits: "test_inputs", "test_targets",
    "test_outputs".
    """
    arrays = CONTENTS[KINDS[type(result)]].arrays(result)
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        numpy.savez_compressed(file, **arrays)


def to_vtkhdf(result: Solution | Eigensolution | Fitted, path: str | os.PathLike[str]) -> None:
    """Write a solution's fields, or modes, on a regular grid as a VTKHDF file.

    Raises:
        InputError: if the domain has more than three dimensions, the result is a fit, or no mode
            was found.
    """
    fields = CONTENTS[KINDS[type(result)]].grid(result)
    if fields is None:
        raise InputError(_no_image(result))
    write_vtkhdf(fields, Path(path))


def _no_image(result: Solution | Eigensolution | Fitted) -> str:
    """Return the message why a result has no fields on a grid."""
    problem = getattr(result, "problem", None)
    if problem is None:
        return "a fit has no fields on a grid: --format npz writes data and fitted values"
    if problem.domain.dim > 3:
        return f"VTKHDF is for up to 3 dimensions, the domain has {problem.domain.dim}"
    return "no mode was found: there is nothing to write"
