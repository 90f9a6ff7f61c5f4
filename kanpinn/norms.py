"""L2 and H1 errors against an exact solution, by quadrature of its own."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kanpinn.distributed import agreed, share, summed
from kanpinn.geometry import Points
from kanpinn.jet import Channels, Jet
from kanpinn.problem import Problem, exact_jet
from kanpinn.quadrature import domain_rule

START_NODES, MOST_POINTS = 24, 2**19
START_DRAWS = 2**14  # above three dimensions, where the rule is a low-discrepancy one
CONVERGED = 1e-2
ROUNDING = 1e-12  # relative errors below are rounding noise, which no rule resolves


@dataclass(frozen=True)
class Errors:
    """Errors as means over the domain: l2_squared = mean e², h1_squared = mean (e² + |∇e|²).

    The relative ones are divided by the same norm of the exact solution. `fields` has the same
    figures for each field of a system.
    """

    l2: float
    l2_relative: float
    l2_squared: float
    h1: float
    h1_relative: float
    h1_squared: float
    fields: dict[str, "Errors"] = field(default_factory=dict)


class ErrorNorm:
    """The error of a field against a problem's exact solution.

    The rule, Gauss up to three dimensions and Sobol above, knows nothing of collocation points.
    `converged` refines it until both norms settle to one part in a hundred (or are rounding noise);
    calling the object uses the first rule, which is kept. Several ranks share the points.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.channels = Channels(problem.domain.names, gradient=True)
        self._first = agreed(lambda: [*self._rule(0)])

    def __call__(self, jet: Callable[[Points, Channels], Jet]) -> Errors:
        """Errors by the first rule; jet(points, channels) approximates, in float64 like them."""
        return self._by(jet, self._first)

    def converged(self, jet: Callable[[Points, Channels], Jet]) -> Errors:
        """Errors that a finer rule no longer changes."""
        coarse, level = self(jet), 1
        while self._points(level) <= MOST_POINTS:
            fine = self._by(jet, self._rule(level))
            if _close(coarse, fine) or fine.h1_relative < ROUNDING:
                return fine
            coarse, level = fine, level + 1
        return coarse

    def _points(self, level: int) -> int:
        dim = self.problem.domain.dim
        return _nodes(level) ** dim if dim <= 3 else START_DRAWS * 2**level

    def _rule(self, level: int) -> Iterator[tuple[Points, Tensor, Jet]]:
        """Points, weights that sum to 1, and the exact solution there: this rank's, in chunks."""
        domain = self.problem.domain
        for points, weights in domain_rule(domain, _nodes(level), draws=START_DRAWS * 2**level):
            own = share(len(points))
            p, w = points[own], weights[own]
            if len(p):
                yield p, w / domain.measure, exact_jet(self.problem, p, self.channels)

    def _by(
        self,
        jet: Callable[[Points, Channels], Jet],
        rule: Iterable[tuple[Points, Tensor, Jet]],
    ) -> Errors:
        fields = self.problem.fields
        like = torch.zeros(4, len(fields), dtype=torch.float64)

        def local() -> list[Tensor]:
            sums = [self._sums(jet, *chunk) for chunk in rule]
            return [torch.stack(sums).sum(dim=0) if sums else like]

        return _errors(summed(local, [like])[0], fields)

    @torch.no_grad()
    def _sums(self, jet: Callable, points: Points, weights: Tensor, exact: Jet) -> Tensor:
        """(4, m): the means of e², |∇e|², u², |∇u|² for each field."""
        approximate = jet(points, self.channels)
        rows = []
        for f in (approximate - exact, exact):
            assert f.gradient is not None
            rows += [f.value.square(), f.gradient.square().sum(dim=1)]
        return torch.stack([weights @ row for row in rows])


def _nodes(level: int) -> int:
    return math.ceil(START_NODES * 1.5**level)


def _errors(sums: Tensor, names: Sequence[str]) -> Errors:
    fields = {}
    if len(names) > 1:
        columns = sums.unbind(dim=1)
        fields = {name: _one(column) for name, column in zip(names, columns, strict=True)}
    return _one(sums.sum(dim=1), fields)


def _one(sums: Tensor, fields: dict[str, Errors] | None = None) -> Errors:
    e, de, u, du = (float(s) for s in sums)
    l2, h1 = math.sqrt(e), math.sqrt(e + de)
    relative = l2 / math.sqrt(u) if u > 0 else math.nan
    h1_relative = h1 / math.sqrt(u + du) if u > 0 else math.nan
    return Errors(l2, relative, e, h1, h1_relative, e + de, fields or {})


def _close(a: Errors, b: Errors) -> bool:
    return all(math.isclose(x, y, rel_tol=CONVERGED) for x, y in ((a.l2, b.l2), (a.h1, b.h1)))
