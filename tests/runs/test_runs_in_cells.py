"""Runs of networks in cells: folders, readers of result.h5, and runs that go on."""

import itertools
import json
import math
import re
from pathlib import Path

import h5py
import numpy
import pytest
import torch
from cases import Stated
from numpy.polynomial import legendre

import kanpinn as kp
from kanpinn.runs.config import Config
from kanpinn.runs.results import RunFolder, load
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.coupling import Traces
from kanpinn.spaces.cells.system.memory import factor_bytes

PEAKS = Path(__file__).parents[2] / "problems" / "two_peaks.toml"
F = torch.float64
SQUARE = kp.Box(x=(0, 1), y=(0, 1))


@pytest.fixture
def config(monkeypatch) -> Config:
    """The two peaks to 1e-2, three steps; the fields are drawn on a coarse grid."""
    monkeypatch.setattr("kanpinn.solvers.grid_fields.NODES", {1: 11, 2: 9, 3: 5})
    pairs = ["network.degree=8", "run.tolerance=1e-2", "run.estimate=false"]
    return Config.read(PEAKS, pairs)


def run(config: Config, output: Path, *more) -> Path:
    folder, job = RunFolder.create(output, config.name, config), config.build()
    return folder.finish(job.run((folder.checkpoint, *more)))


def evaluated(file: Path, points: numpy.ndarray) -> numpy.ndarray:
    """The values of a network in cells, read from result.h5 as its documentation says."""
    with h5py.File(file) as read:
        network, layer = read["network"], read["network/layer_0"]
        low, high = network.attrs["low"], network.attrs["high"]
        degree, roots = layer.attrs["degree"], layer.attrs["roots"]
        coefficients, frames = layer["coefficients"][()], layer["frames"][()]
        level, place = layer["level"][()], layer["place"][()]
    x = 2 * (points - low) / (high - low) - 1
    widths = 2 / (roots * 2**level)
    corners = place * widths - 1
    assert abs(numpy.stack([corners, corners + widths], axis=1) - frames).max() < 1e-15
    powers = sorted(
        (sum(one), one) for one in itertools.product(range(degree + 1), repeat=2)
        if sum(one) <= degree
    )  # fmt: skip
    found = numpy.zeros((len(points), coefficients.shape[2]))
    for corner, width, own in zip(corners, widths, coefficients, strict=True):
        local = 2 * (x - corner) / width - 1
        here = (local >= -1).all(axis=1) & (local < 1).all(axis=1)
        values = legendre.legvander(local[here], degree) * numpy.sqrt(
            numpy.arange(degree + 1) + 0.5
        )
        for (_, (i, j)), c in zip(powers, own, strict=True):
            found[here] += values[:, 0, i, None] * values[:, 1, j, None] * c
    return found


def test_what_is_written_is_the_solution(config, tmp_path, generator):
    path = run(config, tmp_path)
    record = json.loads((path / "run.json").read_text())
    assert record["status"] == "converged" and record["errors"]["l2_relative"] < 1e-2
    again = load(path)
    x = torch.rand(200, 2, generator=generator, dtype=F)
    values = again(x).numpy()
    assert abs(evaluated(path / "result.h5", x.numpy()) - values).max() < 1e-13
    assert again.network.count == again.history.column("cells")[-1] > 16
    assert again.errors.l2_relative == record["errors"]["l2_relative"]
    with h5py.File(path / "fields.vtkhdf") as file:
        assert file["VTKHDF/PointData/u"].shape == (9, 9)
    (path / "checkpoint.pt").unlink()
    assert torch.equal(load(path)(x), again(x))


def test_too_few_cells_are_said_with_the_error(config):
    job = config.vary(
        {"optimizer": [{"type": "adaptive_least_squares", "tolerance": 1e-2, "cells": 40}]}
    ).build()
    solution = job.run(())
    assert solution.status.startswith("stopped: the next ")
    assert "cells would be more than cells = 40; the estimated relative error is" in solution.status


def test_cells_that_do_not_fit_into_memory_are_refused_with_the_number(config, monkeypatch):
    monkeypatch.setattr("kanpinn.spaces.cells.system.memory.machine_memory", lambda: 2.5e6)
    solution = config.build().run(())
    words = (
        r"stopped: the next \d+ cells would need [\d.]+ MB of memory, and this machine has 2.5 MB;"
    )
    assert re.match(words, solution.status)
    assert solution.history.column("cells")[-1] >= 16
    monkeypatch.setattr("kanpinn.spaces.cells.system.memory.machine_memory", lambda: 1e6)
    with pytest.raises(kp.InputError, match=r"16 cells of degree 8 would need .* of memory"):
        config.build().run(())
    with pytest.raises(kp.InputError, match=r"network\.cells = 100000: needs at least .* TB"):
        config.vary({"network.cells": 100_000}).build()


def test_a_comparison_that_does_not_fit_into_memory_is_left_out(monkeypatch):
    monkeypatch.setattr("kanpinn.spaces.cells.system.memory.machine_memory", lambda: 1.8e6)
    network, settings = kp.Cells([2, 1], 8, 4), kp.AdaptiveLeastSquares(tolerance=0.5, marking=0.05)
    solution = kp.solve(kp.Poisson(SQUARE, source=-1, boundary="x**2 / 2"), network, settings)
    words = r"stopped: the comparison with a solution of degree 10 would need .* MB of memory, .*;"
    assert re.match(words, solution.status)


def test_the_memory_of_a_dissection_is_what_was_measured(monkeypatch):
    # Mebibytes by which the peak of a process grew, for -Δu = 1 by cells of equal size.
    measured = {
        (2, 8, 32): 102,
        (2, 8, 64): 486,
        (2, 16, 32): 368,
        (3, 4, 8): 337,
        (3, 4, 12): 1775,
    }
    for (dim, degree, side), size in measured.items():
        unknowns = math.comb(degree + dim - 1, degree) + math.comb(degree + dim - 2, degree - 1)
        monkeypatch.setattr(Traces, "size", lambda *_, unknowns=unknowns, **__: unknowns)
        monkeypatch.setattr(Traces, "coarse", lambda *_, **__: numpy.array([10**6]))  # too dear
        traces = Traces(LocalPolynomials(degree, dim), (2,))
        assert factor_bytes(traces, side**dim) / 2**20 == pytest.approx(size, rel=0.1)


def test_numbers_that_are_not_finite_are_a_failure():
    residual = lambda p, u: kp.laplacian(u) - torch.log(p.x - 0.5)  # noqa: E731
    problem = Stated(SQUARE, residual, [kp.Dirichlet(SQUARE.boundary, 0.0)])
    solution = kp.solve(problem, kp.Cells([2, 1], 4, 2))
    assert solution.status.startswith(
        "failed: step 1 of AdaptiveLeastSquares broke down (the residual of"
    )
    assert "is not finite at x = 0.0" in solution.status
    assert "the source or a coefficient is not finite at x = 0." in solution.status
    assert "regularise" not in solution.status


def test_single_precision_is_refused(config):
    with pytest.raises(kp.InputError, match=r"dtype must be float64 for a network in cells"):
        config.vary({"run.dtype": "float32"}).build().preview()
