"""The files of problems/: which there are, and what the numbers of a run depend on."""

import ast
import hashlib
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from scoreboards.targets import TARGETS

REPOSITORY = Path(__file__).parents[2]
PROBLEMS = REPOSITORY / "problems"


def library() -> tuple[list[str], list[str]]:
    """The files of solves and eigenvalue problems, those with targets first; and the targets that
    have no file."""
    there = [path.stem for path in sorted(PROBLEMS.glob("*.toml")) if "problem" in _read(path.stem)]
    known = [name for name in TARGETS if name in there]
    missing = [name for name in TARGETS if name not in there]
    return [*known, *(name for name in there if name not in TARGETS)], missing


def is_eigen(problem: str) -> bool:
    """Whether it is an eigenvalue problem, for which nothing is chosen by trials."""
    return "eigen" in _read(problem)


def equation(problem: str) -> str:
    """The docstring's first line of the class that a file names, or the file's own first line."""
    named = _read(problem)["problem"].get("class")
    if named is None:
        first = (PROBLEMS / f"{problem}.toml").read_text(encoding="utf-8").splitlines()[0]
        return first.removeprefix("# ")
    file, _, name = named.partition(":")
    tree = ast.parse((PROBLEMS / file).read_text(encoding="utf-8"))
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    return (ast.get_docstring(found) or "").split("\n")[0]


@cache
def settings(problem: str) -> str:
    """A digest of the file, of the class that it names, and of the data beside that class."""
    file = _read(problem)["problem"].get("class", "").partition(":")[0]
    data = PROBLEMS.glob(f"{Path(file).stem}.*") if file else ()
    beside = {path for path in data if path.suffix != ".toml"}
    return _digest([PROBLEMS / f"{problem}.toml", *sorted(beside)])


def _digest(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def _read(problem: str) -> dict[str, Any]:
    return tomllib.loads((PROBLEMS / f"{problem}.toml").read_text(encoding="utf-8"))
