"""The measured figures of a script beside their targets, as JSON."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict


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
    text = json.dumps(_plain(figures), indent=2, ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Convert numbers of NumPy and torch, which have item(), to Python's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
