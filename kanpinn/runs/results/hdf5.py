"""HDF5 files: result.h5 with history, network and fields; fields.vtkhdf for ParaView."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy
import torch

from kanpinn._support.errors import InputError, expecting
from kanpinn._support.files import refuse_irregular, replacing
from kanpinn.networks.kan import KANLayer
from kanpinn.networks.layer import Layer
from kanpinn.networks.mlp import DenseLayer
from kanpinn.runs.config import Result
from kanpinn.runs.results.checkpoint import ended_state
from kanpinn.solvers.grid_fields import GridFields
from kanpinn.solvers.state import History
from kanpinn.spaces.cells.cells import CellLayer
from kanpinn.spaces.windows import NetworkOfWindows

WINDOWS = "windows"  # the group that holds the ends of the time windows
BESIDE = ("enrichment", "corners", "constants")  # attributes of networks that are further layers


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """Yield an HDF5 file in memory, which is written to `path` when the block succeeds.

    One write is faster than many, and a full disk raises one exception and leaves no incomplete
    file.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        yield file
        file.flush()
        image = file.id.get_file_image()
    with replacing(path) as temporary:
        temporary.write_bytes(image)


def write_scaled(
    group: h5py.Group, axes: Mapping[str, Any], arrays: Mapping[str, Any], **options: Any
) -> None:
    """Write arrays to a group, with `axes` as the HDF5 dimension scales of their dimensions.

    Args:
        group: the group of the file.
        axes: the coordinates along each dimension of the arrays, by name.
        arrays: the arrays by name.
        options: the options of h5py's `create_dataset` for the arrays.
    """
    for name, axis in axes.items():
        group[name] = axis
        group[name].make_scale(name)
    for name, values in arrays.items():
        data = group.create_dataset(name, data=values, **options)
        for dim, axis in zip(data.dims, axes, strict=True):
            dim.label = axis
            dim.attach_scale(group[axis])


def write_run(file: h5py.File, result: Result, settings: Mapping[str, Any]) -> None:
    """Write the groups of result.h5 that all kinds of runs have: /history and /network.

    Every column of /history has the step as its HDF5 dimension scale. /network has a group for each
    layer with its coefficients and, for splines, the knots of its basis ("basis.knots"), a group
    "enrichment" for known functions that are added to the last layer, and a group "constants" for
    unknown scalar parameters, whose values are in /history. The layers of networks side by side, or
    of time windows, are called "part_0.layer_0" and so on; a group "windows" has the ends of time
    windows (spans of time that are solved one after another).

    The layer of a network in N cells has a tree of boxes in [-1, 1]^d. The attribute "roots" of the
    layer is the number of boxes of level 0 along each coordinate. The dataset "level", (N, d), says
    how often each cell is halved in each coordinate. The dataset "place", (N, d), is the index of
    the cell's box among boxes of this size: the box has the lower corner
    -1 + 2 place / (roots 2^level). A box that interfaces divide has a cell for each "region", and
    "sides" describes the region's boundary, see `kanpinn.spaces.cells.geometry.regions.Regions`.
    The dataset "frames", (N, 2, d), has the lower and upper corner of each cell, or of the bounding
    box of the cell's part in the domain; the cell's own coordinates map this box to [-1, 1]^d. The
    layer's coefficients (N, L, m) belong to L products of orthonormal Legendre polynomials in these
    coordinates, up to the total degree "degree", ordered by total degree and then by the degrees in
    each coordinate.

    The attributes low and high of /network are the corners of the box that is mapped to [-1, 1]^d
    before the first layer. The attribute sha256 of the file is the digest of all values in both
    groups; `read_state` compares it to find damaged files.
    """
    file.attrs["status"] = result.status
    file.attrs["config"] = json.dumps(settings)
    history = file.create_group("history")
    history.attrs["columns"] = names = result.history.names
    columns = {name: result.history.column(name) for name in names}
    columns |= {n: columns[n].astype(numpy.int64) for n in ("step", "stage") if n in columns}
    write_scaled(history, {n: columns.pop(n) for n in ("step",) if n in columns}, columns)
    surrogate, network = result.surrogate, result.network
    group = file.create_group("network")
    group.attrs["type"] = type(network).__name__
    group.attrs["width"] = network.width
    group.attrs["low"] = surrogate.low.cpu().numpy()
    group.attrs["high"] = surrogate.high.cpu().numpy()
    if isinstance(network, NetworkOfWindows):
        group.create_group(WINDOWS)["ends"] = network.ends.cpu().numpy()
    layers: dict[str, Layer] = {}
    for p, part in enumerate(network.parts):
        prefix = "" if part is network else f"part_{p}."
        layers |= {f"{prefix}layer_{i}": layer for i, layer in enumerate(part.layers)}
    layers |= {key: one for key in BESIDE if (one := getattr(network, key, None)) is not None}
    for key, layer in layers.items():
        inner = group.create_group(key)
        for name, tensor in layer.state_dict().items():
            inner[name] = tensor.cpu().numpy()
        if isinstance(layer, KANLayer):
            inner.attrs["degree"] = layer.basis.degree
            inner.attrs["base"] = layer.base or "none"
        if isinstance(layer, DenseLayer):
            inner.attrs["activation"] = layer.activation
        if isinstance(layer, CellLayer):
            inner.attrs["degree"] = layer.polynomials.degree
            inner.attrs["roots"] = layer.roots
    file.attrs["sha256"] = _digest(history, group)


