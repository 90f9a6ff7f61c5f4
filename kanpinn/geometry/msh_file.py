"""The blocks of elements and the names of groups in Gmsh's files."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kanpinn._support.errors import InputError


@dataclass
class Numbers:
    """Reads the numbers of a section one after the other.

    Args:
        data: the contents of the file.
        position: where the next number begins.
        tokens: the words of the section if it is text; None for bytes.
        size: the size in bytes of a count, which MSH 4.1 calls size_t.
        order: the byte order, "<" or ">".
    """

    data: bytes
    position: int
    tokens: list[bytes] | None
    size: int = 8
    order: str = "<"

    def ints(self, count: int) -> np.ndarray:
        """The next integers of four bytes, (count,)."""
        return self._next(count, "i4")

    def counts(self, count: int) -> np.ndarray:
        """The next unsigned integers of the file's size, (count,)."""
        return self._next(count, f"u{self.size}")

    def floats(self, count: int) -> np.ndarray:
        """The next numbers in double precision, (count,)."""
        return self._next(count, "f8")

    def records(self, count: int, kind: np.dtype) -> np.ndarray:
        """The next `count` records of bytes with several fields."""
        return self._bytes(count, kind)

    def _next(self, count: int, kind: str) -> np.ndarray:
        wide = np.dtype(np.float64 if kind == "f8" else np.int64)
        if self.tokens is None:
            return self._bytes(count, np.dtype(self.order + kind)).astype(wide)
        words = self.tokens[self.position : self.position + max(count, 0)]
        if len(words) != count:
            raise InputError("a section ends too early")
        self.position += count
        return np.array(words, dtype=bytes).astype(wide)

    def _bytes(self, count: int, kind: np.dtype) -> np.ndarray:
        if not 0 <= count * kind.itemsize <= len(self.data) - self.position:
            raise InputError("the file ends too early")
        found = np.frombuffer(self.data, kind, count, self.position)
        self.position += count * kind.itemsize
        return found


# The number of nodes of Gmsh's element types. Those of a higher order are read to be refused.
NODES = {1: 2, 2: 3, 3: 4, 4: 4, 5: 8, 6: 6, 7: 5, 8: 3, 9: 6, 10: 9, 11: 10, 12: 27, 13: 18}
NODES |= {14: 14, 15: 1, 16: 8, 17: 20, 18: 15, 19: 13, 20: 9, 21: 10, 22: 12, 23: 15, 24: 15}
NODES |= {25: 21, 26: 4, 27: 5, 28: 6, 29: 20, 30: 35, 31: 56, 36: 16, 37: 25, 92: 64, 93: 125}


@dataclass(frozen=True)
class Block:
    """Elements of one type on one geometrical entity, such as a curve of the drawing.

    Args:
        kind: Gmsh's number of the type.
        entity: the number of the entity.
        groups: the numbers of the physical groups that contain the elements.
        nodes: the indices of the elements' nodes, (m, k).
    """

    kind: int
    entity: int
    groups: tuple[int, ...]
    nodes: np.ndarray


@dataclass
class MshFile:
    """The contents of an MSH file.

    Args:
        coords: the coordinates of the nodes, (n, 3).
        blocks: the elements.
        names: the names of physical groups, by dimension and number.
    """

    coords: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    blocks: list[Block] = field(default_factory=list)
    names: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def used(self) -> np.ndarray:
        """The indices of the nodes of elements, ascending."""
        return np.unique(np.concatenate([block.nodes.ravel() for block in self.blocks]))


