"""Triangle meshes from arrays and files, with checks that they are the surface of a solid."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, number
from kanpinn.geometry.solid.triangles import (
    area_vectors,
    edge_defects,
    enclosed_volume,
    smooth_parts,
)


def table(name: str, rows: Any, dtype: torch.dtype, width: int = 3) -> Tensor:
    """Convert rows of numbers to a tensor (n, width).

    Args:
        name: the name of the argument in error messages.
        rows: one or more rows.
        dtype: the type of the result.
        width: how many numbers a row must have.

    Raises:
        InputError: unless there are rows of so many finite numbers.
    """
    try:
        table = torch.from_numpy(np.array(rows)).to(dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be rows of {width} numbers, got {rows!r}") from error
    if table.ndim != 2 or table.shape[1] != width or not len(table):
        raise InputError(f"{name} must have the shape (n, {width}), got {tuple(table.shape)}")
    if not table.isfinite().all():
        raise InputError(
            f"{name} must be finite numbers, got {int((~table.isfinite()).sum())} others"
        )
    return table


def check_indices(name: str, rows: Tensor, count: int) -> None:
    """Check that all entries are indices of vertices.

    Args:
        name: the name of the argument in error messages.
        rows: the indices, of any shape.
        count: the number of vertices.

    Raises:
        InputError: if an index is not that of a vertex.
    """
    if rows.min() < 0 or rows.max() >= count:
        raise InputError(
            f"{name} must be numbers of the {count} vertices, got {int(rows.min())} to "
            f"{int(rows.max())}"
        )


def proper_triangles(faces: Tensor, count: int) -> Tensor:
    """Return a mask (f,), False for faces with the same corner twice, which some programs leave.

    Args:
        faces: vertex indices (f, 3).
        count: the number of vertices.

    Raises:
        InputError: if an index is not that of a vertex.
    """
    check_indices("faces", faces, count)
    return (faces != faces.roll(1, dims=1)).all(dim=1)


def check_closed(faces: Tensor) -> None:
    """Check that a surface is the whole boundary of a solid.

    Raises:
        InputError: if it has holes, or neighbouring triangles with opposite orientations.
    """
    opened, turned = edge_defects(faces) if len(faces) else (0, 0)
    if opened:
        raise InputError(
            f"the surface is not watertight: at {opened} of its edges an odd number of triangles "
            "meet; close the holes, or merge vertices that lie in the same place"
        )
    if turned:
        raise InputError(
            f"the surface turns neighbouring triangles both ways at {turned} edges; list the "
            "corners of all of them counter-clockwise seen from outside"
        )


def outward(vertices: Tensor, faces: Tensor) -> Tensor:
    """Orient the faces (f, 3) counter-clockwise as seen from outside.

    Raises:
        InputError: if they do not enclose a volume.
    """
    corners = vertices[faces]
    volume = enclosed_volume(corners) if len(faces) else 0.0
    size = (vertices.amax(dim=0) - vertices.amin(dim=0)).norm().item()
    if abs(volume) <= 1e-12 * size**3:
        raise InputError(f"the surface of {len(faces)} triangles encloses no volume")
    return faces if volume > 0 else faces.flip(1)


def smooth_pieces(
    vertices: Tensor, faces: Tensor, name: str, sharp: float | int | None
) -> tuple[tuple[str, Tensor], ...]:
    """Divide a surface into pieces at edges with an angle above `sharp` between the normals.

    Args:
        vertices: the vertices (v, 3).
        faces: the vertex indices (f, 3) of the triangles.
        name: the name of the only piece if sharp is None.
        sharp: an angle in degrees; None for the whole surface as one piece.

    Returns:
        The name of each piece and the indices of its triangles.
    """
    if sharp is None:
        return ((name, torch.arange(len(faces))),)
    number("sharp", sharp, above=True)
    vectors = area_vectors(vertices[faces])
    normals = vectors / vectors.norm(dim=1, keepdim=True)
    parts = smooth_parts(faces, normals, sharp)
    # Drop single triangles of area 0: they have no normal and are connected to no other triangle.
    parts = [part for part in parts if vectors[part].any()]
    return tuple((f"facet_{i}", part) for i, part in enumerate(parts))


def named_pieces(pieces: Sequence[str], kept: Tensor) -> tuple[tuple[str, Tensor], ...]:
    """Divide a surface into pieces by the names of its triangles.

    Args:
        pieces: the name of each of the given triangles.
        kept: which of these are kept, a mask (f,).

    Returns:
        The name of each piece and the indices of its triangles among the kept ones.

    Raises:
        InputError: unless there is a name for each triangle.
    """
    if len(pieces) != len(kept):
        raise InputError(f"pieces must have {len(kept)} names, one a triangle, got {len(pieces)}")
    names = [pieces[i] for i in kept.nonzero()[:, 0].tolist()]
    found: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        found.setdefault(name, []).append(i)
    return tuple((name, torch.tensor(rows)) for name, rows in found.items())


def load_mesh(path: Path) -> Any:
    """Read a mesh from a file with trimesh, and merge vertices with equal coordinates.

    Raises:
        InputError: if the file or trimesh is missing, or the file cannot be read.
    """
    try:
        import trimesh
    except ImportError as error:
        raise InputError(
            f"reading {path} needs trimesh: pip install 'kanpinn[geometry3d]'"
        ) from error
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        mesh = trimesh.load_mesh(path)
    except Exception as error:  # the readers of trimesh raise exceptions of many types
        raise InputError(f"{path} cannot be read as a surface: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
        raise InputError(f"{path} cannot be read as a surface: it has no triangles")
    mesh.merge_vertices()
    if mesh.is_watertight and not mesh.is_winding_consistent:
        mesh.fix_normals()
    return mesh
