"""kanpinn: partial differential equations solved with Kolmogorov–Arnold networks.

The public names are those of `__init__.pyi`, which type checkers read, each with the room in which
it is defined. A name is imported when it is first asked for: `kanpinn --help` and a misspelt file
name do not wait for torch (scientific-python SPEC 1).
"""

import re
from importlib import import_module
from pathlib import Path

from kanpinn._support.versions import version_of

_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
_FOUND = re.findall(r"^from (kanpinn\.\S+) import (\w+)", _STUB, re.MULTILINE)
_ROOM_OF = {name: room for room, name in _FOUND}
__all__ = sorted(_ROOM_OF)


def __getattr__(name: str) -> object:
    if name == "__version__":
        return version_of("kanpinn") or "0+unknown"  # where it is only on the path
    if name == "interpret":
        return import_module("kanpinn.interpret")
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'kanpinn' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_ROOM_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__", "interpret"]