def read_msh(path: Path) -> MshFile:
    """Read an MSH file.

    Raises:
        InputError: if there is no such file, or it cannot be read as an MSH file of these versions.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        return _Reader(path.read_bytes()).read()
    except (InputError, LookupError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(f"{path} cannot be read as an MSH file of Gmsh: {error}") from error


class _Reader:
    """Reads the sections of a file in their order.

    data: the contents of the file.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.position, self.found = data, 0, MshFile()
        self.legacy, self.binary, self.size, self.order = False, False, 8, "<"
        self.tags = np.zeros(0, dtype=np.int64)  # the numbers of the nodes, ascending
        self.groups: dict[tuple[int, int], tuple[int, ...]] = {}  # by dimension and entity

    def read(self) -> MshFile:
        sections = {
            "MeshFormat": self._format,
            "PhysicalNames": self._names,
            "Entities": self._entities,
            "Nodes": self._nodes,
            "Elements": self._elements,
        }
        if not self.data.lstrip().startswith(b"$MeshFormat"):
            raise InputError("it does not begin with $MeshFormat")
        while header := re.compile(rb"\s*\$(\w+)[^\S\n]*\r?\n").match(self.data, self.position):
            name, self.position = header[1].decode(), header.end()
            if name == "PartitionedEntities":
                raise InputError("it is divided into partitions; save it without them")
            if name in sections:
                sections[name]()
            self.position = self._end(name)
        if self.data[self.position :].strip():
            line = self.data[self.position :].strip().split(b"\n")[0][:40]
            raise InputError(f"no section of a mesh begins with {line.decode(errors='replace')!r}")
        return self.found

    def _end(self, name: str) -> int:
        """Return the position after the line that ends a section."""
        mark = f"$End{name}".encode()
        at = self.data.find(mark, self.position)
        if at < 0:
            raise InputError(f"its section {name} does not end")
        return at + len(mark)

    def _numbers(self) -> Numbers:
        """Return the numbers from the present position on, to the end of the section if text."""
        if self.binary:
            return Numbers(self.data, self.position, None, self.size, self.order)
        end = self.data.find(b"$End", self.position)
        if end < 0:
            raise InputError("its last section does not end")
        return Numbers(self.data, 0, self.data[self.position : end].split(), self.size)

    def _line(self) -> bytes:
        end = self.data.index(b"\n", self.position)
        line, self.position = self.data[self.position : end], end + 1
        return line

    def _format(self) -> None:
        version, binary, size = self._line().split()
        if version not in (b"2", b"2.2", b"4.1"):
            raise InputError(
                f"its version is {version.decode()}; save it as MSH 4.1 or 2.2 "
                "(Gmsh's option Mesh.MshFileVersion)"
            )
        self.legacy, self.binary, self.size = version[:1] == b"2", binary == b"1", int(size)
        if self.binary:
            one = self.data[self.position : self.position + 4]
            self.order = "<" if one == b"\x01\0\0\0" else ">"

    def _names(self) -> None:
        for _ in range(int(self._line())):
            dim, tag, name = self._line().split(maxsplit=2)
            self.found.names[int(dim), int(tag)] = name.strip().strip(b'"').decode()

    def _entities(self) -> None:
        numbers = self._numbers()
        for dim, count in enumerate(numbers.counts(4).tolist()):
            for _ in range(count):
                tag = int(numbers.ints(1)[0])
                numbers.floats(6 if dim else 3)  # the bounding box
                groups = numbers.ints(int(numbers.counts(1)[0]))
                self.groups[dim, tag] = tuple(np.abs(groups).tolist())
                if dim:
                    numbers.ints(int(numbers.counts(1)[0]))  # the entities that bound this one
        self._move(numbers)

    def _nodes(self) -> None:
        tags, coords = self._legacy_nodes() if self.legacy else self._node_blocks()
        self.tags, first = np.unique(tags, return_index=True)
        if len(first) < len(tags):
            raise InputError("two of its nodes have the same number")
        if not np.isfinite(coords).all():
            raise InputError("the coordinates of a node are no finite numbers")
        self.found.coords = coords[first]

    def _legacy_nodes(self) -> tuple[np.ndarray, np.ndarray]:
        count = int(self._line())
        numbers = self._numbers()
        if self.binary:
            kind = np.dtype([("tag", self.order + "i4"), ("at", self.order + "f8", 3)])
            rows = numbers.records(count, kind)
            self._move(numbers)
            return rows["tag"].astype(np.int64), rows["at"].astype(np.float64)
        table = numbers.floats(4 * count).reshape(count, 4)
        return table[:, 0].astype(np.int64), table[:, 1:]

    def _node_blocks(self) -> tuple[np.ndarray, np.ndarray]:
        numbers = self._numbers()
        tags, coords = [np.zeros(0, dtype=np.int64)], [np.zeros((0, 3))]
        for _ in range(int(numbers.counts(4)[0])):
            dim, _, parametric = numbers.ints(3).tolist()
            count, width = int(numbers.counts(1)[0]), 3 + (dim if parametric else 0)
            tags.append(numbers.counts(count))
            coords.append(numbers.floats(count * width).reshape(count, width)[:, :3])
        self._move(numbers)
        return np.concatenate(tags), np.concatenate(coords)

    def _elements(self) -> None:
        blocks = self._legacy_elements() if self.legacy else self._element_blocks()
        for block in blocks:
            nodes = np.searchsorted(self.tags, block.nodes)
            known = np.append(self.tags, -1)[nodes] == block.nodes
            if not known.all():
                missing = block.nodes[~known].flat[0]
                raise InputError(f"an element has the node {missing}, which is not in the file")
            self.found.blocks.append(Block(block.kind, block.entity, block.groups, nodes))

    def _element_blocks(self) -> list[Block]:
        numbers, blocks = self._numbers(), []
        for _ in range(int(numbers.counts(4)[0])):
            dim, entity, kind = numbers.ints(3).tolist()
            count, width = int(numbers.counts(1)[0]), 1 + _nodes_of(kind)
            nodes = numbers.counts(count * width).reshape(count, width)[:, 1:]
            blocks.append(Block(kind, entity, self.groups.get((dim, entity), ()), nodes))
        self._move(numbers)
        return blocks

    def _legacy_elements(self) -> list[Block]:
        left, numbers = int(self._line()), self._numbers()
        rows: dict[tuple[int, int, int], list[list[int]]] = defaultdict(list)
        while left > 0:
            # As bytes, elements of a type may follow each other; as text, each has its own number
            # before its type.
            first, second, tags = numbers.ints(3).tolist()
            kind, count = (first, second) if self.binary else (second, 1)
            width = tags + _nodes_of(kind) + self.binary
            left -= count
            for row in numbers.ints(count * width).reshape(count, width).tolist():
                group, entity, *_ = [*row[self.binary : self.binary + tags], 0, 0]
                rows[kind, abs(group), entity].append(row[self.binary + tags :])
        self._move(numbers)
        return [
            Block(kind, entity, (group,) if group else (), np.array(nodes))
            for (kind, group, entity), nodes in rows.items()
        ]

    def _move(self, numbers: Numbers) -> None:
        """Go on after the numbers that were read, which only bytes need."""
        if self.binary:
            self.position = numbers.position


def _nodes_of(kind: int) -> int:
    """Return the number of nodes of an element of a type."""
    if kind not in NODES:
        raise InputError(f"it has elements of the type {kind}, which is unknown here")
    return NODES[kind]
