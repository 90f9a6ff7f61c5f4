"""All numbers behind Figure 3 in one HDF5 file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy
from poster import paper
from poster.figure3_data import ERRORS, Point, Runs
from poster.figure3_plots import DYNAMICS

from kanpinn._support.files import replacing

NUMBERS = ("seed", "grid", "edges", "n", "parameters", *ERRORS, "loss", "steps", "seconds")


def write(runs: Runs, path: Path) -> Path:
    """Write the groups /points, /dynamics and /paper.

    /points has a dataset for each column, with a row for each run and grid.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        _write_points(file.create_group("points"), runs.points)
        _write_dynamics(file.create_group("dynamics"), runs)
        _write_paper(file.create_group("paper"))
    return path


def _write_points(group: h5py.Group, points: Sequence[Point]) -> None:
    """Write the points; grid 0 is an MLP, series and width are text such as [2,10,1]."""
    for name in ("protocol", "network", "boundary"):
        _text(group, name, [getattr(p.series, name) for p in points])
    _text(group, "width", [str(list(p.width)) for p in points])
    _column(group, "degree", [p.series.degree for p in points])
    for name in NUMBERS:
        _column(group, name, [getattr(p, name) for p in points])


def _write_dynamics(group: h5py.Group, runs: Runs) -> None:
    """Write the histories that the figure shows: step and squared errors of each seed."""
    for series, width, _ in DYNAMICS:
        for history in runs.history(series, width):
            name = f"{series.network} {list(width)} seed {history.seed}"
            inner = group.create_group(name)
            for key in ("step", *ERRORS):
                _column(inner, key, getattr(history, key))


def _write_paper(group: h5py.Group) -> None:
    """Write the values of arXiv 2404.19756, Figure 3.3."""
    group.attrs["source"] = "arXiv 2404.19756, Figure 3.3, read off its vector paths"
    _column(group, "grid", paper.GRIDS)
    for width, errors in paper.KANS.items():
        _column(group, f"KAN [2,{width},1]/l2_squared", errors.l2_squared)
        _column(group, f"KAN [2,{width},1]/h1_squared", errors.h1_squared)
    _column(group, "mlp_width", paper.MLP_WIDTHS)
    for depth, values in paper.MLP_L2.items():
        _column(group, f"MLP depth {depth}/l2_squared", values)
    _column(group, "step", paper.STEPS)
    for name, curve in paper.DYNAMICS.items():
        _column(group, f"dynamics {name}/l2_squared", curve)
        group[f"dynamics {name}"].attrs["final h1_squared"] = paper.FINAL_H1[name]


def _column(group: h5py.Group, name: str, values: Any) -> None:
    data = numpy.asarray(values)
    group.create_dataset(name, data=data, compression="gzip" if len(data) > 50 else None)


def _text(group: h5py.Group, name: str, values: Sequence[str]) -> None:
    group.create_dataset(name, data=numpy.array(values, dtype=h5py.string_dtype()))
