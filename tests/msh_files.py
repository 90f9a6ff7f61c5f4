"""Writes MSH files as Gmsh does, and makes small meshes."""

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

FORMATS = [("2.2", False), ("2.2", True), ("4.1", False), ("4.1", True)]


@dataclass(frozen=True)
class Made:
    """A mesh: nodes (n, 3), and blocks (dimension, entity, group or 0, Gmsh's type, nodes)."""

    coords: np.ndarray
    blocks: list[tuple[int, int, int, int, np.ndarray]]
    names: dict[tuple[int, int], str] = field(default_factory=dict)

    def without(self, dim: int) -> "Made":
        """The mesh without its elements of a dimension."""
        return replace(self, blocks=[block for block in self.blocks if block[0] != dim])

    def mapped(self, function) -> "Made":
        """The mesh with other coordinates."""
        return replace(self, coords=function(self.coords))


def write_msh(path: Path, mesh: Made, version: str = "4.1", binary: bool = False) -> Path:
    """Write a mesh to a file; nodes have the numbers 10, 12, 14, …"""
    head = f"$MeshFormat\n{version} {int(binary)} 8\n".encode()
    head += (struct.pack("<i", 1) + b"\n" if binary else b"") + b"$EndMeshFormat\n"
    if mesh.names:
        rows = [f'{dim} {tag} "{name}"' for (dim, tag), name in mesh.names.items()]
        head += "\n".join(["$PhysicalNames", str(len(rows)), *rows, "$EndPhysicalNames\n"]).encode()
    body = _legacy(mesh, binary) if version == "2.2" else _blocks(mesh, binary)
    path.write_bytes(head + body)
    return path


def _legacy(mesh: Made, binary: bool) -> bytes:
    tags = 10 + 2 * np.arange(len(mesh.coords))
    count = sum(len(block[4]) for block in mesh.blocks)
    nodes, elements = [], []
    for tag, at in zip(tags, mesh.coords, strict=True):
        nodes.append(struct.pack("<i3d", tag, *at) if binary else _text(tag, *at))
    for _, entity, group, kind, rows in mesh.blocks:
        for row in tags[rows].tolist():
            marks = (len(elements) + 1, group, entity, *row)
            if binary:
                elements.append(struct.pack(f"<{3 + len(marks)}i", kind, 1, 2, *marks))
            else:
                elements.append(_text(len(elements) + 1, kind, 2, group, entity, *row))
    parts = [b"$Nodes\n%d\n" % len(tags), *nodes, b"\n$EndNodes\n"]
    return b"".join([*parts, b"$Elements\n%d\n" % count, *elements, b"\n$EndElements\n"])


def _blocks(mesh: Made, binary: bool) -> bytes:
    def put(kinds: str, *values) -> bytes:
        return struct.pack(f"<{kinds}", *values) if binary else _text(*values)

    tags = 10 + 2 * np.arange(len(mesh.coords))
    groups = {(dim, entity): group for dim, entity, group, *_ in mesh.blocks}
    own = [[entity for d, entity in groups if d == dim] for dim in range(4)]
    found = [b"$Entities\n", put("4Q", *map(len, own))]
    for dim, entities in enumerate(own):
        for entity in entities:
            group = [groups[dim, entity]] if groups[dim, entity] else []
            box = [0.0] * (6 if dim else 3)
            found.append(put(f"i{len(box)}dQ", entity, *box, len(group)))
            found.append(put(f"{len(group)}i", *group))
            found.append(put("Qi", 1, -7) if dim else b"")
    found += [b"\n$EndEntities\n$Nodes\n", put("4Q", 1, len(tags), 10, int(tags[-1]))]
    found += [put("3iQ", 2, 1, 0, len(tags)), put(f"{len(tags)}Q", *tags.tolist())]
    found += [put("3d", *at) for at in mesh.coords.tolist()]
    count = sum(len(block[4]) for block in mesh.blocks)
    found += [b"\n$EndNodes\n$Elements\n", put("4Q", len(mesh.blocks), count, 1, count)]
    for dim, entity, _, kind, rows in mesh.blocks:
        found.append(put("3iQ", dim, entity, kind, len(rows)))
        found += [put(f"{1 + len(row)}Q", 1, *row) for row in tags[rows].tolist()]
    return b"".join([*found, b"\n$EndElements\n"])


