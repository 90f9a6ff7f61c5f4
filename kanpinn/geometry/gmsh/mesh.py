"""Domains in the plane and in space from the mesh files of Gmsh."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from kanpinn._support.errors import InputError
from kanpinn.geometry.gmsh.filling import Filling, filling
from kanpinn.geometry.gmsh.msh_file import read_msh
from kanpinn.geometry.gmsh.outline import boundary_runs
from kanpinn.geometry.planar.planar import Planar
from kanpinn.geometry.planar.triangles import Triangles
from kanpinn.geometry.solid.ball import coordinate_names
from kanpinn.geometry.solid.surface import Surface


def Mesh(
    path: str | Path,
    *,
    name: str = "boundary",
    arcs: bool = True,
    names: Sequence[str] | None = None,
) -> Planar | Surface:
    """Return the domain that the elements of a Gmsh file fill.

    The file has the version 2.2 or 4.1 of the MSH format, as text or bytes. Its elements are
    triangles and quadrangles in a plane of constant z, or tetrahedra, of the first or the second
    order; parts that do not touch are allowed, nodes of no element are ignored, and nodes in the
    same place are one node.

    The physical groups of curves in the plane, and of surfaces in space, are the pieces of the
    boundary; "group_7" is the group 7 without a name. Groups inside the domain are ignored. Rules
    inside are Gauss rules on the triangles or tetrahedra.

    Meshes have straight edges where the drawing has curves. In the plane, the edges of a curve of
    the drawing with five or more nodes, all of which lie on one circle, are taken as its arc, and
    so are those of several such curves of one name that are not straight, so that the drawing's
    domain is found again; other edges of second order are taken as arcs through their three nodes.
    Neighbours of one name on one line or circle are one piece. A file has the curves of the drawing
    if they are in physical groups, or if all elements are saved (Mesh.SaveAll); otherwise only
    edges of second order are bent. In space all faces are flat.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> text = '''$MeshFormat
    ... 2.2 0 8
    ... $EndMeshFormat
    ... $PhysicalNames
    ... 1
    ... 1 5 "bottom"
    ... $EndPhysicalNames
    ... $Nodes
    ... 4
    ... 1 0 0 0
    ... 2 3 0 0
    ... 3 3 2 0
    ... 4 0 2 0
    ... $EndNodes
    ... $Elements
    ... 3
    ... 1 1 2 5 1 1 2
    ... 2 2 2 0 1 1 2 3
    ... 3 2 2 0 1 1 3 4
    ... $EndElements
    ... '''
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "plate.msh")
    ...     _ = file.write_text(text)
    ...     plate = Mesh(file, name="rest")
    >>> plate.measure, plate.boundary.names, plate.boundary["rest"].measure
    (6.0, ('bottom', 'rest', 'rest', 'rest'), 7.0)

    Args:
        path: the file.
        name: the name of the parts of the boundary in no physical group.
        arcs: False for straight edges only.
        names: the names of the coordinates; by default ("x", "y") or ("x", "y", "z").

    Raises:
        InputError: if the file is no such MSH file, or its elements do not fill a domain: there are
            none, or others; some occur twice, overlap or have no area or volume; the triangles are
            a surface in space; or a part of the boundary is in two groups.
    """
    contents = read_msh(Path(path))
    try:
        domain = filling(contents, name)
        if domain.coords.shape[1] == 3:
            return _solid(domain, names)
        return _planar(domain, coordinate_names(names, 2), arcs, f"Mesh({str(path)!r})")
    except InputError as error:
        raise InputError(f"{path} is no mesh of a domain: {error}") from None


def _planar(domain: Filling, names: tuple[str, ...], arcs: bool, label: str) -> Planar:
    runs = [run for path in boundary_runs(domain, arcs) for run in path]
    curves = tuple(run.curve(names) for run in runs)
    centers = np.full((3 * len(domain.cells), 2), np.nan)
    for run in runs:
        if run.center is not None:
            centers[domain.sides[list(run.edges)]] = run.center
    corners = torch.from_numpy(domain.coords[domain.cells])
    triangles = Triangles(corners, torch.from_numpy(centers).view(-1, 3, 2))
    return Planar(curves, label=label, triangles=triangles if triangles.proper else None)


def _solid(domain: Filling, names: Sequence[str] | None) -> Surface:
    used, cells = np.unique(domain.cells, return_inverse=True)
    return Surface(
        domain.coords[used],
        np.searchsorted(used, domain.faces),
        names=names,
        pieces=domain.names,
        cells=cells.reshape(domain.cells.shape),
    )
