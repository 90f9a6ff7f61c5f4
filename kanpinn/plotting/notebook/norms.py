"""What a notebook shows of the errors of a solution."""

from collections.abc import Iterator

from kanpinn.accuracy.errors import Errors
from kanpinn.plotting.notebook.card import Card, CardTable
from kanpinn.solvers import tables


def card(errors: Errors) -> Card:
    """Return the card of errors: a table of their norms."""
    return Card("Errors", tables=_tables(errors))


def _tables(errors: Errors) -> Iterator[CardTable]:
    yield CardTable(tables.ERROR_HEAD, tables.norm_rows(errors))
