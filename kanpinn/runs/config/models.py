"""Tables of a file as pydantic models, made from the signatures of the classes they describe."""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from types import GenericAlias
from typing import Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, create_model
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.runs.config.classes import blaming, sources_of
from kanpinn.runs.config.signatures import descriptions, hints_of, is_unwritable

ARGUMENT = "arg_"  # prefix of the fields for arguments, which then never shadow pydantic's names


class TomlTable(BaseModel):
    """A table of a file; its keys are the fields of the model.

    Nothing is converted except integers to floats, and an unknown key is refused.

    Attributes:
        about: the class or function whose arguments the table gives; None if there is none.
        check: called with `about`, the arguments and the path of the table before `about` is
            called; it raises InputError for arguments that cannot be used.
        example: how the section begins, for messages.
    """

    # Each model is built when it is first used: a solve needs few of them.
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
    example: ClassVar[str] = ""

    @classmethod
    def by_key(cls) -> dict[str, FieldInfo]:
        """Return the fields by their names in a file."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def described(cls, name: str, directory: Path, path: str) -> "type[TomlTable]":
        """Return the table of the arguments of the class that this table names.

        Args:
            name: the name of the class.
            directory: the folder of the file, if the class is one of the user's own.
            path: the dotted path of the table, for messages.

        Raises:
            InputError: if the class cannot be loaded.
        """
        return cls

    @classmethod
    def enter(cls, location: list[int | str]) -> "type[TomlTable]":
        """Return the table that the rest of a location refers to; see `Variants.enter`."""
        return cls

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        """Return the message for a key that the table does not have."""
        keys = cls.by_key()
        known = f"the keys of {path} are {', '.join(keys)}" if keys else f"{path} takes no keys"
        return f"{path}.{key} is unknown{nearest(key, keys)} ({known})"

    def build(
        self,
        path: str,
        directory: Path,
        *,
        made: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        **defaults: Any,
    ) -> Any:
        """Call `about` with the arguments that the table gives, and return the result.

        Args:
            path: the dotted path of the table, for messages.
            directory: the folder in which files named by the table are looked for.
            made: arguments that have been made from the table's values already, by name.
            limits: further arguments of `check`, by name.
            defaults: values of arguments that the table does not give; values for arguments that
                `about` does not have are ignored.

        Raises:
            InputError: if an argument is refused; the message names the path of its key. Also if
                code of the user's own fails; the message names its file and line.
        """
        about, check, takes = type(self).about, type(self).check, type(self).model_fields
        arguments = {name: one for name, one in defaults.items() if f"{ARGUMENT}{name}" in takes}
        for name in takes:  # in the order of the signature
            if name in self.model_fields_set and name.startswith(ARGUMENT):
                arguments[name.removeprefix(ARGUMENT)] = getattr(self, name)
        arguments |= {**(self.model_extra or {}), **(made or {})}
        if check is not None:
            check(about, arguments, path, **(limits or {}))
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
            reason = str(error).partition("\n")[0]  # sizes that no machine can hold
            raise InputError(f"{path} = {show(arguments)}: cannot be built ({reason})") from None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema, with descriptions of keys from the docstring of the class."""
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
    """A table whose keys are known before any class is loaded, such as [run].

    Attributes:
        nulls: whether run.json has a key whose value is None.
    """

    nulls: ClassVar[bool] = False


def table_of(
    target: Callable[..., Any], name: str, base: type[TomlTable] = TomlTable, **more: Any
) -> type[TomlTable]:
    """Return the table of the arguments of a class or function, with their types and defaults.

    Args:
        target: the class or function.
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
        elif p.kind is not p.VAR_POSITIONAL and not is_unwritable(hint):
            fields[p.name] = (hint, ... if p.default is p.empty else p.default)
    if further:  # the function takes any keyword, so the table takes any key
        base = type(base.__name__, (base,), further | {"__module__": __name__}, extra="allow")
    arguments = {
        f"{ARGUMENT}{key}": (hint, Field(default, alias=key.removesuffix("_")))
        for key, (hint, default) in fields.items()
        if not {key, f"{ARGUMENT}{key}"} & {*more, *base.model_fields}
    }
    table: Any = create_model(name, __base__=base, **(more | arguments))
    table.about = target
    return cast(type[TomlTable], table)


def tables_of(
    known: Mapping[str, Callable[..., Any]], kind: str, base: type[TomlTable], key: str = "type"
) -> dict[str, type[TomlTable]]:
    """Return the tables of several classes or functions, by their names in a file.

    Args:
        known: the classes and functions, by their names in a file.
        kind: a word that begins the names of the models.
        base: the base class of the models.
        key: the key of the table whose value is the name.
    """
    return {
        name: table_of(target, f"{kind}_{name}", base, **{key: (Literal[name], ...)})
        for name, target in known.items()
    }


def _spelling(value: Any, message: str) -> str:
    """Return a hint to the nearest of the names that a message lists, if the value is a name."""
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]+", value):
        return ""
    if "did you mean" in message:
        return ""
    return nearest(value, [w for w in re.findall(r"\w+", message) if w != value][1:])
