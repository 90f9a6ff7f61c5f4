"""An executor of concurrent.futures that runs its calls on dask workers."""

import contextlib
import itertools
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, InvalidStateError
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from kanpinn._support.errors import InputError

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
