"""Executors of a study on dask workers: workers of a running scheduler, local processes, or
jobs of a batch system (Slurm, PBS).
"""

import asyncio
import contextlib
import importlib
import itertools
import logging
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    InvalidStateError,
    ThreadPoolExecutor,
)
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from shutil import which
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kanpinn._support.errors import InputError, integer, nearest
from kanpinn._support.interrupts import handling

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as Promise


log = logging.getLogger(__name__)


@dataclass
class _Call:
    """A submitted call: its future, dask's future (`promise`), and its number of resubmissions."""

    function: Callable[[], Any]
    future: Future
    promise: "Promise | None" = None
    again: int = 0


class DaskExecutor(Executor):
    """Executor on the workers of a dask client, which `start` creates for the first call.

    A future is `running` as soon as a worker has begun its call. When a worker dies, the call that
    it was executing fails with BrokenExecutor; calls that it had not begun are submitted again.
    """

    def __init__(self, start: Callable[[], "Client"]) -> None:
        self._start = start
        self._client: Client | None = None
        self._closed = False
        self._calls: dict[int, _Call] = {}
        self._numbers = itertools.count()
        self._topic = f"kanpinn-{uuid.uuid4().hex}"

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        if self._closed:
            raise RuntimeError("the executor has been shut down")
        if self._client is None:
            self._client = self._start()
            self._client.subscribe_topic(self._topic, self._begun)
            log.info("dashboard: %s", self._client.dashboard_link)
        number, future = next(self._numbers), Future[Any]()
        self._calls[number] = _Call(partial(call, *args, **kwargs), future)
        self._send(self._client, number)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down as in the base class; wait = False also cancels all pending calls.

        A local cluster, which was started for the client, is closed; another scheduler keeps
        running.
        """
        self._closed = True
        futures = [call.future for call in list(self._calls.values())]
        if cancel_futures or not wait:
            for future in futures:
                future.cancel()
        if wait:
            wait_for([future for future in futures if not future.cancelled()])
        client, self._client = self._client, None
        if client is not None:
            self._leave(client)

    def _leave(self, client: "Client") -> None:
        promises = [call.promise for call in list(self._calls.values()) if call.promise is not None]
        self._calls.clear()
        with contextlib.suppress(Exception):  # the scheduler may be gone
            client.cancel(promises, force=True)
        cluster = client.cluster
        client.close()
        if cluster is not None:
            cluster.close()

    def _send(self, client: "Client", number: int) -> None:
        call = self._calls[number]
        call.promise = client.submit(_announcing, self._topic, number, call.function, pure=False)
        call.promise.add_done_callback(partial(self._ended, client, number))

    def _begun(self, event: tuple[float, int]) -> None:
        """Mark a call as running when the event of its worker arrives."""
        call = self._calls.get(event[1])
        if call is not None and not call.future.running():
            with contextlib.suppress(InvalidStateError, RuntimeError):  # cancelled meanwhile
                call.future.set_running_or_notify_cancel()

    def _ended(self, client: "Client", number: int, promise: "Promise") -> None:
        """Set the outcome of a call that has ended, or submit the call again.

        Dask makes these callbacks in one thread, one after the other.
        """
        call = self._calls.get(number)
        if call is None:
            return
        try:
            result, error = _outcome(promise)
            if isinstance(error, BrokenExecutor) and _is_bystander(call):
                call.again += 1
                self._send(client, number)
                return
        except Exception as left:  # dask raises errors of many kinds if the client was just closed
            result, error = None, left
        self._calls.pop(number, None)
        with contextlib.suppress(InvalidStateError):  # cancelled meanwhile
            if error is None:
                call.future.set_result(result)
            else:
                call.future.set_exception(error)


def _is_bystander(call: _Call) -> bool:
    """Return True if a dead worker had not begun the call, and resubmissions (5) are left."""
    return call.again < 5 and not (call.future.running() or call.future.done())


def _outcome(promise: "Promise") -> tuple[Any, BaseException | None]:
    """Return the result and the exception of a call; a dead worker gives a BrokenExecutor."""
    try:
        if promise.status == "finished":
            return promise.result(), None
    except Exception as failure:  # of the call itself, or of pickling its result
        if promise.status == "finished":  # the result cannot be pickled
            return None, failure
    if promise.status != "error":  # cancelled, but not by this executor
        return None, InputError(
            "the dask scheduler has ended: start it again, and repeat the study to continue it"
        )
    error = promise.exception()
    if type(error).__name__ == "KilledWorker":
        return None, BrokenExecutor(f"the dask worker at {error.last_worker.address} died")
    if isinstance(error.__cause__, ImportError):
        return None, InputError(
            f"the dask workers cannot import what this process can: {error.__cause__}"
        )
    return None, error


def _announcing(topic: str, number: int, call: Callable[[], Any]) -> Any:
    """Report to the client that a call begins, and make it; this runs in a worker."""
    from distributed import get_worker

    get_worker().log_event(topic, number)
    return call()


TIMEOUT = 10  # seconds in which a scheduler has to answer
OWN_SCHEDULER = {
    # `Sweep` itself counts how often a run has lost its worker, so dask must not try again.
    # With saturation 1.0 no run is queued on a busy worker behind another run.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
}


@contextmanager
def dask_workers(address: str | None = None, workers: int | None = None) -> Iterator[Executor]:
    """Yield an executor on dask workers, which is shut down when the block ends.

    Args:
        address: of a running dask scheduler, such as tcp://host:8786; by default a local cluster
            of single-threaded processes is started at the first call that is submitted.
        workers: the number of local processes, by default one for each core.

    Raises:
        InputError: if dask is not installed, or no scheduler answers at the address.
    """
    dask, distributed = needed("dask"), needed("distributed")
    if address is not None:
        _connected(distributed, address).close()

    def start() -> "Client":
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

    with _silent("distributed.client"), closing(DaskExecutor(start)) as executor:
        yield executor


def needed(module: str) -> ModuleType:
    """Import and return a module of the extra [cluster].

    Raises:
        InputError: if it is not installed; the message names the command that installs it.
    """
    try:
        with handling(signal.default_int_handler):  # dask_jobqueue installs a handler of its own
            return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{error}: dask is installed by pip install 'kanpinn[cluster]'") from error


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Silence a logger below CRITICAL in the block: its errors are reported by kanpinn instead."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Block SIGINT in the threads and processes that are started in the block.

    A terminal sends Ctrl-C to the worker processes as well, which would print tracebacks. The
    calling thread receives a SIGINT that arrived meanwhile at the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starting it later in the block would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def closing(executor: DaskExecutor) -> Iterator[DaskExecutor]:
    """Shut the executor down when the block ends, without waiting if the block raised."""
    try:
        yield executor
    except BaseException:  # Ctrl-C as well: no run may go on in the background
        executor.shutdown(wait=False)
        raise
    executor.shutdown()


def _connected(distributed: ModuleType, address: str) -> "Client":
    try:
        with ThreadPoolExecutor(1) as thread:  # the calling thread may run an event loop already
            thread.submit(asyncio.run, _knock(distributed, address)).result()
        return distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
    except Exception as error:  # another server at this address can cause any kind of error
        text = " ".join(str(error).split()) or f"nothing within {TIMEOUT} s"
        raise InputError(
            f"no scheduler answers at {address}: expected the address that `dask scheduler` "
            f"shows, such as tcp://host:8786 ({text})"
        ) from error


async def _knock(distributed: ModuleType, address: str) -> None:
    """Connect once with a time limit: a Client waits for ever if the server never answers."""
    from distributed.comm.core import connect

    arguments = distributed.Security().get_connection_args("client")
    async with asyncio.timeout(TIMEOUT):
        comm = await connect(address, TIMEOUT, **arguments)
    await comm.close()


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
