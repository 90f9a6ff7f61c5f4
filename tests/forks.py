"""Processes of tests that are forks of one server process, which has the heavy imports already.

`python ARGUMENTS` as a new process imports torch anew, which takes seconds. A `Command` is a fork
that does what such a process does, and `Forked` starts the commands that a fork starts in its turn.
"""

import atexit
import gc
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import thread
from functools import partial
from multiprocessing import context, get_context, process, resource_tracker, util
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


class Command:
    """`python ARGUMENTS` in a folder and in a session of its own, with pipes for what it prints."""

    def __init__(self, arguments: Sequence[str], folder: Path, **environment: str) -> None:
        (out, its_out), (errors, its_errors) = (CONTEXT.Pipe(duplex=False) for _ in range(2))
        self._process = CONTEXT.Process(
            target=_start,
            args=(list(arguments), str(folder), os.environ | environment, its_out, its_errors),
        )
        self._process.start()
        self.stdout, self.stderr = (open(os.dup(pipe.fileno())) for pipe in (out, errors))
        for pipe in (out, its_out, errors, its_errors):
            pipe.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative after a signal; None while the process runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        """Return the exit code of the process, which has to end within so many seconds."""
        self._process.join(timeout)
        assert self.returncode is not None, "the process does not end"
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Return what it has printed, when it and all others that write to the pipes have ended.

        They have to end within so many seconds, and to print no more than a pipe holds.
        """
        self.wait(timeout)
        for pipe in (self.stdout, self.stderr):
            poll = select.poll()
            poll.register(pipe, select.POLLRDHUP)
            assert poll.poll(1e3 * timeout), "a process that it has started does not end"
        with self.stdout, self.stderr:
            return self.stdout.read(), self.stderr.read()

    def end(self) -> None:
        """Kill the process if it runs."""
        self._process.kill()
        self._process.join()
        self.stdout.close()
        self.stderr.close()


def _start(
    arguments: list[str], folder: str, environment: dict[str, str], out: Any, errors: Any
) -> None:
    gc.freeze()  # searches for garbage need not visit, and copy, what the server has imported
    os.setsid()
    os.chdir(folder)
    os.dup2(out.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    subprocess.Popen = Forked  # type: ignore[misc]
    context._concrete_contexts["spawn"] = get_context("fork")  # dask's workers
    become(arguments, environment)


class Forked(subprocess.Popen):
    """A Popen whose `python ...` is a fork of this process that becomes the command.

    The process and its pipes are those of any Popen. It only has what this process has imported.
    """

    def __init__(self, args: Any, **options: Any) -> None:
        if not isinstance(args, str) and args[0] == sys.executable:
            assert not options.get("pass_fds") and not options.get("preexec_fn")
            options["preexec_fn"] = partial(become, args[1:], options.get("env") or os.environ)
        super().__init__(args, **options)


def become(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Do what `python ARGUMENTS` does with the standard streams of this process, and end it."""
    gc.freeze()
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
    kind, *rest = arguments[arguments[0] in ("-P", "-u") :]
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
