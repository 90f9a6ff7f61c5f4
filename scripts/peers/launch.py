"""Run one row of one peer in a process of its own, and read its measurements."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from peers.catalogue import Peer
from peers.environments import PeerError, interpreter
from peers.report import Measurement

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
                command,
                stdout=results,
                stderr=errors,
                cwd=empty,
                env=environment,
                timeout=deadline,
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
