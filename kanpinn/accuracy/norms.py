"""L2 and H1 errors against an exact solution or a reference, by quadrature of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kanpinn._support.distributed import share, summed, together
from kanpinn.accuracy.references.reference import Approximation, Exact, Reference
from kanpinn.geometry import Points
from kanpinn.geometry.quadrature import domain_rule
from kanpinn.jets import Channels, Jet
from kanpinn.pde.problem import Problem

Rule = list[tuple[Points, Tensor, Jet]]


@dataclass(frozen=True)
class NormRules:
    """How finely errors are integrated.

    nodes: of the first Gauss rule along each axis; each further rule has 1.5 times as many.
    most_nodes: along an axis: the time to find them grows like their square.
    draws: points of the first low-discrepancy rule, used above three dimensions; each further one
    has twice as many. scramblings: independent repetitions of it, whose spread is its error.
    most_points: of a rule, and most_numbers: points × dimensions of a low-discrepancy rule, which
    bounds the time there. tolerance: relative, of the L2 and the H1 norm of the error.
    """

    nodes: int = 24
    most_nodes: int = 2**12
    draws: int = 2**9
    scramblings: int = 8
    most_points: int = 2**19
    most_numbers: int = 2**19
    tolerance: float = 1e-2


@dataclass(frozen=True)
class Errors:
    """Errors as means over the domain: l2_squared = mean e², h1_squared = mean (e² + |∇e|²).

    The relative ones are divided by the same norm of the exact solution or the reference. A figure
    is NaN if it is not known, such as H1 errors against a reference without derivatives. `fields`
    has the same figures for each field of a system.

    rule_error: the relative error of l2 or h1, the larger one, that is due to the quadrature: what
    the last refinement of a Gauss rule changed, or the standard error of a low-discrepancy rule; 0
    if the norm is a mean over given points.
    """

    l2: float
    l2_relative: float
    l2_squared: float
    h1: float
    h1_relative: float
    h1_squared: float
    rule_error: float = math.nan
    fields: dict[str, "Errors"] = field(default_factory=dict)

    def scaled(self, factor: float) -> "Errors":
        """The errors with all norms times a factor."""
        return replace(
            self,
            **{name: factor * getattr(self, name) for name in ("l2", "l2_relative")},
            **{name: factor * getattr(self, name) for name in ("h1", "h1_relative")},
            **{name: factor**2 * getattr(self, name) for name in ("l2_squared", "h1_squared")},
            fields={name: one.scaled(factor) for name, one in self.fields.items()},
        )


class ErrorNorm:
    """The error of a field against a problem's exact solution, or against a reference.

    The rule, Gauss up to three dimensions and Sobol above, is independent of collocation points; of
    a reference that is known at some points only, these are the rule. `converged` refines it until
    both norms are good to one part in a hundred, or are rounding noise; calling the object uses the
    first rule, which is kept. Several ranks share the points.
    """

    def __init__(
        self,
        problem: Problem,
        reference: Reference | None = None,
        settings: NormRules | None = None,
    ) -> None:
        self.problem, self.settings = problem, settings or NormRules()
        self.reference = Exact(problem) if reference is None else reference
        self.channels = Channels(problem.domain.names, gradient=True)
        self._scrambled = self.reference.points is None and problem.domain.dim > 3
        self._size = 0  # points of the first rule
        self._first = self._rules(0) or []

    def __call__(self, jet: Approximation) -> Errors:
        """Errors by the first rule; jet(points, channels) approximates, in float64 like them."""
        return self._measured(jet, self._first)

    def converged(self, jet: Approximation) -> Errors:
        """Errors by a rule so fine that the next one would hardly change them.

        Their `rule_error` exceeds the tolerance if the limits of `NormRules` ended the refinement.
        """
        errors, level = self(jet), 0
        while not self._is_settled(errors):
            level += 1
            if (rules := self._rules(level)) is None:
                break
            finer = self._measured(jet, rules)
            errors = finer if self._scrambled else _compared(errors, finer)
        return errors

    def _is_settled(self, errors: Errors) -> bool:
        """Whether a finer rule is not worth while.

        Relative errors below that of the reference, or below 1e-12, are noise, which no rule
        resolves.
        """
        if errors.l2_relative < (self.reference.error or 0.0):
            return True
        if math.isnan(errors.rule_error):
            return False
        finest = errors.l2_relative if math.isnan(errors.h1_relative) else errors.h1_relative
        return errors.rule_error <= self.settings.tolerance or finest < 1e-12

    def _rules(self, level: int) -> list[Rule] | None:
        """One rule, or several independent draws; None if it would be too large.

        A rule is this rank's chunks of points, weights and jets of the reference; the weights of
        all chunks and ranks sum to 1.
        """
        limits, dim = self.settings, self.problem.domain.dim
        nodes, draws = math.ceil(limits.nodes * 1.5**level), limits.draws * 2**level
        seeds = range(limits.scramblings if self._scrambled else 1)
        if self.reference.points is not None and level:
            return None
        if self._scrambled:
            most = min(limits.most_points, limits.most_numbers // dim)
            if level and len(seeds) * draws > most:
                return None
        elif nodes > limits.most_nodes:
            return None
        elif level and self._size * (nodes / limits.nodes) ** dim > limits.most_points:
            return None
        rules, measure, given = [], self.problem.domain.measure, self.reference.points
        with together():
            for seed in seeds:
                chunks = (
                    [given]
                    if given is not None
                    else [
                        (points, weights / measure)
                        for cell in self.problem.cells()
                        for points, weights in domain_rule(cell, nodes, draws=draws, seed=seed)
                    ]
                )
                self._size = self._size or sum(len(points) for points, _ in chunks)
                own = [(p[share(len(p))], w[share(len(p))]) for p, w in chunks]
                rules.append(
                    [(p, w, self.reference.jet(p, self.channels)) for p, w in own if len(p)]
                )
        return rules

    def _measured(self, jet: Approximation, rules: Sequence[Rule]) -> Errors:
        """Errors from the means over each rule."""
        problem, means = self.problem, None
        if problem.free_constant:
            # In a pass of its own: mean e² - ē² in place of mean (e - ē)² would cancel.
            free = torch.tensor([name in problem.free_constant for name in problem.fields])
            first = self._means(jet, rules)[:, :, 0].mean(dim=0)
            means = torch.where(free, first, torch.zeros_like(first))
        sums = self._means(jet, rules, means)[:, :, 1:].flatten(1, 2)
        given = None if self.reference.points is None else 0.0
        names, counted = problem.fields, problem.error_fields or problem.fields
        fields = {}
        if len(names) > 1:
            columns = sums.unbind(dim=2)
            fields = {n: _errors_of(c, given) for n, c in zip(names, columns, strict=True)}
        chosen = [names.index(name) for name in counted]
        return replace(_errors_of(sums[..., chosen].sum(dim=2), given), fields=fields)

    @torch.no_grad()
    def _means(
        self, jet: Approximation, rules: Sequence[Rule], shifts: Tensor | None = None
    ) -> Tensor:
        """Means of f, (f - shift)² and |∇f|² over each rule, (rules, 2, 3, fields).

        f is the error first, the reference second; shifts: (2, fields), 0 by default.
        """
        fields = len(self.problem.fields)
        means = torch.zeros(len(rules), 2, 3, fields, dtype=torch.float64)
        with together():
            for mean, rule in zip(means, rules, strict=True):
                for points, weights, u in rule:
                    for i, f in enumerate((jet(points, self.channels) - u, u)):
                        assert f.gradient is not None
                        value = f.value if shifts is None else f.value - shifts[i]
                        rows = (f.value, value.square(), f.gradient.square().sum(dim=1))
                        mean[i] += torch.stack([weights @ row for row in rows])
        return summed([means])[0]


def _errors_of(means: Tensor, rule_error: float | None) -> Errors:
    """Errors from the means of e², |∇e|², u² and |∇u|² over each rule, (rules, 4).

    rule_error: NaN for a single rule by default; that of the mean over several is their spread.
    """
    e, de, u, du = means.mean(dim=0).tolist()
    l2, h1 = math.sqrt(e), math.sqrt(e + de)
    relative = l2 / math.sqrt(u) if u > 0 else math.nan
    h1_relative = h1 / math.sqrt(u + du) if u > 0 else math.nan
    if len(means) > 1:
        both = torch.stack([means[:, 0], means[:, 0] + means[:, 1]], dim=1)
        errors = both.std(dim=0) / math.sqrt(len(means))
        # Half: the square root of a mean has half its relative error. A vanishing norm has none.
        parts = errors / (2 * both.mean(dim=0))
        rule_error = float(torch.nan_to_num(parts, nan=0.0, posinf=0.0).max())
    rule_error = math.nan if rule_error is None else rule_error
    return Errors(l2, relative, e, h1, h1_relative, e + de, rule_error)


def _compared(coarse: Errors, fine: Errors) -> Errors:
    """The finer errors; their `rule_error` is how much they changed."""
    pairs = [(coarse.l2, fine.l2), (coarse.h1, fine.h1)]
    changes = [abs(a - b) / b for a, b in pairs if b and math.isfinite(a - b)]
    fields = {name: _compared(coarse.fields[name], one) for name, one in fine.fields.items()}
    return replace(fine, rule_error=max(changes, default=0.0), fields=fields)
