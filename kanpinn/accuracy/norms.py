"""L2 and H1 errors against an exact solution or a reference, by quadrature of its own."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kanpinn._support.distributed import share, summed, together
from kanpinn.accuracy.references.reference import Exact, Reference
from kanpinn.geometry import Points
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.jets.jet import Channels, Jet
from kanpinn.pde.problem import Problem

START_NODES, MOST_POINTS = 24, 2**19
MOST_NODES = 2**12  # on an axis: finding them takes time as their square
# Above three dimensions: independent scramblings of a low-discrepancy rule, whose spread tells the
# rule's error; what bounds the time there is points × dimensions.
SCRAMBLINGS, START_DRAWS, MOST_NUMBERS = 8, 2**9, 2**19
CONVERGED = 1e-2
ROUNDING = 1e-12  # relative errors below are rounding noise, which no rule resolves

Approximation = Callable[[Points, Channels], Jet]
Rule = list[tuple[Points, Tensor, Jet]]


@dataclass(frozen=True)
class Errors:
    """Errors as means over the domain: l2_squared = mean e², h1_squared = mean (e² + |∇e|²).

    The relative ones are divided by the same norm of the exact solution or the reference; NaN
    stands for what that does not tell. `fields` has the same figures for each field of a system.

    rule_error: the relative error of l2 or h1, the larger one, that is due to the quadrature: what
    the last refinement of a Gauss rule changed, the standard error of a low-discrepancy rule; 0
    where the norm is a mean over given points.
    """

    l2: float
    l2_relative: float
    l2_squared: float
    h1: float
    h1_relative: float
    h1_squared: float
    rule_error: float = math.nan
    fields: dict[str, "Errors"] = field(default_factory=dict)


class ErrorNorm:
    """The error of a field against a problem's exact solution, or against a reference.

    The rule, Gauss up to three dimensions and Sobol above, knows nothing of collocation points; of
    a reference that is known at some points only, these are the rule. `converged` refines it until
    both norms are good to one part in a hundred (or are rounding noise); calling the object uses
    the first rule, which is kept. Several ranks share the points.
    """

    def __init__(self, problem: Problem, reference: Reference | None = None) -> None:
        self.problem = problem
        self.reference = Exact(problem) if reference is None else reference
        self.channels = Channels(problem.domain.names, gradient=True)
        self._size = sum(len(points) for points, _ in self._weighted(0, 0))
        self._first = self._rules(0)

    def __call__(self, jet: Approximation) -> Errors:
        """Errors by the first rule; jet(points, channels) approximates, in float64 like them."""
        return self._by(jet, self._first)

    def converged(self, jet: Approximation) -> Errors:
        """Errors that a finer rule no longer changes, as far as the limits let it go."""
        errors, level = self(jet), 0
        while not _settled(errors, self.reference.error or 0.0) and self._allows(level + 1):
            level += 1
            finer = self._by(jet, self._rules(level))
            errors = finer if self._scrambled else _compared(errors, finer)
        return errors

    @property
    def _scrambled(self) -> bool:
        return self.reference.points is None and self.problem.domain.dim > 3

    def _allows(self, level: int) -> bool:
        """Whether there is a rule of this level that is not too large."""
        if self.reference.points is not None:
            return False
        dim = self.problem.domain.dim
        if self._scrambled:
            points = SCRAMBLINGS * START_DRAWS * 2**level
            return points <= min(MOST_POINTS, MOST_NUMBERS // dim)
        points = self._size * (_nodes(level) / _nodes(0)) ** dim
        return points <= MOST_POINTS and _nodes(level) <= MOST_NODES

    def _rules(self, level: int) -> list[Rule]:
        """One rule, or several of which each is an independent draw."""
        seeds = range(SCRAMBLINGS if self._scrambled else 1)
        with together():
            return [[*self._shared(self._weighted(level, seed))] for seed in seeds]

    def _weighted(self, level: int, seed: int) -> Iterator[tuple[Points, Tensor]]:
        """Points and weights that sum to 1, in chunks."""
        if self.reference.points is not None:
            yield self.reference.points
            return
        domain, draws = self.problem.domain, START_DRAWS * 2**level
        for cell in self.problem.cells():
            for points, weights in domain_rule(cell, _nodes(level), draws=draws, seed=seed):
                yield points, weights / domain.measure

    def _shared(self, chunks: Iterable[tuple[Points, Tensor]]) -> Iterator[tuple]:
        """This rank's part of each chunk, with the reference there."""
        for points, weights in chunks:
            own = share(len(points))
            p, w = points[own], weights[own]
            if len(p):
                yield p, w, self.reference.jet(p, self.channels)

    def _by(self, jet: Approximation, rules: list[Rule]) -> Errors:
        """From sums (rules, 4, m): the means of e², |∇e|², u², |∇u|² for each field."""
        means, free = None, self.problem.free_constant
        if free:  # a pass of its own: mean e² - ē² in place of mean (e - ē)² would cancel
            chosen = torch.tensor([name in free for name in self.problem.fields])
            found = self._sums(jet, rules, 2, lambda f, means: [f.value]).mean(dim=0)
            means = torch.where(chosen, found, torch.zeros_like(found))
        return self._errors(self._sums(jet, rules, 4, _squares, means))

    @torch.no_grad()
    def _sums(
        self,
        jet: Approximation,
        rules: list[Rule],
        count: int,
        rows: Callable[[Jet, Tensor | None], list[Tensor]],
        means: Tensor | None = None,
    ) -> Tensor:
        """(rules, count, m): each rule's means of the rows of the error, then of the reference."""
        sums = torch.zeros(len(rules), count, len(self.problem.fields), dtype=torch.float64)
        shifts = (None, None) if means is None else means
        with together():
            for total, rule in zip(sums, rules, strict=True):
                for points, weights, u in rule:
                    both = zip((jet(points, self.channels) - u, u), shifts, strict=True)
                    total += torch.stack([weights @ row for f, m in both for row in rows(f, m)])
        return summed([sums])[0]

    def _errors(self, sums: Tensor) -> Errors:
        names = self.problem.fields
        counted = names if self.problem.error_fields is None else self.problem.error_fields
        fields = {}
        if len(names) > 1:
            columns = sums.unbind(dim=2)
            fields = {name: _one(column) for name, column in zip(names, columns, strict=True)}
        chosen = [names.index(name) for name in counted]
        whole = replace(_one(sums[..., chosen].sum(dim=2)), fields=fields)
        return whole if self.reference.points is None else _at_points(whole)


