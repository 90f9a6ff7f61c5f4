"""Run folders: how they are created, resumed, kept up to date, finished, loaded and exported."""

import copy
import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch

from kanpinn._support import files
from kanpinn._support.distributed import world
from kanpinn._support.errors import CONVERGED, FAILED, InputError, expecting
from kanpinn.runs.config import Config, Result, chosen_sections
from kanpinn.runs.results.checkpoint import NAME as CHECKPOINT
from kanpinn.runs.results.checkpoint import ended_state, read_checkpoint, write_checkpoint
from kanpinn.runs.results.contents import Contents, EigenContents, FitContents, SolveContents, typed
from kanpinn.runs.results.hdf5 import read_state, write_vtkhdf
from kanpinn.runs.results.record import (
    PARTIAL,
    RECORD,
    config_of,
    outside_grids,
    read_record,
    run_folder,
    software,
    write_record,
)
from kanpinn.runs.results.sources import (
    Sources,
    code_of,
    copy_sources,
    named_files,
    refuse_foreign_code,
)
from kanpinn.solvers.auto import Choice
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import SolverState

TRIALS = "trials.pt"


def config_to_resume(path: str | os.PathLike[str], trust: bool = False) -> Config:
    """Return the configuration with which a run is resumed.

    The configuration is read from run.json. If the run chooses its settings by trial solves, it is
    read from trials.pt, since run.json then has the settings of the present trial.

    Args:
        path: the run folder, with or without ".partial", or a file in it.
        trust: whether class files may lie outside the folder or have changed since the run.

    Raises:
        InputError: if there is no run folder or no configuration in it, for a damaged trials.pt
            and, without `trust`, for class files outside the folder or changed since the run.
    """
    folder = run_folder(path)
    known, searched = config_of(path, trust), read_checkpoint(folder, TRIALS)
    if searched is None:
        return known
    with expecting(folder / TRIALS):
        if not trust:
            refuse_foreign_code(folder, searched["config"], read_record(folder))
    return Config.from_dict(searched["config"], known.directory, known.name)


def state_to_resume(
    found: Path, config: Config
) -> tuple[dict[str, Any] | None, list[dict[str, Any]], list[dict[str, str]]]:
    """Return the state, the earlier ends and the data files of a run that is to be resumed.

    Args:
        found: the run folder.
        config: the configuration with which the run is resumed.

    Returns:
        A tuple of three parts. The first is the state of the solver, or of the search by trials;
        None if an unfinished run has no checkpoint yet. The second is a list with the status, steps
        and seconds at each earlier end of the run, the third a list with the path and sha256 of
        each data file.

    Raises:
        InputError: if a finished run has no checkpoint or no step left to take, the configuration
            belongs to another run, or data files have changed.
    """
    record, payload = read_record(found), read_checkpoint(found)
    searched, finished = read_checkpoint(found, TRIALS), not found.name.endswith(PARTIAL)
    known, name = (record, RECORD) if searched is None else (searched, TRIALS)
    with expecting(found / name):
        check_settings(known["config"], config.to_dict())
    with expecting(found / RECORD):
        check_files(found, record, config)
        data = list(record.get("files", ()))
        last = [{key: record[key] for key in ("status", "steps", "seconds")}] if finished else []
    if payload is None and finished and searched is None:
        raise InputError(f"{found} has no checkpoint to resume from")
    earlier = [] if payload is None else [*payload["resumed"], *last]
    if searched is not None or payload is None:
        return searched and searched["run"], earlier or last, data
    check_payload(found, payload, record)
    state = payload["run"]
    if not finished:
        return state, earlier, data
    with expecting(found / RECORD):  # a finished run without a step left to take is refused
        status, stage = str(record["status"]), state["stage_index"]
        if status.startswith(FAILED):
            stages = [one.get("optimizer", []) for one in (record["config"], config.to_dict())]
            if stage < len(stages[0]) and len({one[stage].get("tolerance") for one in stages}) > 1:
                state["finished"] = None  # the optimizer goes on with another tolerance
                return state, earlier, data
            advice = " (with another tolerance it can)" if "tolerance" in status else ""
            raise InputError(f"{found} cannot be resumed: it {status}{advice}")
        optimizers = config.build().optimizers
        limit = stage < len(optimizers) and state["finished"] is None
        if stage + 1 < len(optimizers) or (limit and state["stage_step"] < optimizers[stage].steps):
            return state, earlier, data
    advice = "raise the steps of its last optimizer, or append one"
    if status.startswith(CONVERGED):
        raise InputError(f"{found} has converged: there is nothing to resume ({advice})")
    raise InputError(f"{found} has ended ({status}): to resume it, {advice}")


