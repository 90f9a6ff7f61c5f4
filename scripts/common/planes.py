"""The field of a run, or its modes, in a plane: arrays to keep, and pictures of them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy
from matplotlib.axes import Axes

from kanpinn import load
from kanpinn.plotting.fields import two_signed
from kanpinn.plotting.style import STYLE, new_figure, save
from kanpinn.solvers import Solution
from kanpinn.solvers.grid_fields import on_grid, plane_of

Plane = Mapping[str, numpy.ndarray]
MODE = re.compile(r"(.*)_(\d+)(_real)?")  # the name of a mode's field, not of an imaginary part
MODES = 4  # of an eigenvalue problem, in one picture
DERIVED = ("exact", "reference", "error", "residual")  # arrays that are of no field
TIME = "t"


def of_run(folder: Path) -> Plane | None:
    """Return the two axes and the values of a run's field, or of its first modes.

    The result is None where there is no field in a plane: for a fit, or a path over the time.
    """
    return _from_file(folder / "result.h5") or _from_network(folder)


def _from_file(path: Path) -> Plane | None:
    """Return what a file has on a grid: fields over two coordinates, modes over two or three."""
    with h5py.File(path) as file:
        group = file.get("fields", file.get("modes"))
        if group is None:
            return None
        arrays = {name: data for name, data in group.items() if data.ndim > 1}
        names = [name for name in arrays if not name.startswith(DERIVED)]
        if "modes" in file and names:  # modes over one coordinate are no maps
            names = _first_modes(names)
        elif any(data.ndim > 2 for data in arrays.values()):
            return None  # such a grid is too coarse for a picture
        if not names:
            return None
        axes = [dim.label for dim in arrays[names[0]].dims]
        coords = {axis: group[axis][()] for axis in axes}
        values = {name: arrays[name][()] for name in names}
    return _plane(coords, values, {})


def _first_modes(names: Sequence[str]) -> list[str]:
    """Return the first field of the first modes, such as u_1, u_2, …; of complex ones, real parts.

    Names are those of `modes_on_grid`.
    """
    known = [(found[1], int(found[2]), name) for name in names if (found := MODE.fullmatch(name))]
    field = min(known, key=lambda one: one[1])[0]
    return [name for one, _, name in sorted(known) if one == field][:MODES]


def _from_network(folder: Path) -> Plane | None:
    """Evaluate the network on a plane, at the last moment if the time is not one of its axes."""
    solution = load(folder)
    if not isinstance(solution, Solution) or solution.problem.domain.dim == 1:
        return None
    domain = solution.problem.domain
    shown, time = plane_of(domain), domain.time_name
    at = {}
    if time is not None and time not in shown:
        at[time] = float(domain.bounds[1][domain.names.index(time)])
    found = on_grid(solution, shown, at=at, residuals=False, compared=False)
    values = {name: found.values[name] for name in found.fields}
    return _plane(found.axes, values, found.fixed)


def _plane(
    coords: Mapping[str, numpy.ndarray],
    values: Mapping[str, numpy.ndarray],
    fixed: Mapping[str, float],
) -> Plane:
    """Reduce a grid to two axes: a third one is held in its middle, and time runs to the right."""
    coords, values, held = dict(coords), dict(values), dict(fixed)
    while len(coords) > 2:
        axis, along = coords.popitem()
        index = len(along) // 2
        held[axis] = float(along[index])
        values = {name: array[..., index] for name, array in values.items()}
    if TIME in list(coords)[1:]:
        coords = dict(reversed(coords.items()))
        values = {name: array.T for name, array in values.items()}
    return {
        "axes": numpy.array(list(coords)),
        **{f"along_{i}": along for i, along in enumerate(coords.values())},
        "fields": numpy.array(list(values)),
        "values": numpy.stack(list(values.values())),
        "held": numpy.array([f"{name} = {value:.3g}" for name, value in held.items()]),
    }


def draw(ax: Axes, plane: Plane) -> None:
    """Draw a plane into axes without ticks, with names and range as the labels of the axes."""
    names, across, up = [str(name) for name in plane["axes"]], plane["along_0"], plane["along_1"]
    label, low, high = _image(ax, plane)
    ratio = 1.0 if TIME in names else (up[-1] - up[0]) / (across[-1] - across[0])
    ax.set_box_aspect(min(max(ratio, 0.5), 1.4))
    held = plane["held"]
    if len(held) == 1:
        names[0] += f" ({held[0]})"
    elif len(held):
        names[0] += " (others in the middle)"
    ax.set_xlabel(f"{names[0]}\n{label}: {low:.2g} … {high:.2g}", fontsize=STYLE.letter)
    ax.set_ylabel(names[1], fontsize=STYLE.letter)


def draw_plain(plane: Plane, path: Path, pixels: int) -> None:
    """Draw a plane without axes and words, as a square picture of that many pixels."""
    figure = new_figure(pixels / STYLE.dpi, pixels / STYLE.dpi, layout=None)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    _image(ax, plane)
    ax.set_axis_off()
    save(figure, path)


def _image(ax: Axes, plane: Plane) -> tuple[str, float, float]:
    """Draw the image of a plane; return the name of what it shows, and its range."""
    across, up = plane["along_0"], plane["along_1"]
    label, values = _shown([str(name) for name in plane["fields"]], plane["values"])
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
    return label, low, high


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
