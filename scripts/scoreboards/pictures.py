"""The pictures of a scoreboard's runs, and the page of all of them."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy
from common import planes
from matplotlib.figure import Figure

from kanpinn.plotting.style import STYLE, new_figure

COLUMNS = 6


def keep(folder: Path, path: Path) -> None:
    """Keep the two axes and the values of a run's field, or of its first modes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        plane = planes.of_run(folder)
    except Exception as error:  # a run of an hour is not lost for its picture
        print(f"no picture of {path.stem}: {error}", file=sys.stderr)
        return
    if plane is not None:
        numpy.savez_compressed(path, allow_pickle=False, **plane)


def page(pictures: Sequence[tuple[Path, str]]) -> Figure:
    """Draw a grid of pictures, each a kept file with its title."""
    count = math.ceil(len(pictures) / COLUMNS)
    figure = new_figure(1.75 * min(COLUMNS, len(pictures)), 2.25 * count)
    grid = figure.subplots(count, min(COLUMNS, len(pictures)), squeeze=False)
    for ax, (path, title) in zip(grid.flat, pictures, strict=False):
        ax.set_title(title, fontsize=STYLE.small)
        with numpy.load(path) as kept:
            planes.draw(ax, dict(kept))
    for ax in grid.flat[len(pictures) :]:
        ax.set_axis_off()
    return figure
