"""What a table of a problem file may say: the arguments of the class that it describes."""

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType, UnionType
from typing import Any

import torch
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.runs.config.reading import describe

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
    """The keys that a table may have; an `open` form takes others, too, of the type `others`."""

    keys: Mapping[str, Key]
    open: bool = False
    others: Any = Any

    @staticmethod
    def of(target: Callable[..., Any]) -> "Form":
        """The arguments of a class or function, with their types and defaults."""
        hints = _hints(target)
        keys: dict[str, Key] = {}
        is_open, others = False, Any
        for p in inspect.signature(target).parameters.values():
            name = p.name.removesuffix("_")  # `class_` is the key `class`
            if typing.get_origin(hints.get(p.name)) is typing.Unpack:
                (shared,) = typing.get_args(hints[p.name])
                keys |= {key: Key(key, hint, None) for key, hint in _hints(shared).items()}
            elif p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                if p.kind is p.VAR_KEYWORD:
                    is_open, others = True, hints.get(p.name, Any)
            elif hints.get(p.name) not in HIDDEN:
                default = REQUIRED if p.default is p.empty else p.default
                keys[name] = Key(name, hints.get(p.name, Any), default)
        return Form(keys, is_open, others)

    def without(self, names: Iterable[str]) -> "Form":
        """This form less some keys."""
        kept = {name: key for name, key in self.keys.items() if name not in names}
        return replace(self, keys=kept)

    def beside(self, keys: Sequence[Key]) -> "Form":
        """This form with further keys, first."""
        return replace(self, keys={key.name: key for key in keys} | dict(self.keys))

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
            return Key(name, self.others)
        known = f"the keys of {path} are {', '.join(self.keys)}" if self.keys else "it takes no key"
        raise InputError(f"{path}.{name} is unknown{nearest(name, self.keys)} ({known})")


def construct(
    path: str,
    target: Callable[..., Any],
    table: Any,
    apart: Sequence[Key] = (),
    made: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """What the class or function gives for the arguments in a table; complaints carry the path.

    apart: keys of the table that are no arguments. made: arguments that the table does not give.

    Raises:
        InputError: naming the key, where the table or what it says does not fit the class.
    """
    form = Form.of(target).without(made).beside(apart)
    values = form.read(path, table)
    for key in apart:
        values.pop(key.name, None)
    arguments = {f"{k}_" if f"{k}_" in _names(target) else k: v for k, v in values.items()}
    try:
        return target(**arguments, **made)
    except InputError as error:
        name = re.split(r"[ .\[]", str(error), maxsplit=1)[0]  # of "boundary.x_min = 1: ..." too
        place = f"{path}.{error}" if name in (*form.keys, *values, *made) else f"{path}: {error}"
        raise InputError(place + _spelling(values.get(name), str(error))) from None
    except (MemoryError, OverflowError, RuntimeError, ValueError) as error:
        if target.__module__.partition(".")[0] != "kanpinn":
            raise
        reason = str(error).partition("\n")[0]  # numbers that are too large for any machine
        raise InputError(f"{path} = {show(table)}: cannot be built ({reason})") from None


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


def _names(target: Callable[..., Any]) -> Iterable[str]:
    return inspect.signature(target).parameters


def _spelling(value: Any, message: str) -> str:
    """The nearest of the names that a message lists, where the value is a name."""
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]+", value):
        return ""
    if "did you mean" in message:
        return ""
    return nearest(value, [w for w in re.findall(r"\w+", message) if w != value][1:])
