"""Studies that were never run: their errors are what a function says."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kanpinn.runs.study import Study
from kanpinn.runs.study.table import empty

Error = Callable[..., float | str | None]
SETTINGS: dict[str, Any] = {
    "problem": {"class": "line.py:Line", "parameters": {}},
    "network": {"type": "kan", "width": [1, 1], "degree": 3, "grid": 4},
    "optimizer": [{"type": "least_squares"}],
    "run": {"seed": 0},
}


def made(
    folder: Path, over: Mapping[str, Sequence[Any]], error: Error, name: str = "made"
) -> Study:
    """The product of `over`; error(**values), by the last parts of the keys, gives the relative L2
    error (H1: ten times that), None for a run that waits, a text for one that failed."""
    rows = []
    for number, values in enumerate(itertools.product(*over.values())):
        row = dict(zip(over, values, strict=True))
        result = error(**{key.rpartition(".")[2]: value for key, value in row.items()})
        rows.append(row | _columns(folder, number, row, result))
    study = Study(folder, name, tuple(over), tuple(rows), "1.0")
    folder.mkdir(parents=True, exist_ok=True)
    study.write()
    return study


def _columns(
    folder: Path, number: int, row: Mapping[str, Any], error: float | str | None
) -> dict[str, Any]:
    if error is None:
        return empty()
    if isinstance(error, str):
        return empty(f"failed: {error}")
    run = f"run{number}-{number:012d}"
    _record(folder / "runs" / run, row)
    grid = row.get("network.grid", 4)
    parameters = 3 + (grid if isinstance(grid, int) else 4)
    numbers = {"l2_relative": error, "h1_relative": 10 * error, "parameters": parameters}
    more = {"seconds": 0.1 * (1 + number % 7), "steps": 1, "points": 100}
    return empty("converged", run) | numbers | more


def _record(folder: Path, row: Mapping[str, Any]) -> None:
    """A run.json with what a report reads of it."""
    config = {name: _copied(section) for name, section in SETTINGS.items()}
    for key, value in row.items():
        section, _, last = key.rpartition(".")
        if section in config:
            config[section][last] = value
        elif key in config:
            config[key] = value
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "status": "converged",
        "config": config,
        "versions": {"python": "3.11", "torch": None},
        "platform": {"system": "Linux", "cores": 2},
        "threads": 1,
        "git": None,
    }
    (folder / "run.json").write_text(json.dumps(record))


def _copied(section: Any) -> Any:
    return dict(section) if isinstance(section, dict) else list(section)
