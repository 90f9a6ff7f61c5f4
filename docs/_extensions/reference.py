"""Pages of the reference, made when the site is built: names, tables of files, commands."""

from pathlib import Path

from myst_text import remove_others, write_if_new
from reference_parts import commands, docstrings, groups, names, toml_tables
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def make(app: Sphinx) -> None:
    """Write docs/reference/generated/.

    Raises:
        ExtensionError: if a public name is in no group.
    """
    if wrong := groups.disagreements():
        raise ExtensionError(f"docs/_extensions/reference_parts/groups.py: {'; '.join(wrong)}")
    folder = Path(app.srcdir, "reference", "generated")
    texts = {f"{key}.md": text for key, text in names.pages()}
    texts |= {f"{key}.md": text for key, text in toml_tables.pages()}
    texts["command_line.md"] = commands.page()
    texts["python.inc"] = names.overview()
    texts["files.inc"] = toml_tables.overview()
    for name, text in texts.items():
        write_if_new(folder / name, text)
    remove_others(folder, (folder / name for name in texts))


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the pages before Sphinx looks for files, and read docstrings as plain text."""
    app.connect("builder-inited", make)
    app.connect("autodoc-process-docstring", docstrings.as_rst, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
