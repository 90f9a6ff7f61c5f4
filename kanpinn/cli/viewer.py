"""Showing a page in the browser of the machine."""

import os
import sys
import webbrowser
from pathlib import Path

from kanpinn.cli.screen import note


def show_page(path: Path) -> None:
    """Open a page in the browser, or say in words why it is not opened.

    Without a display no browser is started: one for text would take over the terminal.
    """
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    has_display = sys.platform in ("darwin", "win32") or any(map(os.environ.get, displays))
    if not has_display:
        note(f"there is no display here: open {path} in a browser of another machine")
    elif not webbrowser.open(path.absolute().as_uri()):
        note(f"no browser was found: open {path} in one")
