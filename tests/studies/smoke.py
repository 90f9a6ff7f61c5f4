"""Smoke runs in processes that have the heavy imports already: forks of a server process."""

import os
import resource
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


def run(script: Path, output: Path, log: Path, seconds: int) -> int | None:
    """Run `script --smoke --output output` in the folder of the log, which gets all it prints.

    Returns the exit code, negative where the process was killed: it took more than `seconds` of the
    processor, or twenty times as long by the clock.
    """
    process = CONTEXT.Process(target=_main, args=(str(script), str(output), str(log), seconds))
    process.start()
    process.join(20 * seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode


def _main(script: str, output: str, log: str, seconds: int) -> None:
    """What `python script --smoke --output output` does."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    os.chdir(Path(log).parent)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = [script, "--smoke", "--output", output]
    tests = Path(__file__).parents[1]
    apart = [path for path in sys.path if not Path(path).is_relative_to(tests)]
    sys.path[:] = [str(Path(script).parent), *apart]
    runpy.run_path(script, run_name="__main__")
