"""Tables of a file as pydantic models, made of the signatures of the classes that they describe."""

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, create_model
from pydantic.annotated_handlers import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.runs.config.classes import blaming, sources_of

ARGUMENT = "arg_"  # starts the names of fields that are arguments: none is a name of pydantic's
OWN = "own"  # the tag of classes of the user's own


class Table(BaseModel):
    """A table of a file: its keys are the fields.

    `about` is the class or function whose arguments it has, if there is one, and `check` refuses
    arguments before it is called with them.
    """

    # Nothing is converted but integers to floats. Models are built when they are first used.
    model_config = ConfigDict(
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        defer_build=True,
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        strict=True,
    )
    about: ClassVar[Any] = None
    check: ClassVar[Any] = None

    @classmethod
    def by_key(cls) -> dict[str, FieldInfo]:
        """The fields by the keys that a file has for them."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def described(cls, name: str, directory: Path, path: str) -> "type[Table]":
        """The table of the arguments of the class that the table names.

        Args:
            name: of the class.
            directory: where its file is looked for, where it is one of the user's own.
            path: of the table, for messages.
        """
        return cls

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        """The message for a key that the table does not have."""
        keys = cls.by_key()
        known = f"the keys of {path} are {', '.join(keys)}" if keys else "it takes no key"
        return f"{path}.{key} is unknown{nearest(key, keys)} ({known})"

    def arguments(self) -> dict[str, Any]:
        """What the table gives for the arguments of `about`, by their names."""
        given = [name for name in type(self).model_fields if name in self.model_fields_set]
        named = {n.removeprefix(ARGUMENT): getattr(self, n) for n in given if ARGUMENT in n[:4]}
        return named | (self.model_extra or {})

    def build(self, path: str, directory: Path, **defaults: Any) -> Any:
        """An instance of the class that the table describes.

        Args:
            path: of the table, for messages.
            directory: where files that the table names are looked for.
            defaults: arguments that the table need not give, for a class that takes them.

        Raises:
            InputError: naming the key that does not fit.
        """
        takes = type(self).model_fields
        known = {name: one for name, one in defaults.items() if f"{ARGUMENT}{name}" in takes}
        return self.make(path, known | self.arguments())

    def make(self, path: str, arguments: Mapping[str, Any]) -> Any:
        """`about` called with these arguments; what it refuses is called by its key.

        Raises:
            InputError: naming the key, or the line of the user's file that fails.
        """
        about, check = type(self).about, type(self).check
        if check is not None:
            check(about, arguments, path)
        try:
            with blaming(about.__name__, about):
                return about(**arguments)
        except InputError as error:
            name = re.split(r"[ .\[]", str(error), maxsplit=1)[0]  # of "boundary.x_min = 1: ..."
            known = name in type(self).by_key() or name in arguments
            place = f"{path}.{error}" if known else f"{path}: {error}"
            raise InputError(place + _spelling(arguments.get(name), str(error))) from None
        except (MemoryError, OverflowError, RuntimeError, ValueError) as error:
            if sources_of(about):
                raise
            reason = str(error).partition("\n")[0]  # numbers that are too large for any machine
            raise InputError(f"{path} = {show(arguments)}: cannot be built ({reason})") from None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The schema with the descriptions that the docstring of the class has."""
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


