"""A problem in files of its own whose runs take milliseconds, for the tests of studies."""

from pathlib import Path
from typing import Any

SOURCE = '''
"""u'' = -9 rate sin 3t, u = rate sin 3t."""
import os, pathlib, time
import kanpinn as kp
from wave import wave

class Line(kp.Problem):
    domain = kp.Box(t=(0, 2))
    def __init__(self, rate: float = 1.0, broken: bool = False, pause: float = 0.0,
                 owner: int = 0, once: str = ""):
        """pause: seconds; owner, once: the first process but the owner that makes it hangs."""
        self.rate, self.broken = rate, broken
        time.sleep(pause)
        if once and os.getpid() != owner and not pathlib.Path(once).exists():
            pathlib.Path(once).write_text(str(os.getpid()))
            time.sleep(600)
    def residual(self, p, u):
        if self.broken:
            raise RuntimeError("no\\nequation")
        return kp.laplacian(u) + 9 * self.rate * wave(p.t)
    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]
    def exact(self, p):
        return self.rate * wave(p.t)
'''
HELPER = "import torch\n\ndef wave(t):\n    return torch.sin(3 * t)\n"
SECTIONS: dict[str, Any] = {
    "problem": {"class": "line.py:Line"},
    "network": {"type": "kan", "width": [1, 1], "degree": 3, "grid": 2},
    "points": {"sampler": "gauss", "interior": 24, "boundary": 2},
    "run": {"seed": 0},
}
FILE = """
[problem]
class = "line.py:Line"
[network]
type = "kan"
width = [1, 1]
degree = 3
grid = 2
[points]
sampler = "gauss"
interior = 24
boundary = 2
"""


def write(folder: Path) -> None:
    """Write line.toml and its classes."""
    for name, text in (("line.py", SOURCE), ("wave.py", HELPER), ("line.toml", FILE)):
        (folder / name).write_text(text)
