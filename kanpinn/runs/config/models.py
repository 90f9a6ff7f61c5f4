"""Tables of a TOML file as pydantic models, which are made from signatures of classes, and the
messages for wrong keys and values.
"""

import hashlib
import importlib
import importlib.util
import inspect
import itertools
import json
import math
import re
import sys
import traceback
import typing
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import GenericAlias, MappingProxyType, ModuleType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast

import pydantic
import torch
from pydantic.annotated_handlers import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from kanpinn._support.errors import InputError, nearest, show


def hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the arguments of a class or function, limited to values in TOML.

    The dict is empty if an annotation cannot be resolved; then no argument is checked.
    """
    try:
        hints = typing.get_type_hints(vars(target).get("__init__", target), include_extras=True)
    except (NameError, TypeError):
        return {}
    hints.pop("return", None)
    return {name: _writable(hint) for name, hint in hints.items()}


def _writable(hint: Any) -> Any:
    """Return the part of a type that TOML can hold: without functions, with lists for iterables."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, UnionType):
        kept = [_writable(part) for part in parts if typing.get_origin(part) is not Callable]
        return typing.Union[tuple(kept)]  # noqa: UP007 (of parts that are known only here)
    if origin is Iterable:
        return list[_writable(parts[0])]  # type: ignore[misc]
    if origin in (Mapping, Sequence):
        return origin[tuple(_writable(part) for part in parts)]
    return hint


def descriptions(target: Any) -> dict[str, str]:
    """Return the descriptions of the arguments of a class or function, by argument.

    A description is an entry under "Args:" in the docstring of the class or of a base class.
    """
    found: dict[str, str] = {}
    entry = re.compile(r"^ {4}([\w, ]+): ((?:.*\n?)(?:^ {8}.*\n?)*)", re.MULTILINE)
    for one in reversed(getattr(target, "__mro__", (target,))):
        doc = inspect.cleandoc(one.__doc__ or "")
        for section in re.findall(r"^Args:\n((?:[ ]+.*\n?|\n)+)", doc, re.MULTILINE)[:1]:
            for names, text in entry.findall(section):
                found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


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
        base: the class of which the loaded class must be a subclass.
        directory: the folder in which the file is looked for.
        path: the dotted path of the key that names the class, for messages.
        elsewhere: messages by base class; a loaded class with such a base class belongs elsewhere
            in a file, and is refused with this message.

    Raises:
        InputError: if there is no such class, if the class is no subclass of `base` or does not
            define all abstract methods, or if its module cannot be imported.
    """
    found: type
    at, found = _named(spec, directory, path, "Class", inspect.isclass)
    kind = f"kanpinn.{base.__name__}"
    if not issubclass(found, base):
        for other, advice in elsewhere.items():
            if issubclass(found, other):
                raise InputError(f"{at} {advice}")
        raise InputError(f"{at}: expected a subclass of {kind}")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        absent = ", ".join(missing)
        raise InputError(f"{at}: the class does not define what every {kind} has: {absent}")
    return found


def load_function(spec: str, directory: Path, path: str) -> Callable[..., Any]:
    """Load the function named "file.py:function" or "package.module:function".

    Args:
        spec: the name of the function.
        directory: the folder in which the file is looked for.
        path: the dotted path of the key that names the function, for messages.

    Raises:
        InputError: if there is no such function, or its module cannot be imported.
    """
    found: Callable[..., Any]
    _, found = _named(spec, directory, path, "function", callable)
    return found


def _named(
    spec: str, directory: Path, path: str, kind: str, fits: Callable[[object], bool]
) -> tuple[str, Any]:
    """Return the class or function that a text names, and the beginning of error messages on it.

    Args:
        spec: the text, such as "file.py:Class".
        directory: the folder in which the file is looked for.
        path: the dotted path of the key whose value the text is, for messages.
        kind: "Class" or "function".
        fits: returns True for an object of this kind.

    Returns:
        The beginning of error messages, and the object.
    """
    where, _, name = spec.rpartition(":")
    at = f'{path} = "{spec[:200]}"'
    if not (where and where.isprintable() and name.isidentifier()):
        raise InputError(f'{at}: expected "file.py:{kind}" or "package.module:{kind}"')
    if where.endswith(".py"):
        module = _from_file(where, directory, at)
    else:
        try:
            module = importlib.import_module(where)
        except Exception as error:  # a user's module may raise anything
            sought = error.name if isinstance(error, ModuleNotFoundError) else None
            if sought and f"{where}.".startswith(f"{sought}."):
                raise InputError(f"{at}: there is no module {sought}") from None
            reason = error if sought else f"{type(error).__name__}: {error}"
            raise InputError(f"{at}: {reason}") from error
    found = getattr(module, name, None)
    if not fits(found):
        names = [other for other, value in vars(module).items() if fits(value)]
        raise InputError(f"{at}: {where} has no {kind.lower()} {name}{nearest(name, names)}")
    return at, found


class FromSource(SourceFileLoader):
    """A loader of modules from their sources, since a cached `.pyc` may be of another source."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Raise OSError, so that modules are compiled from their source, without cached
        bytecode.
        """
        raise OSError(f"the cache of {path} is not used")


@contextmanager
def importing_beside(folder: Path) -> Iterator[None]:
    """Let code in the `with` block import the modules in a folder, from their sources."""
    kinds = (FromSource, SOURCE_SUFFIXES), (ExtensionFileLoader, EXTENSION_SUFFIXES)
    finder_of = FileFinder.path_hook(*kinds)

    def hook(path: str) -> Any:
        """Return the finder of modules for a path in the folder; otherwise raise ImportError."""
        if not Path(path).is_relative_to(folder):
            raise ImportError(f"{path} is not in {folder}")
        return finder_of(path)

    def forget() -> None:
        """Remove the finders of modules in the folder from Python's cache of finders."""
        for path in [p for p in sys.path_importer_cache if Path(p).is_relative_to(folder)]:
            del sys.path_importer_cache[path]

    forget()
    sys.path_hooks.insert(0, hook)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.path_hooks.remove(hook)
        forget()


