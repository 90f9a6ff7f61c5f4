"""Docstrings of kanpinn, which are plain text, as the reStructuredText that autodoc reads."""

import re
from typing import Any

from reference_parts.groups import GROUPS

PAGES = {name.rpartition(".")[2]: f"kanpinn.{name}" for group in GROUPS for name in group.names}
MARKS = re.compile(r"(?<!\\)([*|])")
TRAILING = re.compile(r"(\w)_(?!\w)")  # "u_" would be the name of a link


def as_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape what reStructuredText would read as marks, and link public names, in place.

    Lines of examples stay as they are, and so does what is between backticks.
    """
    example = False
    for index, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[index] = _line(line)
    if what in ("attribute", "property"):
        lines.insert(0, "")  # or napoleon reads "The names: ..." as a type and its description


def _line(line: str) -> str:
    parts = re.split(r"(`+[^`]+`+)", line)
    return "".join(_code(one) if one.startswith("`") else _text(one) for one in parts)


def _text(text: str) -> str:
    return TRAILING.sub(r"\1\\_", MARKS.sub(r"\\\1", text))


def _code(text: str) -> str:
    """Return code between single backticks as a link to the page of a name, or as code."""
    inner = text.strip("`")
    name = inner.removeprefix("kanpinn.interpret.").removeprefix("kanpinn.")
    target = PAGES.get(name)
    return f":py:obj:`~{target}`" if target and text.startswith("`") else f"``{inner}``"
