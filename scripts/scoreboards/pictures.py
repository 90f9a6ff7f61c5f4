"""The part of a run that is kept for its picture, and the page of all pictures."""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn import load
from kanpinn.plotting.fields import two_signed
from kanpinn.plotting.style import STYLE, new_figure
from kanpinn.solvers import Solution
from kanpinn.solvers.grid_fields import on_grid, plane_of

COLUMNS = 6
MODES = 4  # of an eigenvalue problem, in one picture
DERIVED = ("exact", "reference", "error", "residual")  # arrays that are of no field
TIME = "t"


def keep(folder: Path, path: Path) -> None:
    """Keep the two axes and the values of a run's field, or of its first modes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        plane = _from_file(folder / "result.h5") or _from_network(folder)
    except Exception as error:  # a run of an hour is not lost for its picture
        print(f"no picture of {path.stem}: {error}", file=sys.stderr)
        return
    numpy.savez_compressed(path, allow_pickle=False, **plane)


def _from_file(path: Path) -> dict[str, numpy.ndarray] | None:
    """Return the fields on a grid of two or three coordinates, None if the file has none."""
    with h5py.File(path) as file:
        group = file.get("fields", file.get("modes"))
        if group is None:
            return None
        arrays = {name: data for name, data in group.items() if data.ndim > 1}
        names = [name for name in arrays if not name.startswith(DERIVED)]
        if "modes" in file:
            names = sorted(names, key=lambda name: int(name.split("_")[1]))[:MODES]
        axes = [dim.label for dim in arrays[names[0]].dims]
        coords = {axis: group[axis][()] for axis in axes}
        values = {name: arrays[name][()] for name in names}
    return _plane(coords, values, {})


def _from_network(folder: Path) -> dict[str, numpy.ndarray]:
    """Evaluate the network on a plane, for domains of more coordinates than files have grids of."""
    solution = load(folder)
    assert isinstance(solution, Solution)
    found = on_grid(solution, plane_of(solution.problem.domain))
    values = {name: found.values[name] for name in found.fields}
    return _plane(found.axes, values, found.fixed)


def _plane(
    coords: Mapping[str, numpy.ndarray],
    values: Mapping[str, numpy.ndarray],
    fixed: Mapping[str, float],
) -> dict[str, numpy.ndarray]:
    """Reduce a grid to two axes: of three, time is held at its end, another in its middle."""
    coords, values, held = dict(coords), dict(values), dict(fixed)
    while len(coords) > 2:
        axis, along = coords.popitem()
        index = len(along) - 1 if axis == TIME else len(along) // 2
        held[axis] = float(along[index])
        values = {name: array[..., index] for name, array in values.items()}
    if TIME in list(coords)[1:]:  # time runs to the right
        coords = dict(reversed(coords.items()))
        values = {name: array.T for name, array in values.items()}
    return {
        "axes": numpy.array(list(coords)),
        **{f"along_{i}": along for i, along in enumerate(coords.values())},
        "fields": numpy.array(list(values)),
        "values": numpy.stack(list(values.values())),
        "held": numpy.array([f"{name} = {value:.3g}" for name, value in held.items()]),
    }


def page(pictures: Sequence[tuple[Path, str]]) -> Figure:
    """Draw a grid of pictures, each a kept file with its title."""
    count = math.ceil(len(pictures) / COLUMNS)
    figure = new_figure(1.75 * min(COLUMNS, len(pictures)), 2.25 * count)
    grid = figure.subplots(count, min(COLUMNS, len(pictures)), squeeze=False)
    for ax, (path, title) in zip(grid.flat, pictures, strict=False):
        ax.set_title(title, fontsize=STYLE.small)
        with numpy.load(path) as kept:
            _draw(ax, dict(kept))
    for ax in grid.flat[len(pictures) :]:
        ax.set_axis_off()
    return figure


def _draw(ax: Axes, kept: Mapping[str, numpy.ndarray]) -> None:
    across, up = kept["along_0"], kept["along_1"]
    label, values = _shown([str(name) for name in kept["fields"]], kept["values"])
    low, high = float(numpy.nanmin(values)), float(numpy.nanmax(values))
    signed = two_signed((low, high))
    bound = max(-low, high)
    ax.imshow(
        values.T,
        extent=(across[0], across[-1], up[0], up[-1]),
        origin="lower",
        cmap="RdBu_r" if signed else "viridis",
        vmin=-bound if signed else low,
        vmax=bound if signed else high,
        aspect="auto",
    )
    ax.set(xticks=[], yticks=[])
    names = [str(name) for name in kept["axes"]]
    ratio = 1.0 if TIME in names else (up[-1] - up[0]) / (across[-1] - across[0])
    ax.set_box_aspect(min(max(ratio, 0.5), 1.4))
    held = kept["held"]
    if len(held) == 1:
        names[0] += f" ({held[0]})"
    elif len(held):
        names[0] += " (others in the middle)"
    ax.set_xlabel(f"{names[0]}\n{label}: {low:.2g} … {high:.2g}", fontsize=STYLE.letter)
    ax.set_ylabel(names[1], fontsize=STYLE.letter)


def _shown(names: Sequence[str], values: numpy.ndarray) -> tuple[str, numpy.ndarray]:
    """Return the field that is drawn: a vector's length, or all modes, each to its own scale."""
    if {"u", "v"} <= set(names):
        return "|(u, v)|", numpy.hypot(values[names.index("u")], values[names.index("v")])
    if names[0].endswith("_1"):
        scaled = [mode / numpy.nanmax(numpy.abs(mode)) for mode in values]
        scaled += [numpy.full_like(scaled[0], numpy.nan)] * (MODES - len(scaled))
        first, second, third, fourth = scaled  # in the order of reading; the second index goes up
        return f"{len(values)} modes", numpy.block([[third, first], [fourth, second]])
    index = names.index("u") if "u" in names else 0
    return names[index], values[index]
