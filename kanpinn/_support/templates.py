"""The HTML templates of the package, filled in by Jinja."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@cache
def template(package: str, name: str) -> Template:
    """Return a template that escapes every text.

    Args:
        package: the package in whose folder the file is, such as "kanpinn.runs.report".
        name: the name of the file.
    """
    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(name)
