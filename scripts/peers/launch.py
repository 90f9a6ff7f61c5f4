"""The peers, their environments, and their runs in processes of their own."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from peers.report import Measurement

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


RUNNERS = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """One runner; each of its rows is a process of its own."""

    name: str
    requirements: tuple[str, ...] = ()
    """What pip installs into an environment of the peer's own; none: kanpinn's does."""
    module: str = ""
    """Where this can be imported already, no environment of the peer's own is made."""
    rows: tuple[str, ...] = ("",)
    seeded: bool = True

    @property
    def is_here(self) -> bool:
        """Whether the Python that runs the benchmark can run this peer."""
        return not self.requirements or (self.module != "" and find_spec(self.module) is not None)

    @property
    def runner(self) -> Path:
        return RUNNERS / f"run_{self.name.replace('-', '_')}.py"


# pykan states no requirements of its own; these are what it imports.
_PYKAN = ("matplotlib", "numpy", "pandas", "pyyaml", "scikit-learn", "seaborn", "sympy", "torch")

PEERS = (
    Peer("kanpinn", rows=("default", "small", "random-features", "mlp")),
    Peer("splines", rows=("least-squares", "collocation", "chebyshev"), seeded=False),
    Peer("scikit-fem", ("scikit-fem>=10,<13",), "skfem", rows=("P2", "P4"), seeded=False),
    Peer("jinns", ("jinns>=1.10,<1.11",), rows=("exact", "penalty")),
    Peer("jaxkan", ("jaxkan>=0.3.7,<0.4",)),
    Peer("pykan", ("pykan>=0.2.8,<0.3", "tqdm", "setuptools", "scipy", *_PYKAN)),
    Peer("deepxde", ("deepxde>=1.15,<1.16", "torch")),
    Peer("pina", ("pina-mathlab>=0.3,<0.4",)),
)
"""In the order in which they run."""

SMOKE = ("kanpinn", "splines", "scikit-fem")
"""The peers that need no environment of their own where kanpinn[test] is installed."""


REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Settings:
    """The settings that all runs of a benchmark share."""

    budget: float
    threads: int
    environments: Path
    logs: Path

    @property
    def deadline(self) -> float:
        """Seconds after which a run is ended: measuring and compiling come on top of a budget."""
        return 2 * self.budget + 300


def limit_threads(threads: int) -> None:
    """Bind this process and those it starts to so many cores: jax has no other such setting."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def measure(peer: Peer, row: str, seed: int, settings: Settings) -> list[Measurement]:
    """Return all measurements of one run.

    Raises:
        PeerError: with the reason, if there are none.
    """
    name = "-".join(filter(None, [peer.name, row, str(seed)]))
    log, lines = settings.logs / f"{name}.log", settings.logs / f"{name}.jsonl"
    log.write_text("")
    python = _python(peer, settings.environments, log)
    command = [str(python), str(peer.runner), f"--budget={settings.budget}", f"--row={row}"]
    command += [f"--seed={seed}", f"--threads={settings.threads}"]
    reason = _run(command, _environment(peer, settings.threads), log, lines, settings.deadline)
    found = [_parse(line, peer, seed) for line in lines.read_text().splitlines() if line[:1] == "{"]
    if reason:
        raise PeerError(f"{reason} (see {log})", found)
    if not any(one.l2_relative is not None for one in found):
        raise PeerError(f"no measured error is finite (see {log})", found)
    return found


def _python(peer: Peer, environments: Path, log: Path) -> Path:
    if peer.is_here:
        return Path(sys.executable)
    return interpreter(peer.name, peer.requirements, environments, log)


def _run(
    command: list[str], environment: dict[str, str], log: Path, lines: Path, deadline: float
) -> str:
    """Run a command in an empty folder; return why it failed, or an empty text."""
    with (
        log.open("a") as errors,
        lines.open("w") as results,
        tempfile.TemporaryDirectory() as empty,
    ):
        try:
            code = subprocess.run(
                command, stdout=results, stderr=errors, cwd=empty, env=environment, timeout=deadline
            ).returncode
        except subprocess.TimeoutExpired:
            return f"did not stop within {deadline:.0f} s"
    last = (log.read_text().strip().splitlines() or ["no message"])[-1]
    return f"ended with exit code {code}: {last}" if code else ""


def _environment(peer: Peer, threads: int) -> dict[str, str]:
    """Return the environment variables of a peer's process: CPUs only, and `threads` threads.

    The modules of peers/ can be imported in all of them, kanpinn only by the peers that run here.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    for library in ("OMP", "MKL", "OPENBLAS"):
        environment[f"{library}_NUM_THREADS"] = str(threads)
    environment |= {"MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    paths = [REPOSITORY / "scripts", *([REPOSITORY] if peer.is_here else [])]
    environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    return environment


def _parse(line: str, peer: Peer, seed: int) -> Measurement:
    return Measurement(peer=peer.name, seed=seed, **json.loads(line))
