"""Executors of a study on dask workers: those of a running scheduler, or local processes."""

import asyncio
import importlib
import logging
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import ModuleType
from typing import TYPE_CHECKING

from kanpinn._support.errors import InputError
from kanpinn._support.interrupts import handling
from kanpinn.runs.study.remote import DaskExecutor

if TYPE_CHECKING:
    from distributed import Client

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
