"""The error norms of an approximation, and how far quadrature knows them."""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kanpinn._support.shown import Shown


@dataclass(frozen=True)
class Errors(Shown):
    """Error norms as means over the domain: l2_squared = mean e², h1_squared = mean (e² + |∇e|²).

    Relative errors are divided by the same norm of the exact solution or the reference. Errors that
    cannot be computed are NaN, such as H1 errors against a reference without derivatives. `fields`
    has the errors of each field of a system; it is empty for a single field.

    rule_error: the relative quadrature error of l2 or h1, whichever is larger. It is the change by
    the last refinement of a Gauss rule, or the standard error of a low-discrepancy rule; NaN for a
    single Gauss rule that was not refined, and 0 for means over given points.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1)), exact="sin(pi*x)")
        >>> errors = kp.solve(problem, kp.KAN([1, 1], degree=7, grid=8)).errors
        >>> errors.l2_relative < 1e-7, errors.h1_relative < 1e-6
        (True, True)
    """

    shown_by = "kanpinn.plotting.notebook.norms"

    l2: float
    l2_relative: float
    l2_squared: float
    h1: float
    h1_relative: float
    h1_squared: float
    rule_error: float = math.nan
    fields: dict[str, "Errors"] = field(default_factory=dict)

    def scaled(self, factor: float) -> "Errors":
        """Return the errors with all norms multiplied by a factor, and squares by its square."""
        return replace(
            self,
            **{name: factor * getattr(self, name) for name in ("l2", "l2_relative")},
            **{name: factor * getattr(self, name) for name in ("h1", "h1_relative")},
            **{name: factor**2 * getattr(self, name) for name in ("l2_squared", "h1_squared")},
            fields={name: one.scaled(factor) for name, one in self.fields.items()},
        )


def errors_of(means: Tensor, rule_error: float | None) -> Errors:
    """Return the errors from the means of e², |∇e|², u² and |∇u|² over each rule, (rules, 4).

    rule_error: the error of a single rule; None gives NaN. For several rules it is replaced by the
    standard error of their mean.
    """
    e, de, u, du = means.mean(dim=0).tolist()
    l2, h1 = math.sqrt(e), math.sqrt(e + de)
    relative = l2 / math.sqrt(u) if u > 0 else math.nan
    h1_relative = h1 / math.sqrt(u + du) if u > 0 else math.nan
    if len(means) > 1:
        both = torch.stack([means[:, 0], means[:, 0] + means[:, 1]], dim=1)
        errors = both.std(dim=0) / math.sqrt(len(means))
        # The square root of a mean has half its relative error. For a norm of 0 the error is 0.
        parts = errors / (2 * both.mean(dim=0))
        rule_error = float(torch.nan_to_num(parts, nan=0.0, posinf=0.0).max())
    rule_error = math.nan if rule_error is None else rule_error
    return Errors(l2, relative, e, h1, h1_relative, e + de, rule_error)


def compared(coarse: Errors, fine: Errors) -> Errors:
    """Return the errors of the finer rule; `rule_error` is their relative change."""
    pairs = [(coarse.l2, fine.l2), (coarse.h1, fine.h1)]
    changes = [abs(a - b) / b for a, b in pairs if b and math.isfinite(a - b)]
    fields = {name: compared(coarse.fields[name], one) for name, one in fine.fields.items()}
    return replace(fine, rule_error=max(changes, default=0.0), fields=fields)
