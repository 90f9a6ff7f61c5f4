"""kanpinn: partial differential equations solved with Kolmogorov–Arnold networks.

The public names are those of `kanpinn.api`. They are imported when one is first asked for:
`kanpinn --help` and a misspelt file name do not wait for torch.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kanpinn.api import *  # noqa: F403


def __getattr__(name: str) -> object:
    if not name.startswith("_") and find_spec(f"kanpinn.{name}"):
        return import_module(f"kanpinn.{name}")  # `from kanpinn import splines` asks here first
    api = import_module("kanpinn.api")
    if name.startswith("_") or not hasattr(api, name):
        raise AttributeError(f"module 'kanpinn' has no attribute {name!r}")
    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *vars(import_module("kanpinn.api"))})
