"""A card: the tables and the picture that a notebook shows of a result, as HTML."""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn._support.templates import template

Fact = tuple[str, str]


@dataclass(frozen=True)
class CardTable:
    """A table: the titles of its columns, and its rows of text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Drawing:
    """Drawn axes, and a sentence that says what they show, for those who do not see them."""

    ax: Axes
    words: str

    @property
    def figure(self) -> Figure:
        """The figure of the axes."""
        figure = self.ax.get_figure(root=True)
        assert figure is not None
        return figure


@dataclass(frozen=True, eq=False)
class Card:
    """What a notebook shows of a result.

    The parts are made when the card is shown. If one of them fails, the card says why in its place
    and has the others: a notebook would show nothing of a result whose HTML raises an error.

    Args:
        title: what the card is of, such as "Solution of Poisson".
        facts: pairs of a name and a value.
        draw: makes the picture; None for a card without one.
        tables: the tables below the facts.
        formulas: formulas as elements of MathML, which are not escaped.
    """

    title: str
    facts: Iterable[Fact] = ()
    draw: Callable[[], Drawing] | None = None
    tables: Iterable[CardTable] = ()
    formulas: Iterable[str] = ()
    _failures: list[str] = field(default_factory=list, init=False)

    def html(self) -> str:
        """Return the card as one element of HTML, which is well-formed XML.

        All texts are escaped. Nothing in it is loaded from elsewhere, and its colours are those of
        the notebook, whether this is light or dark; pictures have a background of their own.
        """
        self._failures.clear()
        parts: dict[str, Any] = {
            "facts": self._complete("facts", self.facts),
            "tables": self._complete("tables", self.tables),
            "formulas": self._complete("formulas", self.formulas),
            "picture": self._picture(),
        }
        card = template("kanpinn.plotting.notebook", "card.html")
        return card.render(title=self.title, failures=self._failures, **parts)

    def _complete(self, what: str, items: Iterable[Any]) -> list[Any]:
        """Return the items up to the first that cannot be made."""
        found = []
        try:
            for item in items:
                found.append(item)
        except Exception as error:  # functions of a user's problem may raise any
            self._failures.append(f"some {what} cannot be shown: {reason(error)}")
        return found

    def _picture(self) -> dict[str, Any] | None:
        if self.draw is None:
            return None
        try:
            drawing = self.draw()
            return {
                "data": base64.b64encode(png_of(drawing.figure)).decode(),
                "width": round(drawing.figure.get_figwidth() * 96),  # pixels of a screen
                "words": drawing.words,
            }
        except Exception as error:  # as above; and Matplotlib has many of its own
            self._failures.append(f"there is no picture: {reason(error)}")
            return None


def reason(error: Exception) -> str:
    """Return the first line of an error's message, with the name of its class."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def png_of(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file, with 1.5 times a usual screen's resolution."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=144)
    return stream.getvalue()
