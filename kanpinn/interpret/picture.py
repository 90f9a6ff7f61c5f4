"""The picture of a KAN: each edge's curve over the range of its arguments, shaded by its score."""

from collections.abc import Collection, Iterator, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.interpret.pruning.pruned import Pruned
from kanpinn.interpret.pruning.scores import CHUNK, kan_of, score_edges
from kanpinn.interpret.sources import Result
from kanpinn.loss.residuals import Residuals
from kanpinn.networks.surrogate import Surrogate
from kanpinn.plotting.network import Link, network_figure


def draw_network(
    result: Result,
    symbolic: Collection[tuple[int, int, int]] = (),
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Figure:
    """Draw a result's network; `plotting.style.save` writes the figure as PNG, SVG or PDF.

    Args:
        result: a `Solution`, a `Fitted` or a `Pruned` of a KAN.
        symbolic: edges (layer, input, output) that are formulas, drawn in another colour.
        inputs, outputs: the names of the inputs and outputs, by default the result's own.

    Raises:
        InputError: if the network is not a KAN, or `symbolic` or the names do not fit it.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> from kanpinn.interpret import draw_network
        >>> x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1]), kp.Table(x, x**2))
        >>> figure = draw_network(fitted, inputs=["x"], outputs=["y"])
        >>> len(figure.axes) > 0
        True
    """
    surrogate, width = result.surrogate, kan_of(result.surrogate).width
    links = list(links_of(surrogate, result.residuals, frozenset(symbolic)))
    strangers = set(symbolic) - {(link.layer, link.source, link.target) for link in links}
    if strangers:
        raise InputError(f"there is no edge {min(strangers)} in a KAN {list(width)}")
    if inputs is None:
        named = surrogate.inputs is None
        names = surrogate.domain.names
        inputs = names if named else [f"\\xi_{{{i + 1}}}" for i in range(width[0])]
    if outputs is None:
        count = width[-1]
        plain = [f"y{i}" for i in range(count)] if count > 1 else ["y"]
        outputs = plain if isinstance(result, Pruned) else result.fields
    return network_figure(width, links, inputs, outputs)


def links_of(
    surrogate: Surrogate, residuals: Residuals, symbolic: Collection[tuple[int, int, int]]
) -> Iterator[Link]:
    """Yield the network's edges, each with its curve over the range that its arguments take.

    The range and the scores are those at the points of the loss.
    """
    samples = 120  # of each edge function
    points, network = residuals.points, kan_of(surrogate)
    scores = score_edges(surrogate, points).edges
    share = torch.linspace(0, 1, samples).to(surrogate.low)[:, None]
    for number, (low, high) in enumerate(_ranges(surrogate, residuals)):
        layer = network.layers[number]
        x = torch.lerp(low, high, share)
        y = layer.edges(x)[:, 0].detach()
        for i, o in layer.kept.nonzero().tolist():
            curve = x[:, i].cpu().numpy(), y[:, i, o].cpu().numpy()
            score = float(scores[number][i, o])
            yield Link(number, i, o, *curve, score, (number, i, o) in symbolic)


@torch.no_grad()
def _ranges(surrogate: Surrogate, residuals: Residuals) -> list[tuple[Tensor, Tensor]]:
    """Return the least and the greatest value of each layer's inputs, (n_in,) each."""
    points, found = residuals.points, []
    for i in range(0, len(points), CHUNK):
        inputs = surrogate.inputs_at(points[i : i + CHUNK])
        activations = kan_of(surrogate).activations(inputs)
        found.append([torch.stack(h.aminmax(dim=0)) for h in activations])
    together = [torch.stack(parts) for parts in zip(*found, strict=True)]
    return [(ends[:, 0].amin(dim=0), ends[:, 1].amax(dim=0)) for ends in together]