def check_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse settings with which a run cannot be resumed because they describe another run.

    Steps and tolerance of an optimizer, the time budget and the number of threads may change, and
    optimizers may be appended.

    Args:
        old: the sections of the configuration of the run.
        new: the sections of the configuration with which the run is to be resumed.

    Raises:
        InputError: if any other key differs; the message names the first such key.
    """
    before, after = _lasting(old), _lasting(new)
    after = {key: after[key] for key in after if key in before or not key.startswith("optimizer[")}
    difference = _difference(before, after)
    if difference is not None:
        free = (
            "steps and tolerance of optimizers, run.budget_seconds and run.threads may change, and "
            "optimizers may be appended"
        )
        raise InputError(f"{difference} differs from the run that is resumed: {free}")


def _lasting(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings of a run that must not change when it is resumed.

    Steps, tolerances, time budget and threads are left out; optimizer i has the key "optimizer[i]".
    """
    kept = copy.deepcopy(dict(settings))
    for free in ("threads", "budget_seconds"):
        kept.get("run", {}).pop(free, None)
    for number, stage in enumerate(kept.pop("optimizer", None) or []):
        kept[f"optimizer[{number}]"] = {**stage, "steps": 0, "tolerance": 0}
    return kept


def check_payload(folder: Path, payload: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose settings differ from run.json in the same folder.

    Args:
        folder: the run folder.
        payload: the contents of checkpoint.pt.
        record: the contents of run.json; the settings in the record may differ from the settings in
            the checkpoint as `check_settings` allows.

    Raises:
        InputError: if the checkpoint belongs to another run.
    """
    path = folder / CHECKPOINT
    with expecting(path):
        try:
            check_settings(record["config"], payload["config"])
        except InputError:
            reason = f"{path} has other settings than {RECORD}: it is of another run"
            raise InputError(reason) from None


def check_files(folder: Path, record: Mapping[str, Any], config: Config) -> None:
    """Refuse data files that have changed since the run.

    Args:
        folder: the run folder, for messages.
        record: the contents of its run.json, whose "files" has the sha256 of each data file.
        config: the configuration, which names the data files.

    Raises:
        InputError: if a file is missing or has changed; the message names the file.
    """
    named = named_files(config.to_dict(), config.directory)
    found = [file.fingerprint() for file in named if not file.ending]
    for before, now in zip(record.get("files", ()), found, strict=True):
        if not now["sha256"]:
            raise InputError(f"{now['path']} is missing: {folder} has read its data from it")
        if before["sha256"] != now["sha256"]:
            raise InputError(f"{now['path']} has changed since {folder} has read its data from it")


def _difference(a: Any, b: Any) -> str | None:
    """Return the dotted path of the first key in which a and b differ, None if they are equal.

    The path is "" if a and b differ and are not both mappings.
    """
    match a, b:
        case Mapping(), Mapping():
            for key in {**a, **b}:
                inner = _difference(a.get(key), b.get(key))
                if inner is not None:
                    return f"{key}.{inner}" if inner else str(key)
            return None
    return None if a == b else ""


CONTENTS: dict[str, Contents[Any]] = {  # by the kind of the problem file
    "problem": SolveContents(),
    "eigen": EigenContents(),
    "fit": FitContents(),
}
KINDS = {Solution: "problem", Eigensolution: "eigen", Fitted: "fit"}


def run_record(result: Result, config: Config) -> dict[str, Any]:
    """Return the entries of run.json that are known only at the end of a run, by name.

    The entry success says whether the run has converged, seconds has times without imports and
    figures, loss has the total loss, and the mean of each term without its weight. outside_grids
    has for each layer the fraction of the first term's points at which an input of the layer lies
    outside its spline grid; None for layers without a grid.
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


def load(path: str | os.PathLike[str], *, trust: bool = False) -> Result:
    """Read the solution, the modes or the fit that a run folder holds.

    The class files in the folder are executed, as a script would be.

    The result has the errors or scores, the status and the history that were saved. Of an
    unfinished run ("….partial") the result is the state of the last checkpoint, with errors
    computed from this state. Without checkpoint.pt the network is read from result.h5.

    Args:
        path: the run folder, with or without ".partial", or a file in it.
        trust: whether class files may be executed that lie outside the folder, or whose sha256 is
            not that in run.json.

    Returns:
        A `Solution`, an `Eigensolution` or a `Fitted`; all of them are callable.

    Raises:
        InputError: if there is no run folder, the folder holds neither a checkpoint nor a result,
            data files of the run are missing or have changed, or class files are refused.

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
        check_files(folder, record, config)
    job, contents = config.build(), CONTENTS[config.file.kind]
    payload = read_checkpoint(folder)
    if payload is not None:
        check_payload(folder, payload, record)
    state = read_state(folder / "result.h5") if payload is None else payload["run"]
    if state is None:
        raise InputError(f"{folder} holds neither a checkpoint nor a result yet")
    # With the stage index past the last stage, the job assembles the result and takes no step.
    stages = max(1, len(job.optimizers))  # one stage for eigenvalues found by linear algebra
    state = {**state, "stage": None, "stage_index": stages, "finished": None}
    unfinished = folder.name.endswith(PARTIAL)
    result = job.run(checkpoint=state, assessed=unfinished)
    if unfinished:
        status = f"stopped: not finished, at step {state['step']}"
        stopped: Result = dataclasses.replace(result, status=status)
        return stopped
    with expecting(folder / RECORD):
        common = {
            "status": str(record["status"]),
            "seconds": float(record["seconds"]["total"]),
            "optimizer_seconds": list(record["seconds"]["optimizers"]),
            "loss_terms": typed(dict[str, float], record["loss"]["terms"]),
            "processes": int(record.get("processes", 1)),
        }
        loaded: Result = dataclasses.replace(result, **common, **contents.saved(record))
        return loaded


def to_npz(result: Result, path: str | os.PathLike[str]) -> None:
    """Write a solution's fields or modes on a grid, with the coordinates of its axes, as .npz.

    Above three dimensions the grid spans the first three coordinates; the other coordinates are
    fixed at the centre of the domain's bounding box. For a fit the file has, for each part of the
    data, the inputs (n, d), the targets (n, m) or class numbers (n,), and the fitted values or
    logits (n, m): "test_inputs", "test_targets", "test_outputs".

    Args:
        result: the solution, the modes or the fit.
        path: the path of the file; a file that is already there is replaced.

    Example:
        >>> import tempfile
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="sin(pi*x)*y")
        >>> solution = kp.solve(problem, kp.Cells(degree=4), tolerance=1e-2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kp.to_npz(solution, f"{folder}/fields.npz")
        ...     list(numpy.load(f"{folder}/fields.npz"))[:3]
        ['x', 'y', 'u']
    """
    arrays = CONTENTS[KINDS[type(result)]].arrays(result)
    with files.replacing(Path(path)) as temporary, temporary.open("wb") as file:
        numpy.savez_compressed(file, **arrays)


def to_vtkhdf(result: Result, path: str | os.PathLike[str]) -> None:
    """Write a solution's fields, or modes, on a regular grid as a VTKHDF file.

    Args:
        result: the solution or the modes.
        path: the path of the file.

    Raises:
        InputError: if the domain has more than three dimensions, the result is a fit, or no mode
            was found.

    Example:
        >>> import tempfile
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), exact="sin(pi*x)*y")
        >>> solution = kp.solve(problem, kp.Cells(degree=4), tolerance=1e-2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kp.to_vtkhdf(solution, f"{folder}/fields.vtkhdf")
        ...     os.path.getsize(f"{folder}/fields.vtkhdf") > 0
        True
    """
    fields = CONTENTS[KINDS[type(result)]].grid(result)
    if fields is not None:
        return write_vtkhdf(fields, Path(path))
    if isinstance(result, Fitted):
        why = "a fit has no fields on a grid: --format npz writes data and fitted values"
    elif (dim := result.problem.domain.dim) > 3:
        why = f"VTKHDF is for up to 3 dimensions, the domain has {dim}"
    else:
        why = "no mode was found: there is nothing to write"
    raise InputError(why)


@dataclass(eq=False, kw_only=True)
class RunFolder:
    """The folder of an unfinished run, called "….partial" until `finish` renames it.

    `create`, `at` and `resume` make a RunFolder; its `checkpoint` is an observer for the solve.

    Args:
        path: the current path of the folder.
        config: the configuration of the run.
        lock: keeps other processes from writing to the folder.
        sources: the settings that are written to run.json, and the files named in the settings.
        state: the solver's state to start from, None for a start from the beginning.
        earlier: the status, steps and seconds at each earlier end of a run that was resumed.
        resumed_from: the path before the run was resumed, None for a new run.
        made: parent folders that `create` has created.
        pace: how often checkpoint.pt is written.
        record: the contents of run.json.
    """

    path: Path
    config: Config
    lock: files.FolderLock
    sources: Sources = field(default_factory=Sources)
    state: dict[str, Any] | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)
    resumed_from: Path | None = None
    made: tuple[Path, ...] = ()
    pace: files.Pace = field(default_factory=lambda: files.Pace(interval=10.0, share=0.05))
    record: dict[str, Any] = field(default_factory=dict)
    _run: SolverState | None = field(default=None, init=False)
    _searched: dict[str, Any] | None = field(default=None, init=False)  # settings before trials
    _trials: int = field(default=0, init=False)  # the number of finished trials

    @classmethod
    def create(cls, output: Path, name: str, config: Config) -> "RunFolder":
        """Create a new folder output/name/<UTC time>-<hash of the configuration>.partial.

        If a run folder of that name exists already, "-2", "-3", … is added.

        Args:
            output: the folder for all runs.
            name: the name of the run.
            config: the configuration of the run.

        Raises:
            InputError: if the folder cannot be created, or class and data files cannot be copied.
        """
        parent = Path(output) / files.path_component(name)
        text = json.dumps(config.sections, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        begun = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        paths = files.numbered(parent / f"{begun}-{digest}")
        try:
            made = tuple(p for p in (parent, parent.parent) if not p.exists())
            parent.mkdir(parents=True, exist_ok=True)
            while True:
                with suppress(FileExistsError):
                    return cls.at(next(paths), config, made)
        except OSError as error:
            reason = f"{error.filename or output}: {error.strerror or error}"
            raise InputError(f"no run folder can be made in {output}: {reason}") from error

    @classmethod
    def at(cls, path: Path, config: Config, made: tuple[Path, ...] = ()) -> "RunFolder":
        """Create a new run folder, which is called "path.partial" until the run is finished.

        Class and data files are copied to the folder, and run.json gets the entries that are known
        at the start.

        Args:
            path: the path of the finished folder.
            config: the configuration of the run.
            made: parent folders that were created for the run folder; `discard` removes them.

        Raises:
            FileExistsError: if the folder exists, finished or not.
            InputError: if class or data files cannot be copied.
        """
        partial = path.with_name(path.name + PARTIAL)
        partial.mkdir(parents=True)
        # Checked after mkdir: earlier, another run could still finish and take this name.
        if path.exists():
            partial.rmdir()
            raise FileExistsError(f"{path} exists already")
        folder = cls(path=partial, config=config, lock=files.FolderLock(partial), made=made)
        try:
            folder.sources = copy_sources(config.sections, config.directory, partial)
            folder.write_record()
        except BaseException:  # Ctrl-C as well: no folder is left half made
            folder.discard()
            raise
        return folder

    @classmethod
    def resume(cls, path: str | os.PathLike[str], config: Config | None = None) -> "RunFolder":
        """Reopen the folder of a run that was killed, interrupted or ended at its step limit.

        The folder is called "….partial" again until the run is finished; the files in it stay until
        they are replaced.

        Args:
            path: the folder, with or without ".partial".
            config: the configuration to go on with, by default `config_to_resume(path)`, in which
                steps, time budget and threads may be changed and optimizers be appended. The
                returned RunFolder has this configuration, with class files in the renamed folder.

        Raises:
            InputError: if there is no state to resume from, or `config` belongs to another run.
        """
        config = config_to_resume(path) if config is None else config
        found = run_folder(path)
        state, earlier, data = state_to_resume(found, config)
        partial = found.with_name(found.name.removesuffix(PARTIAL) + PARTIAL)
        try:
            os.rename(found, partial)
        except OSError as error:
            raise InputError(f"{found} cannot be renamed to {partial}: {error.strerror}") from None
        config = dataclasses.replace(config, directory=partial)
        sources = Sources(config.to_dict(), data, code_of(config.sections, partial))
        lock = files.FolderLock(partial)
        known: dict[str, Any] = {"config": config, "sources": sources, "state": state}
        folder = cls(path=partial, lock=lock, earlier=earlier, resumed_from=found, **known)
        files.remove_temporaries(partial)
        return folder

    def adopt(self, choice: Choice, why: str, state: Mapping[str, Any]) -> None:
        """Observer of a `TrialSearch`: write its state to trials.pt and the choice to run.json.

        A `TrialSearch` chooses settings by trial solves. The checkpoint.pt of the previous trial is
        removed.

        Args:
            choice: the network, points and optimizers of the next trial or, at the end of the
                search, of the best trial.
            why: the reason for the choice, which is not written.
            state: the state of the search so far.
        """
        if self._searched is None:
            self._searched, self.state = self.sources.settings, None
        write_checkpoint(self.path, state, self._searched, [], TRIALS)
        self._trials = len(state["trials"])
        boundary = self.config.sections.get("network", {}).get("boundary", "auto")
        chosen = chosen_sections(choice, boundary)
        settings = self.sources.settings | chosen
        self.sources = dataclasses.replace(self.sources, settings=settings)
        written = self.config.to_dict() | chosen
        self.config = Config.from_dict(written, self.config.directory, self.config.name)
        self._run = None
        (self.path / CHECKPOINT).unlink(missing_ok=True)  # of the previous trial
        self.write_record()

    def write_record(self, **found: Any) -> None:
        """Write run.json.

        Args:
            found: entries that are known only when the run has ended.
        """
        settings = self.sources.settings
        known = {
            "name": self.config.name,
            "status": "running",
            "errors": None,
            "config": settings,
            "seed": settings.get("run", {}).get("seed"),
            **software(os.getcwd()),
            "threads": torch.get_num_threads(),
            "processes": world(),
            "files": self.sources.files,
            "code": self.sources.code,
        }
        self.record = write_record(self.path / RECORD, known | found)

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write checkpoint.pt.

        Args:
            state: the `state_dict` of the solver.
        """
        write_checkpoint(self.path, state, self.sources.settings, self.earlier)

    def checkpoint(self, run: SolverState) -> None:
        """Observer of a solve: write checkpoint.pt at intervals, and if the run is interrupted.

        Args:
            run: the state of the solve.
        """
        self._run = run
        if run.interrupted or self.pace.is_due:
            with self.pace.writing():
                self.write_state(run.state_dict())

    def keep(self) -> None:
        """Write checkpoint.pt if the last step was taken, but the result is not yet written."""
        if self._run is not None and self._run.status is not None:
            self.write_state(self._run.state_dict())

    def finish(self, result: Result, figures: bool = True) -> Path:
        """Write all files of the result, rename the folder to its final name and return that path.

        If a folder of that name exists, "-2", "-3", … is added.

        Args:
            result: the result of the run.
            figures: whether figures are drawn.
        """
        state = self.state  # kept if no step was left to take
        if self._run is not None:
            state = self._run.state_dict()
        elif state is None:
            network, seconds = result.network.state_dict(), result.optimizer_seconds
            state = ended_state(network, result.history, seconds)
        self.write_state(state)
        self._run = None  # its state is written: `keep` at Ctrl-C has nothing to write
        CONTENTS[self.config.file.kind].write(result, self.sources.settings, self.path, figures)
        self.write_record(**run_record(result, self.config), resumed=self.earlier)
        if result.success:  # otherwise the trials may be resumed with a larger budget
            (self.path / TRIALS).unlink(missing_ok=True)
        self.lock.release(self.path)
        paths = files.numbered(self.path.with_name(self.path.name.removesuffix(PARTIAL)))
        final = next(path for path in paths if not path.exists())
        os.rename(self.path, final)
        files.to_disk(final.parent)
        self.path = final
        return final

    @property
    def begun(self) -> bool:
        """True if a step has been taken, so that the folder is worth keeping."""
        return self._run is not None or self._trials > 0

    @property
    def interrupted(self) -> bool:
        """True if the run has been asked to stop."""
        return self._run is not None and self._run.interrupted

    def fail(self, message: str) -> None:
        """Write the reason of a failure to run.json; the folder stays "….partial"."""
        self.write_record(status=f"failed: {message}", resumed=self.earlier)
        self.lock.release(self.path)

    def discard(self) -> None:
        """Remove a new folder and the parents created for it, or rename a resumed folder back."""
        self.lock.release(self.path)
        if self.resumed_from is not None:
            os.rename(self.path, self.resumed_from)
            return
        shutil.rmtree(self.path)
        for parent in self.made:
            if not any(parent.iterdir()):
                parent.rmdir()
