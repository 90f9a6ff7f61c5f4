"""Whether kanpinn can be trusted with files: wrong ones, damaged ones, runs that are killed.

What: `mutations`: random mutations of the files of problems/, of their tables, values and
characters, are given to `kanpinn check`. `damage`: run folders of a solve and of a fit, with a file
that is cut off, has a flipped bit or other contents, are given to `kanpinn export` and `--resume`.
A command fails if it prints a traceback or more than 2 kB, takes more than 20 s of the processor or
1 GB of memory beyond that of the imports, ends by a signal or without a word, or changes a folder
that it refuses.
`writes`: at every operation on the disk of a short solve, fit and study (a file that is opened,
renamed or removed, a folder that is made, an fsync) the process is killed, also amid a write, or
the disk is full, refuses once, is read-only, or the folder vanishes: what fails must be told with
the path; every run folder must stay readable, with its last checkpoint, and the run must end, when
it is started again, with the coefficients of one that nothing has disturbed.
`kills`: the same after SIGKILL at random moments of a solve, a fit, a march, a search by `auto` and
a study.

How: each command runs in a fork of this process. What has failed is listed with the file that
reproduces it, which stays in --output. A section that has been measured by the same sources of
kanpinn, with the same options, is not measured again.

How long: some two hours on one core; --only SECTION ... measures some of the sections; --smoke:
three quarters of a minute.

Writes to --output: trust_files.json, failures.md, and the files that made a command fail.
"""

import argparse
import copy
import datetime
import errno
import functools
import io
import itertools
import json
import math
import os
import random
import resource
import shutil
import signal
import string
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
import torch
import typer
from common.script import PROBLEMS, Verdict, verdict
from hostile import sections
from hostile.sections import Section, measure, run

import kanpinn as kp
from kanpinn.cli.screen import reporting
from kanpinn.runs.config import document_schema
from kanpinn.runs.results import RunFolder

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
        return sections.code_of([self.command, str(file), "--quiet", "--output", str(output)])

    def again(self, output: Path) -> int:
        """Resume what was stopped, or start from the beginning where nothing has been written."""
        left = [] if self.command == "study" else runs(output)
        if not left:
            return self.start(output)
        codes = [
            sections.code_of([self.command, "--resume", str(run), "--quiet"])
            for run in left
            if run.suffix == ".partial"
        ]
        return max(codes, default=0)

    def write_file(self, output: Path) -> None:
        """Write the problem file, and remove what an earlier run has written."""
        shutil.rmtree(output, ignore_errors=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.with_suffix(".toml").write_text(self.text, encoding="utf-8")


HERE = Path(__file__).parent / "hostile"
KINDS = {"solve": "solve", "fit": "fit", "march": "solve", "auto": "solve"}
JOBS = {
    name: Job(command, (HERE / f"{name}.toml").read_text(encoding="utf-8"))
    for name, command in KINDS.items()
}
JOBS["study"] = Job("study", JOBS["solve"].text)


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


Place = tuple[Any, Any]  # a table or a list, and one of its keys or indices

VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 2, 7, 10**6, 2**31, 2**63 - 1, 0.0, -0.0, 0.5, -2.5, 1e-300, 1e300),
    *(
        math.nan,
        math.inf,
        True,
        False,
        "",
        "x",
        "kan",
        "exact",
        "auto",
        "os:system",
        "nowhere.py:A",
    ),
    *("poisson2d.py:Poisson2D", "sin(x)", "1/0", "x**x", "\u2028\0ü", "../../../etc/passwd"),
    *("a" * 5000, [], [1], [2, 3, 1], [[]], [[1, 2], [3]], ["x", 1]),
    *({}, {"type": "box"}, {"x": [0, 1]}, {"type": "kan", "width": [2, 2, 1]}),
    *(datetime.date(2020, 1, 1), datetime.time(1, 2, 3), datetime.datetime(2020, 1, 1, 12)),
)


