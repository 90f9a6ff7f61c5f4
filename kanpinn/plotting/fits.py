"""The figures of a fit, as files."""

from collections.abc import Iterator
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kanpinn.optimizers import Method, Refine
from kanpinn.plotting.agreement import agreement_figure, confusion_figure
from kanpinn.plotting.edge_sheet import edges_figure
from kanpinn.plotting.edges import edges_of
from kanpinn.plotting.history import Drawn, plot_history
from kanpinn.plotting.style import BLACK, BLUE, GREEN, SMALL, VERMILLION, new_figure, save
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.fit.scores import criterion
from kanpinn.solvers.history import History

STYLES = {
    "train": (BLUE, "-", "o"),
    "validation": (GREEN, "-.", "^"),
    "test": (VERMILLION, "--", "s"),
}
LABELS = {"rmse": "root mean square error", "cross_entropy": "cross entropy"}


def draw_fit(fitted: Fitted, folder: Path) -> list[Path]:
    """Draw history.png, agreement.png or, of classes, confusion.png, and for KANs edges.png."""
    folder.mkdir(parents=True, exist_ok=True)
    return [save(figure, folder / f"{name}.png") for name, figure in _figures(fitted)]


def _figures(fitted: Fitted) -> Iterator[tuple[str, Figure]]:
    if len(fitted.history):
        yield "history", scores_figure(fitted)
    if fitted.data.train.classes:
        yield "confusion", confusion_figure(fitted)
    else:
        yield "agreement", agreement_figure(fitted)
    edges = edges_of(fitted)
    if any(edges):
        yield "edges", edges_figure(edges)


def scores_figure(fitted: Fitted) -> Figure:
    """The score of each part over the steps, the refinements marked; beside it that over the
    seconds or, of classes, the accuracy.
    """
    titles = tuple(_titles(fitted.optimizers))
    even = any(isinstance(optimizer, Refine) for optimizer in fitted.optimizers)
    score = criterion(fitted.data.train)
    figure = new_figure(9.0, 3.8)
    left, right = figure.subplots(1, 2)
    plot_history(left, fitted.history, titles, curves=_curves(score), even=even)
    left.set_ylabel(LABELS[score])
    _mark_best(left, fitted.history, f"validation_{score}")
    if fitted.data.train.classes:
        plot_history(right, fitted.history, titles, curves=_curves("accuracy"), even=even)
        right.set_yscale("linear")
        right.set_ylabel("accuracy")
    else:
        plot_history(right, fitted.history, titles, "seconds", curves=_curves(score), even=even)
        right.sharey(left)
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL)
    return figure


def _curves(score: str) -> list[Drawn]:
    return [(f"{part}_{score}", part, *style) for part, style in STYLES.items()]


def _titles(optimizers: tuple[Method, ...]) -> Iterator[str]:
    """A stage on a refined grid is called after that grid; the refinement itself has no width."""
    grid = None
    for optimizer in optimizers:
        if isinstance(optimizer, Refine):
            grid = optimizer.grid
            yield ""
        else:
            yield optimizer.title if grid is None else f"G = {grid}"
            grid = None


def _mark_best(ax: Axes, history: History, column: str) -> None:
    """A ring about the state that is kept."""
    if column not in history.names:
        return
    values = history.column(column)
    best = int(values.argmin()) if not (values != values).all() else 0
    at = history.column("step")[best], values[best]
    ax.plot(*at, "o", markersize=9, fillstyle="none", color=BLACK, label="kept")
