"""A surrogate's own network as a graph of splines."""

from kanpinn.interpret.graphs.graph import Graph, graph_of
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.fit.frame import Affine


def own_graph(surrogate: Surrogate) -> Graph | None:
    """Return a surrogate's graph, or None if it is not a KAN of splines and affine maps alone."""
    network, output = surrogate.network, surrogate.output
    if surrogate.inputs is not None or network.enrichment is not None:
        return None
    if not isinstance(network, KAN) or any(layer.base for layer in network.layers):
        return None
    if output is None:
        return graph_of(network, surrogate.low, surrogate.high)
    if not isinstance(output, Affine):
        return None
    return graph_of(network, surrogate.low, surrogate.high, output.mean, output.deviation)