def _from_file(where: str, directory: Path, at: str) -> ModuleType:
    """Import a file as a module whose name has a hash of the path, so that names do not collide.

    Args:
        where: the path of the file, relative to `directory`.
        directory: the folder of the settings.
        at: the key and its value, for messages.

    Raises:
        InputError: if there is no such file, or it cannot be imported.
    """
    file = (directory / where).resolve()
    if not file.is_file():
        hint = nearest(file.name, [beside.name for beside in file.parent.glob("*.py")])
        raise InputError(f"{at}: there is no file {where}{hint}")
    name = f"{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    loader = FromSource(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look up the module of a class
    before = set(sys.modules)
    try:
        with blaming(at, module), importing_beside(file.parent):  # modules in its folder
            loader.exec_module(module)
    except InputError:
        raise
    except (SyntaxError, ValueError) as error:  # not text: there is no line to name
        raise InputError(f"{at}: {type(error).__name__}: {error}") from error
    finally:  # other files must not find the modules in this file's folder
        for added in set(sys.modules) - before:
            origin = Path(getattr(sys.modules[added], "__file__", None) or "")
            if (origin.parent, origin.stem) == (file.parent, added):
                del sys.modules[added]
    return module


def sources_of(*owners: Any) -> tuple[Path, ...]:
    """Return the Python files of the user that define the given modules, classes or instances.

    Objects of kanpinn and of Python itself are left out.
    """
    named = [owner if hasattr(owner, "__name__") else type(owner) for owner in owners]
    room = lambda owner: getattr(owner, "__module__", "").partition(".")[0]  # noqa: E731
    files = {inspect.getfile(one) for one in named if room(one) not in ("kanpinn", "builtins")}
    return tuple(Path(file).resolve() for file in sorted(files))


@contextmanager
def blaming(what: str, *owners: Any) -> Iterator[None]:
    """Turn an exception raised in a Python file of the user into an InputError with file and line.

    Exceptions raised elsewhere are not changed.

    Args:
        what: the beginning of the message, such as the name of the class.
        owners: modules, classes, functions and instances; the files that define them, except files
            of kanpinn, are the files of the user.

    Raises:
        InputError: in place of an exception raised in the user's files.
    """
    try:
        yield
    except Exception as error:  # a user's file may raise anything
        place, files = "", sources_of(*owners)
        if isinstance(error, SyntaxError) and error.filename:
            place = f" at {error.filename}:{error.lineno}"
        else:
            for frame in reversed(traceback.extract_tb(error.__traceback__)):
                if Path(frame.filename).resolve() in files:
                    function = "" if frame.name == "<module>" else f" in {frame.name}"
                    place = f" at {frame.filename}:{frame.lineno}{function}"
                    break
        if not place:
            raise
        text = str(error).strip()
        if not isinstance(error, InputError):
            text = f"{type(error).__name__}: {text.partition(chr(10))[0]}"
        raise InputError(f"{what}{place}: {text}") from error


