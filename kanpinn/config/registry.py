"""The names that `type` takes, and the classes behind them."""

import inspect
import re
from pathlib import Path
from types import ModuleType

from kanpinn import networks, optimizers
from kanpinn.config.classes import load_class
from kanpinn.config.words import nearest, show
from kanpinn.errors import InputError
from kanpinn.networks import Network
from kanpinn.optimizers import Optimizer


def _named(module: ModuleType, base: type) -> dict[str, type]:
    """The classes that a room offers by their names in snake case, least_squares."""
    return {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): value
        for name, value in sorted(vars(module).items())
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value)
    }


NETWORKS = _named(networks, Network)
OPTIMIZERS = _named(optimizers, Optimizer)


def network_class(name: str, directory: Path) -> type[Network]:
    """The class of [network] type: "kan", "mlp", "module:Class" or "file.py:Class"."""
    return _find(name, NETWORKS, Network, directory, "network.type")


def optimizer_class(name: str, directory: Path, path: str) -> type[Optimizer]:
    """The class of an [[optimizer]]'s type, one of OPTIMIZERS or a class of one's own."""
    return _find(name, OPTIMIZERS, Optimizer, directory, f"{path}.type")


def _find(name: str, known: dict[str, type], base: type, directory: Path, path: str) -> type:
    if name in known:
        return known[name]
    if ":" in name:
        return load_class(name, base, directory, path)
    choices = " or ".join(show(choice) for choice in known)
    raise InputError(
        f'{path} = {show(name)}: expected {choices} or "module:Class"{nearest(name, known)}'
    )
