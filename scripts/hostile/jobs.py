"""Short runs of each kind, which are interrupted and started again."""

import math
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import typer

import kanpinn as kp
from hostile import commands
from kanpinn.cli.screen import reporting
from kanpinn.runs.results import RunFolder

SOLVE = """
[problem]
equation = "poisson"
domain = { type = "box", x = [0, 1] }
exact = "sin(pi*x)"
[network]
type = "kan"
width = [1, 3, 1]
degree = 3
grid = 3
[points]
interior = 20
boundary = 2
[[optimizer]]
type = "levenberg_marquardt"
steps = 3
"""
FIT = """
[data]
formula = "sin(pi*x) + y**2"
domain = { type = "box", x = [-1, 1], y = [-1, 1] }
rows = 60
validation = 0.2
[network]
type = "kan"
width = [2, 2, 1]
degree = 3
grid = 3
[[optimizer]]
type = "levenberg_marquardt"
steps = 3
"""
MARCH = """
[problem]
equation = "heat"
domain = { type = "box", x = [0, 1], t = [0, 0.2] }
exact = "exp(-pi**2*t)*sin(pi*x)"
[network]
type = "windows"
width = [2, 1]
degree = 7
grid = 8
[points]
interior = 100
boundary = 40
[[optimizer]]
type = "march"
tolerance = 1e-9
"""
AUTO = """
[problem]
equation = "poisson"
domain = { type = "box", x = [0, 1] }
exact = "exp(-60*(x - 0.4)**2)"
[run]
tolerance = 1e-10
budget_seconds = 1000
"""
Values = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Job:
    """A run, or a study, that can be started again in the folder in which it was stopped.

    command: of the command line; "study" for a study of `text`.
    text: the problem file.
    """

    command: str
    text: str

    def start(self, output: Path) -> int:
        """Run it in this process, and return its exit code."""
        file = output.with_suffix(".toml")
        if self.command == "study":
            try:
                with reporting(), ThreadPoolExecutor(1) as here:
                    kp.sweep(file, {"run.seed": [0, 1]}, output=output, executor=here)
            except typer.Exit as end:
                return end.exit_code
            return 0
        return commands.code_of([self.command, str(file), "--quiet", "--output", str(output)])

    def again(self, output: Path) -> int:
        """Resume what was stopped, or start from the beginning where nothing has been written."""
        left = [] if self.command == "study" else runs(output)
        if not left:
            return self.start(output)
        codes = [
            commands.code_of([self.command, "--resume", str(run), "--quiet"])
            for run in left
            if run.suffix == ".partial"
        ]
        return max(codes, default=0)

    def write_file(self, output: Path) -> None:
        """Write the problem file, and remove what an earlier run has written."""
        shutil.rmtree(output, ignore_errors=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.with_suffix(".toml").write_text(self.text, encoding="utf-8")


JOBS = {
    "solve": Job("solve", SOLVE),
    "fit": Job("fit", FIT),
    "march": Job("solve", MARCH),
    "auto": Job("solve", AUTO),
    "study": Job("study", SOLVE),
}


def runs(output: Path) -> list[Path]:
    """Return the folders below that have a run.json."""
    return sorted(path.parent for path in output.rglob("run.json"))


def networks(output: Path) -> list[Values]:
    """Return the coefficients of the networks of all finished runs, in the order of their folders.

    Those of a study have the same names in every folder, and otherwise there is one run.
    """
    finished = [run for run in runs(output) if run.suffix != ".partial"]
    states = [torch.load(run / "checkpoint.pt", weights_only=True)["run"] for run in finished]
    return [state["network"] for state in states]


def same(first: list[Values], second: list[Values]) -> bool:
    """Return True if all coefficients are equal to the last bit."""
    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
        for a, b in zip(first, second, strict=True)
    )


def every_step() -> None:
    """Make all runs of this process write a checkpoint after every step."""
    stock = RunFolder.checkpoint

    def checkpoint(folder: RunFolder, run: Any) -> None:
        folder.pace.interval, folder.pace.share = 0.0, math.inf
        stock(folder, run)

    RunFolder.checkpoint = checkpoint  # type: ignore[method-assign,assignment]