def _text(*values: float) -> bytes:
    return " ".join(map(repr, map(_plain, values))).encode() + b"\n"


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def ring(turns: int, rings: int = 2, order: int = 1, quads: bool = False, curves: int = 1) -> Made:
    """The ring 1 ≤ r ≤ 2; its circles are the groups "inner" and 8, which has no name.

    curves: of how many curves each circle consists.
    """
    step = order
    angles = 2 * np.pi * np.arange(step * turns) / (step * turns)
    radii = np.linspace(1, 2, step * rings + 1)
    r, a = np.meshgrid(radii, angles, indexing="ij")
    coords = np.stack([r * np.cos(a), r * np.sin(a), np.full_like(r, 0.5)], axis=2).reshape(-1, 3)

    def node(i, j):
        return i * len(angles) + j % len(angles)

    i, j = (k.ravel() for k in np.meshgrid(range(rings), range(turns), indexing="ij"))
    i, j = step * i, step * j
    corners = [(i, j), (i + step, j), (i + step, j + step), (i, j + step)]
    whole = np.stack([node(*corner) for corner in corners], axis=1)
    if order == 2:
        middles = [(i + 1, j), (i + 2, j + 1), (i + 1, j + 2), (i, j + 1), (i + 1, j + 1)]
        whole = np.concatenate([whole, np.stack([node(*m) for m in middles], axis=1)], axis=1)
    inside = [(2, 1, 20, 3 if order == 1 else 10, whole)]
    if not quads:
        halves = [[0, 1, 2], [0, 2, 3]] if order == 1 else [[0, 1, 2, 4, 5, 8], [0, 2, 3, 8, 6, 7]]
        inside = [(2, 1, 20, 2 if order == 1 else 9, whole[:, half]) for half in halves]
    j = step * np.arange(turns)
    circles = []
    for entity, i, group in ((3, 0, 7), (4, step * rings, 8)):
        ends = [node(i, j), node(i, j + step), *([node(i, j + 1)] if order == 2 else [])]
        for part, rows in enumerate(np.array_split(np.stack(ends, axis=1), curves)):
            circles.append((1, entity + 10 * part, group, 1 if order == 1 else 8, rows))
    return Made(coords, circles + inside, {(1, 7): "inner", (2, 20): "ring"})


def block(counts: tuple[int, int, int] = (2, 2, 3)) -> Made:
    """The block [0, 1] × [0, 2] × [0, 3] in tetrahedra; the group "floor" is its face z = 0."""
    axes = [np.linspace(0, d + 1, n + 1) for d, n in enumerate(counts)]
    coords = np.stack(np.meshgrid(*axes, indexing="ij"), axis=3).reshape(-1, 3)
    number = np.arange(len(coords)).reshape([n + 1 for n in counts])
    cells, floor = [], []
    for x, y, z in np.ndindex(*counts):
        corner = number[x : x + 2, y : y + 2, z : z + 2]
        for way in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
            path = np.cumsum([[0, 0, 0], *np.eye(3, dtype=int)[way]], axis=0)
            cells.append([corner[tuple(step)] for step in path])
        if z == 0:
            floor += [[corner[0, 0, 0], corner[1, 0, 0], corner[1, 1, 0]]]
            floor += [[corner[0, 0, 0], corner[0, 1, 0], corner[1, 1, 0]]]
    blocks = [(2, 5, 9, 2, np.array(floor)), (3, 1, 30, 4, np.array(cells))]
    return Made(coords, blocks, {(2, 9): "floor"})
