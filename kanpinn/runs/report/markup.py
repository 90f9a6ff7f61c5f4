"""Pieces of an HTML page; texts are escaped where they enter."""

import html
from collections.abc import Iterable, Sequence
from urllib.parse import quote


class Markup(str):
    """Text that is HTML already."""


def escaped(text: str) -> Markup:
    """HTML of a text, as it is where it is HTML already."""
    return text if isinstance(text, Markup) else Markup(html.escape(text))


def element(name: str, *content: str, **attributes: str) -> Markup:
    """<name attributes>content</name>; class_ stands for class."""
    said = "".join(f' {k.rstrip("_")}="{html.escape(v)}"' for k, v in attributes.items())
    return Markup(f"<{name}{said}>{''.join(map(escaped, content))}</{name}>")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> Markup:
    """A table with a caption; columns are headed, and the first cell of a row heads the row."""
    first = element("tr", *(element("th", text, scope="col") for text in head))
    body = (
        element("tr", element("th", row[0], scope="row"), *(element("td", t) for t in row[1:]))
        for row in rows
    )
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", first),
            element("tbody", *body),
        ),
        class_="wide",
    )


def section(name: str, title: str, *content: str) -> Markup:
    """A part of the page that can be linked to."""
    heading = element("h2", title, id=f"{name}-title")
    parts = (Markup("\n") + escaped(c) for c in content)
    said = {"id": name, "aria-labelledby": f"{name}-title"}
    return element("section", heading, *map(Markup, parts), **said)


def link(text: str, *path: str) -> Markup:
    """A link to a path that is relative to the page."""
    return element("a", text, href="/".join(map(quote, path)))