def of_mutations(chosen: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Give mutated files to `kanpinn check`, beside copies of the files that they name."""
    folder = chosen.output / "mutated"
    shutil.copytree(PROBLEMS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__*"))
    codes: Counter[int] = Counter()
    files = sorted(PROBLEMS.glob("*.toml"))
    wrong = []
    for name, contents in mutations(files, chosen.mutations, chosen.seed):
        path = folder / f"mutated_{name}.toml"
        path.write_bytes(contents)
        done = sections.run(["check", str(path)], 200)
        codes[done.code] += 1
        if faults := done.faults():
            wrong.append(f"kanpinn check {path}: {', '.join(faults)}")
        else:
            path.unlink()
    failures += wrong
    return {
        "mutated files: commands that fail": verdict(
            len(wrong), f"0 of {chosen.mutations}", not wrong
        ),
        "mutated files: exit codes": verdict(
            {str(code): number for code, number in sorted(codes.items())},
            "0 where the file is still one, or 2",
            set(codes) <= {0, 2},
        ),
    }


def mutations(files: Sequence[Path], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the contents of mutated files.

    Args:
        files: the files that are mutated, in TOML.
        count: the number of mutations.
        seed: the seed of all random choices.
    """
    texts = {path.stem: path.read_text(encoding="utf-8") for path in files}
    for index in range(count):
        chosen = random.Random(f"{seed} {index}")
        name = chosen.choice(sorted(texts))
        mutate = _of_characters if index % 4 == 0 else _of_tables
        yield f"{name}_{index}", mutate(texts[name], texts, chosen)


def _of_characters(text: str, texts: dict[str, str], chosen: random.Random) -> bytes:
    """Cut, repeat, exchange or insert some characters or bytes."""
    content = text.encode()
    for _ in range(chosen.randint(1, 3)):
        start = chosen.randrange(len(content) + 1)
        stop = min(start + chosen.choice((1, 1, 2, 10, 100)), len(content))
        part = content[start:stop]
        new = chosen.choice((
            b"", part * 2, part[::-1], bytes([chosen.randrange(256)]), b"[" * 50, b"9" * 400,
            chosen.choice(string.punctuation).encode(), b"\n", b'"""', b".a" * 40,
        ))  # fmt: skip
        content = content[:start] + new + content[stop:]
    return content


def _of_tables(text: str, texts: dict[str, str], chosen: random.Random) -> bytes:
    """Change, remove, move or rename one to three values."""
    tables = tomllib.loads(text)
    for _ in range(chosen.choice((1, 1, 1, 2, 3))):
        places = [*_places(tables)]
        if not places:
            break
        inside, key = chosen.choice(places)
        value = inside[key]
        match chosen.randrange(7):
            case 0:
                inside[key] = copy.deepcopy(chosen.choice(VALUES))
            case 1:  # the value of another place of some file
                other = tomllib.loads(texts[chosen.choice(sorted(texts))])
                there, name = chosen.choice([*_places(other)])
                inside[key] = there[name]
            case 2:
                inside[key] = _changed(value, chosen)
            case 3:
                del inside[key]
            case 4 if isinstance(inside, dict):
                inside[_misspelt(key, chosen)] = inside.pop(key)
            case 5 if isinstance(inside, dict):  # a key that some table has
                name, known = chosen.choice(_keys_of_the_schema())
                inside[name] = copy.deepcopy(chosen.choice((*known, *VALUES)))
            case _:
                inside[key] = chosen.choice(([value], [value, value], {"type": value}))
    return tomli_w.dumps(tables).encode(errors="surrogatepass")


@functools.cache
def _keys_of_the_schema() -> list[tuple[str, list[Any]]]:
    """Return the keys of all tables of problem files, with the values that the schema names."""
    found = []
    for kind in ("problem", "fit"):
        for table in document_schema(kind)["$defs"].values():
            for key, one in table["properties"].items():
                named = [one.get("default"), one.get("const"), *one.get("enum", ())]
                found.append((key, [_without_nulls(value) for value in named if value is not None]))
    return found


def _without_nulls(value: Any) -> Any:
    """Return a value of the schema without the keys whose value is null, which TOML cannot say."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(one) for key, one in value.items() if one is not None}


def _changed(value: Any, chosen: random.Random) -> Any:
    """Return a value of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            return chosen.choice((-value, value + 1, value * 10 ** chosen.randint(1, 12), 0))
        case float():
            return chosen.choice((-value, value * 10.0 ** chosen.randint(-300, 300), 0.0))
        case str():
            return chosen.choice(
                (value.upper(), value[:-1], value + value, f"({value}", "-" + value)
            )
        case list():
            return chosen.choice((value[:-1], value + value[-1:], value[::-1], value * 20))
        case dict():
            return {name: value[name] for name in value if chosen.random() < 0.7}
    return value


def _misspelt(key: str, chosen: random.Random) -> str:
    at = chosen.randrange(len(key) + 1)
    return key[:at] + chosen.choice(string.ascii_lowercase + "._-\0é") + key[at + 1 :]


def _places(value: Any) -> Iterator[Place]:
    """Yield each place within tables and lists."""
    keys: Any = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


DAMAGED_VALUES: tuple[Any, ...] = (None, 5, -1e300, "x", [], [1], {}, {"a": 1})
Damage = tuple[str, Callable[[], bytes]]  # its name, and what makes the damaged file


@dataclass(frozen=True)
class Outcome:
    """What a command said of a damaged folder.

    name: of the damage. faults: what is wrong with the command; empty if nothing is. refused:
    whether it ended with an error.
    """

    name: str
    faults: list[str]
    refused: bool


def of_damage(chosen: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Give damaged copies of two run folders to two commands."""
    folder = chosen.output / "runs"
    found: dict[str, Verdict] = {}
    for kind in ("solve", "fit"):
        source = finished(kind, folder)
        ended = [*outcomes(kind, source, folder, chosen.damages, chosen.seed)]
        wrong = [f"{one.name}: {', '.join(one.faults)}" for one in ended if one.faults]
        failures += wrong
        found[f"damaged {kind}: commands that fail"] = verdict(
            len(wrong), f"0 of {len(ended)}", not wrong
        )
        found[f"damaged {kind}: commands that refuse it"] = verdict(
            sum(one.refused for one in ended), "all but those that do not read what is damaged"
        )
    return found


def finished(kind: str, folder: Path) -> Path:
    """Make a run of a kind of file, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}.toml"
    path.write_text(JOBS[kind].text, encoding="utf-8")
    done = run([kind, str(path), "--quiet", "--output", str(folder)], 120)
    if done.code:
        raise RuntimeError(f"{path} cannot be run: {done.said}")
    return Path(done.said.strip().splitlines()[-1])


def outcomes(kind: str, source: Path, folder: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Yield what two commands say of copies of a run folder with one damaged file.

    Args:
        kind: "solve" or "fit".
        source: the folder of a finished run.
        folder: where the copies are made.
        count: the number of damages, drawn from all.
        seed: the seed of all random choices.
    """
    chosen = random.Random(f"{seed} {kind}")
    found = [
        (name, f"{name}: {what}", contents)
        for name, damages in (("run.json", _records), ("checkpoint.pt", _checkpoints))
        for make in (_cuts, _flips, damages)
        for what, contents in make((source / name).read_bytes(), chosen)
    ]
    for name, what, contents in chosen.sample(found, min(count, len(found))):
        for command in ("export", kind):
            yield _outcome(command, source, folder / "copy", name, what, contents())


def _outcome(
    command: str, source: Path, path: Path, name: str, what: str, contents: bytes
) -> Outcome:
    for left in (path, path.with_name(f"{path.name}.partial")):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(source, path)
    (path / name).write_bytes(contents)
    export = ["export", str(path), "--format", "npz", "--output", str(path.with_suffix(".npz"))]
    more = ["--set", "optimizer[0].steps=5", "--quiet"]
    done = run(export if command == "export" else [command, "--resume", str(path), *more], 60)
    faults = done.faults()
    kept = path.is_dir() and (path / name).read_bytes() == contents
    if done.code == 2 and not kept:
        faults.append("the folder has changed")
    return Outcome(f"{command} {what}", faults, done.code == 2)


def _cuts(content: bytes, chosen: random.Random) -> Iterator[Damage]:
    for part in (0.0, 0.001, chosen.random(), 0.99, 0.9999):
        size = int(part * len(content))
        yield f"cut to {size} bytes", functools.partial(bytes, content[:size])


def _flips(content: bytes, chosen: random.Random) -> Iterator[Damage]:
    for _ in range(40):
        at, bit = chosen.randrange(len(content)), chosen.randrange(8)
        changed = bytearray(content)
        changed[at] ^= 1 << bit
        yield f"bit {bit} of byte {at}", functools.partial(bytes, changed)


def _records(content: bytes, chosen: random.Random) -> Iterator[Damage]:
    whole = json.loads(content)

    def recorded(damage: tuple[Any, ...]) -> bytes:
        return json.dumps(_damaged(whole, *damage)).encode()

    for what, damage in _damages(whole):
        yield what, functools.partial(recorded, damage)


def _checkpoints(content: bytes, chosen: random.Random) -> Iterator[Damage]:
    whole = torch.load(io.BytesIO(content), weights_only=True)

    def saved(damage: tuple[Any, ...]) -> bytes:
        stream = io.BytesIO()
        torch.save(_damaged(whole, *damage), stream)
        return stream.getvalue()

    for what, damage in _damages(whole, torch.zeros(3)):
        yield what, functools.partial(saved, damage)


def _damages(whole: Any, *more: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the paths to the entries of nested tables, each with other values and without one."""
    for path in _paths(whole):
        for value in (*DAMAGED_VALUES, *more):
            yield f"{'.'.join(path)} = {value}", (path, value)
        yield f"{'.'.join(path)} is missing", (path,)


def _damaged(whole: Any, path: tuple[str, ...], *value: Any) -> Any:
    """Return a copy of nested tables in which an entry has another value, or is missing."""
    changed = copy.deepcopy(whole)
    place = _at(changed, path[:-1])
    if value:
        place[path[-1]] = value[0]
    else:
        del place[path[-1]]
    return changed


def _paths(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*above, key)
            yield from _paths(inner, (*above, key))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


PATHS = {"os.rename": 1, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0}  # arguments of the events
NOTHING_YET = "neither a checkpoint nor a result"
Operation = tuple[str, str]  # what is done, and to which path


@dataclass
class Shim:
    """Counts the operations of a process that change a folder, and does something at the n-th.

    They are files that are opened for writing, renamed or removed, folders that are made or
    removed, and waits for the disk (fsync).

    folder: the folder. at: the number n, from 0. fault: is called before this operation and before
    each later one, with the shim and the operation. count: of operations so far. busy: whether the
    fault is at work, whose own operations do not count.
    """

    folder: Path
    at: int
    fault: Callable[["Shim", Operation], None]
    count: int = 0
    busy: bool = False

    def install(self) -> None:
        wait = os.fsync

        def fsync(descriptor: int) -> None:
            self.operation("fsync", self.folder / "file")
            wait(descriptor)

        os.fsync = fsync  # type: ignore[assignment]
        sys.addaudithook(self.heard)

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Notice an event of Python's, which an exception prevents."""
        if event in PATHS:
            self.operation(event, arguments[PATHS[event]])
        elif event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.operation(event, arguments[0])

    def operation(self, event: str, path: Any) -> None:
        if self.busy or not str(path).startswith(f"{self.folder}{os.sep}"):
            return
        self.count += 1
        if self.count > self.at:
            self.busy = True
            try:
                self.fault(self, (event, str(path)))
            finally:
                self.busy = False


def killed(shim: Shim, operation: Operation) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_amid_a_write(shim: Shim, operation: Operation) -> None:
    """Let the system kill the process when it has written some bytes of a file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    disk_full(shim, operation)


def disk_full(shim: Shim, operation: Operation) -> None:
    """Let files have a few bytes only from now on: what is beyond cannot be written."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (7 * shim.at % 300, hard))


def fails_once(shim: Shim, operation: Operation) -> None:
    if shim.count == shim.at + 1:
        _refuse(errno.ENOSPC, operation)


def read_only(shim: Shim, operation: Operation) -> None:
    _refuse(errno.EROFS, operation)


def folder_vanishes(shim: Shim, operation: Operation) -> None:
    shutil.rmtree(shim.folder, ignore_errors=True)


def _refuse(code: int, operation: Operation) -> None:
    path = () if operation[0] == "fsync" else (operation[1],)  # a descriptor has no name
    raise OSError(code, os.strerror(code), *path)


FAULTS = (killed, killed_amid_a_write, disk_full, fails_once, read_only, folder_vanishes)


@dataclass(frozen=True)
class Whole:
    """A run that nothing disturbs: its operations, and the networks that it finds."""

    operations: list[Operation]
    networks: list[Values]

    def has_checkpoint(self, run: str, at: int) -> bool:
        """Return True if a run's checkpoint has its name before the n-th operation."""
        done = [Path(path) for _, path in self.operations[:at]]
        return any(one.name == "checkpoint.pt" and one.parent.name == run for one in done)


def of_writes(chosen: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Let each operation of a solve, a fit and a study fail in each way, or some of them."""
    found: dict[str, Verdict] = {}
    faults_in_turn = itertools.cycle(FAULTS)
    for name in ("solve", "fit", "study"):
        job, folder = JOBS[name], (chosen.output / "writes" / name).resolve()
        whole = undisturbed(job, folder / "whole" / name)
        cases = [(fault, at) for fault in FAULTS for at in range(len(whole.operations))]
        if chosen.writes < len(cases):
            draw = random.Random(f"{chosen.seed} {name}")
            some = itertools.islice(faults_in_turn, chosen.writes)
            cases = [(fault, draw.randrange(len(whole.operations))) for fault in some]
        wrong = []
        for fault, at in cases:
            if faults := [*faults_of(job, whole, folder / "faulty" / name, fault, at)]:
                event, path = whole.operations[at]
                case = f"{name}, {fault.__name__} at {at} ({event} {path})"
                wrong.append(f"{case}: {'; '.join(faults)}")
        failures += wrong
        found[f"{name}, faults at its {len(whole.operations)} operations on the disk"] = verdict(
            len(wrong), f"0 of {len(cases)} that lose something or are not told", not wrong
        )
    return found


def undisturbed(job: Job, output: Path) -> Whole:
    """Run a job and note its operations."""
    job.write_file(output)
    notes = os.open(output.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def note(shim: Shim, operation: Operation) -> None:
        os.write(notes, f"{json.dumps(operation)}\n".encode())

    done = _run(job, output, Shim(output, 0, note))
    os.close(notes)
    if done.code:
        raise RuntimeError(f"{output.with_suffix('.toml')} cannot be run: {done.said}")
    lines = output.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return Whole([tuple(json.loads(line)) for line in lines], networks(output))


def faults_of(
    job: Job, whole: Whole, output: Path, fault: Callable[[Shim, Operation], None], at: int
) -> Iterator[str]:
    """Yield what is wrong after a fault at the n-th operation of a job."""
    job.write_file(output)
    done = _run(job, output, Shim(output, at, fault))
    if done.code >= 0:
        yield from done.faults()
        if done.code not in (0, 1, 2) or (done.code and str(output) not in done.said):
            yield f"exit code {done.code}, and it says {done.said.strip()!r}"
    elif "kill" not in fault.__name__:
        yield "killed"
    if fault is folder_vanishes:
        return
    for folder in runs(output):
        target = output.with_suffix(".npz")
        read = sections.run(["export", str(folder), "--format", "npz", "--output", str(target)], 60)
        early = not whole.has_checkpoint(folder.name, at) and NOTHING_YET in read.said
        if read.code and not early:
            yield f"{folder.name} cannot be read: {read.said.strip()}"
    listed = sections.run(["list", "--output", str(output)], 60)
    if listed.code or listed.faults():
        yield f"it cannot be listed: {listed.said.strip()}"
    resumed = sections.forked(lambda: job.again(output), 60)
    if resumed.code:
        yield f"it cannot be gone on with: {resumed.said.strip()}"
    elif not same(networks(output), whole.networks):
        yield "another result than without the fault"


def _run(job: Job, output: Path, shim: Shim) -> sections.Finished:
    def action() -> int:
        every_step()
        shim.install()
        return job.start(output)

    return sections.forked(action, 60)


def of_kills(chosen: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Kill runs of one kind after the other, half with the default interval between checkpoints.

    The others write a checkpoint after every step. Fewer kills than kinds leave the last kinds out.
    """
    found: dict[str, Verdict] = {}
    for i, (name, job) in enumerate(JOBS.items()):
        if not (count := len(range(i, chosen.kills, len(JOBS)))):
            break
        folder = (chosen.output / "kills").resolve()
        whole, seconds = undisturbed_run(job, folder / "whole" / name)
        moments = random.Random(f"{chosen.seed} {name}")
        killed, wrong = 0, []
        for number in range(count):
            moment, often = moments.uniform(0, seconds), number % 2 == 1
            output = folder / "killed" / name
            job.write_file(output)
            killed += started(job, output, often, moment).code < 0
            if fault := different(job, output, whole):
                kept = "a checkpoint at every step" if often else "the default interval"
                wrong.append(f"{name}, killed after {moment:.2f} s with {kept}: {fault}")
        failures += wrong
        found[f"{name}: runs that a kill has changed"] = verdict(
            len(wrong), f"0 of {killed} that were killed", not wrong
        )
    return found


def undisturbed_run(job: Job, output: Path) -> tuple[list[Values], float]:
    """Return the networks that a job finds, and the seconds by the clock that it takes."""
    job.write_file(output)
    begun = time.monotonic()
    done = started(job, output, False, 200)
    if done.code:
        raise RuntimeError(f"{output.with_suffix('.toml')} cannot be run: {done.said}")
    return networks(output), time.monotonic() - begun


def started(job: Job, output: Path, often: bool, seconds: float) -> sections.Finished:
    """Start a job, which gets SIGKILL after some seconds.

    often: whether it writes a checkpoint after every step.
    """

    def action() -> int:
        if often:
            every_step()
        return job.start(output)

    return sections.forked(action, seconds)


def different(job: Job, output: Path, whole: list[Values]) -> str:
    """Go on with what was killed, and return what differs then, "" if nothing does."""
    again = sections.forked(lambda: job.again(output), 200)
    if again.code:
        return f"it cannot be gone on with: {again.said.strip()}"
    return "" if same(networks(output), whole) else "other networks than without the kill"


SECTIONS = {
    "mutations": Section(of_mutations, {"mutations": (2000, 16, "of problem files")}),
    "damage": Section(of_damage, {"damages": (300, 1, "of each run folder")}),
    "writes": Section(of_writes, {"writes": (10**6, 2, "faults of each kind of run; all")}),
    "kills": Section(of_kills, {"kills": (100, 1, "of runs, the kinds together")}),
}

if __name__ == "__main__":
    measure(Path(__file__).stem, __doc__, SECTIONS)
