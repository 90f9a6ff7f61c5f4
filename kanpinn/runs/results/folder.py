"""`RunFolder`, the folder of a run that is created or resumed, kept up to date and finished."""

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

import torch

from kanpinn._support.distributed import world
from kanpinn._support.errors import InputError
from kanpinn._support.files import FolderLock, path_component, remove_temporaries, to_disk
from kanpinn.runs.config import Config, Result, chosen_sections
from kanpinn.runs.results.checkpoint import NAME as CHECKPOINT
from kanpinn.runs.results.checkpoint import ended_state, write_checkpoint
from kanpinn.runs.results.kinds import CONTENTS, run_record
from kanpinn.runs.results.record import PARTIAL, RECORD, software, write_record
from kanpinn.runs.results.resuming import resumable
from kanpinn.runs.results.sources import code_of, copy_sources
from kanpinn.runs.results.trials import TRIALS, config_to_resume, write_trials
from kanpinn.solvers.auto import Choice
from kanpinn.solvers.state import SolverState


@dataclass(eq=False, kw_only=True)
class RunFolder:
    """The folder of an unfinished run, called "….partial" until `finish` renames it.

    Make one by `create`, `at` or `resume`, and use `checkpoint` as an observer of the solve.

    path: the current path of the folder.
    config: the configuration of the run.
    lock: keeps other processes from writing to the folder.
    settings: the sections of the configuration, naming the copies of class files in the folder.
    state: the solver's state to start from, None for a start from the beginning.
    earlier: for each time the finished run was resumed, how it had ended before.
    resumed_from: the path before the run was resumed, None for a new run.
    made: parent folders that `create` has created.
    files: path and sha256 of the data files.
    code: path and sha256 of the class files in the folder, and of the modules that they import.
    interval: the shortest time between two checkpoints, in seconds.
    share: the largest fraction of the time that is spent on writing checkpoints.
    record: the contents of run.json.
    """

    path: Path
    config: Config
    lock: FolderLock
    settings: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)
    resumed_from: Path | None = None
    made: tuple[Path, ...] = ()
    files: list[dict[str, str]] = field(default_factory=list)
    code: list[dict[str, str]] = field(default_factory=list)
    interval: float = 10.0
    share: float = 0.05
    record: dict[str, Any] = field(default_factory=dict)
    _run: SolverState | None = field(default=None, init=False)
    _searched: dict[str, Any] | None = field(default=None, init=False)  # settings before trials
    _trials: int = field(default=0, init=False)  # trials that are done
    _written: float = field(default_factory=time.monotonic, init=False)
    _cost: float = field(default=0.0, init=False)  # seconds that the last checkpoint took

    @classmethod
    def create(cls, output: Path, name: str, config: Config) -> "RunFolder":
        """Create a new folder output/name/<UTC time>-<hash of the configuration>.partial.

        If there is a run of that name already, "-2", "-3", … is added.

        Raises:
            InputError: if it cannot be created, or sources cannot be copied to it.
        """
        parent = Path(output) / path_component(name)
        text = json.dumps(config.sections, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        stem, number = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{digest}", 1
        try:
            made = tuple(p for p in (parent, parent.parent) if not p.exists())
            parent.mkdir(parents=True, exist_ok=True)
            while True:
                path = parent / (stem if number == 1 else f"{stem}-{number}")
                with suppress(FileExistsError):
                    return cls.at(path, config, made)
                number += 1
        except OSError as error:
            reason = f"{error.filename or output}: {error.strerror or error}"
            raise InputError(f"no run folder can be made in {output}: {reason}") from error

    @classmethod
    def at(cls, path: Path, config: Config, made: tuple[Path, ...] = ()) -> "RunFolder":
        """Create a new folder that is called `path` once it is finished.

        Sources are copied, and the entries of run.json that are known at the start are written.

        Args:
            path: the path of the finished folder.
            config: the configuration of the run.
            made: parent folders that have been created for it.

        Raises:
            FileExistsError: if there is such a folder. InputError: if sources cannot be copied.
        """
        partial = path.with_name(path.name + PARTIAL)
        partial.mkdir(parents=True)
        # Checked after mkdir: before it another run could still have finished by this name.
        if path.exists():
            partial.rmdir()
            raise FileExistsError(f"{path} exists already")
        folder = cls(path=partial, config=config, lock=FolderLock(partial), made=made)
        try:
            sources = copy_sources(config.sections, config.directory, partial)
            folder.settings, folder.files = sources.settings, sources.files
            folder.code = code_of(folder.settings, partial)
            folder._write_record({})
        except BaseException:  # Ctrl-C as well: no folder is left half made
            folder.discard()
            raise
        return folder

    @classmethod
    def resume(cls, path: str | os.PathLike[str], config: Config | None = None) -> "RunFolder":
        """Reopen the folder of a run that was killed, interrupted or ended at its step limit.

        It is called "….partial" again until it is finished; its files stay until they are replaced.

        Args:
            path: the folder, with or without ".partial".
            config: by default `config_to_resume(path)`, in which steps, time budget and threads may
                be changed and optimizers be appended. The returned folder's `config` looks for
                class files under the folder's new name.

        Raises:
            InputError: if there is no state to resume from, or the settings are of another run.
        """
        found = resumable(path, config_to_resume(path) if config is None else config)
        partial = found.path.with_name(found.path.name.removesuffix(PARTIAL) + PARTIAL)
        try:
            os.rename(found.path, partial)
        except OSError as error:
            raise InputError(
                f"{found.path} cannot be renamed to {partial}: {error.strerror}"
            ) from None
        config = dataclasses.replace(found.config, directory=partial)
        folder = cls(
            path=partial,
            config=config,
            lock=FolderLock(partial),
            settings=config.to_dict(),
            state=found.state,
            earlier=found.earlier,
            resumed_from=found.path,
            files=found.files,
            code=code_of(config.sections, partial),
        )
        remove_temporaries(partial)
        return folder

    def adopt(self, choice: Choice, why: str, state: Mapping[str, Any]) -> None:
        """Observer of trials: write what is done, the next settings, and restart the record.

        Args:
            choice: the settings of the next trial, or those that are kept.
            why: the reason for the choice, which is not written.
            state: of the search so far.
        """
        if self._searched is None:
            self._searched, self.state = self.settings, None
        write_trials(self.path, state, self._searched)
        self._trials = len(state["trials"])
        boundary = self.config.sections.get("network", {}).get("boundary", "auto")
        chosen = chosen_sections(choice, boundary)
        self.settings = self.settings | chosen
        written = self.config.to_dict() | chosen
        self.config = Config.from_dict(written, self.config.directory, self.config.name)
        self._run = None
        (self.path / CHECKPOINT).unlink(missing_ok=True)  # it belongs to another choice
        self._write_record({})

    def checkpoint(self, run: SolverState) -> None:
        """Observer of the solve: write checkpoint.pt if it is due or the run is interrupted."""
        self._run = run
        begun = time.monotonic()
        pause = max(self.interval, self._cost / self.share)
        if run.interrupted or begun - self._written >= pause:
            write_checkpoint(self.path, run.state_dict(), self.settings, self.earlier)
            self._written = time.monotonic()
            self._cost = self._written - begun

    def keep(self) -> None:
        """Write checkpoint.pt if the steps have ended, but not yet what follows them."""
        if self._run is not None and self._run.status is not None:
            write_checkpoint(self.path, self._run.state_dict(), self.settings, self.earlier)

    def finish(self, result: Result, figures: bool = True) -> Path:
        """Write all files of the result, rename the folder to its final name and return that path.

        If the name is taken, "-2", "-3", … is added. Figures are drawn if `figures` is true.
        """
        if self._run is not None:
            state: Mapping[str, Any] = self._run.state_dict()
        elif self.state is not None:  # no step was left to take
            state = self.state
        else:
            network = result.network.state_dict()
            state = ended_state(network, result.history, result.optimizer_seconds)
        write_checkpoint(self.path, state, self.settings, self.earlier)
        self._run = None  # it is kept: Ctrl-C has nothing to write
        CONTENTS[self.config.file.kind].write(result, self.settings, self.path, figures)
        self._write_record({**run_record(result, self.config), "resumed": self.earlier})
        if result.success:  # otherwise the search can go on with a larger budget
            (self.path / TRIALS).unlink(missing_ok=True)
        self.lock.release(self.path)
        stem, number = self.path.name.removesuffix(PARTIAL), 1
        final = self.path.with_name(stem)
        while final.exists():
            number += 1
            final = self.path.with_name(f"{stem}-{number}")
        os.rename(self.path, final)
        to_disk(final.parent)
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
        """Record why the run failed; the folder stays "….partial" with its last checkpoint."""
        self._write_record({"status": f"failed: {message}", "resumed": self.earlier})
        self.lock.release(self.path)

    def discard(self) -> None:
        """Remove a new folder and the parents created for it, or rename a resumed one back."""
        self.lock.release(self.path)
        if self.resumed_from is not None:
            os.rename(self.path, self.resumed_from)
            return
        shutil.rmtree(self.path)
        for parent in self.made:
            if not any(parent.iterdir()):
                parent.rmdir()

    def _write_record(self, more: Mapping[str, Any]) -> None:
        """Write run.json with the entries that are known before the first step, and `more`."""
        known = {
            "name": self.config.name,
            "status": "running",
            "errors": None,
            "config": self.settings,
            "seed": self.settings.get("run", {}).get("seed"),
            **software(os.getcwd()),
            "threads": torch.get_num_threads(),
            "processes": world(),
            "files": self.files,
            "code": self.code,
        }
        self.record = write_record(self.path / RECORD, known | dict(more))