def _nodes(level: int) -> int:
    return math.ceil(START_NODES * 1.5**level)


def _squares(f: Jet, mean: Tensor | None) -> list[Tensor]:
    assert f.gradient is not None
    value = f.value if mean is None else f.value - mean
    return [value.square(), f.gradient.square().sum(dim=1)]


def _one(sums: Tensor) -> Errors:
    """From (rules, 4), whose spread over several rules is the error of their mean."""
    e, de, u, du = sums.mean(dim=0).tolist()
    l2, h1 = math.sqrt(e), math.sqrt(e + de)
    relative = l2 / math.sqrt(u) if u > 0 else math.nan
    h1_relative = h1 / math.sqrt(u + du) if u > 0 else math.nan
    spread = math.nan
    if len(sums) > 1:
        both = torch.stack([sums[:, 0], sums[:, 0] + sums[:, 1]], dim=1)
        errors = both.std(dim=0) / math.sqrt(len(sums))
        # Half: the square root of a mean has half its relative error.
        spread = _largest(errors / (2 * both.mean(dim=0)))
    return Errors(l2, relative, e, h1, h1_relative, e + de, spread)


def _largest(parts: Iterable) -> float:
    """The largest of relative errors, without those of norms that vanish or are not known."""
    return max((float(part) for part in parts if math.isfinite(part)), default=0.0)


def _compared(coarse: Errors, fine: Errors) -> Errors:
    """The finer errors, told by how much they changed."""
    pairs = [(coarse.l2, fine.l2), (coarse.h1, fine.h1)]
    change = _largest(abs(a - b) / b for a, b in pairs if b)
    fields = {name: _compared(coarse.fields[name], one) for name, one in fine.fields.items()}
    return replace(fine, rule_error=change, fields=fields)


def _at_points(errors: Errors) -> Errors:
    fields = {name: replace(one, rule_error=0.0) for name, one in errors.fields.items()}
    return replace(errors, rule_error=0.0, fields=fields)


def _settled(errors: Errors, least: float) -> bool:
    """Whether a finer rule is not worth while; below the reference's own error all is noise."""
    if errors.l2_relative < least:
        return True
    if math.isnan(errors.rule_error):
        return False
    finest = errors.l2_relative if math.isnan(errors.h1_relative) else errors.h1_relative
    return errors.rule_error <= CONVERGED or finest < ROUNDING
