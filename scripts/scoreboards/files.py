"""The files of problems/, and a digest of all that the results of a run depend on."""

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
    """Return the files of solves and eigenvalue problems, and the targets without a file.

    Files with targets come first.
    """
    there = [path.stem for path in sorted(PROBLEMS.glob("*.toml")) if "problem" in _read(path.stem)]
    known = [name for name in TARGETS if name in there]
    missing = [name for name in TARGETS if name not in there]
    return [*known, *(name for name in there if name not in TARGETS)], missing


def is_eigen(problem: str) -> bool:
    """Return whether it is an eigenvalue problem, for which trials choose nothing."""
    return "eigen" in _read(problem)


def equation(problem: str) -> str:
    """Return the first line of the docstring of a file's class, or the file's own first line."""
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
    """Return a digest of the file, of its class, and of the data beside that class."""
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
