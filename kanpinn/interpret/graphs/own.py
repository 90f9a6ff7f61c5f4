"""The graph of a surrogate's own edges."""

from kanpinn.interpret.graphs.graph import Graph, graph_of
from kanpinn.networks import KAN
from kanpinn.networks.surrogate import Surrogate
from kanpinn.solvers.fit.frame import Affine


def own_graph(surrogate: Surrogate) -> Graph | None:
    """The graph of a surrogate that is a KAN of splines and affine maps alone, else None."""
    network = surrogate.network
    affine = surrogate.output is None or isinstance(surrogate.output, Affine)
    plain = surrogate.inputs is None and network.enrichment is None and affine
    if not (isinstance(network, KAN) and plain and all(not la.base for la in network.layers)):
        return None
    mean, scale = (getattr(surrogate.output, n, None) for n in ("mean", "deviation"))
    return graph_of(network, surrogate.low, surrogate.high, mean, scale)
