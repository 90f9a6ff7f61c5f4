"""The figures of a script as files."""

from pathlib import Path

from matplotlib.figure import Figure

from kanpinn.plotting.style import save


def save_figure(figure: Figure, stem: Path, smoke: bool) -> None:
    """Write a figure as PNG and PDF; in a smoke run as PNG alone and without a layout of its own.

    A layout that keeps labels apart draws a figure twice.
    """
    if smoke:
        figure.set_layout_engine("none")
    for suffix in (".png",) if smoke else (".png", ".pdf"):
        save(figure, stem.with_name(stem.name + suffix))
