"""The library of problems that comes with kanpinn, and copies of them with all files they need."""

import ast
import re
import shutil
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from kanpinn._support.errors import InputError, nearest

LARGEST = 64 * 2**20  # bytes of a data file that is copied into every run folder


def needed_files(source: Path) -> list[Path]:
    """Return the files that a Python file needs, directly or indirectly, from its own folder.

    These files are imported modules that are single files, not packages, and meshes, surfaces and
    data files of at most 64 MiB. A mesh or data file is found if a text in a module is the file's
    name, such as "part.msh". It is also found if it has the module's name, and its ending is a text
    in the module, as in `Path(__file__).with_suffix(".h5")`.
    """
    found: list[Path] = []
    waiting = [source]
    while waiting:
        module = waiting.pop()
        try:
            tree = ast.parse(module.read_bytes())
        except (OSError, SyntaxError, ValueError):  # the file is missing or not Python
            continue
        named: list[Path] = []
        for node in ast.walk(tree):
            match node:
                case ast.Constant(value=str(text)) if re.fullmatch(r"[\w-]+\.\w+", text):
                    named.append(module.parent / text)
                case ast.Constant(value=str(text)) if re.fullmatch(r"\.\w+", text):
                    named.append(module.with_suffix(text))
                case ast.Import(names=modules):
                    named += [module.parent / f"{m.name.partition('.')[0]}.py" for m in modules]
                case ast.ImportFrom(module=str(name), level=0):
                    named.append(module.parent / f"{name.partition('.')[0]}.py")
        for path in named:
            if path in (source, *found) or not path.is_file():
                continue
            if path.suffix == ".py":
                waiting.append(path)
            elif path.stat().st_size > LARGEST:
                continue
            found.append(path)
    return found


PACKAGE = Path(__file__).parents[1]
SECONDS = "Seconds on one core: "
CLASS = r'^class = "(\w+)\.py:'


@dataclass(frozen=True)
class LibraryFile:
    """A problem file or fit file of the library.

    Args:
        name: the file's name without ".toml".
        about: the first line of the file's comment, a sentence.
        seconds: the time of the solve on one core, without imports and figures; None if not known.
        command: the command of kanpinn that runs the file, "solve" or "fit".
    """

    name: str
    about: str
    seconds: float | None
    command: str


def library_folder() -> Path:
    """Return the folder of the library: in the package, or in a checkout beside the package.

    Raises:
        InputError: if there is no such folder.
    """
    for folder in (PACKAGE / "library", PACKAGE.parent / "problems"):
        if (folder / "poisson2d.toml").is_file():
            return folder
    raise InputError("this installation of kanpinn has no library of problems: install it again")


def library() -> list[LibraryFile]:
    """Return the files of the library in the order of their names."""
    return [read_entry(path) for path in sorted(library_folder().glob("*.toml"))]


def read_entry(path: Path) -> LibraryFile:
    """Read the comment at the head of a problem file or fit file of the library."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = [line.lstrip("# ") for line in lines if line.startswith("#")]
    told = (line.removeprefix(SECONDS) for line in comment if line.startswith(SECONDS))
    seconds = next((float(text.rstrip(".")) for text in told), None)
    command = "fit" if "[data]" in lines else "solve"
    return LibraryFile(path.stem, comment[0] if comment else "", seconds, command)


def copy_problem(name: str, target: Path) -> list[Path]:
    """Copy a problem of the library under a new name, with all files that it needs.

    The problem file and its class file are called `target` with ".toml" and ".py"; data files with
    the name of the class file are renamed likewise. Other files keep their names; a file that
    exists already with the same contents is left as it is.

    Args:
        name: the name of the problem file in the library, such as "burgers".
        target: the path of the new files without a suffix; its folder exists.

    Returns:
        The new files, the problem file last.

    Raises:
        InputError: if there is no such problem, or a file of that name exists already.
    """
    folder = library_folder()
    names = [path.stem for path in folder.glob("*.toml")]
    if name not in names:
        hint = f"{nearest(name, names)} (kanpinn new --list)"
        raise InputError(f"the library has no problem {name}{hint}")
    text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    named, alike = _needs(text, folder)
    copies = {path: target.parent / path.name for path in named}
    for path in alike:
        copies.setdefault(path, target.with_name(target.name + path.suffix))
    text = re.sub(CLASS, f'class = "{target.name}.py:', text, count=1, flags=re.MULTILINE)
    text = text.replace(f"problems/{name}.toml", f"{target.name}.toml")
    problem = target.with_name(f"{target.name}.toml")
    for copy, count in Counter(copies.values()).items():
        if count > 1:
            raise InputError(f"NAME = {problem.stem}: the problem needs another file {copy.name}")
    for source, copy in list(copies.items()):  # leave files that exist with the same contents
        same = copy.exists() and copy.read_bytes() == source.read_bytes()
        if same and copy.stem != problem.stem:
            del copies[source]
    for copy in (*copies.values(), problem):
        if copy.exists():
            raise InputError(f"{copy} exists already, and is left as it is")
    for source, copy in copies.items():
        shutil.copyfile(source, copy)
    problem.write_text(text, encoding="utf-8")
    return [*copies.values(), problem]


def files_of(name: str) -> list[Path]:
    """Return the class file, the modules and the data files that a library problem needs.

    Args:
        name: the name of a problem file in the library, such as "burgers".
    """
    folder = library_folder()
    named, alike = _needs((folder / f"{name}.toml").read_text(encoding="utf-8"), folder)
    return sorted({*named, *alike})


def _needs(text: str, folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files that a problem file needs for a copy under another name.

    Args:
        text: the text of the problem file.
        folder: the folder of the problem file.

    Returns:
        The files that keep their names in the copy, and the files that are renamed. The latter are
        the class file and the data files of the same name; a data file that the class file mentions
        by its whole name is in both lists.
    """
    named, alike, waiting = [], [], [tomllib.loads(text)]
    while waiting:  # search all values of the problem file for names of files
        value = waiting.pop(0)
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        elif isinstance(value, str) and value and (folder / value).is_file():
            named.append(folder / value)
    if (found := re.search(CLASS, text, re.MULTILINE)) is not None:
        own = folder / f"{found[1]}.py"
        needed = needed_files(own)
        alike = [own, *(path for path in needed if path.stem == own.stem)]
        code = own.read_text(encoding="utf-8")
        named += [path for path in needed if path not in alike or path.name in code]
    return named, alike
