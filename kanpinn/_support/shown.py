"""Base class of results that notebooks show as tables with a picture, and HTML templates."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from jinja2 import Template


class Shown:
    """Base class of results that notebooks show; results of solves have a method `plot` as well.

    The module that draws a result imports the result's class, so that class cannot import it. The
    module is imported by its name when a result is first drawn, so that results which are not drawn
    do not wait for the import of Matplotlib.

    shown_by: the name of the module. It has a function `card(result)`, which returns a `Card`; for
        results with a method `plot` also `plot(result, ...)`; for results of runs also
        `figures(result, fields)`.
    """

    shown_by: ClassVar[str]

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        html: str = self._view().card(self).html()
        return html

    def _view(self) -> Any:
        return import_module(self.shown_by)


@cache
def template(package: str, name: str) -> "Template":
    """Return a Jinja template that escapes every text.

    Args:
        package: the package whose folder has the file of the template, "kanpinn.runs.report".
        name: the name of the file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only needed when it is shown

    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(name)
