"""An executor of concurrent.futures on worker processes of this machine."""

import contextlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from kanpinn._support.processes import serve; serve()"
)


class Processes(Executor):
    """Executor on single-threaded worker processes; a process is started at its first call.

    The called functions must be importable. If a worker dies (killed, or out of memory), only its
    present call fails, with BrokenExecutor, and a new process is started for the next call. Workers
    end when the process that started them ends, even if that process is killed. Ctrl-C in a
    terminal does not reach workers. The standard output of workers goes to standard error.

    ProcessPoolExecutor of the standard library is not suitable for three reasons. Its workers
    import the calling script, which would need `if __name__ == "__main__"`. Its workers survive if
    the starting process is killed. If one worker dies, the calls of all other workers are lost.

    Args:
        workers: the largest number of processes.
    """

    def __init__(self, workers: int) -> None:
        self._dispatch = ThreadPoolExecutor(workers, "kanpinn-worker")
        self._workers: dict[int, _Worker] = {}  # one worker for each thread: one call at a time
        self._ended = False
        self._lock = threading.Lock()

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run a call in a worker process, and return its future."""
        return self._dispatch.submit(self._call, call, *args, **kwargs)

    def _call(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a call in the worker process of this thread; if the process has ended, remove it."""
        worker = self._worker()
        try:
            return worker.call(call, args, kwargs)
        except BrokenExecutor:
            with self._lock:
                self._workers.pop(threading.get_ident())
            worker.close()
            raise

    def _worker(self) -> "_Worker":
        """Return the worker process of this thread, which is started on first use."""
        me = threading.get_ident()
        with self._lock:
            if self._ended:
                raise BrokenExecutor("the processes have been ended")
            if me not in self._workers:
                self._workers[me] = _Worker()
            return self._workers[me]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down as `Executor.shutdown`; wait=False kills the processes at once."""
        if not wait:
            with self._lock:
                self._ended = True
                for worker in self._workers.values():
                    worker.kill()
        self._dispatch.shutdown(cancel_futures=cancel_futures)
        while self._workers:
            self._workers.popitem()[1].close()


class _Worker:
    """A worker process, which reads calls from its standard input and writes results to its
    standard output.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict.fromkeys(THREADS, "1") | os.environ,
            start_new_session=True,
        )

    def call(self, call: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Make a call in the process, and return its result or raise its exception.

        Raises:
            BrokenExecutor: if the process dies during the call.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        message = pickle.dumps((call, args, kwargs))
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
            reply = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise BrokenExecutor(self._end()) from error
        result, failure = pickle.loads(reply)
        if failure is not None:
            raise failure
        return result

    def _end(self) -> str:
        """Return a message that says how the worker process ended."""
        self.kill()  # a process that no longer replies may still be running
        code = self._process.wait()
        if code < 0:
            return f"a worker process ended: {signal.strsignal(-code)}"
        return f"a worker process ended with exit code {code}"

    def kill(self) -> None:
        """End the worker process at once."""
        self._process.kill()

    def close(self) -> None:
        """Let the idle process end, and wait for it."""
        with contextlib.suppress(BrokenPipeError), self._process:
            pass  # leaving the block closes the input, which ends the process, and waits for it


def serve() -> None:
    """Run the loop of a worker: answer calls one by one until standard input is closed."""
    calls, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(calls, waiting), daemon=True).start()
    while True:
        pickle.dump(_answer(waiting.get()), replies)
        replies.flush()


def _receive(calls: Any, waiting: "queue.SimpleQueue[bytes]") -> None:
    """Put calls from the input into the queue.

    When the input is closed, the process ends, even during a call.
    """
    try:
        while True:
            waiting.put(pickle.load(calls))
    finally:
        os._exit(1)


def _answer(message: bytes) -> bytes:
    """Run a pickled call, and return the pickled pair (result, exception), of which one is None."""
    try:
        call, args, kwargs = pickle.loads(message)
        return pickle.dumps((call(*args, **kwargs), None))
    except BaseException as error:  # SystemExit as well: it is the outcome of the call
        try:
            return pickle.dumps((None, error))
        except Exception:  # the exception cannot be pickled
            return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