def offered(base: type, *rooms: ModuleType) -> dict[str, type]:
    """Return the concrete subclasses of `base` that packages list in their `__init__`.

    The keys are the names for TOML files, in snake case, such as "least_squares".
    """
    found = {name: value for room in rooms for name, value in vars(room).items()}
    return {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): value
        for name, value in sorted(found.items())
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value)
    }


ARGUMENT = "arg_"  # prefix of the fields for arguments, which then never shadow pydantic's names


class TomlTable(pydantic.BaseModel):
    """A table of a TOML file; its keys are the fields of the model.

    No value is converted except integers to floats, and an unknown key is refused.

    Attributes:
        about: the class or function whose arguments are the keys of the table; None for a table
            that describes no object.
        example: the beginning of the section, for messages.
    """

    # defer_build: pydantic builds each model when it is first used, since a solve needs only few.
    model_config = pydantic.ConfigDict(
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        defer_build=True,
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        strict=True,
    )
    about: ClassVar[Any] = None
    example: ClassVar[str] = ""

    @classmethod
    def by_key(cls) -> dict[str, FieldInfo]:
        """Return the fields of the model by key of the TOML table."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def described(cls, name: str, directory: Path, path: str) -> "type[TomlTable]":
        """Return the model of the table for a class that the table names.

        For a class of kanpinn the present model is returned. For a class of the user, a model is
        made from the arguments of the class.

        Args:
            name: the name of the class; for a user's class "file.py:Class" or
                "package.module:Class".
            directory: the folder in which the file of a user's class is looked for.
            path: the dotted path of the table, for messages.

        Raises:
            InputError: if the class cannot be loaded.
        """
        return cls

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        """Return the message for a key that the table does not have.

        Args:
            path: the dotted path of the table.
            key: the key.
            value: the value of the key in the file; not every message has it.
        """
        keys = cls.by_key()
        known = f"the keys of {path} are {', '.join(keys)}" if keys else f"{path} takes no keys"
        return f"{path}.{key} is unknown{nearest(key, keys)} ({known})"

    def arguments(self, made: Mapping[str, Any] | None = None, **defaults: Any) -> dict[str, Any]:
        """Return the arguments of the class or function `about`, in the order of its signature.

        Args:
            made: arguments that have been built from the table's values already, by name.
            defaults: values of arguments that the table leaves out. Values for arguments that
                `about` does not have are ignored.
        """
        takes = type(self).model_fields
        found = {name: one for name, one in defaults.items() if f"{ARGUMENT}{name}" in takes}
        for name in takes:
            if name in self.model_fields_set and name.startswith(ARGUMENT):
                found[name.removeprefix(ARGUMENT)] = getattr(self, name)
        return found | {**(self.model_extra or {}), **(made or {})}

    def build(
        self, path: str, directory: Path, *, made: Mapping[str, Any] | None = None, **defaults: Any
    ) -> Any:
        """Return the object that the table describes: call the class or function `about`.

        Args:
            path: the dotted path of the table, for messages.
            directory: the folder in which files named by the table are looked for.
            made: arguments that have been built from the table's values already, by name.
            defaults: values of arguments that the table leaves out.

        Raises:
            InputError: if an argument is refused; the message has the path of its key. Also if
                Python code of the user fails; the message has its file and line.
        """
        return self.call(path, self.arguments(made, **defaults))

    def call(self, path: str, arguments: Mapping[str, Any]) -> Any:
        """Call the class or function `about` with arguments, and return the result.

        Args:
            path: the dotted path of the table, for messages.
            arguments: the arguments by name.

        Raises:
            InputError: if an argument is refused; the message has the path of its key. Also if
                Python code of the user fails; the message has its file and line.
        """
        about = type(self).about
        try:
            with blaming(about.__name__, about):
                return about(**arguments)
        except InputError as error:
            name = re.split(r"[ .\[]", str(error), maxsplit=1)[0]  # of "boundary.x_min = 1: ..."
            known = name in type(self).by_key() or name in arguments
            place = f"{path}.{error}" if known else f"{path}: {error}"
            value, hint = arguments.get(name), ""
            if isinstance(value, str) and re.fullmatch(r"[\w-]+", value):
                if "did you mean" not in str(error):  # propose the most similar name in the message
                    words = [w for w in re.findall(r"\w+", str(error)) if w != value]
                    hint = nearest(value, words[1:])
            raise InputError(place + hint) from None
        except (MemoryError, OverflowError, RuntimeError, ValueError) as error:
            if sources_of(about):
                raise
            reason = str(error).partition("\n")[0]  # such as sizes that no machine can hold
            raise InputError(f"{path} = {show(arguments)}: cannot be built ({reason})") from None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema, with the descriptions of keys from the docstring of `about`."""
        schema = handler(core)
        found = handler.resolve_ref_schema(schema)
        told = descriptions(cls.about or cls)
        summary = inspect.cleandoc((cls.about or cls).__doc__ or "").partition("\n\n")[0]
        found["description"] = summary.replace("\n", " ")
        for key, one in found.get("properties", {}).items():
            text = found["description"] if "const" in one else told.get(key)
            if text:
                one.setdefault("description", text)
        return schema


