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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.files import remove_temporaries, write_text
from kanpinn.runs.config import AutoJob, Config, Job, Result, chosen_sections
from kanpinn.runs.results.checkpoint import NAME as CHECKPOINT
from kanpinn.runs.results.checkpoint import ended_state, read_checkpoint, write_checkpoint
from kanpinn.runs.results.kinds import CONTENTS, run_record
from kanpinn.runs.results.lock import FolderLock
from kanpinn.runs.results.reading import PARTIAL, RECORD, config_of, read_record, run_folder
from kanpinn.runs.results.record import describe, dump
from kanpinn.runs.results.resuming import check_files, check_remaining, check_settings
from kanpinn.runs.results.sources import copy_sources, fingerprints
from kanpinn.solvers.auto import Choice
from kanpinn.solvers.state import SolverState

Announce = Callable[[Choice, str], None]

INTERVAL = 10.0  # seconds between checkpoints, more where writing one takes long
SHARE = 0.05  # of the time goes into checkpoints, at most


@dataclass(eq=False)
class RunFolder:
    """The folder of a run under way, "….partial" until `finish`; `create` or `resume` make it.

    Use `checkpoint` as an observer of the solve. `state` is the checkpoint to solve from, None for
    a start from the beginning. `settings` is the configuration as it stands in the folder.
    """

    path: Path
    settings: dict[str, Any]
    config: Config
    state: dict[str, Any] | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)  # ends from which it was resumed
    resumed_from: Path | None = None
    made: tuple[Path, ...] = ()  # parent folders that were not there before
    files: list[dict[str, str]] = field(default_factory=list)  # of data: path and sha256

    def __post_init__(self) -> None:
        self._lock = FolderLock(self.path)
        self._run: SolverState | None = None
        self._written, self._cost = time.monotonic(), 0.0

    @classmethod
    def create(cls, output: Path, name: str, config: Config) -> "RunFolder":
        """A new folder output/name/<UTC time>-<hash of the configuration>.partial.

        Raises:
            InputError: where it cannot be made.
        """
        parent = Path(output) / component(name)
        try:
            made = tuple(p for p in (parent, parent.parent) if not p.exists())
            parent.mkdir(parents=True, exist_ok=True)
            path = _make_free(parent, _stamp(config.to_dict()))
        except OSError as error:
            raise InputError(f"no run folder can be made in {output}: {error.strerror}") from error
        return cls(path, {}, config, made=made)._begin(name)

    @classmethod
    def at(cls, path: Path, name: str, config: Config) -> "RunFolder":
        """A new folder that is called `path` once it is finished; `path` must be free."""
        partial = path.with_name(path.name + PARTIAL)
        partial.mkdir(parents=True)
        return cls(partial, {}, config)._begin(name)

    def _begin(self, name: str) -> "RunFolder":
        """Write what is known before the first step."""
        try:
            written = self.config.to_dict()
            self.files = fingerprints(written, self.config.directory)
            self.settings = copy_sources(written, self.config.directory, self.path)
            self._write_record(name, {})
        except BaseException:
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
        found = run_folder(path)
        config = config_of(found) if config is None else config
        record, payload = read_record(found), read_checkpoint(found)
        check_settings(record["config"], config.to_dict())
        check_files(record, config)
        finished = not found.name.endswith(PARTIAL)
        if payload is None and finished:
            raise InputError(f"{found} has no checkpoint to go on from")
        state, earlier = None, []
        if payload is not None:
            state, earlier = payload["run"], list(payload["resumed"])
            if finished:
                check_remaining(found, record["status"], state, config)
                earlier.append({key: record[key] for key in ("status", "steps", "seconds")})
        partial = found.with_name(found.name + PARTIAL) if finished else found
        os.rename(found, partial)
        config = dataclasses.replace(config, directory=partial)
        files = list(record.get("files", ()))
        folder = cls(partial, config.to_dict(), config, state, earlier, found, files=files)
        remove_temporaries(partial)
        return folder

    def attach(self, job: Job, announce: Announce | None = None) -> Job:
        """The job; where trials choose, what they choose becomes the folder's configuration.

        announce: is told as well.
        """
        if not isinstance(job, AutoJob):
            return job

        def chosen(choice: Choice, why: str) -> None:
            self._adopt(chosen_sections(choice, job.boundary))
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
        self._write_record(self.config.name, {})

    def checkpoint(self, run: SolverState) -> None:
        """The observer: writes checkpoint.pt now and then, and when the run is interrupted."""
        self._run = run
        since = time.monotonic() - self._written
        if run.interrupted or since >= max(INTERVAL, self._cost / SHARE):
            begun = time.monotonic()
            self._write_checkpoint(run.state_dict())
            self._written = time.monotonic()
            self._cost = self._written - begun

    def finish(self, result: Result, job: Job, figures: bool = True) -> Path:
        """Write everything, give the folder its final name and return it."""
        self._write_checkpoint(self._last_state(result))
        CONTENTS[self.config.kind].write(result, self.settings, self.path, figures)
        record = {"name": job.name, **run_record(result, self.config), "config": self.settings}
        record |= {"files": self.files, "resumed": self.earlier}
        write_text(self.path / RECORD, dump(record))
        return self._rename()

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
        status = {"status": f"failed: {message}", "resumed": self.earlier}
        self._write_record(self.config.name, status)
        self._lock.release(self.path)

    def discard(self) -> None:
        """Undo `create`: nothing stays; undo `resume`: the folder is as it was found."""
        self._lock.release(self.path)
        if self.resumed_from is not None:
            os.rename(self.path, self.resumed_from)
            return
        shutil.rmtree(self.path)
        for parent in self.made:
            if not any(parent.iterdir()):
                parent.rmdir()

    def _last_state(self, result: Result) -> Mapping[str, Any]:
        if self._run is not None:
            return self._run.state_dict()
        if self.state is not None:  # no step was left to take
            return self.state
        network = result.network.state_dict()
        return ended_state(network, result.history, result.optimizer_seconds)

    def _write_checkpoint(self, state: Mapping[str, Any]) -> None:
        write_checkpoint(
            self.path, {"run": state, "config": self.settings, "resumed": self.earlier}
        )

    def _write_record(self, name: str, more: Mapping[str, Any]) -> None:
        """run.json as far as it is known without a result."""
        record = {"name": name, **describe(self.settings), "files": self.files, **more}
        write_text(self.path / RECORD, dump(record))

    def _rename(self) -> Path:
        self._lock.release(self.path)
        stem, number = self.path.name.removesuffix(PARTIAL), 1
        final = self.path.with_name(stem)
        while final.exists():
            number += 1
            final = self.path.with_name(f"{stem}-{number}")
        os.rename(self.path, final)
        self.path = final
        return final


def component(name: str) -> str:
    """The name as one component of a path."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "run"


def _stamp(settings: Mapping[str, Any]) -> str:
    text = json.dumps(settings, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{digest}"


def _make_free(parent: Path, stem: str) -> Path:
    """Make stem.partial, or stem-2.partial, …, the first that neither is there nor was."""
    number, name = 1, stem
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
