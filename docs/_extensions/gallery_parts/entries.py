"""What is known of each problem of the library: its texts, its kind, its run, its figures."""

import ast
import csv
import json
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kanpinn.runs.config import Config
from kanpinn.runs.library import LibraryFile, library

sys.path.append(str(Path(__file__).resolve().parents[3] / "scripts"))

from common.script import PROBLEMS, REPOSITORY, digests
from scoreboards.solves import PUBLISHED, Published

KEPT = REPOSITORY / "results" / "reference" / "gallery"
SCOREBOARD = REPOSITORY / "results" / "reference" / "scoreboard" / "scoreboard.csv"

GROUPS = {  # in the order of the index
    "stationary": "Stationary problems",
    "time": "Problems in time",
    "flows": "Flows",
    "space": "Problems in space",
    "eigenvalues": "Eigenvalues",
    "inverse": "Inverse problems",
    "data": "Fits of data",
    "dimensions": "Many dimensions",
}


@dataclass(frozen=True)
class Entry:
    """A problem of the library.

    file: what the head of its file says. group: a key of `GROUPS`. source: its class file, and kind
    the name of the class; None for a file with an equation or data. record: the kept run, None if
    there is none. current: whether the run was made from the files as they are. board: the row of
    the scoreboard, None if it has none. published: the best errors of others.
    """

    file: LibraryFile
    group: str
    source: Path | None
    kind: str
    settings: dict[str, Any]
    record: dict[str, Any] | None
    current: bool
    board: dict[str, str] | None
    published: Published

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def path(self) -> Path:
        """The problem file."""
        return PROBLEMS / f"{self.name}.toml"

    @property
    def module(self) -> str:
        """The first paragraph of the class file's docstring, else the first line of the file."""
        if self.source is None:
            return self.file.about
        return (ast.get_docstring(_tree(self.source)) or "").split("\n\n")[0].replace("\n", " ")

    @property
    def doc(self) -> str:
        """The docstring of the class, without a class the comment at the head of the file."""
        if self.source is None:
            lines = self.path.read_text(encoding="utf-8").splitlines()
            return "\n".join(line[2:] for line in lines if line.startswith("# "))
        return ast.get_docstring(_class(self.source, self.kind)) or ""

    @property
    def parameters(self) -> dict[str, str]:
        """The arguments of the class with their defaults, as the source writes them."""
        if self.source is None:
            return {}
        for node in _class(self.source, self.kind).body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                names = [one.arg for one in node.args.args][-len(node.args.defaults) :]
                defaults = [ast.unparse(one) for one in node.args.defaults]
                return dict(zip(names, defaults, strict=True)) if defaults else {}
        return {}


def entries() -> list[Entry]:
    """Return all problems of the library, in the order of their names."""
    with SCOREBOARD.open(encoding="utf-8", newline="") as stream:
        board = {row["file"]: row for row in csv.DictReader(stream)}
    return [_entry(one, board.get(one.name)) for one in library()]


def _entry(one: LibraryFile, board: dict[str, str] | None) -> Entry:
    problem = PROBLEMS / f"{one.name}.toml"
    settings = tomllib.loads(problem.read_text(encoding="utf-8"))
    file, _, kind = settings.get("problem", {}).get("class", "").partition(":")
    path = KEPT / one.name / "record.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return Entry(
        one,
        _group(Config.read(problem)),
        PROBLEMS / file if file else None,
        kind,
        settings,
        record,
        record is not None and record["files"] == digests(one.name),
        board,
        PUBLISHED.get(one.name, Published()),
    )


def _group(config: Config) -> str:
    """Return the kind of a problem, from what it consists of."""
    if config.file.kind != "problem":
        return {"eigen": "eigenvalues", "fit": "data"}[config.file.kind]
    problem = config.build().problem  # type: ignore[union-attr]
    names, time = problem.domain.names, problem.domain.time_name
    if problem.unknowns:
        return "inverse"
    if len(names) - (time is not None) > 3:
        return "dimensions"
    if {"x", "y", "z"} <= {*names}:
        return "space"
    if problem.velocity_fields is not None:
        return "flows"
    return "stationary" if time is None else "time"


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _class(path: Path, name: str) -> ast.ClassDef:
    (found,) = (n for n in _tree(path).body if isinstance(n, ast.ClassDef) and n.name == name)
    return found
