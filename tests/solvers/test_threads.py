"""A solve in cells computes on one thread, and leaves the number of threads as it was."""

import library
import pytest
import torch
from threadpoolctl import threadpool_info

import kanpinn as kp
from kanpinn._support.distributed import on_threads
from kanpinn.runs.config import Config


class Bump(kp.Problem):
    """u_xx + u_yy = f with u = x (1 - x) y (1 - y)."""

    domain = kp.Box(x=(0, 1), y=(0, 1))

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, 0.0)]

    def exact(self, p):
        return p.x * (1 - p.x) * p.y * (1 - p.y)


def counted() -> set[int]:
    pools = {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}
    return pools | {torch.get_num_threads()}


@pytest.mark.parametrize(
    ("network", "expected"), [(kp.Cells([2, 1], 4, 2), 1), (kp.KAN([2, 16, 1], seed=0), 2)]
)
def test_a_solve_in_cells_computes_on_one_thread(network: kp.KAN | kp.Cells, expected: int) -> None:
    seen: list[set[int]] = []
    with on_threads(2):
        kp.solve(Bump(), network, observers=[lambda _: seen.append(counted())])
        assert counted() == {2}
    assert seen and all(one == {expected} for one in seen)


def test_threads_are_restored_after_an_error() -> None:
    before = counted()
    with pytest.raises(ZeroDivisionError), on_threads(3):
        assert counted() == {3}
        raise ZeroDivisionError
    assert counted() == before


def test_more_threads_for_cells_are_refused() -> None:
    config = Config.from_dict(
        {
            "problem": {"class": "poisson2d.py:Poisson2D"},
            "network": {"type": "cells", "width": [2, 1]},
            "run": {"threads": 2},
        },
        library.PROBLEMS,
    )
    with pytest.raises(kp.InputError, match=r"run\.threads must be 1 for Cells.*got 2"):
        config.build()
