"""What was found, in files, so that a study that was stopped goes on where it was."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from knot_theory.knots import Knots
from knot_theory.signature import Size

from kanpinn._support.files import write_text


def kept(path: Path, kind: Callable[..., Any], make: Callable[[], list[Any]]) -> list[Any]:
    """The list of dataclasses that the file has, else the one that is made, and put there."""
    if path.exists():
        return [kind(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
    found = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps([asdict(one) for one in found], indent=1, default=sorted))
    return found


def digest(knots: Knots, size: Size) -> str:
    """What tells one study from another: its rows and its sizes."""
    rows = knots.table.inputs.numpy().tobytes() + knots.table.targets.numpy().tobytes()
    return hashlib.sha256(rows + repr(size).encode()).hexdigest()[:12]
