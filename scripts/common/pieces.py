"""Finished pieces of a script's work in files, from which a stopped run continues."""

import hashlib
import json
import pickle
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from kanpinn._support.files import replacing, write_text

PACKAGE = Path(__file__).resolve().parents[2] / "kanpinn"
Row = dict[str, Any]
T = TypeVar("T")


@cache
def package_digest(package: Path = PACKAGE) -> str:
    """Return a digest of all sources of kanpinn, here or elsewhere, as they are on disk."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


@dataclass(frozen=True)
class Pieces:
    """A folder with one file for each finished piece.

    A piece is found again by its key. Pieces made by another version of kanpinn's sources are in
    another folder, so that no table mixes them. A change of the script itself is not noticed:
    delete the folder if the numbers depend on that change. A file is written whole or not at all.
    """

    folder: Path

    @classmethod
    def under(cls, output: Path, again: bool = False) -> "Pieces":
        """Return the pieces of a script that writes to `output`.

        again: make all pieces anew, in a folder of their own, as a smoke run does: it checks that
        they can be made, and a full run must not read them.
        """
        folder = output / ("pieces_again" if again else "pieces") / package_digest()
        if again:
            shutil.rmtree(folder, ignore_errors=True)
        return cls(folder)

    def rows(self, key: Row, make: Callable[[], list[Row]]) -> list[Row]:
        """Return rows of numbers and texts, each with the key's entries: read, else by `make`."""
        return self._kept(key, lambda: [key | row for row in make()])

    def records(
        self, kind: Callable[..., T], key: Mapping[str, Any], make: Callable[[], list[T]]
    ) -> list[T]:
        """Return dataclasses of one kind: read from the file if it exists, else made by `make`.

        Tensors and sets are read as lists.
        """
        found = self._kept(key, lambda: [asdict(one) for one in make()])  # type: ignore[call-overload]
        return [kind(**one) for one in found]

    def pickled(self, key: Mapping[str, Any], make: Callable[[], T]) -> T:
        """Return any object that pickle can write: read from the file if it exists, else made."""
        path = self.path(key, "pickle")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = make()
            with replacing(path) as temporary:
                temporary.write_bytes(pickle.dumps(made))
        return pickle.loads(path.read_bytes())

    def _kept(self, key: Mapping[str, Any], make: Callable[[], list[Row]]) -> list[Row]:
        path = self.path(key, "json")
        if not path.exists():
            text = json.dumps(make(), indent=1, ensure_ascii=False, default=_plain)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text + "\n")
        return json.loads(path.read_text(encoding="utf-8"))

    def path(self, key: Mapping[str, Any], suffix: str) -> Path:
        """Return the file of a piece, named by the key's values and a digest of the key."""
        text = json.dumps(key, sort_keys=True)
        words = re.sub(r"[^a-z0-9]+", "-", " ".join(map(str, key.values())).lower())
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return self.folder / f"{words.strip('-')[:80]}-{digest}.{suffix}"


def _plain(value: Any) -> Any:
    """Convert numbers, arrays and sets to what JSON can hold: arrays and sets become lists."""
    return value.tolist() if hasattr(value, "tolist") else sorted(value)
