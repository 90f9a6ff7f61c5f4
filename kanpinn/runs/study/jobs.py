"""Dask workers in jobs of a batch system, Slurm or PBS, through dask-jobqueue."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from kanpinn._support.errors import InputError, integer
from kanpinn._support.wording import nearest
from kanpinn.runs.study.executors import OWN_SCHEDULER, closing, needed
from kanpinn.runs.study.remote import DaskExecutor

if TYPE_CHECKING:
    from distributed import Client

SYSTEMS = ("slurm", "pbs")
OPTIONS: dict[str, type] = {
    "cores": int,  # of a job, which runs one single-threaded worker on each
    "memory": str,  # of a job
    "walltime": str,
    "queue": str,
    "account": str,
    "interface": str,  # the network's, such as ib0
    "local_directory": str,
    "log_directory": str,
    "python": str,
    "shebang": str,
    "job_name": str,
    "death_timeout": int,  # seconds that a worker waits for the scheduler
    "job_extra_directives": list,
    "job_directives_skip": list,
    "job_script_prologue": list,
    "worker_extra_args": list,
}
ALONE: dict[str, dict[str, type]] = {
    "slurm": {"job_cpu": int, "job_mem": str},
    "pbs": {"resource_spec": str},
}

log = logging.getLogger(__name__)


def job_options(system: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Parse KEY=VALUE texts into options of dask-jobqueue.

    The key of a list is given once for each item.

    Raises:
        InputError: if a key is unknown, or a value has the wrong type.
    """
    known = OPTIONS | ALONE[system]
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value:
            raise InputError(f"--cluster {pair}: expected KEY=VALUE, such as memory=2GB")
        if key not in known:
            raise InputError(
                f"--cluster {pair}: {key} is unknown{nearest(key, known)} (with {system} it takes "
                f"{', '.join(known)})"
            )
        if known[key] is list:
            options.setdefault(key, []).append(value)
        else:
            options[key] = _number(pair, value) if known[key] is int else value
    return options


def _number(pair: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise InputError(f"--cluster {pair}: expected an integer of at least 1")
    return int(value)


def job_script(system: str, options: Mapping[str, Any]) -> str:
    """Return the script of one job as it is submitted, with placeholders for scheduler and name.

    Raises:
        InputError: if dask-jobqueue is not installed, or refuses an option.
    """
    job = _cluster_class(system).job_cls
    try:
        return job("tcp://SCHEDULER", name="NAME", **_complete(system, options)).job_script()
    except ValueError as error:
        raise InputError(f"--cluster: {' '.join(str(error).split())}") from error


@contextmanager
def batch_workers(
    system: str, workers: int, options: Mapping[str, Any], logs: Path
) -> Iterator[Executor]:
    """Yield an executor on single-threaded workers in batch jobs, shut down when the block ends.

    A job that ends while runs are left, such as at its time limit, is submitted again.

    Args:
        system: "slurm" or "pbs".
        workers: the total number of workers.
        options: of dask-jobqueue, from `job_options`.
        logs: the folder of the jobs' output, unless the options name a log_directory.

    Raises:
        InputError: if the options cannot be used, if the batch system is not on this machine, or,
            when the first run is submitted, if the batch system refuses the jobs.
    """
    integer("workers", workers)
    job_script(system, options)  # refuses options that cannot be used
    command = _cluster_class(system).job_cls.submit_command
    if which(command) is None:
        raise InputError(f"--executor {system}: there is no {command} on this machine")
    complete = _complete(system, {"log_directory": str(logs)} | dict(options))
    with closing(DaskExecutor(lambda: _start(system, workers, complete))) as executor:
        yield executor


def _start(system: str, workers: int, options: Mapping[str, Any]) -> "Client":
    dask, distributed = needed("dask"), needed("distributed")
    with dask.config.set(OWN_SCHEDULER):
        cluster = _cluster_class(system)(
            silence_logs=logging.CRITICAL,
            scheduler_options={"dashboard_address": ":0"},
            **options,
        )
    jobs = -(-workers // options["cores"])
    for _ in range(jobs):  # not scale(), which does not report the error text of sbatch
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        cluster.sync(_submitted, cluster)
    except RuntimeError as error:
        for job in cluster.workers.values():
            if job.job_id is None:
                job.status = distributed.core.Status.failed  # close() waits until every job ended
        cluster.close()
        raise InputError(f"{system} refuses the job: {_last_line(error)}") from error
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
    log.info("jobs: %d submitted, their logs: %s", jobs, options["log_directory"])
    return distributed.Client(cluster, set_as_default=False)


async def _submitted(cluster: Any) -> None:
    await cluster


def _complete(system: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with defaults, taken from the user's jobqueue.yaml where it has them.

    Each core of a job gets one worker process.
    """
    config = needed("dask").config
    own = {key: config.get(f"jobqueue.{system}.{key}", None) for key in ("cores", "memory")}
    given = {key: value for key, value in own.items() if value} | dict(options)
    cores = given.setdefault("cores", 1)
    given.setdefault("memory", f"{2 * cores}GB")
    return {"job_name": "kanpinn"} | given | {"processes": cores}


def _cluster_class(system: str) -> Any:
    module = needed("dask_jobqueue")
    return module.SLURMCluster if system == "slurm" else module.PBSCluster


def _last_line(error: Exception) -> str:
    return [line for line in str(error).splitlines() if line.strip()][-1]
