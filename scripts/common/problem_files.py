"""The files of problems/: their digests, and jobs that are ready to be solved."""

import hashlib
from collections.abc import Sequence

from common.commands import REPOSITORY

from kanpinn.runs.config import Config, SolveJob
from kanpinn.runs.library import files_of

PROBLEMS = REPOSITORY / "problems"


def digests(name: str) -> dict[str, str]:
    """Return the SHA-256 digests of a problem file and of all files that it needs, by name."""
    paths = [PROBLEMS / f"{name}.toml", *files_of(name)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def solve_job(name: str, overrides: Sequence[str] = ()) -> SolveJob:
    """Return the solve of problems/`name`.toml, with "section.key=value" overrides.

    Raises:
        TypeError: for a file of a fit, of an eigenvalue problem or without a network.
    """
    job = Config.read(PROBLEMS / f"{name}.toml", list(overrides)).build()
    if not isinstance(job, SolveJob):
        raise TypeError(f"problems/{name}.toml describes no solve but a {type(job).__name__}")
    return job