class FixedTable(Table):
    """A table whose keys are the same in all files of a kind."""

    nulls: ClassVar[bool] = False  # whether a run folder's record has keys without a value

    def filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a file gives, with the defaults of what it leaves out, where there are any."""
        values = {
            field_.alias or name: field_.get_default(call_default_factory=True)
            for name, field_ in type(self).model_fields.items()
        } | dict(given)
        return {key: one for key, one in values.items() if self.nulls or one is not None}


@dataclass(frozen=True, eq=False)
class Variants:
    """Tables of several kinds, one of whose keys says which kind it is: an annotation of a field.

    Args:
        tables: by the value of that key, or by the key itself where only one kind has it.
        keys: that say which kind it is, with what they name in words; a table has one of them.
        sample: of what the last of the keys names, for messages.
        example: of a table, for messages.
    """

    tables: dict[str, type[Table]]
    keys: Mapping[str, str] = field(default_factory=lambda: {"type": ""})
    sample: str = ""
    example: str = ""

    @property
    def key(self) -> str:
        """The key whose value is the name of a table."""
        return [*self.keys][-1]

    def tag(self, table: Any) -> str | None:
        """Which of the tables it is; None where it does not say."""
        given = [key for key in self.keys if key in table] if isinstance(table, dict) else []
        if len(given) != 1:
            return None
        name = given[0] if given[0] in self.tables else table[given[0]]
        if not isinstance(name, str):
            return None
        return OWN if ":" in name and OWN in self.tables else name

    def refusal(self, path: str, table: Any) -> str:
        """The message for what is none of the tables."""
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


def table_of(
    target: Callable[..., Any], name: str, base: type[Table] = Table, **more: Any
) -> type[Table]:
    """The table that describes a class or function: its arguments, with their types and defaults.

    Args:
        target: the class, or the function.
        name: of the model.
        base: what it is a subclass of; its fields stand for the arguments of their names.
        more: further fields, first, that are no arguments: (annotation, default).
    """
    fields: dict[str, Any] = {}
    hints, further = _hints(target), {}
    for p in inspect.signature(target).parameters.values():
        hint = hints.get(p.name, Any)
        if p.kind is p.VAR_KEYWORD and typing.get_origin(hint) is not typing.Unpack:
            further = {
                "__annotations__": {"__pydantic_extra__": dict.__class_getitem__((str, hint))}
            }
        elif p.kind is p.VAR_KEYWORD:
            shared = _hints(typing.get_args(hint)[0])
            fields |= {key: (one, None) for key, one in shared.items()}
        elif p.kind is not p.VAR_POSITIONAL and hint not in (torch.dtype, torch.device):
            fields[p.name] = (hint, ... if p.default is p.empty else p.default)
    if further:  # the table has room for further keys, whose values are of this type
        base = type(base.__name__, (base,), further | {"__module__": __name__}, extra="allow")
    arguments = {
        f"{ARGUMENT}{key}": (hint, Field(default, alias=key.removesuffix("_")))
        for key, (hint, default) in fields.items()
        if not {key, f"{ARGUMENT}{key}"} & {*more, *base.model_fields}
    }
    table: Any = create_model(name, __base__=base, **(more | arguments))
    table.about = target
    return cast(type[Table], table)


def tables_of(
    known: Mapping[str, Callable[..., Any]], kind: str, base: type[Table], key: str = "type"
) -> dict[str, type[Table]]:
    """The tables that describe classes or functions, by the names that `key` has for them.

    Args:
        known: the classes and functions by name.
        kind: of the classes; it begins the names of the models.
        base: what the tables are subclasses of.
        key: of the table, whose value is the name.
    """
    return {
        name: table_of(target, f"{kind}_{name}", base, **{key: (Literal[name], ...)})
        for name, target in known.items()
    }


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(vars(target).get("__init__", target), include_extras=True)
    except (NameError, TypeError):  # annotations that cannot be resolved check nothing
        return {}
    hints.pop("return", None)
    return {name: _writable(hint) for name, hint in hints.items()}


def _writable(hint: Any) -> Any:
    """What a file can say of a type: no function, and a list for any iterable."""
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
    """What the docstrings of a class and its bases say of arguments, under "Args:"."""
    found: dict[str, str] = {}
    for one in reversed(getattr(target, "__mro__", (target,))):
        for names, text in _entries(inspect.cleandoc(one.__doc__ or "")):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


def _entries(doc: str) -> Iterator[tuple[str, str]]:
    """Names and text of each entry under "Args:"."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", doc, re.MULTILINE)
    if section:
        yield from re.findall(
            r"^ {4}([\w, ]+): ((?:.*\n?)(?:^ {8}.*\n?)*)", section[1], re.MULTILINE
        )


def _spelling(value: Any, message: str) -> str:
    """The nearest of the names that a message lists, where the value is a name."""
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]+", value):
        return ""
    if "did you mean" in message:
        return ""
    return nearest(value, [w for w in re.findall(r"\w+", message) if w != value][1:])
