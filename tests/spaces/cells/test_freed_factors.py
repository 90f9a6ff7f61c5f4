"""Factors of least-squares problems in cells, which take most of the memory, are freed in time."""

import gc
import weakref

import pytest

import kanpinn as kp
from kanpinn.spaces.cells.system.cell_system import CellSystem

PULSE = "exp(-100 * ((x - 0.4)**2 + (y - 0.3)**2))"
SQUARE = kp.Box(x=(0, 1), y=(0, 1))


@pytest.mark.parametrize(
    ("problem", "network", "optimizer"),
    [
        (kp.Poisson(SQUARE, exact=PULSE), kp.Cells([2, 1], 6, 4), kp.AdaptiveLeastSquares(1e-5)),
        (
            kp.Heat(SQUARE.over(t=(0, 0.2)), exact=f"exp(-t) * {PULSE}"),
            kp.CellWindows([3, 1], 4, 4),
            kp.March(0.1, windows=3, stages=3, regrade=False),
        ),
    ],
    ids=["a solve on several trees", "a march"],
)
def test_few_factors_are_in_memory_at_once(problem, network, optimizer, monkeypatch):
    made, left, solver = weakref.WeakSet(), [], CellSystem._solver
    count_made = []

    def counted(self, times):
        count_made.extend([] if self in made else [1])
        made.add(self)
        return solver(self, times)

    monkeypatch.setattr(CellSystem, "_solver", counted)
    gc.collect()
    gc.disable()  # factors in a cycle of references would stay until Python searches for it
    try:
        options = {
            "errors": False,
            "verified": False,
            "observers": [lambda _: left.append(len(made))],
        }
        solution = kp.solve(problem, network, optimizer, **options)
        assert solution.status == "converged"
        assert max(left) <= 2 < len(count_made)
    finally:
        gc.enable()
