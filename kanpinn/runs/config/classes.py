"""Classes of the user's own: loading those that a file names, and locating their errors."""

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest


def load_class(
    spec: str,
    base: type,
    directory: Path,
    path: str,
    elsewhere: Mapping[type, str] = MappingProxyType({}),
) -> type:
    """Load the class named "file.py:Class" or "package.module:Class".

    Args:
        spec: the name of the class.
        base: the class of which it must be a subclass.
        directory: the folder in which the file is looked for.
        path: the dotted path of the key that names the class, for messages.
        elsewhere: what is said of subclasses of other classes, which belong elsewhere in a file.

    Raises:
        InputError: if there is no such class, it is no subclass of `base` or lacks abstract
            methods, or its module cannot be imported.
    """
    where, _, name = spec.rpartition(":")
    at = f'{path} = "{spec[:200]}"'
    if not (where and where.isprintable() and name.isidentifier()):
        raise InputError(f'{at}: expected "file.py:Class" or "package.module:Class"')
    module = _from_file(where, directory, at) if where.endswith(".py") else _named(where, at)
    found = getattr(module, name, None)
    if found is None:
        names = [n for n, value in vars(module).items() if inspect.isclass(value)]
        raise InputError(f"{at}: {where} has no class {name}{nearest(name, names)}")
    kind = f"kanpinn.{base.__name__}"
    if not (inspect.isclass(found) and issubclass(found, base)):
        for other, advice in elsewhere.items():
            if inspect.isclass(found) and issubclass(found, other):
                raise InputError(f"{at} {advice}")
        raise InputError(f"{at}: expected a subclass of {kind}")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise InputError(
            f"{at}: the class does not define what every {kind} has: {', '.join(missing)}"
        )
    return found


def _from_file(where: str, directory: Path, at: str) -> ModuleType:
    """Import a file under a module name of its own, so that files of one name do not collide."""
    file = (directory / where).resolve()
    if not file.is_file():
        beside = file.parent.glob("*.py") if file.parent.is_dir() else ()
        raise InputError(
            f"{at}: there is no file {where}{nearest(file.name, [f.name for f in beside])}"
        )
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look up the module of a class
    before = set(sys.modules)
    sys.path.insert(0, str(file.parent))  # a class file may import its neighbours
    try:
        with blaming(at, module):
            spec.loader.exec_module(module)
    except InputError:
        raise
    except (SyntaxError, ValueError) as error:  # a file that is not text has no line to name
        raise InputError(f"{at}: {type(error).__name__}: {error}") from error
    finally:  # other files must not find this file's neighbours
        sys.path.remove(str(file.parent))
        for added in set(sys.modules) - before:
            origin = Path(getattr(sys.modules[added], "__file__", None) or "")
            if (origin.parent, origin.stem) == (file.parent, added):
                del sys.modules[added]
    return module


def _named(where: str, at: str) -> ModuleType:
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name and f"{where}.".startswith(f"{error.name}."):
            raise InputError(f"{at}: there is no module {error.name}") from None
        raise InputError(f"{at}: {error}") from error
    except Exception as error:  # a user's module may raise anything
        raise InputError(f"{at}: {type(error).__name__}: {error}") from error


def sources_of(*owners: Any) -> tuple[Path, ...]:
    """Return the files of modules, classes, functions and instances that are not kanpinn's own."""
    named = [owner if hasattr(owner, "__name__") else type(owner) for owner in owners]
    files = {
        inspect.getfile(one)
        for one in named
        if getattr(one, "__module__", "").partition(".")[0] not in ("kanpinn", "builtins")
    }
    return tuple(Path(file).resolve() for file in sorted(files))


@contextmanager
def blaming(what: str, *owners: Any) -> Iterator[None]:
    """Turn an exception raised in a file of the user's into an InputError with file and line.

    Exceptions raised elsewhere are not changed.

    Args:
        what: the beginning of the message, such as the name of the class.
        owners: modules, classes, functions and instances; those that are not kanpinn's own are the
            user's.

    Raises:
        InputError: in place of an exception raised in the user's files.
    """
    try:
        yield
    except Exception as error:  # a user's file may raise anything
        place = _place(error, sources_of(*owners))
        if place is None:
            raise
        text = str(error).strip()
        if not isinstance(error, InputError):
            text = f"{type(error).__name__}: {text.partition(chr(10))[0]}"
        raise InputError(f"{what}{place}: {text}") from error


def _place(error: Exception, files: tuple[Path, ...]) -> str | None:
    """Return " at file:line in function" for the innermost frame in one of the files."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if Path(frame.filename).resolve() in files:
            function = "" if frame.name == "<module>" else f" in {frame.name}"
            return f" at {frame.filename}:{frame.lineno}{function}"
    return None


def offered(base: type, *rooms: ModuleType) -> dict[str, type]:
    """Return the concrete subclasses of `base` that packages list in their `__init__`.

    The keys are the names in snake case, such as "least_squares": these are the names in a file.
    """
    found = {name: value for room in rooms for name, value in vars(room).items()}
    return {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): value
        for name, value in sorted(found.items())
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value)
    }