class FixedTable(TomlTable):
    """A table with fixed keys, such as [run]; the keys of other tables depend on a named class."""


def table_of(
    target: Callable[..., Any], name: str, base: type[TomlTable] = TomlTable, **more: Any
) -> type[TomlTable]:
    """Make the model of a table whose keys are the arguments of a class or function.

    Args:
        target: the class or function; the keys have the types and defaults of its arguments.
        name: the name of the model.
        base: the base class of the model; an argument whose name is a field of `base` is not
            declared again.
        more: additional fields that are not arguments, as (annotation, default).
    """
    fields: dict[str, Any] = {}
    hints, further = hints_of(target), {}
    for p in inspect.signature(target).parameters.values():
        hint = hints.get(p.name, Any)
        if p.kind is p.VAR_KEYWORD and typing.get_origin(hint) is not typing.Unpack:
            further = {"__annotations__": {"__pydantic_extra__": GenericAlias(dict, (str, hint))}}
        elif p.kind is p.VAR_KEYWORD:
            shared = hints_of(typing.get_args(hint)[0])
            fields |= {key: (one, None) for key, one in shared.items()}
        elif p.kind is not p.VAR_POSITIONAL:
            kinds = typing.get_args(hint) or (hint,)
            modules = any(isinstance(k, type) and issubclass(k, torch.nn.Module) for k in kinds)
            if not modules and hint not in (torch.dtype, torch.device):  # set by other keys
                fields[p.name] = (hint, ... if p.default is p.empty else p.default)
    if further:  # the function takes any keyword, so the table takes any key
        base = type(base.__name__, (base,), further | {"__module__": __name__}, extra="allow")
    arguments = {
        f"{ARGUMENT}{key}": (hint, pydantic.Field(default, alias=key.removesuffix("_")))
        for key, (hint, default) in fields.items()
        if not {key, f"{ARGUMENT}{key}"} & {*more, *base.model_fields}
    }
    table: Any = pydantic.create_model(name, __base__=base, **(more | arguments))
    table.about = target
    return cast(type[TomlTable], table)


def tables_of(
    known: Mapping[str, Callable[..., Any]], kind: str, base: type[TomlTable], key: str = "type"
) -> dict[str, type[TomlTable]]:
    """Make the models of tables for several classes or functions, by their names in a file.

    Args:
        known: the classes and functions, by their names in a file.
        kind: a word that begins the names of the models.
        base: the base class of the models.
        key: the key of the table whose value is the name.
    """
    keys: dict[str, Any] = {name: {key: (Literal[name], ...)} for name in known}
    return {name: table_of(t, f"{kind}_{name}", base, **keys[name]) for name, t in known.items()}


OWN = "own"  # the name of the table of a class of the user's own


