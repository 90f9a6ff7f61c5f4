"""Results that notebooks show as tables with a picture, and HTML templates."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from jinja2 import Template


class Shown:
    """Base of what notebooks show; results of solves have a method `plot` as well.

    The module that shows and draws a result is in a room above that of the result, so the result
    cannot import it. It is found by its name when it is first used, as the names of `kanpinn` are:
    results alone do not wait for the import of Matplotlib.

    shown_by: the name of the module with `card(result)`, which returns a `Card`; for results with a
        method `plot` with `plot(result, ...)`; for those of runs with `figures(result, fields)`.
    """

    shown_by: ClassVar[str]

    def _repr_html_(self) -> str:
        """Return what a notebook shows, as HTML."""
        html: str = self._view().card(self).html()
        return html

    def _view(self) -> Any:
        return import_module(self.shown_by)


@cache
def template(package: str, name: str) -> "Template":
    """Return a template that escapes every text.

    Args:
        package: the package in whose folder the file is, such as "kanpinn.runs.report".
        name: the name of the file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # results alone do not need it

    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(name)
