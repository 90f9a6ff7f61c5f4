"""Shared settings: one thread per process, reproducible examples, a seeded generator."""

import dataclasses
import gc
import inspect
import os
import typing
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import jaxtyping
import pytest
import torch
import unticked
from ranks import Ranks

# Tensors are small here: one thread is as fast as two, and cores are never oversubscribed.
torch.set_num_threads(1)
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # for the processes that tests start
os.environ["MPLBACKEND"] = "Agg"
# Memory that was freed is used again rather than given back to the system and zeroed anew by it, in
# the worker processes of pytest and in those that tests start: a tenth of the processor's time.
os.environ["MALLOC_MMAP_THRESHOLD_"] = str(32 * 2**20)
os.environ["MALLOC_TRIM_THRESHOLD_"] = str(2**30)

# No test needs its files after a loss of power: thousands of writes need not wait for the disk.
os.fsync = lambda descriptor: None

_JAXTYPED = jaxtyping.jaxtyped


def _checked(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Check shapes in signatures that have some, and types alone in others: half of the cost.

    The option --jaxtyping-packages decorates every function and class of its packages with this.
    """

    def decorated(thing: Any) -> Any:
        if not dataclasses.is_dataclass(thing):
            return thing if inspect.isclass(thing) else checked(thing)
        thing.__init__ = checked(thing.__init__)
        return thing

    def checked(function: Any) -> Any:
        shaped = any(map(_has_shapes, inspect.get_annotations(function).values()))
        return (_JAXTYPED(typechecker=typechecker) if shaped else typechecker)(function)

    return decorated


def _has_shapes(annotation: Any) -> bool:
    """Return whether values are checked for shapes; those that a callable takes are not."""
    if inspect.isclass(annotation):
        return issubclass(annotation, jaxtyping.AbstractArray)
    if typing.get_origin(annotation) is Callable:
        return False
    return any(map(_has_shapes, typing.get_args(annotation)))


jaxtyping.jaxtyped = _checked

# The same examples in every run, and no verdict by the clock.
hypothesis.settings.register_profile("kanpinn", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("kanpinn")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without searches for garbage, and leave what was collected out of later ones.

    The modules and the thousands of tests are never garbage, but each search would visit them all.
    """
    gc.disable()
    result = yield
    gc.freeze()
    gc.enable()
    return result


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have ticks, as outside of the tests."""
    monkeypatch.setattr(unticked.Axis, "_update_ticks", unticked.update_ticks)


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    """Three processes that can be the ranks of a process group."""
    members = Ranks(3, tmp_path_factory.mktemp("ranks"))
    yield members
    members.end()


@pytest.fixture
def generator() -> torch.Generator:
    """A generator with a fixed seed: tests draw from it, never from torch's global one."""
    return torch.Generator().manual_seed(0)
