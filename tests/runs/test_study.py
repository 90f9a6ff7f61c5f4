"""Studies: which runs there are, that none is done twice or lost, and what their table says."""

import csv
import errno
import functools
import json
import os
import re
import shutil
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from pathlib import Path
from typing import Any

import h5py
import line_problem
import numpy
import pytest
import torch
from filelock import FileLock
from forks import Command
from line_problem import HELPER, SECTIONS

import kanpinn as kp
from kanpinn._support.files import FolderLock, Locked
from kanpinn.runs.config import Config
from kanpinn.runs.results import RunFolder
from kanpinn.runs.study import StudyFile, Tally
from kanpinn.runs.study.sweep import LOCKS, Entry, RunOutcome, Task, execute, plan, version
from kanpinn.runs.study.table import RUNS, empty


def fingerprint(config: Config) -> str:
    """The hash in the name of the run's folder."""
    return Entry({}, config).name


ADAM = {"type": "adam", "steps": 6, "lr": 0.01}


class Here(Executor):
    """Runs each call when it is submitted, in this process; `before` may stand in its way."""

    def __init__(self, before: Callable[[int], object] = lambda count: None) -> None:
        self.names: list[str] = []
        self.before = before

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        self.names.append(args[0].run)
        try:
            self.before(len(self.names))
            future.set_result(call(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a problem file and its classes."""
    line_problem.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep(over: dict[str, Any], executor: Executor | None = None, **options: Any) -> kp.Study:
    return kp.sweep(options.pop("base", SECTIONS), over, executor=executor or Here(), **options)


def entries(over: dict[str, Any], base: Any = SECTIONS, **zipped: Any) -> list[Entry]:
    return plan(base, over, zipped, Path())[0]


def stamps(study: kp.Study) -> dict[Path, int]:
    """When each file of the runs was last written."""
    files = (study.path / RUNS).rglob("*")
    return {file: file.stat().st_mtime_ns for file in files if file.is_file()}


def task_of(study: Path, **values: Any) -> Task:
    (entry,) = entries({key: [value] for key, value in ({"run.seed": 0} | values).items()})
    (study / RUNS).mkdir(parents=True, exist_ok=True)
    config = entry.config
    return Task(config.to_dict(), str(config.directory), "line", str(study), "a-run", version())


# --- which runs there are ------------------------------------------------------------------------


def test_runs_are_the_product_and_the_last_key_varies_fastest() -> None:
    over = {"network.grid": [2, 3], "run.seed": (0, 1)}
    found = entries(over, **{"network.degree": [3, 4], "points.interior": range(9, 11)})
    values = [tuple(entry.values.values()) for entry in found]
    steps = [(3, 9), (4, 10)]
    assert values == [(g, s, *z) for g in (2, 3) for s in (0, 1) for z in steps]
    settings = [entry.config.to_dict() for entry in found]
    assert [s["network"]["degree"] for s in settings] == [d for _, _, d, _ in values]
    assert [s["run"]["seed"] for s in settings] == [s for _, s, _, _ in values]


def test_lists_tables_and_arrays_are_values() -> None:
    stages = [[{"type": "least_squares"}], [ADAM | {"steps": 2}]]
    found = entries({"optimizer": stages, "network.width": [[1, 1], [1, 2, 1]]})
    assert [len(entry.config.sections["optimizer"]) for entry in found] == [1, 1, 1, 1]
    assert found[1].config.sections["network"]["width"] == [1, 2, 1]
    (entry,) = entries({"optimizer[0].steps": [5]}, SECTIONS | {"optimizer": [ADAM]})
    assert entry.config.sections["optimizer"][0]["steps"] == 5
    seeds = [entry.values["run.seed"] for entry in entries({"run.seed": numpy.arange(3)})]
    assert seeds == [0, 1, 2] and all(type(seed) is int for seed in seeds)


def test_base_is_a_file_a_dict_or_a_function(room: Path) -> None:
    def line(grid: int, seed: int = 0) -> dict[str, Any]:
        return SECTIONS | {"network": SECTIONS["network"] | {"grid": grid}, "run": {"seed": seed}}

    (ours,) = entries({"network.grid": [3]})
    (named,) = entries({"network.grid": [3]}, room / "line.toml")
    (made,) = entries({"grid": [3]}, line)
    partly = entries({"seed": [0, 1]}, functools.partial(line, 3))
    prints = {fingerprint(entry.config) for entry in (ours, named, made, partly[0])}
    assert len(prints) == 1
    assert named.config.directory == room


@pytest.mark.parametrize(
    ("over", "zipped", "message"),
    [
        ({}, {}, "over is empty"),
        ({"network.grid": []}, {}, r"over.network.grid = \[\]: expected a list"),
        ({"network.grid": "48"}, {}, "over.network.grid = '48': expected a list"),
        ({"network.gird": [4, 8]}, {}, 'network.gird is unknown; did you mean "grid"'),
        ({"netwrok.grid": [4]}, {}, "netwrok is unknown"),
        ({"network grid": [4]}, {}, "is not the path of a key"),
        ({"status": [4]}, {}, "has a column of this name"),
        ({"run.seed": [0]}, {"run.seed": [0]}, "is in over and in zipped"),
        ({}, {"run.seed": [0, 1], "network.grid": [2]}, "must have one length"),
        ({"run.seed": ["one"]}, {}, 'run.seed = "one": expected an integer'),
        ({"run.seed": [0, 1, 0]}, {}, "two runs have the same settings"),
        ({"loss.interior": [4, 4.0]}, {}, "two runs have the same settings"),
        ({"problem.parameters.rate": [4, 4.0]}, {}, "two runs have the same settings"),
        ({"loss.interior": [1, float("nan")]}, {}, "over.loss.interior = nan: expected finite"),
        ({"network.width": [[1, float("inf")]]}, {}, "expected finite"),
        ({"problem.parameters.rate": ["a\0b"]}, {}, "expected plain text"),
        ({"problem.parameters.rate": ["\udcff"]}, {}, "expected plain text"),
    ],
)
def test_what_cannot_be_a_study_is_refused_before_anything_is_written(
    over: dict[str, Any], zipped: dict[str, Any], message: str, room: Path
) -> None:
    executor = Here()
    with pytest.raises(kp.InputError, match=message):
        sweep(over, executor, zipped=zipped)
    assert not executor.names and not (room / "results").exists()


def test_class_files_are_looked_for_in_the_directory(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (room / "below").mkdir()
    monkeypatch.chdir(room / "below")
    with pytest.raises(kp.InputError, match=r"there is no file line\.py"):
        sweep({"run.seed": [0]})
    study = sweep({"run.seed": [0]}, directory="..", output="out")
    assert study.path.parent == room / "below" / "out"
    assert study.column("status") == ["converged"]


def test_a_function_that_does_not_fit_is_told() -> None:
    def line(grid: int) -> Any:
        if grid < 0:
            raise ZeroDivisionError("mine")
        return [grid]

    with pytest.raises(kp.InputError, match="cannot be called with gird: missing a required"):
        sweep({"gird": [1]}, base=line)
    with pytest.raises(kp.InputError, match=r"the base returned \[1\]: expected the sections"):
        sweep({"grid": [1]}, base=line)
    with pytest.raises(ZeroDivisionError, match="mine"):  # the caller's own, with its traceback
        sweep({"grid": [-1]}, base=line)


def test_names_of_runs_fit_every_file_system() -> None:
    long = "x" * 300
    values = ["a/b\\c:d*e?", "", "..", "ü" * 100, "\U0001d6fc" * 100, long, long + "y"]
    base = Config.from_dict(SECTIONS, Path())
    settings = [{"problem.parameters.rate": value} for value in values]
    names = [Entry(setting, base.vary(setting)).name for setting in settings]
    assert len(set(names)) == len(values)
    for name in names:
        assert re.fullmatch(r"rate[\w.=+-]*-[0-9a-f]{12}", name)
        assert len(f"{name}.partial".encode()) <= 255 and len(name) <= 80


def test_a_run_is_known_by_settings_class_files_and_their_imports(room: Path) -> None:
    (before,) = entries({"network.grid": [3]})
    assert fingerprint(before.config) == fingerprint(entries({"network.grid": [3, 4]})[0].config)
    assert fingerprint(before.config) != fingerprint(entries({"network.grid": [4]})[0].config)
    other = room / "elsewhere"
    other.mkdir()
    for name in ("line.py", "wave.py"):
        shutil.copy(name, other)
    moved = Config.from_dict(before.config.to_dict(), other)
    assert fingerprint(moved) == fingerprint(before.config)
    (other / "wave.py").write_text(HELPER + "# another text\n")
    assert fingerprint(moved) != fingerprint(before.config)


def test_a_class_file_that_is_missing_spoils_only_its_runs(room: Path) -> None:
    (room / "bad.py").write_text("no Python")
    study = sweep({"problem.class": ["line.py:Line", "none.py:Line", "bad.py:Line"]})
    good, *others = study.column("status")
    assert good == "converged"
    assert all(status.startswith("failed: problem.class = ") for status in others)
    assert [file.name for file in (study.path / RUNS).iterdir()] == [study.rows[0]["run"]]


# --- the table -----------------------------------------------------------------------------------


def test_table_says_what_the_runs_say(room: Path) -> None:
    study = sweep({"network.grid": [2, 3], "problem.parameters.broken": [False, True]}, name="a/b")
    assert study.path.parent == room / "results" and study.path.name.startswith("a-b-")
    results = "status l2_relative h1_relative parameters seconds l2_squared h1_squared"
    assert study.columns == (*study.varied, *results.split(), "steps", "points", "run")
    for row in study.rows[::2]:
        record = json.loads((study.run(row) / "run.json").read_text())
        assert row["status"] == record["status"] == "converged"
        assert row["l2_relative"] == record["errors"]["l2_relative"] > 1e-6  # a sine by cubics
        assert row["parameters"] == row["network.grid"] + 3
        assert row["points"] == 24
        assert study.config(row)["network"]["grid"] == row["network.grid"]
    broken = study.rows[1]
    assert (
        broken["status"] == f"failed: Line at {room / 'line.py'}:19 in residual: RuntimeError: no"
    )
    assert broken["l2_relative"] is broken["seconds"] is None
    again = kp.Study.read(study.path / "study.csv")
    assert again.rows == study.rows and again.varied == study.varied and again.name == "a/b"


def test_csv_and_hdf5_have_the_rows_of_the_table_and_what_is_not_known_is_empty() -> None:
    broken = SECTIONS["problem"] | {"parameters": {"broken": True}}
    stages = [[ADAM], [{"type": "least_squares"}]]
    study = sweep({"optimizer": stages, "problem": [SECTIONS["problem"], broken]})
    with (study.path / "study.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [json.loads(row["optimizer"]) for row in rows] == study.column("optimizer")
    errors = [float(row["l2_relative"]) if row["l2_relative"] else None for row in rows]
    assert (
        errors == study.column("l2_relative") and [e is None for e in errors] == [False, True] * 2
    )
    assert [row["status"] for row in rows] == study.column("status")
    with h5py.File(study.path / "study.h5") as file:
        assert tuple(file.attrs["columns"]) == study.columns == tuple(rows[0])
        assert tuple(file.attrs["varied"]) == study.varied
        assert file["l2_relative"].dtype == numpy.float64
        assert numpy.isnan(file["l2_relative"]).tolist() == [False, True] * 2
        numpy.testing.assert_array_equal(file["parameters"][::2], study.column("parameters")[::2])
        assert json.loads(file["optimizer"][0]) == [ADAM]
        assert file["run"].asstr()[:].tolist() == study.column("run")


def test_runs_of_a_study_estimate_errors_and_judge_them_by_a_tolerance() -> None:
    study = sweep({"run.tolerance": [1e-3, 0.5]})
    above, within = study.column("status")
    assert above.startswith("stopped: the estimated relative L2 error") and "1.0e-03" in above
    assert within.startswith("converged: the estimated relative L2 error")
    record = json.loads((study.run(study.rows[0]) / "run.json").read_text())
    estimate, error = record["estimate"]["l2_relative"], record["errors"]["l2_relative"]
    assert error / 2 < estimate < 2 * error


def test_a_study_is_found_by_its_folder_or_a_file_in_it(room: Path) -> None:
    study = sweep({"run.seed": [0]})
    assert kp.Study.read(study.path).rows == study.rows
    with pytest.raises(kp.InputError, match="is not a study"):
        kp.Study.read(room)
    with pytest.raises(kp.InputError, match="'error' is not a column of the study"):
        study.column("error")
    with pytest.raises(kp.InputError, match="a run that is waiting has no folder"):
        study.run({"run": "", "status": "waiting"})


# --- nothing is done twice -----------------------------------------------------------------------


def test_finished_runs_are_found_and_a_study_can_grow() -> None:
    executor = Here()
    first = sweep({"network.grid": [2, 3]}, executor)
    before = stamps(first)
    grown = sweep({"network.grid": [2, 3, 4]}, executor)
    assert executor.names == grown.column("run") and grown.path == first.path
    assert grown.rows[:2] == first.rows
    assert {file: at for file, at in stamps(grown).items() if file in before} == before
    assert sweep({"network.grid": [4, 3]}, executor).column("network.grid") == [4, 3]
    assert len(executor.names) == 3


def test_a_run_that_was_removed_or_whose_class_has_another_text_is_done_again(room: Path) -> None:
    executor = Here()
    study = sweep({"run.seed": [0, 1]}, executor)
    shutil.rmtree(study.run(study.rows[1]))
    again = sweep({"run.seed": [0, 1]}, executor)
    assert executor.names == [*study.column("run"), study.rows[1]["run"]]
    assert again.column("l2_relative") == study.column("l2_relative")
    (room / "wave.py").write_text(HELPER + "# another text\n")
    other = sweep({"run.seed": [0]}, executor)
    assert executor.names[-1] not in study.column("run") and other.path == study.path
    assert study.run(study.rows[0]).is_dir()


def test_failed_runs_are_recorded_and_tried_again(room: Path) -> None:
    executor = Here()
    over = {"problem.parameters.broken": [True, False], "run.seed": [0, 1]}
    study = sweep(over, executor)
    assert [s.partition(":")[0] for s in study.column("status")] == ["failed"] * 2 + [
        "converged"
    ] * 2
    assert kp.Study.read(study.path).rows == study.rows
    sweep(over, executor)
    assert len(executor.names) == 6 and executor.names[4:] == executor.names[:2]


def test_a_damaged_run_is_told_and_left_as_it_is() -> None:
    study = sweep({"run.seed": [0, 1, 2, 3]})
    records = [study.run(row) / "run.json" for row in study.rows]
    for record, text in zip(records, ("{", "{}", '{"errors": 3}'), strict=False):
        record.write_text(text)
    records[0].unlink()
    again = sweep({"run.seed": [0, 1, 2, 3]})
    for row, record in zip(again.rows[:3], records, strict=False):
        assert row["status"].startswith("failed: ")
        assert f"once {record.parent} is moved away" in row["status"]
        assert (record.parent / "result.h5").is_file()
    assert again.rows[3] == study.rows[3]
    assert sorted(f.name for f in (study.path / RUNS).iterdir()) == sorted(study.column("run"))


# --- nothing is lost -----------------------------------------------------------------------------


def test_a_failed_run_of_an_eigenvalue_problem_has_its_columns(room: Path) -> None:
    task = task_of(room / "study")
    found = execute(Task(**(vars(task) | {"settings": task.settings | {"eigen": {}}}))).columns
    assert found["status"].startswith("failed: ")
    assert found.keys() == empty(kind="eigen").keys()


def test_a_run_that_exits_is_a_failure_and_ends_nothing_else(room: Path) -> None:
    leaving = "\ndef leave(*_):\n    raise SystemExit(3)\n\nLine.residual = leave\n"
    (room / "line.py").write_text((room / "line.py").read_text() + leaving)
    assert execute(task_of(room / "study")).columns["status"].startswith("failed: SystemExit: 3")


def test_a_run_that_was_killed_at_its_beginning_begins_again(room: Path) -> None:
    task = task_of(room / "study")
    partial = Path(task.study) / RUNS / "a-run.partial"
    partial.mkdir()
    (partial / "line.py").write_text("half a cl")
    assert execute(task).columns["status"] == "converged"
    assert [run.name for run in partial.parent.iterdir()] == ["a-run"]


def test_a_checkpoint_that_cannot_be_read_is_kept(room: Path) -> None:
    task = task_of(room / "study")
    partial = Path(task.study) / RUNS / "a-run.partial"
    partial.mkdir()
    config = Config.from_dict(task.settings, Path(task.directory))
    (partial / "run.json").write_text(json.dumps({"name": "line", "config": config.to_dict()}))
    (partial / "checkpoint.pt").write_text("precious")
    columns = execute(task).columns
    assert "cannot be read as a checkpoint" in columns["status"]
    assert columns["run"] == "a-run.partial"
    assert (partial / "checkpoint.pt").read_text() == "precious"


STUDY = """
import kanpinn as kp
stages = [{"type": "adam", "steps": 20, "lr": 0.001}]
over = {"optimizer": [stages], "run.seed": list(range(4))}
kp.sweep("line.toml", over, workers=1)
"""


def test_a_killed_study_goes_on_where_it_stopped(room: Path) -> None:
    process = Command(["-c", STUDY], room)  # without a file, and without a guard for __main__
    end = time.monotonic() + 60
    while len(list(room.glob("results/*/runs/*[0-9a-f]/run.json"))) < 1 and time.monotonic() < end:
        time.sleep(0.01)
    process.end()
    (folder,) = (room / "results").iterdir()
    done = [run for run in (folder / RUNS).iterdir() if run.suffix != ".partial"]
    before = {file: file.stat().st_mtime_ns for run in done for file in run.iterdir()}
    assert 1 <= len(done) < 4
    executor = Here()
    namespace = {"kp": kp}
    script = STUDY.replace("import kanpinn as kp", "").replace("workers=1", "executor=executor")
    exec(script.replace("kp.sweep", "study = kp.sweep"), namespace | {"executor": executor})
    study = kp.Study.read(folder)
    assert set(executor.names) == set(study.column("run")) - {run.name for run in done}
    assert set(study.column("status")) == {"stopped: limit of 20 steps; more steps may help"}
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert sorted(run.name for run in (folder / RUNS).iterdir()) == sorted(study.column("run"))


def test_one_process_at_a_time_writes_a_run(room: Path) -> None:
    task = task_of(room / "study")
    locks = Path(task.study) / LOCKS
    locks.mkdir()
    found: list[RunOutcome] = []
    second = threading.Thread(target=lambda: found.append(execute(task)))
    with FileLock(locks / task.run):
        second.start()
        second.join(0.3)
        assert second.is_alive() and not list((room / "study" / RUNS).iterdir())
        (room / "other").mkdir()
        execute(task_of(room / "other"))  # what the first one does
        (room / "other" / RUNS / "a-run").rename(room / "study" / RUNS / "a-run")
        before = (room / "study" / RUNS / "a-run").stat().st_mtime_ns
    second.join(20)
    assert found[0].columns["status"] == "converged"
    assert (room / "study" / RUNS / "a-run").stat().st_mtime_ns == before


def test_one_process_at_a_time_works_at_a_study() -> None:
    study = sweep({"run.seed": [0]})
    lock = FolderLock(study.path)
    executor = Here()
    with pytest.raises(Locked, match="is being written by another process"):
        sweep({"run.seed": [0, 1]}, executor)
    assert not executor.names
    lock.release(study.path)

    class Broken:
        def __enter__(self) -> None:
            raise RuntimeError("no screen")

        def __exit__(self, *_: object) -> None: ...

        def __call__(self, _: object) -> None: ...

    with pytest.raises(RuntimeError, match="no screen") as kept:
        sweep({"run.seed": [0, 1]}, executor, observers=[Broken()])
    assert kept.tb is not None  # a notebook keeps the traceback with all its values
    assert len(sweep({"run.seed": [0, 1]}, executor).rows) == 2


def test_a_lock_whose_file_was_removed_meanwhile_is_no_lock(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FolderLock(room)
    opened, late = os.open, [first]

    def open_before_the_release(*args: Any) -> int:
        descriptor = opened(*args)
        if late:
            late.pop().release(room)
        return descriptor

    monkeypatch.setattr(os, "open", open_before_the_release)
    second = FolderLock(room)
    monkeypatch.undo()
    with pytest.raises(Locked):
        FolderLock(room)
    second.release(room)


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"format": 2, "rows": []}', ".*has format 2.*format 1"), ("{", ""), ('{"format": 1}', "")],
)
def test_a_record_of_another_format_is_refused_and_untouched(text: str, words: str) -> None:
    study = sweep({"run.seed": [0]})
    (study.path / "study.json").write_text(text)
    (study.path / LOCKS / study.rows[0]["run"]).unlink()
    (study.path / LOCKS).rmdir()
    shutil.rmtree(study.path / RUNS)
    before = {file: file.read_bytes() for file in study.path.iterdir()}
    with pytest.raises(kp.InputError, match=re.escape(str(study.path / "study.json")) + words):
        sweep({"run.seed": [0, 1]})
    assert {file: file.read_bytes() for file in study.path.iterdir()} == before


def test_a_full_disk_is_one_message_and_what_is_finished_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finish = RunFolder.finish

    def full(self: RunFolder, *args: Any, **options: Any) -> Path:
        if len(executor.names) == 2:
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError as error:  # torch does not keep the number
                raise RuntimeError("unexpected pos") from error
        return finish(self, *args, **options)

    executor = Here()
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", full)
        with pytest.raises(kp.InputError, match=r"is full: 2 of 3 runs are finished and kept"):
            sweep({"run.seed": [0, 1, 2]}, executor)
    first = sweep({"run.seed": [0]})
    before = {file: at for file, at in stamps(first).items() if file.parent.suffix != ".partial"}
    study = sweep({"run.seed": [0, 1, 2]})
    assert set(study.column("status")) == {"converged"}
    assert {file: at for file, at in stamps(study).items() if file in before} == before


def test_a_table_that_cannot_be_written_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kp.Study, "write", full)
    with pytest.raises(kp.InputError, match=r"cannot be written .No space left on device.: 0 of"):
        sweep({"run.seed": [0]})


# --- where it runs -------------------------------------------------------------------------------


def dying(times: int) -> Callable[[int], object]:
    """The worker of the second run dies so often."""

    def before(count: int) -> None:
        if 2 <= count < 2 + times:
            raise BrokenExecutor("it was killed")

    return before


def test_a_lost_workers_run_is_repeated_three_times_at_most() -> None:
    twice = Here(dying(2))
    assert set(sweep({"run.seed": [0, 1]}, twice).column("status")) == {"converged"}
    assert [name.rpartition("-")[0] for name in twice.names] == ["seed=0"] + ["seed=1"] * 3
    always = Here(dying(9))
    statuses = sweep({"run.seed": [2, 3]}, always).column("status")
    assert statuses == ["converged", "failed: its worker died 3 times (it was killed)"]
    assert len(always.names) == 4


def test_an_executor_that_takes_no_more_is_told() -> None:
    with ProcessPoolExecutor(1) as executor:
        pass
    with pytest.raises(kp.InputError, match=r"the executor accepts no runs .*0 of 1 runs are fin"):
        sweep({"run.seed": [0]}, executor)


def test_threads_of_one_process_take_turns() -> None:
    filters = list(warnings.filters)
    with ThreadPoolExecutor(3) as executor:
        study = sweep({"run.seed": [0, 1, 2]}, executor)
    alone = sweep({"run.seed": [0, 1, 2]}, output="alone")
    assert study.column("l2_relative") == alone.column("l2_relative")
    assert list(warnings.filters) == filters and torch.get_num_threads() == 1


def test_ctrl_c_leaves_a_table_of_what_is_finished() -> None:
    def interrupt(count: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep({"run.seed": [0, 1]}, Here(interrupt))
    study = sweep({"run.seed": [0]})
    assert len(study.rows) == 1 and study.column("status") == ["converged"]


def test_a_worker_of_another_version_does_nothing(room: Path) -> None:
    task = task_of(room / "study")
    with pytest.raises(kp.InputError, match=r"this worker has kanpinn .*started by 99"):
        execute(Task(**(vars(task) | {"version": "99"})))
    assert not list((room / "study" / RUNS).iterdir())


def test_default_workers_are_processes(room: Path) -> None:
    script = 'import kanpinn as kp; kp.sweep("line.toml", {"run.seed": [0, 1]}, workers=1)'
    process = Command(["-c", script], room)
    assert process.communicate(60) and process.returncode == 0
    study = kp.Study.read(*(room / "results").iterdir())
    assert set(study.column("status")) == {"converged"}
    threads = [
        json.loads((study.run(row) / "run.json").read_text())["threads"] for row in study.rows
    ]
    assert threads == [1, 1] and not list((study.path / RUNS).glob("*/figures"))
    here = sweep({"run.seed": [0, 1]}, base=room / "line.toml", output="here")
    assert here.column("l2_relative") == study.column("l2_relative")


def test_observers_see_counts_and_the_best_error() -> None:
    seen: list[Tally] = []
    over = {"problem.parameters.broken": [True, False], "run.seed": [0, 1]}
    study = sweep(over, observers=[seen.append])
    first, last = seen[0], seen[-1]
    assert (first.total, first.found, first.done, first.best, first.left) == (4, 0, 0, None, None)
    assert (last.done, last.failed, last.running, last.left) == (4, 2, 0, 0.0)
    assert last.best == min(e for e in study.column("l2_relative") if e is not None)
    sweep({"run.seed": [0, 1]}, observers=[seen.append])
    sweep({"run.seed": [0, 1]}, observers=[seen.append])
    assert (seen[-1].total, seen[-1].found, seen[-1].done, seen[-1].left) == (2, 2, 2, 0.0)


def test_a_warning_of_many_runs_is_said_once() -> None:
    with pytest.warns(UserWarning, match="degree of 3 or more is advised") as caught:
        sweep({"network.degree": [2], "run.seed": [0, 1]})
    assert len(caught) == 1


# --- the study's file ----------------------------------------------------------------------------


def study_file(room: Path, text: str) -> StudyFile:
    (room / "grids.toml").write_text(text)
    return StudyFile.read(room / "grids.toml")


def test_a_study_file_names_its_base_and_what_varies(room: Path) -> None:
    text = '[study]\nbase = "line.toml"\n[study.over]\n"network.grid" = [2, 3]\nrun.seed = [0]\n'
    found = study_file(room, text + '[study.zipped]\n"loss.interior" = [1, 2]\n')
    assert Path(found.base) == room / "line.toml" and found.name == "grids"
    assert found.over == {"network.grid": [2, 3], "run.seed": [0]}
    assert found.zipped == {"loss.interior": [1, 2]}
    assert study_file(room, '[study]\nname = "other"\nbase = "line.toml"').name == "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one section .study., got none"),
        ("[study]\n[studdy]", "expected one section .study., got studdy"),
        ("[study]", "study.base is missing"),
        ("[study]\nbase = 3", "study.base = 3: expected the path of a problem file"),
        ('[study]\nbse = "line.toml"', 'study.bse is unknown; did you mean "base"'),
        ('[study]\nbase = "a"\nover = 3', "study.over = 3: expected a table"),
        (
            '[study]\nbase = "a"\n[study.over]\n"a.b" = [1]\na.b = [2]',
            "study.over.a.b is given twice",
        ),
        ("[study", "is not valid TOML"),
    ],
)
def test_what_is_no_study_file_is_refused(text: str, message: str, room: Path) -> None:
    with pytest.raises(kp.InputError, match=message):
        study_file(room, text)
