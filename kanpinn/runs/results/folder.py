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

from kanpinn._support.errors import InputError
from kanpinn._support.files import (
    FolderLock,
    numbered,
    path_component,
    remove_temporaries,
    to_disk,
)
from kanpinn._support.pace import Pace
from kanpinn.runs.config import Config, Result, chosen_sections
from kanpinn.runs.results.checkpoint import NAME as CHECKPOINT
from kanpinn.runs.results.checkpoint import ended_state, write_checkpoint
from kanpinn.runs.results.kinds import CONTENTS, run_record
from kanpinn.runs.results.record import PARTIAL, write_run_record
from kanpinn.runs.results.resuming import resumable
from kanpinn.runs.results.sources import Sources, code_of, copy_sources
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
    sources: the settings as they are written, and the files that they name.
    state: the solver's state to start from, None for a start from the beginning.
    earlier: for each time the finished run was resumed, how it had ended before.
    resumed_from: the path before the run was resumed, None for a new run.
    made: parent folders that `create` has created.
    pace: how often checkpoint.pt is written.
    record: the contents of run.json.
    """

    path: Path
    config: Config
    lock: FolderLock
    sources: Sources = field(default_factory=Sources)
    state: dict[str, Any] | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)
    resumed_from: Path | None = None
    made: tuple[Path, ...] = ()
    pace: Pace = field(default_factory=lambda: Pace(interval=10.0, share=0.05))
    record: dict[str, Any] = field(default_factory=dict)
    _run: SolverState | None = field(default=None, init=False)
    _searched: dict[str, Any] | None = field(default=None, init=False)  # settings before trials
    _trials: int = field(default=0, init=False)  # trials that are done

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
        paths = numbered(parent / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{digest}")
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
            folder.sources = copy_sources(config.sections, config.directory, partial)
            folder.record = write_run_record(partial, config.name, folder.sources)
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
            sources=Sources(config.to_dict(), found.files, code_of(config.sections, partial)),
            state=found.state,
            earlier=found.earlier,
            resumed_from=found.path,
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
            self._searched, self.state = self.sources.settings, None
        write_trials(self.path, state, self._searched)
        self._trials = len(state["trials"])
        boundary = self.config.sections.get("network", {}).get("boundary", "auto")
        chosen = chosen_sections(choice, boundary)
        settings = self.sources.settings | chosen
        self.sources = dataclasses.replace(self.sources, settings=settings)
        written = self.config.to_dict() | chosen
        self.config = Config.from_dict(written, self.config.directory, self.config.name)
        self._run = None
        (self.path / CHECKPOINT).unlink(missing_ok=True)  # it belongs to another choice
        self.record = write_run_record(self.path, self.config.name, self.sources)

    def checkpoint(self, run: SolverState) -> None:
        """Observer of the solve: write checkpoint.pt if it is due or the run is interrupted."""
        self._run = run
        if run.interrupted or self.pace.is_due:
            with self.pace.writing():
                state = run.state_dict()
                write_checkpoint(self.path, state, self.sources.settings, self.earlier)

    def keep(self) -> None:
        """Write checkpoint.pt if the steps have ended, but not yet what follows them."""
        if self._run is not None and self._run.status is not None:
            state = self._run.state_dict()
            write_checkpoint(self.path, state, self.sources.settings, self.earlier)

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
        write_checkpoint(self.path, state, self.sources.settings, self.earlier)
        self._run = None  # it is kept: Ctrl-C has nothing to write
        CONTENTS[self.config.file.kind].write(result, self.sources.settings, self.path, figures)
        found = {**run_record(result, self.config), "resumed": self.earlier}
        self.record = write_run_record(self.path, self.config.name, self.sources, found)
        if result.success:  # otherwise the search can go on with a larger budget
            (self.path / TRIALS).unlink(missing_ok=True)
        self.lock.release(self.path)
        paths = numbered(self.path.with_name(self.path.name.removesuffix(PARTIAL)))
        final = next(path for path in paths if not path.exists())
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
        found = {"status": f"failed: {message}", "resumed": self.earlier}
        self.record = write_run_record(self.path, self.config.name, self.sources, found)
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
