"""Commands of kanpinn in copies of this process, which have everything imported already."""

import contextlib
import io
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

import kanpinn.cli
from kanpinn.__main__ import main

CRASHED = 99  # exit code for an exception that the command did not turn into a message


@dataclass(frozen=True)
class Finished:
    """A command that has ended.

    code: its exit code; negative for a signal, such as that of the limit of seconds.
    seconds: the processor time that it took, which does not depend on what else is running.
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
            seconds: the most processor time that it may take.
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


def run(
    arguments: Sequence[str], seconds: float, before: Callable[[], None] = lambda: None
) -> Finished:
    """Run a command of kanpinn in a fork; it is killed after a number of seconds.

    before: is called in the fork first.
    """

    def command() -> int:
        before()
        return code_of(arguments)

    return forked(command, seconds)


def forked(action: Callable[[], int], seconds: float) -> Finished:
    """Run a function, which returns an exit code, in a fork of this process.

    It gets SIGKILL after a number of seconds by the clock.
    """
    assert kanpinn.cli and torch.get_num_threads() == 1, "a fork has one thread"
    sys.stdout.flush()
    reader, writer = os.pipe()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    end = time.monotonic() + seconds
    child = os.fork()
    if child == 0:
        os.close(reader)
        for stream in (1, 2):
            os.dup2(writer, stream)
        os._exit(action())
    os.close(writer)
    said = b""
    with open(reader, "rb", buffering=0) as output:
        while select.select([output], [], [], max(end - time.monotonic(), 0))[0]:
            if not (part := output.read(2**16)):
                break
            said += part
        else:
            os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
    memory = max(usage.ru_maxrss - before, 0) / 1024
    code = os.waitstatus_to_exitcode(status)
    text = said.decode("utf-8", "replace")
    return Finished(code, usage.ru_utime + usage.ru_stime, memory, text)


def prepare(arguments: Sequence[str]) -> None:
    """Run a command in this process, so that later ones have its imports and its models."""
    before = sys.argv
    with contextlib.redirect_stdout(io.StringIO()):
        code = code_of(arguments)
    assert code == 0, f"kanpinn {' '.join(arguments)} has failed"
    sys.argv = before
    signal.signal(signal.SIGINT, signal.default_int_handler)


def code_of(arguments: Sequence[str]) -> int:
    """Run a command in this process, and return its exit code."""
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
