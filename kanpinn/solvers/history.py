"""What happened, step by step."""

from dataclasses import dataclass, field

import numpy

UNKNOWN = "unknown_"  # before the names of a problem's unknown numbers


@dataclass
class History:
    """One row a recorded step: step, stage, loss, evaluations, seconds, and errors where known.

    Of an unknown number "viscosity" it has the value as "unknown_viscosity".
    """

    rows: list[dict[str, float | int]] = field(default_factory=list)

    def add(self, **values: float | int) -> None:
        """Append a row of named quantities."""
        self.rows.append(values)

    @property
    def names(self) -> list[str]:
        """The quantities that any row has, in the order of their appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def steps(self) -> int:
        """The steps that have been done."""
        return int(self.rows[-1]["step"]) if self.rows else 0

    def column(self, name: str) -> numpy.ndarray:
        """One quantity over the rows; NaN where a row does not have it."""
        return numpy.array([row.get(name, numpy.nan) for row in self.rows], dtype=float)

    def __len__(self) -> int:
        return len(self.rows)
