"""The history of a solve: recorded quantities, step by step."""

from dataclasses import dataclass, field

import numpy

UNKNOWN = "unknown_"  # prefix of a problem's unknown numbers in the history


@dataclass
class History:
    """One row per recorded step: step, stage, loss, evaluations, seconds, and errors if known.

    The value of an unknown number "viscosity" is recorded as "unknown_viscosity".
    """

    rows: list[dict[str, float | int]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of all quantities in any row, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def steps(self) -> int:
        """The number of steps done."""
        return int(self.rows[-1]["step"]) if self.rows else 0

    def column(self, name: str) -> numpy.ndarray:
        """One quantity over all rows, (rows,); NaN in rows without it."""
        return numpy.array([row.get(name, numpy.nan) for row in self.rows], dtype=float)

    def __len__(self) -> int:
        return len(self.rows)
