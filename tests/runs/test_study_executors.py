"""Where the runs of a study go: dask's workers, and jobs of a batch system."""

import contextlib
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import dask
import line_problem
import pytest
from distributed import LocalCluster
from forks import CONTEXT

import kanpinn as kp
from kanpinn._support.errors import InputError
from kanpinn.runs.study import Tally, executors
from kanpinn.runs.study.executors import batch_workers, dask_workers, job_options, job_script
from kanpinn.runs.study.sweep import Task, execute, version


@pytest.fixture
def base(tmp_path: Path) -> dict[str, Any]:
    line_problem.write(tmp_path)
    problem = line_problem.SECTIONS["problem"] | {"parameters": {"owner": os.getpid()}}
    return line_problem.SECTIONS | {"problem": problem}


def study(base: dict[str, Any], folder: Path, executor: Executor, observers: Any = ()) -> kp.Study:
    return kp.sweep(
        base, {"run.seed": [0, 1, 2]}, output=folder, directory=folder, executor=executor,
        observers=observers,
    )  # fmt: skip


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler that has one worker, a thread of this process."""
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def forked() -> Iterator[None]:
    """Local dask workers are forks of a server that has torch: new processes take seconds."""
    forkserver.ensure_running()  # now: a cluster starts its processes while SIGINT is blocked
    with dask.config.set({"distributed.worker.multiprocessing-method": CONTEXT.get_start_method()}):
        yield


# dask


@pytest.mark.usefixtures("forked")
def test_a_study_is_complete_though_a_worker_is_killed_amid_a_run(
    base: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kanpinn")
    mark, killed = tmp_path / "pid", []

    def kill(tally: Tally) -> None:
        if not killed and mark.exists() and (pid := mark.read_text()):
            os.kill(int(pid), signal.SIGKILL)
            killed.append(tally.done)

    base["problem"]["parameters"]["once"] = str(mark)
    with dask_workers(workers=1) as executor:
        done = study(base, tmp_path, executor, [kill])
    assert killed == [0]
    assert done.column("status") == ["converged"] * 3
    assert max(done.column("l2_relative")) < 0.1
    assert "dashboard: http://127.0.0.1:" in caplog.text


def test_a_study_at_a_scheduler_of_its_own(
    base: dict[str, Any], tmp_path: Path, scheduler: str
) -> None:
    for _ in range(2):  # it is still there afterwards
        with dask_workers(scheduler) as executor:
            assert study(base, tmp_path, executor).column("status") == ["converged"] * 3


def test_what_workers_execute_is_running(scheduler: str, tmp_path: Path) -> None:
    end = tmp_path / "end"
    with dask_workers(scheduler) as executor:
        first, second = executor.submit(appears, end), executor.submit(abs, -3)
        while not executor.running():
            time.sleep(0.01)
        assert executor.running() == 1 and second.cancel()
        end.touch()
        assert first.result(60)


def appears(path: Path) -> bool:
    """Wait until there is such a file."""
    while not path.exists():
        time.sleep(0.01)
    return True


def test_an_exception_of_a_call_is_its_own(scheduler: str) -> None:
    with dask_workers(scheduler) as executor:
        assert isinstance(executor.submit(divmod, 1, 0).exception(60), ZeroDivisionError)


def test_a_study_ends_with_its_scheduler(base: dict[str, Any], tmp_path: Path) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://",
        dashboard_address="127.0.0.1:0", silence_logs=50,
    ) as cluster:  # fmt: skip
        with pytest.raises(InputError, match="its scheduler has ended: 0 of 3 runs are finished"):
            with dask_workers(cluster.scheduler_address) as executor:
                executor.submit(abs, 1).result(60)
                study(base, tmp_path, executor, [lambda _: cluster.close()])


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere"])
def test_where_no_scheduler_answers_it_is_said(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "TIMEOUT", 0.5)
    with pytest.raises(InputError, match=f"no scheduler answers at {address}: expected"):
        dask_workers(address).__enter__()


def test_what_listens_but_says_nothing_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=f"{address}.*nothing within 0.5 s"):
            dask_workers(address).__enter__()


def test_without_dask_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'kanpinn\[cluster\]'"):
        dask_workers().__enter__()


def test_a_worker_that_does_not_see_the_study_stops_it(tmp_path: Path) -> None:
    task = Task({}, "", "", str(tmp_path / "elsewhere"), "run", version())
    with pytest.raises(InputError, match=r"a worker has no access to .*elsewhere"):
        execute(task)


# Batch systems


def test_a_slurm_job_has_one_thread_for_each_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    pairs = ["cores=4", "memory=8GB", "walltime=01:00:00", "queue=short", "account=kan",
             "job_script_prologue=module load python", "job_script_prologue=export A=1",
             "job_extra_directives=--exclusive", "interface=ib0"]  # fmt: skip
    lines = job_script("slurm", job_options("slurm", pairs)).splitlines()
    for line in ("#SBATCH -J kanpinn", "#SBATCH -p short", "#SBATCH -A kan", "#SBATCH -n 1",
                 "#SBATCH --cpus-per-task=4", "#SBATCH --mem=8G", "#SBATCH -t 01:00:00",
                 "#SBATCH --exclusive", "module load python", "export A=1"):  # fmt: skip
        assert line in lines
    worker = lines[-1]
    assert worker.startswith(f"{sys.executable} -m distributed.cli.dask_worker tcp://SCHEDULER")
    for option in ("--nthreads 1", "--nworkers 4", "--memory-limit 1.86GiB", "--nanny",
                   "--death-timeout", "--interface ib0"):  # fmt: skip
        assert option in worker
    assert signal.getsignal(signal.SIGINT) is before


def test_a_pbs_job_and_the_defaults() -> None:
    lines = job_script("pbs", job_options("pbs", ["walltime=02:00:00"])).splitlines()
    assert "#PBS -N kanpinn" in lines
    assert "#PBS -l select=1:ncpus=1:mem=1908MB" in lines
    assert "#PBS -l walltime=02:00:00" in lines
    assert "--nthreads 1 " in lines[-1] and "--nworkers" not in lines[-1]


@pytest.mark.parametrize(
    ("system", "pair", "words"),
    [
        ("slurm", "coers=2", ["coers is unknown", "walltime"]),
        ("slurm", "resource_spec=select=1", ["resource_spec is unknown"]),
        ("pbs", "job_cpu=2", ["job_cpu is unknown"]),
        ("slurm", "memory", ["expected KEY=VALUE"]),
        ("slurm", "cores=many", ["cores=many", "expected an integer of at least 1"]),
        ("slurm", "cores=0", ["cores=0", "expected an integer of at least 1"]),
        ("slurm", "memory=2XX", ["XX"]),
    ],
)
def test_what_no_job_can_have_is_refused(system: str, pair: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        job_script(system, job_options(system, [pair]))
    assert all(word in str(caught.value) for word in ["--cluster", *words])


SBATCH = """#!/bin/sh
cp "$1" "{folder}/$$.sh"
setsid sh "{folder}/$$.sh" >"{folder}/$$.out" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
echo "$1" >>"{folder}/cancelled"
kill -TERM -"$1"
"""


def command(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text.format(folder=folder))
    (folder / name).chmod(stat.S_IRWXU)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an sbatch and a scancel for this machine: a job is a session of processes."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    command(folder, "sbatch", SBATCH)
    command(folder, "scancel", SCANCEL)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(kp.__file__).parents[1]))
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_study_in_slurm_jobs_which_end_with_it(
    base: dict[str, Any], tmp_path: Path, slurm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kanpinn")
    with batch_workers("slurm", 1, {}, tmp_path / "jobs") as executor:
        assert study(base, tmp_path, executor).column("status") == ["converged"] * 3
    assert f"jobs: 1 submitted, their logs: {tmp_path / 'jobs'}" in caplog.text
    (job,) = (slurm / "cancelled").read_text().split()
    end = time.monotonic() + 30
    while alive(job) and time.monotonic() < end:
        time.sleep(0.1)
    assert not alive(job)


def alive(session: str) -> list[str]:
    """The processes of a session."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, _, _, of = file.read_text().rpartition(")")[2].split()[:4]
            found += [file.parent.name] if of == session and state != "Z" else []
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="there is no Slurm")
def test_what_slurm_says_to_a_job_that_it_does_not_take(
    base: dict[str, Any], tmp_path: Path, slurm: Path
) -> None:
    command(slurm, "sbatch", "#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    with pytest.raises(InputError, match="slurm refuses the job: sbatch: error: invalid partition"):
        with batch_workers("slurm", 2, {}, tmp_path / "jobs") as executor:
            study(base, tmp_path, executor)
