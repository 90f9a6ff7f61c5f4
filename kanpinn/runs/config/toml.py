"""Reading TOML: files and values, within limits of size and depth."""

import re
import tomllib
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest

LARGEST = 2**20  # bytes of a file
DEEPEST = 32  # tables and lists in each other
_PART = r"""(?:[\w-]++|"[^"\n]*"|'[^'\n]*')"""
_DEEP_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{DEEPEST}}}")


class NotToml(ValueError):
    """Raised for a text that is not TOML, or is nested too deeply; says which, and why."""


def load_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        InputError: if there is no such file, it has more than 1 MiB, or it is not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InputError(f"{path}: has more than {LARGEST} bytes, the most that are read")
        return parse_toml(content.decode())
    except FileNotFoundError:
        beside = path.parent.glob("*.toml") if path.parent.is_dir() else ()
        hint = nearest(path.name, [file.name for file in beside])
        raise InputError(f"{path}: there is no such file{hint}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except NotToml as error:
        raise InputError(f"{path}: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a text in TOML.

    Raises:
        NotToml: if it is not TOML, or its tables and lists are nested more than 32 deep.
    """
    deep = f"has tables or lists that are nested more than {DEEPEST} deep"
    if _DEEP_KEY.search(text):  # refused first, for tomllib takes quadratic time for such keys
        raise NotToml(deep)
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise NotToml(deep) from None
    except tomllib.TOMLDecodeError as error:
        raise NotToml(f"is not valid TOML: {error}") from None
    except ValueError:  # Python converts no longer integers
        raise NotToml("has an integer of more than 4300 digits") from None
    level: list[Any] = [tables]
    for _ in range(DEEPEST):  # what is in the values of the level above
        values = [one.values() if isinstance(one, dict) else one for one in level]
        level = [one for inner in values for one in inner if isinstance(one, (dict, list))]
    if level:
        raise NotToml(deep)
    return tables
