"""One self-contained HTML page of sections with tables, figures, paragraphs and listings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kanpinn._support.templates import template

REPORT = "report.html"


class RunLink(NamedTuple):
    """The text and the address, relative to the page, of a link to a run's folder."""

    text: str
    address: str


@dataclass(frozen=True, eq=False)
class ReportTable:
    """A table with a caption: column heads, and rows whose first cell is the row's head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str | RunLink]]
    caption: str


@dataclass(frozen=True, eq=False)
class Figure:
    """A drawing as an SVG element, and the caption below it."""

    svg: str
    caption: str


@dataclass(frozen=True, eq=False)
class Image:
    """A picture in the page itself, and the caption below it.

    address: the picture as a "data:" address. alternative: the text for those who cannot see it.
    """

    address: str
    alternative: str
    caption: str


@dataclass(frozen=True, eq=False)
class Section:
    """A section of the page with an anchor, `key`; empty lists are not shown.

    texts: paragraphs. listings: pairs of an introducing paragraph and a file's text or a command.
    """

    key: str
    title: str
    tables: Sequence[ReportTable] = ()
    figures: Sequence[Figure] = ()
    images: Sequence[Image] = ()
    texts: Sequence[str] = ()
    listings: Sequence[tuple[str, str]] = field(default=())


def rendered(
    title: str, state: str, sections: Sequence[Section], version: str | None, source: str
) -> str:
    """Return a page as HTML with inline styles and pictures, and links within its folder only.

    The template page.html escapes every text but the figures' SVG.

    Args:
        title: the heading of the page.
        state: a sentence on the whole below it.
        sections: what follows.
        version: the version of kanpinn, None if it was not installed.
        source: the file that the page is made from, for its last line.
    """
    return template("kanpinn.runs.report", "page.html").render(
        title=title,
        state=state,
        sections=sections,
        version=version or "(not installed)",
        source=source,
    )
