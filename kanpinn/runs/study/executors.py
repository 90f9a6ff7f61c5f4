"""Executors of a study on dask workers. The workers belong to a running scheduler, are processes
of this machine, or run in batch jobs.
"""

import asyncio
import contextlib
import importlib
import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from shutil import which
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kanpinn._support.errors import InputError, integer, nearest
from kanpinn._support.interrupts import handling

if TYPE_CHECKING:
    from distributed import Client


log = logging.getLogger(__name__)


class DaskExecutor(Executor):
    """Executor on the workers of a dask client.

    Args:
        start: creates the client, when the first call is submitted.
    """

    def __init__(self, start: Callable[[], "Client"]) -> None:
        self._start = start
        self._client: Client | None = None

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run a call on a worker, and return its future; the first call starts the workers."""
        if self._client is None:
            self._client = self._start()
            self._calls = self._client.get_executor(pure=False)
            log.info("dashboard: %s", self._client.dashboard_link)
        future: Future = self._calls.submit(call, *args, **kwargs)
        return future

    def running(self) -> int:
        """Return the number of workers that execute a call, which dask's futures do not know."""
        with contextlib.suppress(Exception):  # the scheduler may be gone
            return sum(map(bool, self._client.processing().values())) if self._client else 0
        return 0

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor down, and close the cluster if it has been started here.

        Args:
            wait: whether to wait for the calls that run.
            cancel_futures: whether calls that have not begun are cancelled.
        """
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self._calls.shutdown(wait=wait and not cancel_futures)
        cluster = client.cluster
        client.close()
        if cluster is not None:
            cluster.close()


TIMEOUT = 10  # seconds within which a scheduler must answer
OWN_SCHEDULER = {
    # `Sweep` itself submits a run again if its worker has died, so dask must not do it.
    # With saturation 1.0 few runs wait on a busy worker.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
}


@contextmanager
def dask_workers(address: str | None = None, workers: int | None = None) -> Iterator[Executor]:
    """Yield an executor on dask workers, which is shut down when the block ends.

    Args:
        address: the address of a running dask scheduler, such as tcp://host:8786; by default a
            local cluster of single-threaded processes is started when the first call is submitted.
        workers: the number of local processes, by default one for each core.

    Raises:
        InputError: if dask is not installed, or no scheduler answers at the address.
    """
    dask, distributed = needed("dask"), needed("distributed")
    if address is not None:
        _connected(distributed, address).close()

    def start() -> "Client":
        """Return a client of the scheduler at the address, or of a local cluster started here."""
        if address is not None:
            return _connected(distributed, address)
        with dask.config.set(OWN_SCHEDULER), _deaf_to_ctrl_c():
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=None,  # an equal share of the memory may be too little for one run
                dashboard_address="127.0.0.1:0",  # any free port; the address is logged
                silence_logs=logging.CRITICAL,
            )
        return distributed.Client(cluster, set_as_default=False)

    logger = logging.getLogger("distributed.client")  # kanpinn itself reports dask's errors
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with closing(DaskExecutor(start)) as executor:
            yield executor
    finally:
        logger.setLevel(level)


def needed(module: str) -> ModuleType:
    """Import and return a module that pip installs with kanpinn[cluster].

    Raises:
        InputError: if the module is not installed; the message has the command that installs it.
    """
    try:
        with handling(signal.default_int_handler):  # dask_jobqueue installs a handler of its own
            return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{error}: dask is installed by pip install 'kanpinn[cluster]'") from error


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Keep SIGINT from threads and processes that are started in the `with` block.

    A terminal sends Ctrl-C to the worker processes as well, which would print tracebacks. A SIGINT
    that arrives during the block reaches the calling thread at its end.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start in the block would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def closing(executor: Executor) -> Iterator[Executor]:
    """Shut an executor down when the block ends, without waiting if the block raised.

    Args:
        executor: the executor.
    """
    try:
        yield executor
    except BaseException:  # Ctrl-C as well: no run may go on in the background
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _connected(distributed: ModuleType, address: str) -> "Client":
    """Return a client of the Dask scheduler at an address.

    Raises:
        InputError: if no scheduler replies there within `TIMEOUT` seconds.
    """

    async def knock() -> None:  # a Client waits for ever if the server never answers
        """Open a connection to the address and close it; raise an error if none is possible."""
        arguments = distributed.Security().get_connection_args("client")
        async with asyncio.timeout(TIMEOUT):
            comm = await distributed.comm.core.connect(address, TIMEOUT, **arguments)
        await comm.close()

    try:
        with ThreadPoolExecutor(1) as thread:  # the calling thread may run an event loop already
            thread.submit(asyncio.run, knock()).result()
        return distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
    except Exception as error:  # another server at this address can cause any kind of error
        text = " ".join(str(error).split()) or f"nothing within {TIMEOUT} s"
        expected = "expected the address that `dask scheduler` shows, such as tcp://host:8786"
        raise InputError(f"no scheduler answers at {address}: {expected} ({text})") from error


# Options of dask-jobqueue with integers, lists or texts as values; ALONE: options of one system.
NUMBERS = ("cores", "death_timeout", "job_cpu")
LISTS = ("job_extra_directives", "job_directives_skip", "job_script_prologue", "worker_extra_args")
TEXTS = ("memory", "walltime", "queue", "account", "interface", "local_directory", "log_directory",
         "python", "shebang", "job_name")  # fmt: skip
ALONE = {"slurm": ("job_cpu", "job_mem"), "pbs": ("resource_spec",)}


def job_options(system: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Parse KEY=VALUE texts into options of dask-jobqueue.

    Args:
        system: the batch system, "slurm" or "pbs".
        pairs: the texts; a key whose value is a list is given once for each item.

    Raises:
        InputError: if a key is unknown, or a value has the wrong type.
    """
    known = (*NUMBERS[:2], *TEXTS, *LISTS, *ALONE[system])
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value:
            raise InputError(f"--cluster {pair}: expected KEY=VALUE, such as memory=2GB")
        if key not in known:
            hint = f"{nearest(key, known)} (with {system} it takes {', '.join(known)})"
            raise InputError(f"--cluster {pair}: {key} is unknown{hint}")
        if key in NUMBERS and (not value.isdecimal() or int(value) < 1):
            raise InputError(f"--cluster {pair}: expected an integer of at least 1")
        if key in LISTS:
            options.setdefault(key, []).append(value)
        else:
            options[key] = int(value) if key in NUMBERS else value
    return options


