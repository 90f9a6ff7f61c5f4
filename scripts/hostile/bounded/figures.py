"""The figures of guaranteed bounds: whether they hold, and their ratios to the true errors."""

import argparse
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from common.verdicts import Figure
from torch import Tensor

import kanpinn as kp
from hostile.bounded.problems import Case, drawn, gradient
from kanpinn.jets import Jet

NORMS = ("l2", "h1", "energy", "maximum")


@dataclass(frozen=True)
class Judged:
    """The bounds of one solution over its true errors, by the norm.

    Args:
        name: of the case.
        true: the relative L2 error.
        alone: the ratios of `kp.error_bound`.
        beside: those of `kp.estimate_error`, which knows a finer network.
        residual: that of C ‖residual‖, with Friedrichs' constant C, in the energy norm; None where
            boundary values are not built in.
        reason: why there are no bounds.
    """

    name: str
    true: float
    alone: dict[str, float]
    beside: dict[str, float]
    residual: float | None = None
    reason: str = ""

    @property
    def failed(self) -> list[str]:
        """The norms in which a bound does not hold, beyond the errors of the true ones' rules."""
        both = {"": self.alone, ", beside a finer network": self.beside}
        least = 0.99
        return [
            f"{name}{how}: {ratio:.3f}"
            for how, ratios in both.items()
            for name, ratio in ratios.items()
            if not ratio >= least
        ]


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Figure]:
    """Solve random coercive problems, and compare their bounds with the true errors."""
    first = 1000 * options.seed + 314  # whose first two enter all functions here
    judged, lines = [], []
    for number in range(first, first + options.bounded):
        one = _judged(drawn(number))
        judged.append(one)
        lines.append(_line(one))
        failures += [f"bound of {one.name}: {how}" for how in one.failed]
    head = (
        "| problem | true L2 | L2 | H1 | energy | maximum | said |\n|---|---|---|---|---|---|---|\n"
    )
    (options.output / "bounds.md").write_text(head + "".join(lines), "utf-8")
    wrong = sum(bool(one.failed) for one in judged)
    found: dict[str, Figure] = {
        "guaranteed bounds: problems where one fails": {
            "value": wrong,
            "target": f"0 of {len(judged)}",
            "met": not wrong,
        },
        "guaranteed bounds: problems without": {
            "value": sum(bool(one.reason) for one in judged),
            "target": "0, all are coercive",
            "met": not any(one.reason for one in judged),
        },
    }
    usual = [one for one in judged if one.true < 1]  # others have bounds, but no relative ones
    for how, rows in (
        ("", [one.alone for one in usual]),
        (", beside a finer network", [one.beside for one in usual]),
    ):
        for norm in NORMS:
            ratios = sorted(row[norm] for row in rows if math.isfinite(row.get(norm, math.nan)))
            found |= _ratios(f"bound over true error, {norm}{how}", ratios)
    alone = sorted(one.residual for one in usual if one.residual is not None)
    return found | _ratios("C times residual over true error, energy", alone)


def _ratios(name: str, ratios: Sequence[float]) -> dict[str, Figure]:
    """Return a figure with the least, the median, the ninth decile and the largest ratio."""
    if not ratios:
        return {}
    ninth = ratios[min(len(ratios) - 1, (9 * len(ratios)) // 10)]
    shown = [ratios[0], median(ratios), ninth, ratios[-1]]
    words = "least {:.3g}, median {:.3g}, 90 % {:.3g}, most {:.3g}".format(*shown)
    near = "energy" in name and "residual" not in name
    target = "90 % within 10" if near else "reported"
    return {name: {"value": words, "target": target, "met": ninth <= 10 if near else None}}


def _line(one: Judged) -> str:
    cells = [f"{one.alone[norm]:.3g}" if norm in one.alone else "" for norm in NORMS]
    said = one.reason or ", ".join(one.failed)
    return f"| {one.name} | {one.true:.1e} | {' | '.join(cells)} | {said} |\n"


def _judged(case: Case) -> Judged:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jumps at corners, and of few points
        solution = kp.solve(case.problem, case.network, points=case.points)
        estimate = kp.estimate_error(solution, bound=True)
    alone = kp.error_bound(solution)
    assert solution.errors is not None and estimate.bound is not None
    relative = solution.errors.l2_relative
    if alone.reason:
        return Judged(case.name, relative, {}, {}, reason=alone.reason)
    true = _true(case, solution)
    residual = None
    if len(solution.discretization.met) == len(solution.problem.conditions()):
        assert solution.verification is not None
        size = math.sqrt(solution.verification.interior)
        residual = alone.constants["friedrichs"] * size / true["energy"]
    both = _ratios_to(true, alone), _ratios_to(true, estimate.bound)
    return Judged(case.name, relative, both[0], both[1], residual)


def _ratios_to(true: dict[str, float], bound: kp.Bound) -> dict[str, float]:
    known = {norm: float(getattr(bound, norm)) for norm in NORMS}
    return {norm: value / true[norm] for norm, value in known.items() if not math.isnan(value)}


def _true(case: Case, solution: kp.Solution) -> dict[str, float]:
    """Return the true errors, as means over the domain, and the largest at the points of a rule."""
    problem, equation = case.problem, case.problem.equation_of

    def squares(p: kp.Points, u: Jet) -> Tensor:
        value, slope = problem.values(p) - u.value, gradient(problem.values, p) - kp.grad(u)
        energy = equation.factor(p)[:, 0] * ((slope @ equation.matrix) * slope).sum(dim=1)
        size = value[:, 0].square()
        rows = size, size + slope.square().sum(dim=1), energy + equation.zeroth * size
        return torch.stack(rows, dim=1)

    nodes = 3000 if problem.domain.dim == 1 else 100
    means = solution.integral(density=squares, nodes=nodes) / problem.domain.measure
    points = problem.domain.quadrature(nodes)[0]
    largest = float((problem.values(points) - solution(points)).abs().max())
    return dict(zip(NORMS, [*means.sqrt().tolist(), largest], strict=True))
