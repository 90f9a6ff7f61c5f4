"""The files of problems/ as jobs that are ready to be solved."""

from collections.abc import Sequence
from pathlib import Path

from kanpinn.runs.config import Config, SolveJob

PROBLEMS = Path(__file__).resolve().parents[2] / "problems"


def solve_job(name: str, overrides: Sequence[str] = ()) -> SolveJob:
    """Return the solve of problems/`name`.toml, with "section.key=value" overrides.

    Raises:
        TypeError: for a file of a fit, of an eigenvalue problem or without a network.
    """
    job = Config.read(PROBLEMS / f"{name}.toml", list(overrides)).build()
    if not isinstance(job, SolveJob):
        raise TypeError(f"problems/{name}.toml describes no solve but a {type(job).__name__}")
    return job
