"""Formulas from networks: the scores of edges, the functions that fit them, and the formula."""

from kanpinn.interpret.formula import EdgeRow as EdgeRow
from kanpinn.interpret.formula import Formula as Formula
from kanpinn.interpret.graph import Graph as Graph
from kanpinn.interpret.graph import Spline as Spline
from kanpinn.interpret.interpret import Reading as Reading
from kanpinn.interpret.interpret import interpret as interpret
from kanpinn.interpret.interpret import read as read
from kanpinn.interpret.pictures import draw_network as draw_network
from kanpinn.interpret.pruning import EdgeScores as EdgeScores
from kanpinn.interpret.pruning import Pruned as Pruned
from kanpinn.interpret.pruning import prune as prune
from kanpinn.interpret.pruning import prune_greedily as prune_greedily
from kanpinn.interpret.pruning import score_edges as score_edges
from kanpinn.interpret.snapping import snap as snap
from kanpinn.interpret.univariate import LIBRARY as LIBRARY
from kanpinn.interpret.univariate import Symbolic as Symbolic
from kanpinn.interpret.univariate import Univariate as Univariate
