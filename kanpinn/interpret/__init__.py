"""Reading networks: which edges matter, which functions they are, and the formula they make."""

from kanpinn.interpret.formulas.formula import EdgeRow as EdgeRow
from kanpinn.interpret.formulas.formula import Formula as Formula
from kanpinn.interpret.graphs.curves import Spline as Spline
from kanpinn.interpret.graphs.curves import Symbolic as Symbolic
from kanpinn.interpret.graphs.graph import Graph as Graph
from kanpinn.interpret.guided import Reading as Reading
from kanpinn.interpret.guided import read as read
from kanpinn.interpret.interpret import interpret as interpret
from kanpinn.interpret.picture import draw_network as draw_network
from kanpinn.interpret.pruning.pruned import Pruned as Pruned
from kanpinn.interpret.pruning.scores import EdgeScores as EdgeScores
from kanpinn.interpret.pruning.scores import score_edges as score_edges
from kanpinn.interpret.pruning.strategies import prune as prune
from kanpinn.interpret.pruning.strategies import prune_greedily as prune_greedily
from kanpinn.interpret.univariate.library import LIBRARY as LIBRARY
from kanpinn.interpret.univariate.snapping import snap as snap
from kanpinn.interpret.univariate.univariate import Univariate as Univariate