def _digest(*groups: h5py.Group) -> str:
    """Return one sha256 of all datasets in the groups: their names, types, shapes and values."""
    found = hashlib.sha256()
    for group in groups:
        names: list[str] = []
        group.visit(names.append)
        for data in (group[name] for name in sorted(names)):
            if isinstance(data, h5py.Dataset):
                found.update(f"{data.name} {data.dtype.str} {data.shape}".encode())
                found.update(data[()].tobytes())
    return found.hexdigest()


def write_vtkhdf(fields: GridFields, path: Path) -> None:
    """Write fields on a grid as a VTK image (ImageData), one point array for each field.

    With fewer than three axes the image is one voxel thick. Arrays are indexed [z, y, x] without
    the indices of missing axes: the reader (VTK 9.7) takes the shape (y, x) for a plane image, not
    (1, y, x).

    Reference: VTKHDF file format, https://docs.vtk.org/en/latest/vtk_file_formats/vtkhdf_file_format
    """
    axes = list(fields.axes.values())
    absent = 3 - len(axes)
    counts = [len(axis) for axis in axes] + [1] * absent
    with new_file(path) as file:
        root = file.create_group("VTKHDF")
        root.attrs["Type"] = numpy.bytes_("ImageData")  # the reader requires a fixed length
        root.attrs.create("Version", (2, 0), dtype=numpy.int64)
        extent = [end for count in counts for end in (0, count - 1)]
        root.attrs.create("WholeExtent", extent, dtype=numpy.int32)
        root.attrs["Origin"] = [float(axis[0]) for axis in axes] + [0.0] * absent
        root.attrs["Spacing"] = [float(axis[1] - axis[0]) for axis in axes] + [1.0] * absent
        root.attrs["Direction"] = numpy.eye(3).ravel()
        root.create_group("CellData")
        points = root.create_group("PointData")
        for name, values in fields.values.items():
            points.create_dataset(name, data=values.T, compression="gzip")
        points[fields.fields[0]].attrs["Attribute"] = numpy.bytes_("Scalars")


def read_state(path: Path) -> dict[str, Any] | None:
    """Read the network and the history from result.h5 as a solver's state; None without the file.

    Raises:
        InputError: if the file cannot be read, or the values in the file do not have the stored
            sha256.
    """
    if not path.exists():
        return None
    refuse_irregular(path)
    try:
        file = h5py.File(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    with expecting(path), file:
        if file.attrs["sha256"] != _digest(file["history"], file["network"]):
            raise ValueError("the sha256 of its values is another one")
        network = {}
        for name, layer in file["network"].items():  # part_0.layer_1 is the module _of.0.layers.1
            module = name.replace(WINDOWS, "").replace("part_", "_of.").replace("layer_", "layers.")
            for key, data in layer.items():
                network[f"{module}.{key}".lstrip(".")] = torch.from_numpy(data[()])
        names = list(file["history"].attrs["columns"])
        columns = [file["history"][name][()].tolist() for name in names]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    rows = [{name: value for name, value in row.items() if value == value} for row in rows]
    seconds = [rows[-1]["seconds"]] if rows else []
    return ended_state(network, History(rows), seconds)
