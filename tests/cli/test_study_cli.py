"""The command `kanpinn study`: what it prints where, its exit codes, what it says to bad input."""

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import line_problem
import pytest
from commands import kanpinn, refused
from forks import Command
from typer.testing import Result

import kanpinn as kp
from kanpinn._support.shown import plain_table
from kanpinn.runs.study import Tally
from kanpinn.runs.study.table import empty, failure_lines, settings_table

GRIDS = {"network.grid": [4, 8], "run.seed": [0, 1]}
COLUMNS = ["status", "l2_relative", "h1_relative", "parameters", "seconds"]


class Thread(ThreadPoolExecutor):
    """One thread; no run of an interrupted study goes on in it beside the next command."""

    def __init__(self, _: int) -> None:
        super().__init__(1)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(cancel_futures=cancel_futures)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a problem; runs go to a thread: new processes take seconds."""
    monkeypatch.setattr(sys.modules[kp.sweep.__module__], "Processes", Thread)
    monkeypatch.chdir(tmp_path)
    line_problem.write(tmp_path)
    write(GRIDS)
    return tmp_path


def write(over: dict[str, list]) -> None:
    lines = [f'"{key}" = {json.dumps(values)}' for key, values in over.items()]
    head = '[study]\nbase = "line.toml"\n[study.over]\n'
    Path("grids.toml").write_text(head + "\n".join(lines))


def study(*options: str) -> Result:
    return kanpinn("study", "grids.toml", *options)


def the_study(output: str = "results") -> kp.Study:
    (found,) = Path(output).glob("*/study.json")
    return kp.Study.read(found)


def made(**columns: list) -> kp.Study:
    """A study with these columns, the runs converged where no status is given."""
    usual = empty("converged") | {"l2_relative": 1e-3, "seconds": 1.0}
    rows = [usual | dict(zip(columns, row, strict=True)) for row in zip(*columns.values())]  # noqa: B905
    varied = tuple(name for name in columns if name not in usual)
    return kp.Study(Path("made"), "made", varied, tuple(rows))


# What it prints


def test_a_study_prints_its_settings_is_found_again_and_is_listed() -> None:
    done = study()
    assert done.exit_code == 0, done.output
    head, four, eight, note, last = done.stdout.splitlines()
    assert head.split() == ["grid", "runs", "rel.", "L2", "rel.", "H1", "parameters", "seconds"]
    assert [row.split()[:2] for row in (four, eight)] == [["4", "2"], ["8", "2"]]
    assert float(eight.split()[2]) < float(four.split()[2]) < 1
    assert note == "(medians over runs that differ in the seed)"
    found = the_study()
    assert last == f"study: {found.path.relative_to(Path.cwd())}"
    assert found.path.name.startswith("grids-")
    assert done.stderr.splitlines()[-1].startswith("4 of 4 runs done, best rel. L2 ")
    again = study()
    assert again.exit_code == 0 and again.stdout == done.stdout
    assert again.stderr.startswith("4 of 4 runs done (4 from before), best rel. L2 ")
    best = {name: f"{min(found.column(name)):.1e}" for name in COLUMNS[1:3]}
    *_, title, line = kanpinn("list").stdout.splitlines()
    assert title == "studies in results:"
    assert line.split("  ")[1:-1] == [
        found.path.name, "4 of 4 runs done",
        f"best L2 {best['l2_relative']}", f"best H1 {best['h1_relative']}",
    ]  # fmt: skip


def test_quiet_prints_the_folder_alone() -> None:
    write({"run.seed": [0]})
    done = study("--quiet", "--output", "else/where")
    assert done.stdout == f"{the_study('else/where').path.relative_to(Path.cwd())}\n"
    assert done.stderr == ""


def test_json_is_one_object_on_standard_output() -> None:
    done = study("--json")
    told = json.loads(done.stdout)
    assert list(told) == ["name", "folder", "runs", "converged", "failed", "best", "failures"]
    assert told["name"] == "grids" and Path(told["folder"]) == the_study().path
    assert (told["runs"], told["failed"], told["failures"]) == (4, 0, [])
    assert told["best"]["network.grid"] == 8
    assert told["best"]["l2_relative"] == min(the_study().column("l2_relative"))
    assert "study: results" in done.stderr
    assert study("--json", "--quiet").stderr == ""


def test_of_many_settings_the_best_are_shown() -> None:
    sizes = list(range(24 + 6))
    study = made(size=sizes, l2_relative=[10.0**-size for size in sizes])
    table = settings_table(study, lines=24)
    head, *rows = plain_table([table.head, *table.rows]).splitlines()
    assert head.split() == ["size", "runs", "rel.", "L2", "seconds"]  # not what is unknown
    assert [int(row.split()[0]) for row in rows] == sizes[:5:-1]
    assert table.caption == f"the best {24} of {24 + 6} settings"


# Failures


def test_failed_runs_are_recorded_and_do_not_stop_the_rest() -> None:
    write({"network.degree": [1, 3], "run.seed": [0, 1]})
    done = study()
    assert done.exit_code == 1
    states = [status.partition(":")[0] for status in the_study().column("status")]
    assert states == ["failed", "failed", "converged", "converged"]
    head, one, three, *_ = done.stdout.splitlines()
    assert head.split()[:3] == ["degree", "runs", "failed"]
    assert one.split() == ["1", "2", "2", "-", "-", "-", "-"] and "-" not in three.split()
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors[0] == "error: 2 of 4 runs have failed"
    assert errors[1].startswith("error: network.degree = 1 is below the order 2 of residual")
    assert errors[1].endswith("(degree 1, seed 0)") and len(errors) == 2
    assert study("--quiet").stderr == "".join(f"{line}\n" for line in errors)
    told = json.loads(study("--json").stdout)
    assert told["failed"] == 2 and [row["run.seed"] for row in told["failures"]] == [0, 1]


def test_each_message_of_failed_runs_is_told_once_and_not_too_many() -> None:
    states = [f"failed: reason {i // 2}" for i in range(2 * 5 + 4)]
    first, *told, last = failure_lines(
        made(size=list(range(len(states))), status=states)
    ).splitlines()
    assert first == f"{len(states)} of {len(states)} runs have failed"
    assert told == [f"reason {i} (size {2 * i})" for i in range(5)]
    assert last == "and 2 other messages, which are in study.csv"


# Interruption


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(_: object, tally: Tally) -> None:
        if tally.done:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr("kanpinn.runs.progress.StudyProgress.__call__", interrupted)
        done = study()
    assert done.exit_code == 130
    kept = [row for row in the_study().rows if row["status"] == "converged"]
    assert done.stdout == ""
    assert done.stderr == (
        f"interrupted: {len(kept)} of 4 runs are finished and kept; "
        "the same command continues from there\n"
    )
    assert study().exit_code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_ctrl_c_amid_a_run_ends_workers_and_command(folder: Path, executor: str) -> None:
    write({"problem.parameters.pause": [0.0, 600.0]})
    options = ["--workers", "1", "--executor", executor]
    process = Command(["-m", "kanpinn", "study", "grids.toml", *options], folder)
    end = time.monotonic() + 120
    while '"converged"' not in "".join(p.read_text() for p in folder.glob("results/*/study.json")):
        assert time.monotonic() < end and process.returncode is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all that it has started
    # Both end when the last of those that write to them has: no worker is left.
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert output == "" and "Traceback" not in errors
    assert "interrupted: " in errors.splitlines()[-1]
    listed = kanpinn("list").stdout
    assert "1 of 2 runs done" in listed and the_study().path.name in listed


# Bad input


def test_a_problem_file_is_no_study() -> None:
    refused(kanpinn("study", "line.toml"), "line.toml", "expected one section [study]", "network")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "0"], ["workers", "at least 1, got 0"]),
        (["--address", "tcp://host:1"], ["--address tcp://host:1", "only --executor dask"]),
        (["--cluster", "cores=2"], ["--cluster cores=2", "only --executor slurm"]),
        (["--executor", "slurm"], ["--executor slurm needs --workers N"]),
        (["--executor", "slurm", "--workers", "2"], ["there is no sbatch on this machine"]),
        (["--executor", "pbs", "--workers", "2", "--cluster", "coers=2"],
         ["--cluster coers=2", 'did you mean "cores"?']),
        (["--executor", "dask", "--address", "tcp://host:1", "--workers", "2"],
         ["--workers 2", "the scheduler at --address has workers of its own"]),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(
    options: list[str], words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    refused(study(*options), *words)
