"""Commands of kanpinn in copies of this process, which have everything imported already."""

import contextlib
import io
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import torch

import kanpinn.cli
from kanpinn.__main__ import main

CRASHED = 99  # exit code for an exception that the command did not turn into a message


@dataclass(frozen=True)
class Finished:
    """A command that has ended.

    code: its exit code; negative for a signal, such as that of the limit of seconds.
    seconds: the time that it took by the clock.
    megabytes: the memory that it took at most, beyond that of this process.
    said: what it wrote to standard output and standard error.
    """

    code: int
    seconds: float
    megabytes: float
    said: str

    def faults(self, seconds: float = 20, size: int = 2000, megabytes: float = 1024) -> list[str]:
        """Return what is wrong with it: a traceback, no word, or more than the given limits.

        Args:
            seconds: the most that it may take by the clock.
            size: the most bytes of messages, of a command that fails.
            megabytes: the most memory beyond that of this process.
        """
        found = {
            "traceback": self.code in (CRASHED, 1) and "Traceback" in self.said,
            "killed": self.code < 0,
            "slow": self.seconds > seconds,
            "long": self.code != 0 and len(self.said.encode()) > size,
            "memory": self.megabytes > megabytes,
            "silent": self.code != 0 and not self.said.strip(),
        }
        return [fault for fault, is_so in found.items() if is_so]


def run(arguments: Sequence[str], seconds: int) -> Finished:
    """Run a command of kanpinn in a fork; it is killed after a number of seconds."""
    assert kanpinn.cli and torch.get_num_threads() == 1, "a fork has one thread"
    sys.stdout.flush()
    reader, writer = os.pipe()
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = os.fork()
    if child == 0:
        os.close(reader)
        for stream in (1, 2):
            os.dup2(writer, stream)
        signal.alarm(seconds)
        os._exit(_code(arguments))
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as output:
        said = output.read()
    _, status, usage = os.wait4(child, 0)
    memory = max(usage.ru_maxrss - before, 0) / 1024
    code = os.waitstatus_to_exitcode(status)
    return Finished(code, time.perf_counter() - begun, memory, said)


def prepare(arguments: Sequence[str]) -> None:
    """Run a command in this process, so that later ones have its imports and its models."""
    before = sys.argv
    with contextlib.redirect_stdout(io.StringIO()):
        code = _code(arguments)
    assert code == 0, f"kanpinn {' '.join(arguments)} has failed"
    sys.argv = before
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _code(arguments: Sequence[str]) -> int:
    sys.argv = ["kanpinn", *arguments]
    code = CRASHED
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code
