"""The pictures of an entry: a run's own figures, made smaller, and a thumbnail."""

from collections.abc import Sequence
from pathlib import Path

from common import planes
from PIL import Image, ImageOps

# The figures of a run, most telling first; a star stands for the names of fields.
ORDER = (
    "solution",
    "solution_*",
    "modes",
    "agreement",
    "confusion",
    "streamlines",
    "snapshots",
    "phases",
    "components",
    "unknowns",
    "interval_*",
    "cells",
    "edges",
)
PICTURES = 3  # that an entry keeps at most
WIDTH, COLOURS = 660, 64  # pixels, and entries of the palette
THUMB = "thumb.png"
THUMB_SIZE = 240  # pixels along each side
SMALL = ("phases", "agreement", "confusion")  # figures that can be read as a thumbnail


def keep(run: Path, folder: Path) -> list[str]:
    """Write the pictures of a run to a folder, and return the names of those besides the thumbnail.

    The thumbnail is the field in a plane, else one of the pictures (a path over the time, a fit).
    """
    chosen = _chosen(run / "figures")
    for path in chosen:
        with Image.open(path) as image:
            _write(image, WIDTH, folder / path.name)
    plane = planes.of_run(run)
    if plane is not None:
        planes.draw_plain(plane, folder / THUMB, THUMB_SIZE)
    elif chosen:
        best = next((path for path in chosen if path.stem in SMALL), chosen[0])
        with Image.open(best) as image:
            ImageOps.pad(image.convert("RGB"), (THUMB_SIZE, THUMB_SIZE), color="white").save(
                folder / THUMB
            )
    if chosen or plane is not None:
        with Image.open(folder / THUMB) as image:
            _write(image, THUMB_SIZE, folder / THUMB)
    return [path.name for path in chosen]


def _chosen(figures: Path) -> Sequence[Path]:
    """Return the figures to keep."""
    found: list[Path] = []
    for pattern in ORDER:
        found += sorted(figures.glob(f"{pattern}.png"))[:1]
    return found[:PICTURES]


def _write(image: Image.Image, width: int, path: Path) -> None:
    """Write an image of at most that width with a palette of its own."""
    image = image.convert("RGB")
    if image.width > width:
        height = round(image.height * width / image.width)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    small = image.quantize(COLOURS, kmeans=4, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
