"""The problem file that a command takes if none is named: the only one of the working folder."""

import tomllib
from pathlib import Path

from kanpinn._support.errors import InputError
from kanpinn.cli.screen import note

SECTIONS = {"solve": ("problem",), "fit": ("data",), "check": ("problem", "data")}


def only_file(command: str) -> Path:
    """Return the only file of the working folder that the command can run, and say which it is.

    Args:
        command: "solve", "fit" or "check".

    Raises:
        InputError: if there is none, or more than one.
    """
    found = [path for path in sorted(Path().glob("*.toml")) if _has(path, SECTIONS[command])]
    what = "fit file" if command == "fit" else "problem file"
    if not found:
        raise InputError(
            f"{command} takes a {what}, and {Path.cwd()} has none: kanpinn new NAME writes one"
        )
    if len(found) > 1:
        listed = 8
        names = ", ".join(map(str, found[:listed]))
        more = f" and {len(found) - listed} more" if len(found) > listed else ""
        raise InputError(f"{command} takes one of the {len(found)} {what}s here: {names}{more}")
    note(f"{command}: {found[0]}, the only {what} here")
    return found[0]


def _has(path: Path, sections: tuple[str, ...]) -> bool:
    """Return True if a file has one of the sections; files that are not TOML have none."""
    try:
        return any(section in tomllib.loads(path.read_text("utf-8")) for section in sections)
    except (OSError, ValueError):
        return False
