"""Pages of the gallery, made when the site is built: one for each problem, and the overview."""

from pathlib import Path

from gallery_parts import page
from gallery_parts.entries import entries
from myst_text import remove_others, write_if_new
from sphinx.application import Sphinx


def make(app: Sphinx) -> None:
    """Write docs/gallery/generated/: a page for each problem, and overview.inc for the index."""
    folder = Path(app.srcdir, "gallery", "generated")
    found = entries()
    texts = {folder / f"{one.name}.md": page.page(one) for one in found}
    texts[folder / "overview.inc"] = page.overview(found)
    for path, text in texts.items():
        write_if_new(path, text)
    remove_others(folder, texts)


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the pages before Sphinx looks for files."""
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
