"""The edge functions of a KAN on one sheet."""

from matplotlib.figure import Figure

from kanpinn.plotting.edges import Edge, plot_edge
from kanpinn.plotting.style import new_figure

MAX_EDGES = 60  # in all; a larger network shows the first of each layer
EDGES_PER_LAYER = 12
COLUMNS = 6


def edges_figure(layers: list[list[Edge]]) -> Figure:
    """The edge functions, all of a small network, the first ones of each layer of a larger one."""
    total = sum(len(edges) for edges in layers)
    most = total if total <= MAX_EDGES else EDGES_PER_LAYER
    shown = [edges[:most] for edges in layers]
    columns = min(COLUMNS, max(len(edges) for edges in shown))
    rows = sum(-(-len(edges) // columns) for edges in shown)
    width, height = max(4.5, 1.7 * columns), 1.4 * rows + 0.45
    figure = new_figure(width, height, layout=None)  # the sizes are known: no layout to solve
    grid = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": 0.5 / width,
            "right": 1 - 0.1 / width,
            "bottom": 0.25 / height,
            "top": 1 - 0.55 / height,
            "wspace": 0.36,
            "hspace": 0.42,
        },
    )
    row = 0
    for edges in shown:
        for place in range(-(-len(edges) // columns) * columns):
            ax = grid[row + place // columns, place % columns]
            if place < len(edges):
                plot_edge(ax, edges[place])
            else:
                ax.set_axis_off()
        row += -(-len(edges) // columns)
    figure.text(
        0.5, 1 - 0.12 / height, _edges_title(total, most, layers), ha="center", va="top", fontsize=9
    )
    return figure


def _edges_title(total: int, most: int, layers: list[list[Edge]]) -> str:
    what = "edge functions on their grids, activations shaded"
    if most == total:
        return what
    counts = ", ".join(f"{min(most, len(e))} of {len(e)}" for e in layers if e)
    return f"{what}; of each layer the first: {counts}"
