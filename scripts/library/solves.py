"""One solve of a problem file in a process of its own, as a row of runs.csv."""

import ast
import csv
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
PROBLEMS = REPOSITORY / "problems"
DEADLINE = 1800  # seconds after which a solve is ended


@dataclass(frozen=True)
class Row:
    """What a run says of itself; problem and seed tell which it is. None: not known.

    field_errors: the relative L2 errors of a system's fields, as JSON. reference: what errors are
    against where that is no exact solution, reference_error that one's own relative L2 error.
    estimate_l2 and estimate_h1: the errors as kanpinn estimates them without either.
    """

    problem: str
    seed: int
    status: str
    l2: float | None = None
    h1: float | None = None
    field_errors: str = "{}"
    parameters: int | None = None
    seconds: float | None = None
    threads: int | None = None
    reference: str = ""
    reference_error: float | None = None
    estimate_l2: float | None = None
    estimate_h1: float | None = None
    contraction: float | None = None
    commit: str = ""


def solve(problem: str, seed: int, threads: int | None) -> Row:
    """Run `kanpinn solve`; a failure is a row without errors."""
    command = [sys.executable, "-m", "kanpinn", "solve", str(PROBLEMS / f"{problem}.toml")]
    command += [f"--seed={seed}", "--json", "--quiet"]
    with tempfile.TemporaryDirectory() as output:
        try:
            done = subprocess.run(
                [*command, f"--output={output}"],
                capture_output=True,
                cwd=REPOSITORY,
                env=_environment(threads),
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=DEADLINE,
            )
        except subprocess.TimeoutExpired:
            return Row(problem, seed, f"failed: not done within {DEADLINE} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Row(problem, seed, f"failed: exit code {done.returncode}: {last}")
    return _row(problem, seed, json.loads(done.stdout))


def _environment(threads: int | None) -> dict[str, str]:
    """This repository's kanpinn, on processors, with so many threads; None: as it is called."""
    environment = {**os.environ, "MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": ""}
    inherited = [p for p in (os.environ.get("PYTHONPATH"),) if p]
    environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *inherited])
    if threads is not None:
        for library in ("OMP", "MKL", "OPENBLAS"):
            environment[f"{library}_NUM_THREADS"] = str(threads)
    return environment


def _row(problem: str, seed: int, run: dict[str, Any]) -> Row:
    errors, reference = run["errors"] or {}, run["reference"] or {}
    estimate = run.get("estimate") or {}
    singles = {name: one["l2_relative"] for name, one in errors.get("fields", {}).items()}
    return Row(
        problem,
        seed,
        run["status"],
        errors.get("l2_relative"),
        errors.get("h1_relative"),
        json.dumps(singles),
        run["parameters"],
        run["seconds"]["total"],
        run["threads"],
        reference.get("source", ""),
        reference.get("error"),
        estimate.get("l2_relative"),
        estimate.get("h1_relative"),
        estimate.get("contraction"),
        run["git"] or "",
    )


def equation(problem: str) -> str:
    """The docstring's first line of the class that a file names, or the file's own first line."""
    text = (PROBLEMS / f"{problem}.toml").read_text(encoding="utf-8")
    named = tomllib.loads(text)["problem"].get("class")
    if named is None:
        return text.splitlines()[0].removeprefix("# ")
    file, _, name = named.partition(":")
    tree = ast.parse((PROBLEMS / file).read_text(encoding="utf-8"))
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    return (ast.get_docstring(found) or "").split("\n")[0]


def write(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    temporary.replace(path)


def read(path: Path) -> list[Row]:
    """The rows of earlier calls; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            Row(**{f.name: _parsed(f.type, r[f.name]) for f in fields(Row)})
            for r in csv.DictReader(stream)
        ]


def _parsed(kind: Any, text: str) -> Any:
    if kind is str:
        return text
    if text == "":
        return None
    return int(text) if kind in (int, int | None) else float(text)