def job_script(system: str, options: Mapping[str, Any]) -> str:
    """Return the script of one batch job, with placeholders for the scheduler and the name.

    Args:
        system: the batch system, "slurm" or "pbs".
        options: the options of dask-jobqueue, from `job_options`.

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

    A job that ends while runs are left, for instance at its time limit, is submitted again.

    Args:
        system: "slurm" or "pbs".
        workers: the total number of workers.
        options: the options of dask-jobqueue, from `job_options`.
        logs: the folder of the jobs' output, unless the options have a log_directory.

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
    dask, distributed = needed("dask"), needed("distributed")

    async def submitted(cluster: Any) -> None:
        """Wait until all jobs of a cluster have been submitted."""
        await cluster

    def start() -> "Client":
        """Submit the workers' jobs to the batch system, and return a client of their cluster."""
        with dask.config.set(OWN_SCHEDULER):
            quiet = {"silence_logs": logging.CRITICAL}
            dashboard = {"scheduler_options": {"dashboard_address": ":0"}}
            cluster = _cluster_class(system)(**quiet, **dashboard, **complete)
        jobs = -(-workers // complete["cores"])
        for _ in range(jobs):  # not scale(), which does not report the error text of sbatch
            cluster.worker_spec.update(cluster.new_worker_spec())
        try:
            cluster.sync(submitted, cluster)
        except RuntimeError as error:
            for job in cluster.workers.values():
                if job.job_id is None:  # close() waits until every job has ended
                    job.status = distributed.core.Status.failed
            cluster.close()
            *_, last = filter(str.strip, str(error).splitlines())
            raise InputError(f"{system} refuses the job: {last}") from error
        cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
        log.info("jobs: %d submitted, their logs: %s", jobs, complete["log_directory"])
        return distributed.Client(cluster, set_as_default=False)

    with closing(DaskExecutor(start)) as executor:
        yield executor


def _complete(system: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with defaults for missing options, one worker process for each core.

    Missing cores and memory are taken from the user's jobqueue.yaml, if it has them; otherwise
    there is 1 core, and 2 GB for each core.

    Args:
        system: the name of the batch system in jobqueue.yaml, such as "slurm".
        options: the options that the user gives.
    """
    config = needed("dask").config
    own = {key: config.get(f"jobqueue.{system}.{key}", None) for key in ("cores", "memory")}
    given = {key: value for key, value in own.items() if value} | dict(options)
    cores = given.setdefault("cores", 1)
    given.setdefault("memory", f"{2 * cores}GB")
    return {"job_name": "kanpinn"} | given | {"processes": cores}


def _cluster_class(system: str) -> Any:
    """Return the cluster class of dask_jobqueue for the batch system "slurm" or "pbs"."""
    module = needed("dask_jobqueue")
    return module.SLURMCluster if system == "slurm" else module.PBSCluster
