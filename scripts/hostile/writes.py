"""Runs whose n-th operation on the disk fails, or at whose n-th operation the process is killed."""

import argparse
import errno
import itertools
import json
import os
import random
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.verdicts import Figure

from hostile import commands
from hostile.jobs import JOBS, Job, Values, every_step, networks, runs, same

PATHS = {"os.rename": 1, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0}  # arguments of the events
NOTHING_YET = "neither a checkpoint nor a result"
Operation = tuple[str, str]  # what is done, and to which path


@dataclass
class Shim:
    """Counts the operations of a process that change a folder, and does something at the n-th.

    They are files that are opened for writing, renamed or removed, folders that are made or
    removed, and waits for the disk (fsync).

    folder: the folder. at: the number n, from 0. fault: is called before this operation and before
    each later one, with the shim and the operation. count: of operations so far. busy: whether the
    fault is at work, whose own operations do not count.
    """

    folder: Path
    at: int
    fault: Callable[["Shim", Operation], None]
    count: int = 0
    busy: bool = False

    def install(self) -> None:
        wait = os.fsync

        def fsync(descriptor: int) -> None:
            self.operation("fsync", self.folder / "file")
            wait(descriptor)

        os.fsync = fsync  # type: ignore[assignment]
        sys.addaudithook(self.heard)

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Notice an event of Python's, which an exception prevents."""
        if event in PATHS:
            self.operation(event, arguments[PATHS[event]])
        elif event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.operation(event, arguments[0])

    def operation(self, event: str, path: Any) -> None:
        if self.busy or not str(path).startswith(f"{self.folder}{os.sep}"):
            return
        self.count += 1
        if self.count > self.at:
            self.busy = True
            try:
                self.fault(self, (event, str(path)))
            finally:
                self.busy = False


def killed(shim: Shim, operation: Operation) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_amid_a_write(shim: Shim, operation: Operation) -> None:
    """Let the system kill the process when it has written some bytes of a file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    disk_full(shim, operation)


def disk_full(shim: Shim, operation: Operation) -> None:
    """Let files have a few bytes only from now on: what is beyond cannot be written."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (7 * shim.at % 300, hard))


def fails_once(shim: Shim, operation: Operation) -> None:
    if shim.count == shim.at + 1:
        _refuse(errno.ENOSPC, operation)


def read_only(shim: Shim, operation: Operation) -> None:
    _refuse(errno.EROFS, operation)


def folder_vanishes(shim: Shim, operation: Operation) -> None:
    shutil.rmtree(shim.folder, ignore_errors=True)


def _refuse(code: int, operation: Operation) -> None:
    path = () if operation[0] == "fsync" else (operation[1],)  # a descriptor has no name
    raise OSError(code, os.strerror(code), *path)


FAULTS = (killed, killed_amid_a_write, disk_full, fails_once, read_only, folder_vanishes)


@dataclass(frozen=True)
class Whole:
    """A run that nothing disturbs: its operations, and the networks that it finds."""

    operations: list[Operation]
    networks: list[Values]

    def has_checkpoint(self, run: str, at: int) -> bool:
        """Return True if a run's checkpoint has its name before the n-th operation."""
        done = [Path(path) for _, path in self.operations[:at]]
        return any(one.name == "checkpoint.pt" and one.parent.name == run for one in done)


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, Figure]:
    """Let each operation of a solve, a fit and a study fail in each way, or some of them."""
    found: dict[str, Figure] = {}
    faults_in_turn = itertools.cycle(FAULTS)
    for name in ("solve", "fit", "study"):
        job, folder = JOBS[name], (chosen.output / "writes" / name).resolve()
        whole = undisturbed(job, folder / "whole" / name)
        cases = [(fault, at) for fault in FAULTS for at in range(len(whole.operations))]
        if chosen.writes < len(cases):
            draw = random.Random(f"{chosen.seed} {name}")
            some = itertools.islice(faults_in_turn, chosen.writes)
            cases = [(fault, draw.randrange(len(whole.operations))) for fault in some]
        wrong = []
        for fault, at in cases:
            if faults := [*faults_of(job, whole, folder / "faulty" / name, fault, at)]:
                event, path = whole.operations[at]
                case = f"{name}, {fault.__name__} at {at} ({event} {path})"
                wrong.append(f"{case}: {'; '.join(faults)}")
        failures += wrong
        found[f"{name}, faults at its {len(whole.operations)} operations on the disk"] = {
            "value": len(wrong),
            "target": f"0 of {len(cases)} that lose something or are not told",
            "met": not wrong,
        }
    return found


def undisturbed(job: Job, output: Path) -> Whole:
    """Run a job and note its operations."""
    job.write_file(output)
    notes = os.open(output.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def note(shim: Shim, operation: Operation) -> None:
        os.write(notes, f"{json.dumps(operation)}\n".encode())

    done = _run(job, output, Shim(output, 0, note))
    os.close(notes)
    if done.code:
        raise RuntimeError(f"{output.with_suffix('.toml')} cannot be run: {done.said}")
    lines = output.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return Whole([tuple(json.loads(line)) for line in lines], networks(output))


def faults_of(
    job: Job, whole: Whole, output: Path, fault: Callable[[Shim, Operation], None], at: int
) -> Iterator[str]:
    """Yield what is wrong after a fault at the n-th operation of a job."""
    job.write_file(output)
    done = _run(job, output, Shim(output, at, fault))
    if done.code >= 0:
        yield from done.faults()
        if done.code not in (0, 1, 2) or (done.code and str(output) not in done.said):
            yield f"exit code {done.code}, and it says {done.said.strip()!r}"
    elif "kill" not in fault.__name__:
        yield "killed"
    if fault is folder_vanishes:
        return
    for run in runs(output):
        target = output.with_suffix(".npz")
        read = commands.run(["export", str(run), "--format", "npz", "--output", str(target)], 60)
        early = not whole.has_checkpoint(run.name, at) and NOTHING_YET in read.said
        if read.code and not early:
            yield f"{run.name} cannot be read: {read.said.strip()}"
    listed = commands.run(["list", "--output", str(output)], 60)
    if listed.code or listed.faults():
        yield f"it cannot be listed: {listed.said.strip()}"
    resumed = commands.forked(lambda: job.again(output), 60)
    if resumed.code:
        yield f"it cannot be gone on with: {resumed.said.strip()}"
    elif not same(networks(output), whole.networks):
        yield "another result than without the fault"


def _run(job: Job, output: Path, shim: Shim) -> commands.Finished:
    def action() -> int:
        every_step()
        shim.install()
        return job.start(output)

    return commands.forked(action, 60)
