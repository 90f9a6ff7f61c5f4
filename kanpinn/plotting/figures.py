"""`draw_figures`, the figures of a result as files."""

from importlib import import_module
from pathlib import Path
from typing import Any

from kanpinn.plotting.style import save


def draw_figures(result: Any, folder: Path, fields: Any = None) -> list[Path]:
    """Draw the figures of a result to PNG files, and return the paths of the files.

    The function `figures` of the module named by `result.shown_by` makes the figures.

    Args:
        result: a solution, modes, a fit, or a verified field.
        folder: the folder of the files; it is created if needed.
        fields: the result on a grid (`GridFields`), if it has been evaluated already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = import_module(result.shown_by).figures(result, fields)  # makes one at a time
    return [save(figure, folder / f"{name}.png") for name, figure in figures]
