"""Pages of public names: one for each name, made by autodoc, and one for each group."""

import inspect
import re
from collections.abc import Iterator

from myst_text import fence, plain
from reference_parts.groups import GROUPS, Group, lookup

import kanpinn.interpret
from kanpinn import Solution

# What the public names that are no classes and no functions stand for.
DATA = {
    "interpret.LIBRARY": "The functions f of edges c f(a x + b) + d, `Univariate` objects by name: "
    + ", ".join(f"`{name}`" for name in kanpinn.interpret.LIBRARY)
    + "."
}
# Bases from outside, whose methods are documented elsewhere.
FOREIGN = "Module, tuple, Protocol, Exception, ValueError, RuntimeError, dict"


def pages() -> Iterator[tuple[str, str]]:
    """Yield the names and the texts of the pages of all groups and names."""
    for group in GROUPS:
        yield group.key, _group(group)
        for name in group.names:
            yield f"kanpinn.{name}", _page(name)


def overview() -> str:
    """Return the table of groups for the index, and the list of their pages."""
    parts = []
    for group in GROUPS:
        names = ", ".join(_link(name) for name in group.names)
        parts.append(f"[{group.title}](generated/{group.key}.md)\n: {group.about} {names}.")
    listed = "\n".join(f"generated/{group.key}" for group in GROUPS)
    return "\n\n".join(parts) + f"\n\n```{{toctree}}\n:hidden:\n:caption: Python\n\n{listed}\n```\n"


def summary(name: str) -> str:
    """Return the first sentence of what a name stands for."""
    doc = DATA.get(name) or inspect.getdoc(lookup(name)) or ""
    first = doc.split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.])\s", first)[0]


def _link(name: str) -> str:
    return f"[`{name.rpartition('.')[2]}`](generated/kanpinn.{name}.md)"


def _group(group: Group) -> str:
    """Return the page of a group: its names, each with a sentence."""
    rows = [f"[`{name}`](kanpinn.{name}.md)\n: {plain(summary(name))}" for name in group.names]
    listed = "\n".join(f"kanpinn.{name}" for name in group.names)
    toc = f"```{{toctree}}\n:hidden:\n\n{listed}\n```"
    return "\n\n".join([f"# {group.title}", group.about, *rows, toc]) + "\n"


def _page(name: str) -> str:
    """Return the page of a name."""
    value = lookup(name)
    title = name.rpartition(".")[2]
    if inspect.isclass(value):
        lines = [f".. autoclass:: kanpinn.{name}", "   :members:"]
        lines += [f"   :inherited-members: {FOREIGN}"]
        if issubclass(value, Solution):
            lines += ["   :special-members: __call__"]  # the values: what users call most
    elif callable(value):
        lines = [f".. autofunction:: kanpinn.{name}"]
    else:
        text = DATA[name].replace("`", "``")
        lines = [f".. py:data:: kanpinn.{name}", "", f"   {text}"]
    text = "\n".join(lines)
    return f"# {title}\n\n{fence_rst(text)}\n"


def fence_rst(text: str) -> str:
    """Return reStructuredText inside a page of Markdown."""
    return fence("x", text).replace("{code-block} x", "{eval-rst}")
