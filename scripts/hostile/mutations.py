"""Random mutations of problem files: of their tables, values and characters."""

import argparse
import copy
import datetime
import functools
import math
import random
import shutil
import string
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from common.problem_files import PROBLEMS
from common.verdicts import Figure

from hostile import commands
from kanpinn.runs.config import document_schema

Place = tuple[Any, Any]  # a table or a list, and one of its keys or indices

VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 2, 7, 10**6, 2**31, 2**63 - 1, 0.0, -0.0, 0.5, -2.5, 1e-300, 1e300),
    *(
        math.nan,
        math.inf,
        True,
        False,
        "",
        "x",
        "kan",
        "exact",
        "auto",
        "os:system",
        "nowhere.py:A",
    ),
    *("poisson2d.py:Poisson2D", "sin(x)", "1/0", "x**x", "\u2028\0ü", "../../../etc/passwd"),
    *("a" * 5000, [], [1], [2, 3, 1], [[]], [[1, 2], [3]], ["x", 1]),
    *({}, {"type": "box"}, {"x": [0, 1]}, {"type": "kan", "width": [2, 2, 1]}),
    *(datetime.date(2020, 1, 1), datetime.time(1, 2, 3), datetime.datetime(2020, 1, 1, 12)),
)


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, Figure]:
    """Give mutated files to `kanpinn check`, beside copies of the files that they name."""
    folder = chosen.output / "mutated"
    shutil.copytree(PROBLEMS, folder, dirs_exist_ok=True, ignore=_unused)
    codes: Counter[int] = Counter()
    files = sorted(PROBLEMS.glob("*.toml"))
    wrong = []
    for name, contents in mutations(files, chosen.mutations, chosen.seed):
        path = folder / f"mutated_{name}.toml"
        path.write_bytes(contents)
        done = commands.run(["check", str(path)], 200)
        codes[done.code] += 1
        if faults := done.faults():
            wrong.append(f"kanpinn check {path}: {', '.join(faults)}")
        else:
            path.unlink()
    failures += wrong
    return {
        "mutated files: commands that fail": {
            "value": len(wrong),
            "target": f"0 of {chosen.mutations}",
            "met": not wrong,
        },
        "mutated files: exit codes": {
            "value": {str(code): number for code, number in sorted(codes.items())},
            "target": "0 where the file is still one, or 2",
            "met": set(codes) <= {0, 2},
        },
    }


def _unused(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("__")]


def mutations(files: Sequence[Path], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the contents of mutated files.

    Args:
        files: the files that are mutated, in TOML.
        count: the number of mutations.
        seed: the seed of all random choices.
    """
    texts = {path.stem: path.read_text(encoding="utf-8") for path in files}
    for index in range(count):
        chosen = random.Random(f"{seed} {index}")
        name = chosen.choice(sorted(texts))
        mutate = _of_characters if chosen.random() < 0.25 else _of_tables
        yield f"{name}_{index}", mutate(texts[name], texts, chosen)


def _of_characters(text: str, texts: dict[str, str], chosen: random.Random) -> bytes:
    """Cut, repeat, exchange or insert some characters or bytes."""
    content = text.encode()
    for _ in range(chosen.randint(1, 3)):
        start = chosen.randrange(len(content) + 1)
        stop = min(start + chosen.choice((1, 1, 2, 10, 100)), len(content))
        part = content[start:stop]
        new = chosen.choice((
            b"", part * 2, part[::-1], bytes([chosen.randrange(256)]), b"[" * 50, b"9" * 400,
            chosen.choice(string.punctuation).encode(), b"\n", b'"""', b".a" * 40,
        ))  # fmt: skip
        content = content[:start] + new + content[stop:]
    return content


def _of_tables(text: str, texts: dict[str, str], chosen: random.Random) -> bytes:
    """Change, remove, move or rename one to three values."""
    tables = tomllib.loads(text)
    for _ in range(chosen.choice((1, 1, 1, 2, 3))):
        places = [*_places(tables)]
        if not places:
            break
        inside, key = chosen.choice(places)
        value = inside[key]
        match chosen.randrange(7):
            case 0:
                inside[key] = copy.deepcopy(chosen.choice(VALUES))
            case 1:  # the value of another place of some file
                other = tomllib.loads(texts[chosen.choice(sorted(texts))])
                there, name = chosen.choice([*_places(other)])
                inside[key] = there[name]
            case 2:
                inside[key] = _changed(value, chosen)
            case 3:
                del inside[key]
            case 4 if isinstance(inside, dict):
                inside[_misspelt(key, chosen)] = inside.pop(key)
            case 5 if isinstance(inside, dict):  # a key that some table has
                name, known = chosen.choice(_keys_of_the_schema())
                inside[name] = copy.deepcopy(chosen.choice((*known, *VALUES)))
            case _:
                inside[key] = chosen.choice(([value], [value, value], {"type": value}))
    return tomli_w.dumps(tables).encode(errors="surrogatepass")


@functools.cache
def _keys_of_the_schema() -> list[tuple[str, list[Any]]]:
    """Return the keys of all tables of problem files, with the values that the schema names."""
    found = []
    for kind in ("problem", "fit"):
        for table in document_schema(kind)["$defs"].values():
            for key, one in table["properties"].items():
                named = [one.get("default"), one.get("const"), *one.get("enum", ())]
                found.append((key, [_without_nulls(value) for value in named if value is not None]))
    return found


def _without_nulls(value: Any) -> Any:
    """Return a value of the schema without the keys whose value is null, which TOML cannot say."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(one) for key, one in value.items() if one is not None}


def _changed(value: Any, chosen: random.Random) -> Any:
    """Return a value of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            return chosen.choice((-value, value + 1, value * 10 ** chosen.randint(1, 12), 0))
        case float():
            return chosen.choice((-value, value * 10.0 ** chosen.randint(-300, 300), 0.0))
        case str():
            return chosen.choice(
                (value.upper(), value[:-1], value + value, f"({value}", "-" + value)
            )
        case list():
            return chosen.choice((value[:-1], value + value[-1:], value[::-1], value * 20))
        case dict():
            return {name: value[name] for name in value if chosen.random() < 0.7}
    return value


def _misspelt(key: str, chosen: random.Random) -> str:
    at = chosen.randrange(len(key) + 1)
    return key[:at] + chosen.choice(string.ascii_lowercase + "._-\0é") + key[at + 1 :]


def _places(value: Any) -> Iterator[Place]:
    """Yield each place within tables and lists."""
    keys: Any = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
