"""Texts for messages: values as a problem file writes them, and suggested spellings."""

import difflib
import json
from collections.abc import Iterable
from typing import Any


def nearest(word: Any, choices: Iterable[Any]) -> str:
    """Return the clause '; did you mean "..."?', or "" if no choice is similar to the word."""
    names = [str(c) for c in choices]
    lowered = {n.lower(): n for n in names}
    close = difflib.get_close_matches(str(word).lower(), lowered, n=1)
    return f"; did you mean {show(lowered[close[0]])}?" if close else ""


def show(value: Any) -> str:
    """Return a value as a problem file would write it, cut to 60 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    text = text.replace("NaN", "nan").replace("Infinity", "inf")
    return text if len(text) <= 60 else f"{text[:57]}..."


def of_class(value: Any) -> str:
    """Return the name of a value's class with its article, such as "an Interface"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
