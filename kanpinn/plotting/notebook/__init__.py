"""What notebooks show of a result: a card with tables and a picture; and the methods `plot`.

A module for each kind of result has `card(result)` and `plot(result, ...)`; results find it by its
name (`kanpinn._support.shown`).
"""

from kanpinn.plotting.notebook.card import Card as Card
from kanpinn.plotting.notebook.card import CardTable as CardTable
from kanpinn.plotting.notebook.card import Drawing as Drawing
from kanpinn.plotting.notebook.card import panels as panels
