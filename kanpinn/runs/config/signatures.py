"""Types and descriptions of the arguments of a class, from its signature and its docstring."""

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any

import torch


def hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the arguments of a class or function, as far as a file can give them.

    The result is empty if an annotation cannot be resolved; then nothing is checked.
    """
    try:
        hints = typing.get_type_hints(vars(target).get("__init__", target), include_extras=True)
    except (NameError, TypeError):
        return {}
    hints.pop("return", None)
    return {name: _writable(hint) for name, hint in hints.items()}


def _writable(hint: Any) -> Any:
    """Return the part of a type that a file can give: no functions, and lists for iterables."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, UnionType):
        kept = [_writable(part) for part in parts if typing.get_origin(part) is not Callable]
        return typing.Union[tuple(kept)]  # noqa: UP007 (of parts that are known only here)
    if origin is Iterable:
        return list[_writable(parts[0])]  # type: ignore[misc]
    if origin in (Mapping, Sequence):
        return origin[tuple(_writable(part) for part in parts)]
    return hint


def is_unwritable(hint: Any) -> bool:
    """Return whether a type is one that a file has other keys for: dtypes, devices, networks."""
    kinds = typing.get_args(hint) or (hint,)
    modules = any(isinstance(one, type) and issubclass(one, torch.nn.Module) for one in kinds)
    return modules or hint in (torch.dtype, torch.device)


def descriptions(target: Any) -> dict[str, str]:
    """Return the descriptions of arguments in the docstrings of a class and its bases.

    They are the entries under "Args:", by the name of the argument.
    """
    found: dict[str, str] = {}
    for one in reversed(getattr(target, "__mro__", (target,))):
        for names, text in _entries(inspect.cleandoc(one.__doc__ or "")):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


def _entries(doc: str) -> Iterator[tuple[str, str]]:
    """Yield the names and the text of each entry under "Args:"."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", doc, re.MULTILINE)
    if section:
        yield from re.findall(
            r"^ {4}([\w, ]+): ((?:.*\n?)(?:^ {8}.*\n?)*)", section[1], re.MULTILINE
        )
