"""Scripts whose measurements are sections, and the commands of kanpinn that they call."""

import argparse
import contextlib
import io
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from common import script
from common.pieces import Pieces, Row
from common.script import PROBLEMS

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


@dataclass(frozen=True)
class Section:
    """A part of what is measured.

    figures: measures it with the options of the script, and adds a line for each failure to a list.
    counts: its own options, with their values in full and in a smoke run, and their meaning.
    """

    figures: Callable[[argparse.Namespace, list[str]], dict[str, script.Verdict]]
    counts: Mapping[str, tuple[int, int, str]]

    def measured(self, name: str, chosen: argparse.Namespace, pieces: Pieces) -> Row:
        """Return its figures and failures, of an earlier call where that had the same options."""
        counts = {count: getattr(chosen, count) for count in self.counts}

        def make() -> list[Row]:
            print(f"{name} ...", flush=True)
            failures: list[str] = []
            return [{"figures": self.figures(chosen, failures), "failures": failures}]

        return pieces.rows({"section": name, "seed": chosen.seed} | counts, make)[0]


def measure(stem: str, description: str | None, sections: Mapping[str, Section]) -> None:
    """Measure the sections that the command line names, and write figures and failures.

    Args:
        stem: the name of the script, and of its folder and its file of figures.
        description: its docstring.
        sections: all sections by name.
    """
    chosen = _arguments(stem, description, sections)
    torch.set_num_threads(1)
    prepare(["check", str(PROBLEMS / "poisson2d.toml")])
    pieces = Pieces.under(chosen.output, chosen.smoke)
    figures: dict[str, script.Verdict] = {}
    failures: list[str] = []
    for name in chosen.only:
        row = sections[name].measured(name, chosen, pieces)
        figures |= row["figures"]
        failures += row["failures"]
    listed = "".join(f"- {failure}\n" for failure in failures) or "None.\n"
    (chosen.output / "failures.md").write_text(f"# Failures\n\n{listed}", "utf-8")
    script.write_verdicts(chosen.output / f"{stem}.json", figures)
    for name, figure in figures.items():
        print(f"{name}: {figure['value']} ({figure['target']})")


def _arguments(
    stem: str, description: str | None, sections: Mapping[str, Section]
) -> argparse.Namespace:
    counts = {name: count for one in sections.values() for name, count in one.counts.items()}
    chosen = script.options(
        stem,
        description,
        None,
        only=dict(nargs="+", choices=sections, default=[*sections], metavar="SECTION"),
        seed=dict(type=int, default=0, help="of all draws (0)"),
        **{n: dict(type=int, help=f"{means} ({full})") for n, (full, _, means) in counts.items()},
    )
    for name, (full, smoke, _) in counts.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, smoke if chosen.smoke else full)
    return chosen
