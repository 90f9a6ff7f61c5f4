"""The result of fitting the library to one edge: ranked candidates, also as rows and a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest
from kanpinn.interpret.univariate.gauges import Parameters
from kanpinn.interpret.univariate.univariate import Univariate

COLUMNS = ("function", "1 - R²", "R²", "complexity", "score", "a", "b", "c", "d", "note")


@dataclass(frozen=True)
class Candidate:
    """A fit y ≈ c f(a x + b) + d, with redundant parameters fixed (`Univariate.canonical`).

    Args:
        function: the function f.
        a, b, c, d: the parameters.
        unexplained: 1 - R², the mean square residual over the variance, stored by itself because
            R² near 1 would lose its digits.
        score: the rank of the fit as defined in `snap`; lower is better.
        uncertainty: bounds on the changes of a, b, c and d if the edge has an error as large as
            the residual; 0 for fixed parameters.
        note: a remark on what is wrong with the fit, or "".
    """

    function: Univariate
    a: float
    b: float
    c: float
    d: float
    unexplained: float
    score: float
    uncertainty: Parameters
    note: str = ""

    @property
    def r2(self) -> float:
        """The coefficient of determination R²."""
        return 1 - self.unexplained

    @property
    def complexity(self) -> float | int:
        """The complexity of the function f."""
        return self.function.complexity

    @property
    def parameters(self) -> Parameters:
        """The parameters (a, b, c, d)."""
        return self.a, self.b, self.c, self.d

    def __call__(self, x: Tensor) -> Tensor:
        """Return c f(a x + b) + d, elementwise."""
        return self.c * self.function(self.a * x + self.b) + self.d

    def expression(self, x: Any) -> Any:
        """Return c f(a x + b) + d for a sympy expression x."""
        return self.c * self.function.symbol(self.a * x + self.b) + self.d


@dataclass(frozen=True)
class Snapping:
    """All candidates for one edge, best first.

    Args:
        candidates: the fits, sorted by score.
        refused: the functions that could not be fitted, {name: reason}.
    """

    candidates: tuple[Candidate, ...]
    refused: Mapping[str, str]

    @property
    def best(self) -> Candidate:
        """The candidate with the lowest score.

        Raises:
            InputError: if every function was refused.
        """
        if not self.candidates:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.refused.items())
            raise InputError(f"none of the functions fits the edge ({reasons})")
        return self.candidates[0]

    def of(self, name: str) -> Candidate:
        """Return the candidate of one function.

        Raises:
            InputError: if the function was refused or was not among those fitted.
        """
        found = {candidate.function.name: candidate for candidate in self.candidates}
        if name in self.refused:
            raise InputError(f"{name} could not be fitted: {self.refused[name]}")
        if name not in found:
            raise InputError(f"{name!r} is no candidate{nearest(name, found)}")
        return found[name]

    def rows(self, count: int | None = None) -> list[tuple[str, ...]]:
        """Return the best `count` candidates as rows of text, one entry for each of `COLUMNS`.

        Without a count, all candidates are followed by the refused functions.
        """
        shown = [_row(candidate) for candidate in self.candidates[:count]]
        if count is None:
            blank = ("",) * (len(COLUMNS) - 2)
            shown += [(name, *blank, f"refused: {why}") for name, why in self.refused.items()]
        return shown

    def table(self, count: int | None = None) -> str:
        """Return the rows as a text table with aligned columns and a header."""
        lines = [COLUMNS, *self.rows(count)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def _row(candidate: Candidate) -> tuple[str, ...]:
    return (
        candidate.function.name,
        f"{candidate.unexplained:.1e}",
        f"{candidate.r2:.6f}",
        f"{candidate.complexity:g}",
        f"{candidate.score:.2f}",
        *(f"{parameter:.6g}" for parameter in candidate.parameters),
        candidate.note,
    )