@dataclass(frozen=True, eq=False)
class Variants:
    """A discriminated union of tables: the annotation of a field that takes one of several tables.

    Exactly one of the keys in `keys`, such as "type", is in such a table; the key, or its value,
    selects the model of the table.

    Args:
        tables: the models of the tables, by the value of the key or, if only one table has this
            key, by the key itself.
        keys: the keys that select a model, each with a phrase for its meaning, for messages.
        sample: a value of the last key, for messages.
        example: the beginning of such a table, for messages.
    """

    tables: dict[str, type[TomlTable]]
    keys: Mapping[str, str] = field(default_factory=lambda: {"type": ""})
    sample: str = ""
    example: str = ""

    @property
    def key(self) -> str:
        """The last key of `keys`, whose value is a name in `tables`, such as "type"."""
        return [*self.keys][-1]

    def tag(self, table: Any) -> str | None:
        """Return the name of the model for a table of a file; None if its keys determine none."""
        given = [key for key in self.keys if key in table] if isinstance(table, dict) else []
        if len(given) != 1:
            return None
        name = given[0] if given[0] in self.tables else table[given[0]]
        if not isinstance(name, str):
            return None
        return OWN if ":" in name and OWN in self.tables else name

    def unusable(self, path: str, table: Any) -> str:
        """Return the error message for a value that matches none of the models.

        Args:
            path: the dotted path of the value.
            table: the value.
        """
        if not isinstance(table, dict):
            return f"{path} = {show(table)}: expected a table{self.example}"
        given = [key for key in self.keys if key in table]
        if len(given) > 1:
            expected = " or ".join(self.keys[key] for key in reversed(given))
            return f"{path}.{given[-1]}: expected {expected}, not both"
        names = [name for name in self.tables if name not in (OWN, *self.keys)]
        if given:
            known = ' or "module:Class"' if OWN in self.tables else ""
            known = f"one of {', '.join(names)}{known}{nearest(table[self.key], names)}"
            return f"{path}.{self.key} = {show(table[self.key])}: expected {known}"
        expected = ", or ".join(self.keys.values()) or f"one of {', '.join(names)}"
        hint = "".join(nearest(key, self.keys) for key in [*table][:1])
        return f"{path}.{next(iter(self.keys))} is missing: expected {expected}{self.sample}{hint}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices = {tag: handler.generate_schema(table) for tag, table in self.tables.items()}
        return core_schema.tagged_union_schema(choices, self.tag)


T = TypeVar("T", bound=TomlTable)
NAMES = {
    "integer": ("an integer", "integers"),
    "number": ("a number", "numbers"),
    "string": ("a text", "texts"),
    "boolean": ("true or false", "truth values"),
    "array": ("a list", "lists"),
    "object": ("a table", "tables"),
}
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def read_table(model: type[T], data: Any, path: str = "") -> T:
    """Check plain values against a model and return the table.

    Args:
        model: the model of the table.
        data: the values, such as those that `tomllib` returns.
        path: the dotted path of the table in its file, for messages.

    Raises:
        InputError: with one line for each of the first 20 faults: the path of the key, its value,
            and the expected value.
    """
    most = 20
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError):
        lines = [*itertools.islice(_not_plain(data, path), most)]
        raise InputError("\n".join(lines)) from None
    try:
        return model.model_validate_json(text)
    except pydantic.ValidationError as error:
        faults = error.errors(include_url=False)
        lines = [_message_of(model, one["type"], one["loc"], data, path) for one in faults[:most]]
        lines += [f"there are {len(faults) - most} faults more"] if len(faults) > most else []
        raise InputError("\n".join(dict.fromkeys(lines))) from None


@contextmanager
def naming(path: str, keys: Container[str], otherwise: str = "") -> Iterator[None]:
    """Prefix error messages about keys of a table with the path of the table.

    A message is about a key if its first word is the key.

    Args:
        path: the dotted path of the table.
        keys: the keys of the table.
        otherwise: the prefix of all other messages.

    Raises:
        InputError: if the body of the with statement raises it, with the prefix in its message.
    """
    try:
        yield
    except InputError as error:
        known = str(error).partition(" ")[0] in keys
        raise InputError(f"{path}.{error}" if known else f"{otherwise}{error}") from error


