"""What a table of a problem file may say: the arguments of the class that it describes."""

import inspect
import json
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from kanpinn.config.reading import describe, nearest, show
from kanpinn.errors import InputError

REQUIRED = ...
HIDDEN = (torch.dtype, torch.device)  # [run] sets them for the whole run


@dataclass(frozen=True)
class Key:
    """One key of a table: what it takes, and what it is where the file does not say."""

    name: str
    hint: Any
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @cached_property
    def adapter(self) -> TypeAdapter:
        try:
            return TypeAdapter(self.hint, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # a type with a configuration of its own
            return TypeAdapter(self.hint)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the value, with the default."""
        try:
            schema = self.adapter.json_schema()
        except PydanticUserError:  # the type has no form in JSON
            schema = {}
        if isinstance(self.default, (bool, int, float, str, list, tuple, dict)):
            schema["default"] = self.default
        return schema

    def read(self, path: str, value: Any) -> Any:
        """The value, unless it is of another kind: nothing is converted but integers to floats.

        Raises:
            InputError: naming path, value and what was expected.
        """
        try:
            return self.adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError:
            hint = nearest(value, self.schema.get("enum", ()))
            raise InputError(
                f"{path} = {show(value)}: expected {describe(self.schema)}{hint}"
            ) from None


@dataclass(frozen=True)
class Form:
    """The keys that a table may have; an `open` form takes others, too."""

    keys: Mapping[str, Key]
    open: bool = False

    @staticmethod
    def of(target: type) -> "Form":
        """The arguments of a class, with their types and defaults."""
        hints = _hints(target)
        keys, is_open = {}, False
        for p in inspect.signature(target).parameters.values():
            name = p.name.removesuffix("_")  # `class_` is the key `class`
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                is_open |= p.kind is p.VAR_KEYWORD
            elif hints.get(p.name) not in HIDDEN:
                default = REQUIRED if p.default is p.empty else p.default
                keys[name] = Key(name, hints.get(p.name, Any), default)
        return Form(keys, is_open)

    def beside(self, keys: Sequence[Key]) -> "Form":
        """This form with further keys, first."""
        return Form({key.name: key for key in keys} | dict(self.keys), self.open)

    def read(self, path: str, table: Any) -> dict[str, Any]:
        """The table's values by name of the argument.

        Raises:
            InputError: one line for each key that is unknown, missing or of the wrong kind.
        """
        if not isinstance(table, dict):
            raise InputError(f"{path} = {show(table)}: expected a table")
        values, faults = {}, []
        for name, value in table.items():
            try:
                values[name] = self._key(path, name).read(f"{path}.{name}", value)
            except InputError as fault:
                faults.append(str(fault))
        faults += [
            f"{path}.{key.name} is missing: expected {describe(key.schema)}"
            for key in self.keys.values()
            if key.required and key.name not in table
        ]
        if faults:
            raise InputError("\n".join(faults))
        return values

    def _key(self, path: str, name: str) -> Key:
        if name in self.keys:
            return self.keys[name]
        if self.open:
            return Key(name, Any)
        known = f"the keys of {path} are {', '.join(self.keys)}" if self.keys else "it takes no key"
        raise InputError(f"{path}.{name} is unknown{nearest(name, self.keys)} ({known})")


def construct(path: str, target: type, table: Any, apart: Sequence[Key] = ()) -> Any:
    """An object of the class from a table; complaints carry the path.

    apart: keys of the table that are no arguments of the class.

    Raises:
        InputError: naming the key, where the table or what it says does not fit the class.
    """
    form = Form.of(target).beside(apart)
    values = form.read(path, table)
    for key in apart:
        values.pop(key.name, None)
    arguments = {f"{k}_" if f"{k}_" in _names(target) else k: v for k, v in values.items()}
    try:
        return target(**arguments)
    except InputError as error:
        name = str(error).split(" ", 1)[0]
        place = f"{path}.{error}" if name in form.keys else f"{path}: {error}"
        raise InputError(place + _spelling(values.get(name), str(error))) from None
    except (MemoryError, OverflowError, RuntimeError, ValueError) as error:
        if target.__module__.partition(".")[0] != "kanpinn":
            raise
        reason = str(error).partition("\n")[0]  # numbers that are too large for any machine
        raise InputError(f"{path} = {show(table)}: cannot be built ({reason})") from None


def _hints(target: type) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(vars(target).get("__init__", target), include_extras=True)
    except (NameError, TypeError):  # annotations that cannot be resolved check nothing
        return {}
    hints.pop("return", None)
    return hints


def _names(target: type) -> Iterable[str]:
    return inspect.signature(target).parameters


def _spelling(value: Any, message: str) -> str:
    """The nearest of the names that a message lists, where the value is a name."""
    if not isinstance(value, str):
        return ""
    return nearest(value, [w for w in re.findall(r"\w+", message) if w != value][1:])
