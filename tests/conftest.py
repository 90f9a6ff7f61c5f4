"""Shared settings: one thread per process, reproducible examples, a seeded generator."""

import os

import hypothesis
import pytest
import torch

# Tensors are small here: one thread is as fast as two, and cores are never oversubscribed.
torch.set_num_threads(1)
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # for the processes that tests start
os.environ["MPLBACKEND"] = "Agg"

# The same examples in every run, and no verdict by the clock.
hypothesis.settings.register_profile("kanpinn", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("kanpinn")


@pytest.fixture
def generator() -> torch.Generator:
    """A generator with a fixed seed: tests draw from it, never from torch's global one."""
    return torch.Generator().manual_seed(0)
