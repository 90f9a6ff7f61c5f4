"""One solve of a problem file in a process of its own, as a row of runs.csv."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.commands import environment
from common.pieces import package_digest
from scoreboards import files, pictures
from scoreboards.rows import HAND, Row
from scoreboards.targets import TARGETS, Target

DEADLINE = 3600  # seconds after which a solve is ended
UNSAID = ("optimizer", "network", "points", "loss")  # the sections that automatic solves lack


@dataclass(frozen=True)
class Task:
    """A run to be made; tolerance and budget_seconds are those of an automatic one.

    picture: the file for its picture.
    """

    problem: str
    seed: int
    mode: str = HAND
    tolerance: float | None = None
    budget_seconds: float | None = None
    picture: Path | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies the run."""
        return self.problem, self.mode, self.seed

    def is_done_by(self, row: Row) -> bool:
        """Return whether a row is of this run, with the same code and settings, and not failed."""
        same = row.code == package_digest() and row.settings == files.settings(self.problem)
        return row.key == self.key and same and not row.failed

    @property
    def options(self) -> list[str]:
        """The options of `kanpinn solve`."""
        if self.mode == HAND:
            return [f"--seed={self.seed}"]
        wanted = [f"run.tolerance={self.tolerance}", f"run.budget_seconds={self.budget_seconds}"]
        pairs = [*(f"{section}=" for section in UNSAID), *wanted]
        return [f"--seed={self.seed}", *(f"--set={pair}" for pair in pairs)]


def solve(task: Task, threads: int | None) -> Row:
    """Run `kanpinn solve` and return its row; a failure is a row without errors."""
    row = _solved(task, threads)
    return replace(
        row,
        tolerance=task.tolerance,
        budget_seconds=task.budget_seconds,
        code=package_digest(),
        settings=files.settings(task.problem),
    )


def _solved(task: Task, threads: int | None) -> Row:
    file = files.PROBLEMS / f"{task.problem}.toml"
    command = [sys.executable, "-m", "kanpinn", "solve", str(file), *task.options]
    with tempfile.TemporaryDirectory() as output:
        try:
            done = subprocess.run(
                [*command, "--json", "--quiet", f"--output={output}"],
                capture_output=True,
                cwd=files.REPOSITORY,
                env=environment(threads),
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=DEADLINE,
            )
        except subprocess.TimeoutExpired:
            return Row(*task.key, f"failed: not done within {DEADLINE} s")
        if not done.stdout.strip():  # else the status says what has failed
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return Row(*task.key, f"failed: exit code {done.returncode}: {last}")
        if task.picture is not None:
            (folder,) = (path.parent for path in Path(output).glob("*/*/run.json"))
            pictures.keep(folder, task.picture)
    return _row(task, json.loads(done.stdout))


def _row(task: Task, run: dict[str, Any]) -> Row:
    errors, reference = run["errors"] or {}, run.get("reference") or {}
    estimate = run.get("estimate") or {}
    error, parts = _errors(run, TARGETS.get(task.problem, Target()))
    return Row(
        *task.key,
        run["status"],
        error,
        errors.get("h1_relative"),
        json.dumps(parts),
        json.dumps(_unknowns(run)),
        run["parameters"],
        run["seconds"]["total"],
        run["threads"],
        reference.get("source", ""),
        reference.get("error"),
        estimate.get("l2_relative"),
        estimate.get("h1_relative"),
        estimate.get("contraction"),
        commit=run["git"] or "",
    )


def _errors(run: dict[str, Any], target: Target) -> tuple[float | None, dict[str, float]]:
    """Return the error that counts, and those of fields or eigenvalues."""
    if (modes := run.get("eigenvalues")) is not None:
        parts = {f"eigenvalue {i + 1}": mode["error"] for i, mode in enumerate(modes)}
        parts = {name: error for name, error in parts.items() if error is not None}
        counted = list(parts.values())[: target.eigenvalues]
        full = len(counted) >= (target.eigenvalues or 1)
        return (max(counted) if full else None), parts
    errors = run["errors"] or {}
    parts = {name: one["l2_relative"] for name, one in errors.get("fields", {}).items()}
    return errors.get("l2_relative"), parts


def _unknowns(run: dict[str, Any]) -> dict[str, list[float | None]]:
    found = run.get("estimated") or {}
    return {n: [one[key] for key in ("value", "low", "high", "exact")] for n, one in found.items()}