def _not_plain(value: Any, path: str) -> Iterator[str]:
    """Yield a message for each value that strict JSON cannot hold: NaN, infinities, dates."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_plain(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _not_plain(inner, f"{path}[{index}]")
    elif type(value) is float and not math.isfinite(value):
        yield f"{path} = {show(value)}: expected a finite number"
    elif value is not None and type(value) not in (bool, int, float, str):
        yield f"{path} = {value}: expected a number, a text, a list or a table"


def _message_of(
    table: type[TomlTable], kind: str, location: tuple[int | str, ...], value: Any, path: str
) -> str:
    """Return the message for a fault that pydantic has found.

    Args:
        table: the model that was checked.
        kind: the type of the fault, in pydantic's words.
        location: pydantic's keys and indices that lead to the fault. After the key of a
            discriminated union comes the name of its table. After the key of another union comes
            the type that was tried; the message leaves it out.
        value: the values that were checked.
        path: the dotted path of the table.
    """
    if not location:
        return f"{path} = {show(value)}: expected a table"
    rest = list(location)
    while True:
        key, above = str(rest.pop(0)), path
        path, field = f"{path}.{key}".lstrip("."), table.by_key().get(key)
        if field is None and kind == "extra_forbidden":
            return table.refusal(above, key, value[key])
        if field is None:  # a key of a table that takes any key
            value, schema = value[key], table.model_json_schema()["additionalProperties"]
            break
        # The model or the Variants of a field that takes a table or a list of tables, else None.
        waiting: list[Any] = [*field.metadata, field.annotation]
        inner: Any = None
        while waiting and inner is None:
            hint = waiting.pop(0)
            table_class = inspect.isclass(hint) and issubclass(hint, TomlTable)
            inner = hint if table_class or isinstance(hint, Variants) else None
            waiting += reversed(typing.get_args(hint))
        kinds: Any = Annotated[(field.annotation, *field.metadata, "")]
        schema = pydantic.TypeAdapter(kinds).json_schema()
        if kind == "missing" and not rest:
            what = field.title or describe(schema)
            if inner is not None:
                what = ("a table" if "." in path else f"a section [{path}]") + inner.example
            return f"{path} is missing: expected {what}"
        value = value[key]
        if inner is None or not (rest or kind.startswith("union_tag")):
            break
        if rest and type(rest[0]) is int:
            path, value = f"{path}[{rest[0]}]", value[rest.pop(0)]
        if not isinstance(inner, Variants):
            table = inner
        elif rest:
            table = inner.tables[str(rest.pop(0))]
        else:
            return inner.unusable(path, value)
    what = (field and field.title) or describe(schema)
    what += f" [[{key}]]" if schema.get("type") == "array" and not above else ""
    return f"{path} = {show(value)}: expected {what}{nearest(value, schema.get('enum', ()))}"


def describe(schema: Mapping[str, Any]) -> str:
    """Return the values that a JSON schema allows as text, such as "a list of integers"."""
    if "enum" in schema:
        return " or ".join(show(choice) for choice in schema["enum"])
    if "anyOf" in schema:
        kinds = [describe(s) for s in schema["anyOf"] if s.get("type") != "null"]
        if "a number" in kinds:
            kinds = [kind for kind in kinds if kind != "an integer"]
        return " or ".join(dict.fromkeys(kinds))
    kind = schema.get("type", "object" if {"oneOf", "$ref"} & {*schema} else None)
    if kind not in NAMES:
        return "another value"
    inner = schema.get("items" if kind == "array" else "additionalProperties")
    text = NAMES[kind][0] + _of_what(inner or {})
    text += f", at least {schema['minItems']}" if "minItems" in schema and "items" in schema else ""
    limits = " and ".join(f"{sign} {schema[b]}" for b, sign in BOUNDS.items() if b in schema)
    return f"{text} {limits}".rstrip()


def _of_what(schema: Mapping[str, Any] | bool) -> str:
    """Return the types of a list's or table's values as text, such as " of integers".

    Args:
        schema: the JSON schema of the values; the text is empty if it says nothing.
    """
    if schema is True or schema is False:
        return ""
    kinds = [one.get("type") for one in schema.get("anyOf", [schema])]
    kind = "number" if "number" in kinds else kinds[0]
    if "oneOf" in schema:
        kind = "object"
    more = " or texts" if kind == "number" and "string" in kinds else ""
    more += _of_what(schema["items"]) if kind == "array" else ""
    return f" of {NAMES[kind][1]}{more}" if kind in NAMES else ""
