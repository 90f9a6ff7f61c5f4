"""Processes that act as the ranks of a process group, for the tests of distributed solves."""

import gc
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from forks import CONTEXT

PATIENCE = 120  # seconds after which a rank counts as hanging


class Ranks:
    """So many processes; `run` makes some of them a group for the length of one call."""

    def __init__(self, count: int, folder: Path) -> None:
        self.folder, self.calls = folder, 0
        self.members = []
        for _ in range(count):
            ours, theirs = CONTEXT.Pipe()
            process = CONTEXT.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self.members.append((process, ours))

    def run(self, size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
        """What function(*args) gives on each rank: a value, or (type name, text) of an error.

        A rank that died gives None; one that hangs fails the test.
        """
        self.calls += 1
        store = str(self.folder / f"store{self.calls}")
        chosen = self.members[:size]
        for rank, (_, connection) in enumerate(chosen):
            connection.send((store, rank, size, function, args))
        return [_answer(connection) for _, connection in chosen]

    def end(self) -> None:
        for process, connection in self.members:
            connection.close()
            process.kill()
            process.join()


def _answer(connection: Connection) -> Any:
    assert connection.poll(PATIENCE), "a rank hangs"
    try:
        return connection.recv()
    except EOFError:
        return None


def _serve(connection: Connection) -> None:
    gc.freeze()  # what the server has imported
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
                if os.environ.get("SHOW"):
                    traceback.print_exc()
                answer = type(error).__name__, str(error)
        connection.send(answer)


@contextmanager
def _group(store: str, rank: int, size: int) -> Iterator[None]:
    dist.init_process_group(
        "gloo",
        store=dist.FileStore(store, size),
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=PATIENCE),
    )
    dist.barrier()  # none may leave the group while another still joins it
    try:
        yield
    finally:
        dist.destroy_process_group()
