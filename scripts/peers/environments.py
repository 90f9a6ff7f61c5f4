"""A virtual environment for each peer, created once and reused."""

import os
import subprocess
import sys
from pathlib import Path

MARKER = "requirements-installed.txt"
"""Written last: an environment without it, or with other requirements in it, is made anew."""


class PeerError(Exception):
    """A peer that could not be installed or run; it has the reason and all measurements so far."""

    def __init__(self, reason: str, measurements: list | None = None):
        super().__init__(reason)
        self.measurements = measurements or []


def default_folder() -> Path:
    """Return the folder of the environments if --environments is not given."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "kanpinn" / "peers"


def interpreter(name: str, requirements: tuple[str, ...], folder: Path, log: Path) -> Path:
    """Return the Python of a peer's environment, which is created if needed."""
    home = (folder / name).absolute()
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    marker = home / MARKER
    wanted = "\n".join(requirements) + "\n"
    if not marker.is_file() or marker.read_text() != wanted:
        _logged([sys.executable, "-m", "venv", "--clear", str(home)], log)
        _logged([str(python), "-m", "pip", "install", *requirements], log)
        marker.write_text(wanted)
    return python


def _logged(command: list[str], log: Path) -> None:
    with log.open("a") as stream:
        code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT).returncode
    if code:
        lines = [line for line in log.read_text().splitlines() if line.strip()]
        reason = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])
        raise PeerError(f"{' '.join(command[1:4])} failed: {reason} (see {log})")
