"""The figures of a study, drawn with Matplotlib at the width of two columns, and their files."""

import textwrap
from pathlib import Path

from matplotlib.figure import Figure

from kanpinn._support.errors import InputError
from kanpinn.plotting.style import GREY, STYLE, new_figure, save
from kanpinn.runs.report.pictures import Picture, pictures
from kanpinn.runs.study.table import Study

FIGURES = "figures"


def draw_study(study: Study, folder: Path | None = None) -> list[Path]:
    """Draw the figures of a study, each as PNG and PDF, and return the paths of the files.

    Args:
        study: the study to draw.
        folder: where to write, created if it does not exist; by default figures/ in the study's
            folder.

    Raises:
        InputError: if no run has an error yet.
    """
    folder = study.path / FIGURES if folder is None else folder
    paths = []
    for picture in pictures(study):
        folder.mkdir(parents=True, exist_ok=True)
        figure = figure_of(picture)
        paths += [save(figure, folder / f"{picture.name}.{kind}") for kind in ("png", "pdf")]
    if not paths:
        raise InputError(f"{study.path}: there is nothing to draw, no run has an error yet")
    return paths


def figure_of(picture: Picture, notes: bool = True) -> Figure:
    """Return a figure with one panel for each error side by side, and the notes below if wanted."""
    text = textwrap.wrap(" ".join(picture.notes), 120) if notes else []
    line, panel = 0.145, 2.2  # inches: a line of text, a panel with curves
    height = line * len(text)
    height += panel + line * picture.rows if picture.curves else 0.6 + 0.2 * picture.rows
    figure = new_figure(7.0, max(height, 1.2))  # the width of two columns of a journal
    grid = figure.subplots(1, len(picture.errors), squeeze=False, sharey=not picture.curves)
    for ax, error in zip(grid.flat, picture.errors, strict=True):
        picture.plot(ax, error).tick_params(labelsize=STYLE.letter)
    if text:
        figure.supxlabel("\n".join(text), x=0.01, ha="left", fontsize=STYLE.letter, color=GREY)
    return figure
