"""Processes of one thread each that wait for work: one, several, or a process group."""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

PATIENCE = timedelta(minutes=5)


class Workers:
    """Worker processes, which end with the process that started them."""

    def __init__(self, count: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._calls = 0
        context = multiprocessing.get_context("forkserver")
        # Imported once for all of them; the last by torch's first optimizer.
        context.set_forkserver_preload(["kanpinn.runs.config", "sympy", "torch._dynamo"])
        self._members = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, ours))

    def together(self, size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Call function(*args) by the first `size` workers as the ranks of one process group."""
        self._calls += 1
        return self._call(size, str(Path(self._folder.name) / str(self._calls)), function, args)

    def apart(self, count: int, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Call function(*args) by each of `count` workers independently, all at once."""
        return self._call(count, None, function, args)

    def _call(
        self, size: int, store: str | None, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> list[Any]:
        chosen = [connection for _, connection in self._members[:size]]
        for rank, connection in enumerate(chosen):
            connection.send((store, rank, size, function, args))
        answers = [connection.recv() for connection in chosen]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def end(self) -> None:
        for process, _ in self._members:
            process.terminate()
            process.join()
        self._folder.cleanup()


def _serve(connection: Connection) -> None:
    torch.set_num_threads(1)
    while True:
        try:
            store, rank, size, function, args = connection.recv()
        except EOFError:
            return
        with _group(store, rank, size):
            try:
                answer = function(*args)
            except Exception as error:
                answer = error
        connection.send(answer)


@contextmanager
def _group(store: str | None, rank: int, size: int) -> Iterator[None]:
    if store is None or size == 1:
        yield
        return
    meeting = dist.FileStore(store, size)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=meeting, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()
