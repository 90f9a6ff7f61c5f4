"""Worker processes on this machine, as a concurrent.futures.Executor."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from concurrent.futures import ProcessPoolExecutor as Pool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Processes(Executor):
    """So many spawned processes of one thread each.

    When one dies (it was killed, or memory ran out), the call that it was at fails with
    BrokenExecutor, that call alone, and a new process takes its place. The processes end when the
    one that made them is gone, however it went; a terminal's Ctrl-C does not reach them.
    """

    def __init__(self, workers: int) -> None:
        self._workers: dict[int, _Worker] = {}
        self._dispatch = ThreadPoolExecutor(workers, "kanpinn-worker")

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        return self._dispatch.submit(self._call, call, *args, **kwargs)

    def _call(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Each thread has one process: so it is known which call a dead one was at."""
        me = threading.get_ident()
        if me not in self._workers:
            self._workers[me] = _Worker.start()
        try:
            return self._workers[me].pool.submit(call, *args, **kwargs).result()
        except BrokenExecutor:
            self._workers.pop(me).pool.shutdown(wait=False)
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in the base class; wait = False ends the processes at once, whatever they do."""
        if not wait:
            for worker in list(self._workers.values()):
                worker.leash.close()
        self._dispatch.shutdown(wait=wait, cancel_futures=cancel_futures)
        for worker in list(self._workers.values()):
            worker.pool.shutdown(wait=wait, cancel_futures=cancel_futures)


@dataclass(frozen=True)
class _Worker:
    """One process; it ends when the leash is closed, which a dying owner does without a word."""

    pool: Pool
    leash: Connection

    @staticmethod
    def start() -> "_Worker":
        context = multiprocessing.get_context("spawn")
        end, leash = context.Pipe(duplex=False)
        return _Worker(Pool(1, context, _settle, (end,)), leash)


def _settle(leash: Connection) -> None:
    """What a new process does first: one thread, before its libraries are loaded."""
    for name in THREADS:
        os.environ.setdefault(name, "1")
    if hasattr(os, "setsid"):
        os.setsid()
    threading.Thread(target=_leave_with, args=(leash,), daemon=True).start()


def _leave_with(leash: Connection) -> None:
    try:
        leash.recv()
    except (EOFError, OSError):
        os._exit(1)
