"""kanpinn: partial differential equations solved with Kolmogorov–Arnold networks."""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

TYPE_CHECKING = False  # typing's own takes longer to import than all that is needed here
if TYPE_CHECKING:
    from kanpinn.api import *  # noqa: F403
    from kanpinn.results import load as load

FUNCTIONS = ("solve",)  # of the API, whose modules have the same names


class _Package(ModuleType):
    """Imports the API when it is first asked for a name: `kanpinn --help` does not wait for torch.

    Nor does a solve wait for h5py and matplotlib, which `load` brings.
    """

    def __getattr__(self, name: str) -> object:
        if name == "load":
            return import_module("kanpinn.results").load
        public = not name.startswith("_")
        if public and name not in FUNCTIONS and find_spec(f"kanpinn.{name}"):
            return import_module(f"kanpinn.{name}")
        if public or name == "__all__":
            api = vars(import_module("kanpinn.api"))
            names = {n: v for n, v in api.items() if not n.startswith("_")}
            vars(self).update(names)
            if name == "__all__":
                return [*names, "load"]
            if name in names:
                return names[name]
        raise AttributeError(f"module 'kanpinn' has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        # The import system sets each submodule here: kanpinn.solve stays the function.
        if not (name in FUNCTIONS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__getattr__("__all__")})  # type: ignore[misc]


sys.modules[__name__].__class__ = _Package
