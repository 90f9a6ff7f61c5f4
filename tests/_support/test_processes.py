"""Worker processes: one call each, each call's own failure, and an end with their owner."""

import fcntl
import importlib
import operator
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from pathlib import Path

import pytest

from kanpinn._support.files import Pace, numbered, remove_temporaries, replacing, write_text
from kanpinn._support.processes import THREADS, Processes

HELPERS = """
import fcntl, sys, time
from pathlib import Path

class Stubborn(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")

def fail():
    raise Stubborn(1, 2)

def closure():
    return lambda: 0

def modules():
    return "torch" in sys.modules, "numpy" in sys.modules

def hold(folder):
    file = open(Path(folder, "lock"), "w")
    fcntl.flock(file, fcntl.LOCK_EX)
    Path(folder, "held").touch()
    time.sleep(60)
"""


@pytest.fixture
def processes() -> Iterator[Processes]:
    with Processes(1) as executor:
        yield executor


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """A module that only this process's path leads to."""
    (tmp_path / "worker_helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("worker_helpers")
    del sys.modules["worker_helpers"]


def held(folder: Path) -> bool:
    """Whether a live process is in the call `hold`."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def until(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_results_and_exceptions_come_back(processes: Processes) -> None:
    assert processes.submit(operator.mul, 6, 7).result() == 42
    with pytest.raises(ZeroDivisionError):
        processes.submit(operator.truediv, 1, 0).result()
    with pytest.raises(SystemExit):
        processes.submit(sys.exit, 3).result()
    assert processes.submit(int, "11", base=2).result() == 3


def test_one_process_takes_call_after_call_in_a_session_of_its_own(processes: Processes) -> None:
    pids = {processes.submit(os.getpid).result() for _ in range(3)}
    assert len(pids) == 1 and os.getpid() not in pids
    assert processes.submit(os.getsid, 0).result() == pids.pop()  # a terminal's Ctrl-C goes by it


def test_workers_have_one_thread_before_any_library_is_loaded(
    helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(THREADS[0])
    monkeypatch.setenv(THREADS[1], "3")
    with Processes(1) as executor:
        assert [executor.submit(os.getenv, name).result() for name in THREADS[:2]] == ["1", "3"]
        assert executor.submit(helpers.modules).result() == (False, False)


def test_what_a_call_prints_is_no_result(
    processes: Processes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert processes.submit(print, "by name", flush=True).result() is None
    assert processes.submit(os.write, 1, b"by number").result() == 9
    assert isinstance(processes.submit(input).exception(), EOFError)
    printed = capfd.readouterr()
    assert printed.out == "" and "by name" in printed.err and "by number" in printed.err


def test_exceptions_and_results_that_do_not_travel_are_told(helpers) -> None:
    with Processes(1) as executor:
        assert executor.submit(helpers.fail).exception() is not None
        for call in (helpers.closure, lambda: 0):  # what Python says depends on its version
            assert re.search("pickle|local object", str(executor.submit(call).exception()))
        assert executor.submit(operator.add, 1, 1).result() == 2


def test_only_the_call_of_a_dead_worker_is_lost() -> None:
    with Processes(2) as executor:
        first = executor.submit(os.getpid).result()
        others = [executor.submit(operator.neg, i) for i in range(4)]
        dead = executor.submit(os._exit, 7)
        killed = executor.submit(signal.raise_signal, signal.SIGKILL)
        with pytest.raises(BrokenExecutor, match="exit code 7"):
            dead.result()
        with pytest.raises(BrokenExecutor, match=r"ended: .*[Kk]illed"):
            killed.result()
        assert [future.result() for future in others] == [0, -1, -2, -3]
        assert executor.submit(os.getpid).result() != first


def test_shutdown_without_waiting_ends_calls_at_once(helpers, tmp_path: Path) -> None:
    executor = Processes(1)
    running = executor.submit(helpers.hold, str(tmp_path))
    waiting = executor.submit(operator.add, 1, 1)
    assert until((tmp_path / "held").exists)
    executor.shutdown(wait=False, cancel_futures=True)
    assert isinstance(running.exception(timeout=20), BrokenExecutor)
    with pytest.raises(CancelledError):
        waiting.result()
    assert until(lambda: not held(tmp_path))
    with pytest.raises(RuntimeError):
        executor.submit(operator.add, 1, 1)


def test_workers_end_when_their_owner_is_killed(helpers, tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import worker_helpers\n"
        "from kanpinn._support.processes import Processes\n"
        f"Processes(1).submit(worker_helpers.hold, {str(tmp_path)!r}).result()\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    owner = subprocess.Popen([sys.executable, "-c", script], env=environment)
    assert until((tmp_path / "held").exists) and held(tmp_path)
    owner.kill()
    owner.wait()
    assert until(lambda: not held(tmp_path))


# --- The pace at which a file is written again and again


@pytest.mark.parametrize(("cost", "pause"), [(0.0, 10.0), (0.25, 10.0), (3.0, 60.0)])
def test_a_write_is_due_after_the_interval_or_a_multiple_of_its_own_time(cost, pause, monkeypatch):
    """With the share 1/20 a write of c seconds is followed by a pause of max(10, 20 c)."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = Pace(interval=10.0, share=0.05)
    with pace.writing():
        now += cost
    now += pause - 0.01
    assert not pace.is_due
    now += 0.02
    assert pace.is_due


def test_the_first_write_is_not_due_at_once():
    assert not Pace(interval=60.0, share=1.0).is_due


def test_a_write_that_fails_is_not_counted():
    pace = Pace(interval=0.0, share=1e-9)
    with pytest.raises(OSError, match="full"), pace.writing():
        raise OSError("the disk is full")
    assert pace.is_due


# --- Files are replaced as a whole or not at all, and are on the disk before they have their name


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "text.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]
    write_text(path, "new")
    assert path.read_text() == "new" and [*tmp_path.iterdir()] == [path]


def test_contents_are_on_the_disk_before_the_name_and_then_the_name_is(tmp_path, monkeypatch):
    done, replace = [], os.replace

    def synchronised(descriptor: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    def renamed(old: Path, new: Path) -> None:
        done.append("renamed")
        replace(old, new)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the names of open files are not known here")
    monkeypatch.setattr(os, "fsync", synchronised)
    monkeypatch.setattr(os, "replace", renamed)
    with replacing(tmp_path / "text.txt") as temporary:
        temporary.write_text("text")
    assert done == [temporary, "renamed", tmp_path]


def test_two_writers_of_one_file_do_not_write_to_one_temporary(tmp_path):
    path = tmp_path / "text.txt"
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("first")
        other.write_text("second")
    assert path.read_text() == "first"  # the outer block ends last


def test_a_folder_that_vanishes_is_told_by_its_path(tmp_path):
    path = tmp_path / "gone" / "text.txt"
    path.parent.mkdir()
    with pytest.raises(FileNotFoundError, match="gone"), replacing(path) as temporary:
        temporary.unlink()
        path.parent.rmdir()


def test_a_file_that_does_not_fit_on_the_disk_is_told_by_its_path(tmp_path):
    path = tmp_path / "text.txt"
    write_text(path, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="large") as failed:
            write_text(path, "new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed.value.filename == str(path)
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]


def test_temporaries_of_killed_processes_are_removed(tmp_path):
    (tmp_path / ".run-0123456789ab.tmp.json").touch()
    (tmp_path / "run.json").touch()
    remove_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_numbered_names_begin_with_the_name_itself():
    found = numbered(Path("runs/a.b"))
    assert [next(found).as_posix() for _ in range(3)] == ["runs/a.b", "runs/a.b-2", "runs/a.b-3"]
