"""A smoke run in a process that has the heavy imports already: a fork of a server without threads."""

import os
import runpy
import sys
from multiprocessing import get_context
from pathlib import Path

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch",
        "scipy.optimize",
        "scipy.special",
        "skfem",
        "sympy",
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
        "kanpinn.interpret",
        "kanpinn.plotting",
        "kanpinn.runs.config",
        "kanpinn.runs.study",
    ]
)


def run(script: Path, output: Path, log: Path, seconds: float) -> int | None:
    """Run `script --smoke --output output` in the folder of the log, which gets all it prints.

    Returns the exit code; None where it took longer than `seconds` and was ended.
    """
    process = CONTEXT.Process(target=_main, args=(str(script), str(output), str(log)))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode


def _main(script: str, output: str, log: str) -> None:
    """What `python script --smoke --output output` does."""
    os.chdir(Path(log).parent)
    os.setpgid(0, 0)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = [script, "--smoke", "--output", output]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")
