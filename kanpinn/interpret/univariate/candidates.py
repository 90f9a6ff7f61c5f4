"""What a fit of the library to one edge function gives: candidates, ranked, as rows and a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest
from kanpinn.interpret.univariate.gauges import Parameters
from kanpinn.interpret.univariate.library import Univariate

COLUMNS = ("function", "1 - R²", "R²", "complexity", "score", "a", "b", "c", "d", "note")


@dataclass(frozen=True)
class Candidate:
    """y ≈ c f(a x + b) + d, with redundant parameters fixed (`Univariate.canonical`).

    unexplained: 1 - R², the mean square of what is left over the variance, not rounded off at 1.
    score: log₁₀ of that (over `scale`² and with `accuracy`²) + price · complexity; lower is better.
    uncertainty: how far a, b, c, d may move if the edge is wrong by as much as is left over;
    0 for what is fixed. note: what went wrong, in words, or "".
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
        """The function's complexity."""
        return self.function.complexity

    @property
    def parameters(self) -> Parameters:
        """(a, b, c, d)."""
        return self.a, self.b, self.c, self.d

    def __call__(self, x: Tensor) -> Tensor:
        """c f(a x + b) + d, elementwise."""
        return self.c * self.function(self.a * x + self.b) + self.d

    def expression(self, x: Any) -> Any:
        """c f(a x + b) + d of a sympy expression x."""
        return self.c * self.function.symbol(self.a * x + self.b) + self.d


@dataclass(frozen=True)
class Snapping:
    """All candidates for one edge, best first; refused: {name: why it could not be fitted}."""

    candidates: tuple[Candidate, ...]
    refused: Mapping[str, str]

    @property
    def best(self) -> Candidate:
        """The candidate with the lowest score.

        Raises:
            InputError: where every function was refused.
        """
        if not self.candidates:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.refused.items())
            raise InputError(f"none of the functions fits the edge ({reasons})")
        return self.candidates[0]

    def of(self, name: str) -> Candidate:
        """The candidate of one function.

        Raises:
            InputError: for a function that was not asked for or was refused.
        """
        found = {candidate.function.name: candidate for candidate in self.candidates}
        if name in self.refused:
            raise InputError(f"{name} could not be fitted: {self.refused[name]}")
        if name not in found:
            raise InputError(f"{name!r} is no candidate{nearest(name, found)}")
        return found[name]

    def rows(self, count: int | None = None) -> list[tuple[str, ...]]:
        """The best `count` candidates as text, by `COLUMNS`; then, without a count, the refused."""
        shown = [_row(candidate) for candidate in self.candidates[:count]]
        if count is None:
            blank = ("",) * (len(COLUMNS) - 2)
            shown += [(name, *blank, f"refused: {why}") for name, why in self.refused.items()]
        return shown

    def table(self, count: int | None = None) -> str:
        """The rows in aligned columns under their names."""
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
