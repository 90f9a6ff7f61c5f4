"""The numbers of a section of an MSH file, which are written as text or as bytes."""

from dataclasses import dataclass

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
