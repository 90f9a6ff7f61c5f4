"""A surrogate's own network as a graph of splines."""

from kanpinn.interpret.graphs.graph import Graph, graph_of
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.fit.frame import Affine


def own_graph(surrogate: Surrogate) -> Graph | None:
    """Return a surrogate's graph, or None if it is not a KAN of splines and affine maps alone."""
    network = surrogate.network
    affine = surrogate.output is None or isinstance(surrogate.output, Affine)
    plain = surrogate.inputs is None and network.enrichment is None and affine
    if not (isinstance(network, KAN) and plain and all(not la.base for la in network.layers)):
        return None
    mean, scale = (getattr(surrogate.output, n, None) for n in ("mean", "deviation"))
    return graph_of(network, surrogate.low, surrogate.high, mean, scale)
