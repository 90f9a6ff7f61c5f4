"""Where the runs of a study go besides Processes: dask's workers, as an Executor."""

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
    # A study counts itself how often a run has lost its worker, and no run waits behind another.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
}


@contextmanager
def dask_workers(address: str | None = None, workers: int | None = None) -> Iterator[Executor]:
    """Dask's workers for the block: a scheduler's, or processes of one thread each here.

    address: of a scheduler, tcp://host:8786; workers: how many processes, by default one for each
    core, started when there is something to do.

    Raises:
        InputError: where dask is not installed, or no scheduler answers.
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
                memory_limit=None,  # the machine's: an even share may be too little for one
                dashboard_address="127.0.0.1:0",  # any free port, which is told
                silence_logs=logging.CRITICAL,
            )
        return distributed.Client(cluster, set_as_default=False)

    with _silent("distributed.client"), closing(DaskExecutor(start)) as executor:
        yield executor


def needed(module: str) -> ModuleType:
    """A module of the extra [cluster].

    Raises:
        InputError: where it is not installed, with the command that helps.
    """
    try:
        with handling(signal.default_int_handler):  # dask_jobqueue puts its own in place
            return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{error}: dask comes with pip install 'kanpinn[cluster]'") from error


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """A logger that says nothing: what goes wrong there is said here, without tracebacks."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Ctrl-C does not reach what is started inside, threads and processes, and what these start.

    A terminal sends it to workers, too, which would answer it with tracebacks. This process itself
    gets it at the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # who starts it with the first process hears again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def closing(executor: DaskExecutor) -> Iterator[DaskExecutor]:
    """The executor ends with the block: at once where the block did not run through."""
    try:
        yield executor
    except BaseException:  # Ctrl-C as well: no run goes on that nobody waits for
        executor.shutdown(wait=False)
        raise
    executor.shutdown()


def _connected(distributed: ModuleType, address: str) -> "Client":
    try:
        with ThreadPoolExecutor(1) as thread:  # this one may have an event loop of its own
            thread.submit(asyncio.run, _knock(distributed, address)).result()
        return distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
    except Exception as error:  # whatever else may listen there can answer anything
        text = " ".join(str(error).split()) or f"nothing within {TIMEOUT} s"
        raise InputError(
            f"no scheduler answers at {address}: expected the address that `dask scheduler` "
            f"shows, such as tcp://host:8786 ({text})"
        ) from error


async def _knock(distributed: ModuleType, address: str) -> None:
    """A client waits for ever for the first word of what listens at its address."""
    from distributed.comm.core import connect

    arguments = distributed.Security().get_connection_args("client")
    async with asyncio.timeout(TIMEOUT):
        comm = await connect(address, TIMEOUT, **arguments)
    await comm.close()
