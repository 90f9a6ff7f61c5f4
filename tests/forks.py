"""Processes of tests that are forks of one server process, which has the heavy imports already.

`python ARGUMENTS` as a new process imports torch anew, which takes seconds. `become` makes a fork
do what such a process does; `Forked` does so for the commands that a fork starts in its turn.
"""

import atexit
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import thread
from functools import partial
from multiprocessing import get_context, process, resource_tracker, util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch",
        "torch._dynamo",  # imported by the first optimizer of torch
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


class Forked(subprocess.Popen):
    """A Popen whose `python ...` is a fork of this process that becomes the command.

    The process and its pipes are those of any Popen. It only has what this process has imported.
    """

    def __init__(self, args: Any, **options: Any) -> None:
        if not isinstance(args, str) and args[0] == sys.executable:
            assert not options.get("pass_fds") and not options.get("preexec_fn")
            environment = options.get("env") or os.environ
            options["preexec_fn"] = partial(become, args[1:], environment, closes=True)
        super().__init__(args, **options)


def become(arguments: Sequence[str], environment: Mapping[str, str], closes: bool = False) -> None:
    """Do what `python ARGUMENTS` does with the standard streams of this process, and end it.

    closes: whether all other files that are open here are closed first.
    """
    if closes:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        resource_tracker._resource_tracker.__init__()  # its pipe is closed
    # What this process, not the command, has to end: other processes, files, threads.
    atexit._clear()
    process._children.clear()
    thread._threads_queues.clear()
    util._finalizer_registry.clear()
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)
        for number, mode in enumerate(("r", "w", "w"))
    )
    sys.stderr.reconfigure(line_buffering=True)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
    # Threads of several do not survive a fork, and a fork that waits for them hangs.
    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", 1)))
    code = _code(list(arguments))
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


def _code(arguments: list[str]) -> int:
    """Run a file, -m MODULE or -c TEXT with its arguments; return the exit code."""
    try:
        _run(arguments)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _run(arguments: list[str]) -> None:
    safe = arguments[0] == "-P"  # the folder of the command is not a place of modules
    kind, *rest = arguments[safe:]
    at = "" if kind in ("-m", "-c") else str(Path(kind).parent)
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = [path for path in sys.path if Path(path).is_relative_to(sys.prefix)]
    own += [path for path in sys.path if Path(path).is_relative_to(sys.base_prefix)]
    sys.path[:] = [*([] if safe else [at]), *filter(None, places), *own]
    sys.argv = [kind, *rest] if at else ["-c", *rest[1:]] if kind == "-c" else rest
    if kind == "-m":
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(rest[0], vars(main))
    else:
        runpy.run_path(kind, run_name="__main__")
