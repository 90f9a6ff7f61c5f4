"""The files beside a class file that it needs: modules, and data that it names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

LARGEST = 64 * 2**20  # bytes of a data file that is copied into every run folder


def needed_files(source: Path) -> list[Path]:
    """Return the files in a file's folder that it needs, directly or indirectly.

    They are the modules that it imports, if these are single files and no packages, and meshes,
    surfaces and data of at most 64 MiB that a module names, such as "part.msh".
    """
    found: list[Path] = []
    waiting = [source]
    while waiting:
        module = waiting.pop()
        try:
            tree = ast.parse(module.read_bytes())
        except (OSError, SyntaxError, ValueError):  # the file is missing or not Python
            continue
        for path in _named(tree, module):
            if path in (source, *found) or not path.is_file():
                continue
            if path.suffix == ".py":
                waiting.append(path)
            elif path.stat().st_size > LARGEST:
                continue
            found.append(path)
    return found


def namesakes(source: Path) -> list[Path]:
    """Return the data called like a class file of which it names the ending.

    `Path(__file__).with_suffix(".h5")` finds them; they have at most 64 MiB.
    """
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    texts = [one.value for one in ast.walk(tree) if isinstance(one, ast.Constant)]
    endings = [text for text in texts if isinstance(text, str) and re.fullmatch(r"\.\w+", text)]
    paths = [source.with_suffix(ending) for ending in dict.fromkeys(endings)]
    found = (one for one in paths if one != source and one.is_file())
    return [one for one in found if one.stat().st_size <= LARGEST]


def _named(tree: ast.AST, module: Path) -> Iterator[Path]:
    """Yield the paths that a module names, and those of the modules that it imports."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if re.fullmatch(r"[\w-]+\.\w+", text):
                yield module.parent / text
            case ast.Import(names=modules):
                for imported in modules:
                    yield module.parent / f"{imported.name.partition('.')[0]}.py"
            case ast.ImportFrom(module=str(name), level=0):
                yield module.parent / f"{name.partition('.')[0]}.py"
