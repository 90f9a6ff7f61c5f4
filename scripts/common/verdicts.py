"""The measured figures of a script beside their targets, as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from kanpinn.runs.results.record import write_record


class Figure(TypedDict):
    """A measured value, its target as text, and whether it meets it; None: not judged."""

    value: Any
    target: str
    met: bool | None


def write(path: Path, figures: Mapping[str, Figure]) -> None:
    """Write {name: {value, target, met}}; numbers that JSON lacks become null.

    Raises:
        ValueError: for a figure without these three keys, or whose target is no text.
    """
    for name, figure in figures.items():
        if set(figure) != {"value", "target", "met"} or not isinstance(figure["target"], str):
            raise ValueError(f"{name}: expected value, target (a text) and met, got {figure}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, figures)
