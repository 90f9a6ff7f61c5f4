"""Finished pieces of a script's work, kept in files: a run that was stopped goes on from them."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from kanpinn._support.files import write_text

PACKAGE = Path(__file__).resolve().parents[2] / "kanpinn"
Row = dict[str, Any]
T = TypeVar("T")


@cache
def package_digest() -> str:
    """A digest of all sources of kanpinn, as they are on disk."""
    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        found.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


@dataclass(frozen=True)
class Pieces:
    """A folder with one JSON file for each finished piece.

    A piece is found again by its key. Pieces that other sources of kanpinn have made are in other
    folders, so that no table mixes them; after a change of the script itself, delete the folder if
    the numbers depend on that change. Files are written at once or not at all.
    """

    folder: Path

    @classmethod
    def under(cls, output: Path, again: bool = False) -> "Pieces":
        """The pieces of a script that writes to `output`; again: those that are there are deleted.

        A smoke run starts again, since it checks that the pieces can be made.
        """
        folder = output / "pieces" / package_digest()
        if again:
            shutil.rmtree(folder, ignore_errors=True)
        return cls(folder)

    def rows(self, key: Row, make: Callable[[], list[Row]]) -> list[Row]:
        """Rows of numbers and texts, each joined to its key: those of the file, else of `make`."""
        return self._kept(key, lambda: [key | row for row in make()])

    def records(
        self, kind: Callable[..., T], key: Mapping[str, Any], make: Callable[[], list[T]]
    ) -> list[T]:
        """Dataclasses of one kind: those of the file, else those that `make` returns.

        Tensors and sets come back as lists.
        """
        found = self._kept(key, lambda: [asdict(one) for one in make()])  # type: ignore[call-overload]
        return [kind(**one) for one in found]

    def _kept(self, key: Mapping[str, Any], make: Callable[[], list[Row]]) -> list[Row]:
        path = self.path(key)
        if not path.exists():
            text = json.dumps(make(), indent=1, ensure_ascii=False, default=_plain)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text + "\n")
        return json.loads(path.read_text(encoding="utf-8"))

    def path(self, key: Mapping[str, Any]) -> Path:
        """The file of a piece: the key's values in words, and a digest of the key."""
        text = json.dumps(key, sort_keys=True)
        words = re.sub(r"[^a-z0-9]+", "-", " ".join(map(str, key.values())).lower())
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return self.folder / f"{words.strip('-')[:80]}-{digest}.json"


def _plain(value: Any) -> Any:
    """What JSON lacks: numbers and arrays of NumPy and torch, and sets, as lists."""
    return value.tolist() if hasattr(value, "tolist") else sorted(value)
