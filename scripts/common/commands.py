"""The environment of commands of kanpinn that scripts start."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def environment(threads: int | None) -> dict[str, str]:
    """Return the environment variables for this repository's kanpinn on CPUs.

    threads: None leaves the number of threads as it is.
    """
    made = {**os.environ, "MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": ""}
    inherited = [p for p in (os.environ.get("PYTHONPATH"),) if p]
    made["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *inherited])
    if threads is not None:
        for name in ("OMP", "MKL", "OPENBLAS"):
            made[f"{name}_NUM_THREADS"] = str(threads)
    return made
