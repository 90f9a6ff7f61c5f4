"""The classes that a problem file names: those of `type`, from files beside it, from modules."""

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from kanpinn import evolution, networks, optimizers
from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.accuracy.references import FEM, DataFile, Recipe
from kanpinn.networks import Network
from kanpinn.optimizers import Method
from kanpinn.pde import equations
from kanpinn.pde.equations import Equation


def load_class(spec: str, base: type, directory: Path, path: str) -> type:
    """The class named "file.py:Class" (the file in `directory`) or "package.module:Class".

    Args:
        base: what it has to be a subclass of.
        path: of the key that names it, for messages.

    Raises:
        InputError: where it is not there, is of another kind or lacks methods, or its module fails.
    """
    where, _, name = spec.rpartition(":")
    if not where or not name.isidentifier():
        raise InputError(
            f'{path} = {show(spec)}: expected "file.py:Class" or "package.module:Class"'
        )
    at = f"{path} = {show(spec)}"
    module = _from_file(where, directory, at) if where.endswith(".py") else _named(where, at)
    found = getattr(module, name, None)
    if found is None:
        names = [n for n, value in vars(module).items() if inspect.isclass(value)]
        raise InputError(f"{at}: {where} has no class {name}{nearest(name, names)}")
    return _checked(found, base, at)


def _checked(found: object, base: type, at: str) -> type:
    kind = f"kanpinn.{base.__name__}"
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise InputError(f"{at}: expected a subclass of {kind}")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise InputError(f"{at}: the class lacks what a {kind} must have: {', '.join(missing)}")
    return found


def _from_file(where: str, directory: Path, at: str) -> ModuleType:
    """The module of a file, under a name of its own: files of one name do not collide."""
    file = (directory / where).resolve()
    if not file.is_file():
        beside = file.parent.glob("*.py") if file.parent.is_dir() else ()
        raise InputError(f"{at}: no file {where}{nearest(file.name, [f.name for f in beside])}")
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up
    try:
        with blaming(at, file), _importing_from(file.parent):
            spec.loader.exec_module(module)
    except (SyntaxError, ValueError) as error:  # what is no Python has no line to blame
        if isinstance(error, InputError):
            raise
        raise InputError(f"{at}: {type(error).__name__}: {error}") from error
    return module


def _named(where: str, at: str) -> ModuleType:
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name and f"{where}.".startswith(f"{error.name}."):
            raise InputError(f"{at}: there is no module {error.name}") from None
        raise InputError(f"{at}: {error}") from error
    except Exception as error:
        raise InputError(f"{at}: {type(error).__name__}: {error}") from error


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """A class file may import its neighbours; neither the path nor they stay for other files."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).parent == folder and Path(file).stem == name:
                del sys.modules[name]


def sources_of(*classes: type) -> tuple[Path, ...]:
    """The files of the classes that are not kanpinn's own."""
    files = {inspect.getfile(c) for c in classes if c.__module__.partition(".")[0] != "kanpinn"}
    return tuple(Path(file).resolve() for file in sorted(files))


@contextmanager
def blaming(what: str, *files: Path) -> Iterator[None]:
    """Turns an exception out of a user's files into an InputError that says where it comes from.

    Messages of kanpinn's own get the place added; exceptions from elsewhere pass.
    """
    try:
        yield
    except Exception as error:
        place = _place(error, files)
        if place is None:
            raise
        if isinstance(error, InputError):
            raise InputError(f"{what}{place}: {error}") from error
        text = str(error).strip().partition("\n")[0]
        raise InputError(f"{what}{place}: {type(error).__name__}: {text}") from error


def _place(error: Exception, files: tuple[Path, ...]) -> str | None:
    """' at file:line in function' of the innermost frame in one of the files."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if Path(frame.filename).resolve() in files:
            function = "" if frame.name == "<module>" else f" in {frame.name}"
            return f" at {frame.filename}:{frame.lineno}{function}"
    return None


def _offered(base: type, *rooms: ModuleType) -> dict[str, type]:
    """The classes that rooms offer by their names in snake case, least_squares."""
    found = {name: value for room in rooms for name, value in vars(room).items()}
    return {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): value
        for name, value in sorted(found.items())
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value)
    }


NETWORKS = _offered(Network, networks, evolution)
OPTIMIZERS = _offered(Method, optimizers, evolution)
EQUATIONS = _offered(Equation, equations)
REFERENCES: dict[str, type] = {"fem": FEM, "file": DataFile}


def equation_class(name: str) -> type[Equation]:
    """The class of [problem] equation, one of EQUATIONS."""
    if name not in EQUATIONS:
        raise InputError(
            f"problem.equation = {show(name)}: expected {_any_of(EQUATIONS)}"
            f"{nearest(name, EQUATIONS)}"
        )
    return EQUATIONS[name]


def network_class(name: str, directory: Path, path: str = "network") -> type[Network]:
    """The class of [network] type: "kan", "mlp", "module:Class" or "file.py:Class"."""
    return _find(name, NETWORKS, Network, directory, f"{path}.type")


def optimizer_class(name: str, directory: Path, path: str) -> type[Method]:
    """The class of an [[optimizer]]'s type, one of OPTIMIZERS or a class of one's own."""
    return _find(name, OPTIMIZERS, Method, directory, f"{path}.type")


def reference_class(name: str, directory: Path) -> type[Recipe]:
    """The class of [reference] type, one of REFERENCES or a class of one's own."""
    return _find(name, REFERENCES, Recipe, directory, "reference.type")


def _find(name: str, known: dict[str, type], base: type, directory: Path, path: str) -> type:
    if name in known:
        return known[name]
    if ":" in name:
        return load_class(name, base, directory, path)
    raise InputError(
        f'{path} = {show(name)}: expected {_any_of(known)} or "module:Class"{nearest(name, known)}'
    )


def _any_of(known: Iterable[str]) -> str:
    return " or ".join(show(name) for name in known)
