"""The studies that are timed: Poisson's equation on the square, solved for many seeds."""

from pathlib import Path
from typing import Any

PROBLEM = Path(__file__).parents[2] / "problems" / "poisson2d.toml"
SMALL = {"network.width": [[2, 4, 1]], "network.grid": [4], "network.degree": [3]}
FEW = {"points.interior": [256], "points.boundary": [32]}


def quick(runs: int) -> dict[str, Any]:
    """Return runs of some hundredths of a second, so that the study's own time dominates."""
    return SMALL | FEW | {"run.seed": list(range(runs))}


def steady(runs: int, steps: int) -> dict[str, Any]:
    """Return runs of so many steps of Levenberg-Marquardt, some 10 ms each."""
    stage = {"type": "levenberg_marquardt", "steps": steps}
    return quick(runs) | {"optimizer": [[stage]]}
