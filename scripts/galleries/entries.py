"""An entry of the gallery: one run of a problem file, its record and its pictures."""

import datetime
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
from common.commands import REPOSITORY, environment
from common.problem_files import digests
from galleries import images

from kanpinn.runs.library import LibraryFile
from kanpinn.runs.results.record import write_record

RECORD = "record.json"
KEPT = (  # entries of run.json
    "status",
    "success",
    "errors",
    "eigenvalues",
    "data",
    "reference",
    "estimate",
    "estimated",
    "quantities",
    "parameters",
    "steps",
    "seconds",
    "threads",
    "versions",
    "git",
    "platform",
)


class NoRecord(Exception):
    """A run that ended without run.json; the text is the last line that it has printed."""


def read(path: Path) -> dict[str, Any]:
    """Return an entry's record."""
    return json.loads(path.read_text(encoding="utf-8"))


def is_current(folder: Path, name: str) -> bool:
    """Return whether the entry was made from the files of the problem as they are now."""
    path = folder / RECORD
    return path.is_file() and read(path)["files"] == digests(name)


def make(one: LibraryFile, folder: Path) -> str:
    """Run a problem file, write its entry to a folder, and return the status of the run."""
    command = ["kanpinn", one.command, f"problems/{one.name}.toml"]
    load, before = os.getloadavg()[0], _processor_seconds()
    with tempfile.TemporaryDirectory() as scratch:
        told = _run([*command, "--json", "--quiet", f"--output={scratch}"])
        spent = _processor_seconds() - before
        (run,) = (path.parent for path in Path(scratch).glob("*/*/run.json"))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        record = {
            "name": one.name,
            "command": " ".join(command),
            "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "load": round(load, 2),
            "cpu_seconds": round(spent, 2),
            "files": digests(one.name),
            **{key: told[key] for key in KEPT if key in told},
            **_grid(run / "result.h5"),
            "pictures": images.keep(run, folder),
        }
    write_record(folder / RECORD, record)
    return f"{record['status']}, {spent:.0f} s of the processor"


def _run(command: list[str]) -> dict[str, Any]:
    """Run a command of kanpinn and return the run.json that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        cwd=REPOSITORY,
        env=environment(threads=1),
        stdin=subprocess.DEVNULL,
        text=True,
    )
    if not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NoRecord(f"exit code {done.returncode}: {last}")
    return json.loads(done.stdout)


def _grid(path: Path) -> dict[str, list[str]]:
    """Return the names of the axes and of the arrays that a run has written on a grid."""
    with h5py.File(path) as file:
        group = file.get("fields", file.get("modes"))
        if group is None:
            return {"axes": [], "arrays": []}
        named = [(name, [dim.label for dim in data.dims]) for name, data in group.items()]
        arrays = [name for name, axes in named if all(axes)]
        return {"axes": max((axes for _, axes in named), key=len), "arrays": arrays}


def _processor_seconds() -> float:
    """Return the processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
