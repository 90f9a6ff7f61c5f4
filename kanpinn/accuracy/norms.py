"""L2 and H1 errors against an exact solution or a reference, by adaptive quadrature."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from kanpinn._support.distributed import share, summed, together
from kanpinn.accuracy.errors import Errors, compared, errors_of
from kanpinn.accuracy.references import FunctionReference, Reference
from kanpinn.geometry import Points
from kanpinn.geometry.quadrature import domain_rule, rule_of_pieces
from kanpinn.jets import Channels, Jet, JetFunction
from kanpinn.pde.problem import Problem, exact_jet

# A quadrature rule, in chunks: points, weights whose sum over all chunks is 1, and the reference's
# jet at the points.
Rule = list[tuple[Points, Tensor, Jet]]


# Nodes per axis of the first Gauss rule; each finer rule has 1.5 times as many nodes. In a domain
# of many cells the first rule has fewer nodes in each cell, so that a finer rule is possible.
NODES = 24
MOST_NODES = 2**12  # the most nodes per axis; computing n nodes takes time in proportion to n²
DRAWS = 2**9  # points of the first Sobol rule, above three dimensions; doubled by each refinement
SCRAMBLINGS = 8  # independent scramblings of a Sobol rule, whose spread estimates its error
MOST_POINTS = 2**19  # the most points of a rule
MOST_NUMBERS = 2**19  # the most points × dimensions of a low-discrepancy rule, to bound the time
TOLERANCE = 1e-2  # the relative quadrature error allowed in the L2 and H1 error norms


class ErrorNorm:
    """Computes error norms against a problem's exact solution, or against a reference.

    The quadrature rule is a Gauss rule up to three dimensions and a Sobol rule above, independent
    of the collocation points. If the reference has values at given points only, these points are
    the rule. Calling the object uses the first rule, which is stored. `converged` refines the rule
    until the L2 and H1 norms are accurate to a relative error of 1e-2, or are rounding noise.
    Several ranks share the points.

    Args:
        problem: the problem; norms are integrals over its domain.
        reference: the solution to compare with; by default the problem's exact solution.
    """

    def __init__(self, problem: Problem, reference: Reference | None = None) -> None:
        self.problem = problem
        if reference is None:
            exact = partial(exact_jet, problem)
            reference = FunctionReference("the exact solution", exact, error=0.0)
        self.reference = reference
        self.channels = Channels(problem.domain.names, gradient=True)
        self._scrambled = self.reference.points is None and problem.domain.dim > 3
        self._size = 0  # the number of points of the first rule
        self._first = self._rules(0) or []

    def __call__(self, jet: JetFunction, rules: Sequence[Rule] | None = None) -> Errors:
        """Return the errors of an approximation.

        The norms are of the fields in `problem.error_fields`, by default of all fields. For a field
        in `problem.free_constant`, which is determined up to a constant only, the mean over the
        domain is subtracted from the error and from the reference.

        Args:
            jet: returns the approximation's jet at points, in float64 as the points are.
            rules: the quadrature rules; None for the first rule.
        """
        problem, means, rules = self.problem, None, self._first if rules is None else rules
        if problem.free_constant:
            # The means are computed first, since mean e² - ē² would suffer from cancellation.
            free = torch.tensor([name in problem.free_constant for name in problem.fields])
            first = self._means(jet, rules)[:, :, 0].mean(dim=0)
            means = torch.where(free, first, torch.zeros_like(first))
        sums = self._means(jet, rules, means)[:, :, 1:].flatten(1, 2)
        given = None if self.reference.points is None else 0.0
        names, counted = problem.fields, problem.error_fields or problem.fields
        fields = {}
        if len(names) > 1:
            columns = sums.unbind(dim=2)
            fields = {n: errors_of(c, given) for n, c in zip(names, columns, strict=True)}
        chosen = [names.index(name) for name in counted]
        return replace(errors_of(sums[..., chosen].sum(dim=2), given), fields=fields)

    def up_to(self, jet: JetFunction, time: float) -> Errors | None:
        """Return the errors as means over the part of the domain up to a time, by the first rule.

        Args:
            jet: as for a call.
            time: the time, which is the last coordinate of the domain.

        Returns:
            The errors; None if the rule has no point up to this time.
        """
        kept: Rule = []
        for points, weights, u in (chunk for rule in self._first for chunk in rule):
            early = points.coords[:, -1] <= time
            values = u.with_parts([part[early] for part in u.parts()])
            kept.append((points[early], weights[early], values))
        total = torch.zeros(1, dtype=torch.float64) + sum(float(w.sum()) for _, w, _ in kept)
        whole = float(summed([total])[0])
        if not whole:
            return None
        return self(jet, [[(p, w / whole, u) for p, w, u in kept if len(p)]])

    def converged(
        self, jet: JetFunction, pieces: Tensor | None = None, most: float = math.inf
    ) -> Errors:
        """Return the errors of an approximation, by a rule that is refined to the tolerance 1e-2.

        Relative errors below the reference's own error, or below 1e-12, are noise that no Gauss
        rule resolves; then the refinement ends. If the refinement ended because the rule would be
        too large, the result's `rule_error` is above the tolerance.

        Args:
            jet: as for a call.
            pieces: the pieces of a box in each of which the approximation is smooth, see
                `rule_of_pieces`; None without pieces. If the error differs from piece to piece,
                random points in each piece resolve it with far fewer points than a Gauss rule.
            most: the largest number of refinements of the rule.
        """
        if pieces is not None and self.problem.domain.is_box and self.reference.points is None:
            return self._converged_in(pieces, jet)
        errors, level, noise = self(jet), 0, self.reference.error or 0.0
        while not errors.l2_relative < noise:
            finest = errors.l2_relative if math.isnan(errors.h1_relative) else errors.h1_relative
            resolved = errors.rule_error <= TOLERANCE or finest < 1e-12
            if resolved and not math.isnan(errors.rule_error):
                break
            level += 1
            if level > most or (rules := self._rules(level)) is None:
                break
            finer = self(jet, rules)
            errors = finer if self._scrambled else compared(errors, finer)
        return errors

    def _converged_in(self, pieces: Tensor, jet: JetFunction) -> Errors:
        """Return the errors by random quadrature points in each piece, refined to the tolerance.

        Args:
            pieces: the pieces of a box, see `rule_of_pieces`.
            jet: returns the approximation's jet at points.
        """
        domain, noise = self.problem.domain, self.reference.error or 0.0
        each, seeds = math.ceil(DRAWS / len(pieces)), range(SCRAMBLINGS)
        while True:
            with together():
                samples = [rule_of_pieces(domain, pieces, each, seed=each + s) for s in seeds]
                rules = [self._with_reference(rule, domain.measure) for rule in samples]
            errors = self(jet, rules)
            enough = errors.rule_error <= TOLERANCE or errors.l2_relative < noise
            if enough or 2 * len(seeds) * each * len(pieces) > MOST_POINTS:
                return errors
            each *= 2

    def _with_reference(self, rule: Iterable[tuple[Points, Tensor]], measure: float) -> Rule:
        """Return this rank's part of a quadrature rule, with jets of the reference.

        Args:
            rule: chunks of points and weights (n,).
            measure: the number by which weights are divided: their sum over all chunks and ranks.
        """
        shares = [(p[share(len(p))], w[share(len(p))] / measure) for p, w in rule]
        return [(p, w, self.reference.jet(p, self.channels)) for p, w in shares if len(p)]

    def _rules(self, level: int) -> list[Rule] | None:
        """Return the rules of a refinement level; None if they would be too large.

        There is one Gauss rule, or there are several independent scramblings of a Sobol rule. A
        rule is a list of this rank's chunks of points, weights and jets of the reference; the
        weights of all chunks and ranks sum to 1.

        Args:
            level: the number of refinements, 0 for the first rule.
        """
        if (given := self.reference.points) is not None:
            with together():
                return None if level else [self._with_reference([given], 1.0)]
        dim, cells, rules = self.problem.domain.dim, self.problem.cells(), []
        first = max(2, min(NODES, int(int((MOST_POINTS / len(cells)) ** (1 / dim)) / 1.5)))
        nodes, draws = math.ceil(first * 1.5**level), DRAWS * 2**level
        if self._scrambled:
            too_large = SCRAMBLINGS * draws > min(MOST_POINTS, MOST_NUMBERS // dim)
        else:
            too_large = self._size * (nodes / first) ** dim > MOST_POINTS
        if (level and too_large) or (nodes > MOST_NODES and not self._scrambled):
            return None
        with together():
            for seed in range(SCRAMBLINGS if self._scrambled else 1):
                parts = (domain_rule(c, nodes, draws=draws, chunk=2**15, seed=seed) for c in cells)
                chunks = [chunk for part in parts for chunk in part]
                self._size = self._size or sum(len(points) for points, _ in chunks)
                rules.append(self._with_reference(chunks, self.problem.domain.measure))
        return rules

    @torch.no_grad()
    def _means(
        self, jet: JetFunction, rules: Sequence[Rule], shifts: Tensor | None = None
    ) -> Tensor:
        """Return the means of f, (f - shift)² and |∇f|² by each rule, for error and reference.

        Args:
            jet: returns the approximation's jet at points.
            rules: the quadrature rules.
            shifts: the shift of each field of the error and of the reference, (2, fields); by
                default 0.

        Returns:
            The means, (rules, 2, 3, fields). On the second axis, f is the error, then the
            reference; on the third axis are the three means.
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
