"""What the pictures of an entry show, in words: alternative texts and captions."""

from typing import Any

from gallery_parts.entries import Entry
from myst_text import plain

SAID = {  # by the names of the figures of a run: the alternative text, and the caption
    "modes": ("Maps of the first modes, each titled by its eigenvalue.", "The first modes."),
    "agreement": (
        "Scatter plot of fitted values over the values of the data, which lie along the diagonal.",
        "Fitted values over those of the data, for training, validation and test.",
    ),
    "confusion": (
        "Tables that count the rows of each true class by the class that the network gives.",
        "How many rows of each class the network gives to which class.",
    ),
    "streamlines": (
        "Map of the speed of the flow with its streamlines.",
        "The speed and streamlines, for a flow in time those at the last moment.",
    ),
    "snapshots": (
        "The solution over space at some times, from the first to the last.",
        "The solution at some times; dashed: the exact one, where it is known.",
    ),
    "phases": (
        "The path of the solution in the space of its components, coloured by the time.",
        "The path of the components; the colour is the time.",
    ),
    "components": ("Curves of all components over the time.", "All components over the time."),
    "unknowns": (
        "The unknown parameters over the steps, with their confidence intervals at the end.",
        "The unknown parameters over the steps, with the 95% interval at the end.",
    ),
    "cells": (
        "Two maps: the solution with the edges of the cells, and how often each cell was halved.",
        "Left: the solution with the cells. Right: how often each cell was halved.",
    ),
    "edges": (
        "Small plots of the functions on the edges of the network, one for each edge.",
        "Functions on edges of the network, in parts where there are many.",
    ),
}


def figures(entry: Entry) -> str:
    """Return the pictures of an entry as figures with alternative texts."""
    record = entry.record
    if record is None:
        return ""
    return "\n\n".join(
        _figure(entry.name, name, *_said(name, record)) for name in record["pictures"]
    )


def _figure(entry: str, name: str, alt: str, caption: str) -> str:
    path = f"../../../results/reference/gallery/{entry}/{name}"
    return f"```{{figure}} {path}\n:alt: {alt}\n\n{plain(caption)}\n```"


def _said(name: str, record: dict[str, Any]) -> tuple[str, str]:
    """Return the alternative text and the caption of a picture."""
    stem = name.removesuffix(".png")
    if stem in SAID:
        return SAID[stem]
    kind, _, field = stem.partition("_")
    if kind == "interval":
        return (
            f"The coefficient {field} with the ends of its 95% confidence intervals.",
            f"The unknown coefficient {field}, and the ends of its 95% intervals.",
        )
    return _of_solution(field, record)


def _of_solution(field: str, record: dict[str, Any]) -> tuple[str, str]:
    """Return what the panels of a solution's figure are."""
    name, suffix = f"The field {field}" if field else "The solution", f"_{field}" if field else ""
    panels = [f"computed {field}".strip() if field else "the computed solution"]
    known = next((one for one in ("exact", "reference") if one + suffix in record["arrays"]), None)
    if known is not None:
        panels += [f"the {known} one", "the absolute error"]
    if "residual" in record["arrays"] and not field:
        panels.append("the absolute residual of the equation")
    axes, many = record["axes"], len(record["axes"]) != 2
    kind = "Curves" if len(axes) == 1 else "Maps"
    over = f" over {' and '.join(axes)}" if axes and not (many and len(axes) > 1) else " on a cut"
    listed = ", ".join(panels[:-1]) + (" and " if len(panels) > 1 else "") + panels[-1]
    return f"{kind}{over}: {listed}.", f"{name}{over}: {listed}."
