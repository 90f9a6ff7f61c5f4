"""What a notebook shows of an estimate of a solution's errors."""

from collections.abc import Iterator

from kanpinn.accuracy.errors import Estimate
from kanpinn.plotting.notebook.card import Card, CardTable
from kanpinn.solvers import tables


def card(estimate: Estimate) -> Card:
    """Return the card of an estimate: its sentences, and a table of norms and bounds."""
    lines = (("estimate", line) for line in str(estimate).splitlines())
    return Card("Estimated errors", lines, tables=_tables(estimate))


def _tables(estimate: Estimate) -> Iterator[CardTable]:
    if rows := tables.estimate_rows(estimate):
        yield CardTable(tables.ERROR_HEAD, rows)
