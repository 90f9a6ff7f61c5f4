"""A run folder: made, kept up to date, finished; or resumed."""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.files import FolderLock, remove_temporaries, write_text
from kanpinn.runs.config import AutoJob, Config, Job, Result, chosen_sections
from kanpinn.runs.results.checkpoint import NAME as CHECKPOINT
from kanpinn.runs.results.checkpoint import ended_state, write_checkpoint
from kanpinn.runs.results.kinds import CONTENTS, run_record
from kanpinn.runs.results.record import PARTIAL, RECORD, config_of, dump, started_record
from kanpinn.runs.results.resuming import resumable
from kanpinn.runs.results.sources import copy_sources, fingerprints
from kanpinn.solvers.auto import Choice
from kanpinn.solvers.state import SolverState

Announce = Callable[[Choice, str], None]


@dataclass(eq=False, kw_only=True)
class RunFolder:
    """The folder of a run under way, "….partial" until `finish`; `create` or `resume` make it.

    Use `checkpoint` as an observer of the solve.

    path: of the folder, which `finish` renames.
    settings: the configuration as it stands in the folder, its class files beside it.
    state: the checkpoint to solve from, None for a start from the beginning.
    earlier: the ends from which the run was resumed, as run.json has them.
    resumed_from: the path before it was resumed; made: parent folders that were not there before.
    files: path and sha256 of the files of data.
    interval, share: seconds between checkpoints at least, and the share of the time that goes into
    writing them at most.
    record: what run.json says, once the run is finished.
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
    interval: float = 10.0
    share: float = 0.05
    record: dict[str, Any] = field(default_factory=dict)
    _run: SolverState | None = field(default=None, init=False)
    _written: float = field(default_factory=time.monotonic, init=False)
    _cost: float = field(default=0.0, init=False)  # seconds that the last checkpoint took

    @classmethod
    def create(cls, output: Path, name: str, config: Config) -> "RunFolder":
        """A new folder output/name/<UTC time>-<hash of the configuration>.partial.

        Raises:
            InputError: where it cannot be made.
        """
        parent = Path(output) / path_component(name)
        try:
            made = tuple(p for p in (parent, parent.parent) if not p.exists())
            parent.mkdir(parents=True, exist_ok=True)
            path = _make_free(parent, config)
        except OSError as error:
            raise InputError(f"no run folder can be made in {output}: {error.strerror}") from error
        return cls(path=path, config=config, lock=FolderLock(path), made=made)._begin()

    @classmethod
    def at(cls, path: Path, config: Config) -> "RunFolder":
        """A new folder that is called `path` once it is finished; `path` must be free."""
        partial = path.with_name(path.name + PARTIAL)
        partial.mkdir(parents=True)
        return cls(path=partial, config=config, lock=FolderLock(partial))._begin()

    def _begin(self) -> "RunFolder":
        """Write what is known before the first step."""
        try:
            written = self.config.to_dict()
            self.files = fingerprints(written, self.config.directory)
            self.settings = copy_sources(written, self.config.directory, self.path)
            self._write_record({})
        except BaseException:  # Ctrl-C as well: no folder is left half made
            self.discard()
            raise
        return self

    @classmethod
    def resume(cls, path: str | os.PathLike[str], config: Config | None = None) -> "RunFolder":
        """The folder of a run that was killed, interrupted or ended at its limit, to go on in.

        It is called "….partial" again until it is finished; its files stay until they are replaced.

        Args:
            path: of the folder, with or without ".partial".
            config: `config_of(path)`, which may have other steps or further optimizers. The
                folder's own `config` looks for class files under the folder's new name.

        Raises:
            InputError: where there is nothing to go on from, or the settings belong to another run.
        """
        found = resumable(path, config_of(path) if config is None else config)
        partial = found.path.with_name(found.path.name.removesuffix(PARTIAL) + PARTIAL)
        os.rename(found.path, partial)
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
        )
        remove_temporaries(partial)
        return folder

    def attach(self, job: Job, announce: Announce | None = None) -> Job:
        """The job; where trials choose, what they choose becomes the folder's configuration.

        announce: is told of every choice, too.
        """
        if not isinstance(job, AutoJob):
            return job

        def chosen(choice: Choice, why: str) -> None:
            self._adopt(chosen_sections(choice, job.settings.boundary))
            if announce is not None:
                announce(choice, why)

        return dataclasses.replace(job, announce=chosen)

    def _adopt(self, chosen: dict[str, Any]) -> None:
        """Go on as the folder of a run that was asked for with these sections."""
        self.settings = self.settings | chosen
        written = self.config.to_dict() | chosen
        self.config = Config.from_dict(written, self.config.directory, self.config.name)
        self._run = None
        (self.path / CHECKPOINT).unlink(missing_ok=True)  # that of another choice
        self._write_record({})

    def checkpoint(self, run: SolverState) -> None:
        """The observer: writes checkpoint.pt now and then, and when the run is interrupted."""
        self._run = run
        begun = time.monotonic()
        pause = max(self.interval, self._cost / self.share)
        if run.interrupted or begun - self._written >= pause:
            write_checkpoint(self.path, run.state_dict(), self.settings, self.earlier)
            self._written = time.monotonic()
            self._cost = self._written - begun

    def finish(self, result: Result, figures: bool = True) -> Path:
        """Write everything, give the folder its final name and return it."""
        if self._run is not None:
            state: Mapping[str, Any] = self._run.state_dict()
        elif self.state is not None:  # no step was left to take
            state = self.state
        else:
            network = result.network.state_dict()
            state = ended_state(network, result.history, result.optimizer_seconds)
        write_checkpoint(self.path, state, self.settings, self.earlier)
        CONTENTS[self.config.file.kind].write(result, self.settings, self.path, figures)
        known = {"config": self.settings, "files": self.files, "resumed": self.earlier}
        self.record = {"name": self.config.name, **run_record(result, self.config), **known}
        write_text(self.path / RECORD, dump(self.record))
        self.lock.release(self.path)
        stem, number = self.path.name.removesuffix(PARTIAL), 1
        final = self.path.with_name(stem)
        while final.exists():
            number += 1
            final = self.path.with_name(f"{stem}-{number}")
        os.rename(self.path, final)
        self.path = final
        return final

    @property
    def begun(self) -> bool:
        """Whether a step has been taken: then there is something to lose."""
        return self._run is not None

    @property
    def interrupted(self) -> bool:
        """Whether the run has been asked to stop."""
        return self._run is not None and self._run.interrupted

    def fail(self, message: str) -> None:
        """Leave the folder "….partial", with its last checkpoint and why the run broke off."""
        self._write_record({"status": f"failed: {message}", "resumed": self.earlier})
        self.lock.release(self.path)

    def discard(self) -> None:
        """Undo `create`: nothing stays; undo `resume`: the folder is as it was found."""
        self.lock.release(self.path)
        if self.resumed_from is not None:
            os.rename(self.path, self.resumed_from)
            return
        shutil.rmtree(self.path)
        for parent in self.made:
            if not any(parent.iterdir()):
                parent.rmdir()

    def _write_record(self, more: Mapping[str, Any]) -> None:
        """run.json as far as it is known without a result."""
        known = {"name": self.config.name, **started_record(self.settings), "files": self.files}
        write_text(self.path / RECORD, dump({**known, **more}))


def path_component(name: str) -> str:
    """The name as one component of a path."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "run"


def _make_free(parent: Path, config: Config) -> Path:
    """Make <UTC time>-<hash>.partial, or with -2, -3, …, the first that is not there nor was."""
    text = json.dumps(config.to_dict(), sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    stem = name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{digest}"
    number = 1
    while True:
        path = parent / (name + PARTIAL)
        try:
            path.mkdir()
        except FileExistsError:
            pass
        else:
            # Looked at only now: until this folder was made, another run could take the name.
            if not (parent / name).exists():
                return path
            path.rmdir()
        number += 1
        name = f"{stem}-{number}"
