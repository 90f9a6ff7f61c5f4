"""The cost of a Levenberg-Marquardt step against points and parameters, and of its parts.

What: one step on u_xx + u_yy = f, float64, for KANs [2, W, 1] (k = 3, G = 5) of P parameters at N
points: the rows of the Jacobian folded into a triangle (N P for the rows, 2NP² for the QR), its SVD
(c P³), and the losses at the dampings that are tried. The law t = a N P + b 2NP² + c P³ with a, b,
c >= 0 is fitted to all sizes at once, by relative errors. The exponents of N and of P with their
95% intervals are those at the largest sizes of the other quantity; the law's own exponents are
given beside them.

How: processor seconds with one thread, on which other work on the machine has little influence; the
least of several rounds.

How long: a minute; --smoke: some seconds, its numbers mean nothing.

Writes to --output: lm_cost.csv, lm_cost.png, lm_cost.json.
"""

import csv
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy
import scipy.optimize
import torch
from common import options, verdicts
from machinery import cases
from matplotlib.ticker import NullFormatter

import kanpinn as kp
from kanpinn.accuracy.orders import Fit
from kanpinn.linalg import fold
from kanpinn.plotting.style import MARKERS, PALETTE, new_figure, save, tidy

NAME = Path(__file__).stem
WIDTHS: tuple[int, ...] = (6, 12, 24, 48)
POINTS: tuple[int, ...] = (1500, 3000, 6000, 12000)
ROUNDS = 3
PROBES = 4  # losses in one step, as a rule


@dataclass(frozen=True)
class Cost:
    """Processor seconds of the parts of one step."""

    points: int
    parameters: int
    fold: float
    svd: float
    losses: float

    @property
    def step(self) -> float:
        return self.fold + self.svd + self.losses

    @property
    def terms(self) -> tuple[float, float, float]:
        """N P, 2NP² and P³."""
        n, p = self.points, self.parameters
        return n * p, 2 * n * p**2, p**3


def main(given: Sequence[str] | None = None) -> None:
    chosen = options.finish(NAME, options.parser(NAME, __doc__).parse_args(given))
    widths, points, rounds = (WIDTHS, POINTS, ROUNDS)
    if chosen.smoke:
        widths, points, rounds = (2, 3, 4), (100, 200, 400), 1
    torch.set_num_threads(1)
    costs = [measure(w, n, rounds) for w in widths for n in points]
    law = fitted(costs)
    chosen.output.mkdir(parents=True, exist_ok=True)
    write(costs, chosen.output / f"{NAME}.csv")
    draw(costs, law, chosen.output / f"{NAME}.png")
    verdicts.write(chosen.output / f"{NAME}.json", judged(costs, law, chosen.smoke))


def measure(width: int, points: int, rounds: int) -> Cost:
    """Return the least of several rounds for each part."""
    system = cases.residuals(kp.KAN([2, width, 1], degree=3, grid=5), points)
    layers = list(system.surrogate.network.layers)
    parts = []
    for _ in range(rounds):
        begun = time.process_time()
        triangle = fold(system.rows(layers))
        folded = time.process_time()
        triangle.damped()
        damped = time.process_time()
        for _ in range(PROBES):
            system.loss()
        parts.append((folded - begun, damped - folded, time.process_time() - damped))
    least = (min(part) for part in zip(*parts, strict=True))
    return Cost(points, system.surrogate.network.parameter_count, *least)


def fitted(costs: Sequence[Cost]) -> numpy.ndarray:
    """Return a, b, c >= 0 of the law in seconds, by least squares on relative errors."""
    terms = numpy.array([cost.terms for cost in costs], dtype=float)
    seconds = numpy.array([cost.step for cost in costs])
    scale = terms.max(axis=0)
    found, _ = scipy.optimize.nnls(terms / scale / seconds[:, None], numpy.ones(len(costs)))
    return found / scale


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> tuple[float, float | None]:
    """Return p of seconds ~ sizes^p, and the half width of its 95% interval."""
    fit: Fit = kp.fit_order(sizes, seconds)
    return -fit.order, fit.margin


def judged(costs: Sequence[Cost], law: numpy.ndarray, smoke: bool) -> dict[str, verdicts.Figure]:
    off = [abs(float(law @ cost.terms) / cost.step - 1) for cost in costs]
    widest, most = max(c.parameters for c in costs), max(c.points for c in costs)
    by_points = [c for c in costs if c.parameters == widest]
    by_parameters = [c for c in costs if c.points == most]
    figures: dict[str, verdicts.Figure] = {
        "law, seconds": {
            "value": dict(zip(("a", "b", "c"), law, strict=True)),
            "target": "t = a N P + b 2NP² + c P³",
            "met": None,
        },
        "rate of 2NP², Gflop/s": {
            "value": 1e-9 / law[1] if law[1] else None,
            "target": "the QR's own",
            "met": None,
        },
        "law's median error": {
            "value": float(numpy.median(off)),
            "target": "<= 0.15",
            "met": bool(numpy.median(off) <= 0.15),
        },
    }
    rows = {
        f"exponent in N at P = {widest}": (by_points, [c.points for c in by_points]),
        f"exponent in P at N = {most}": (by_parameters, [c.parameters for c in by_parameters]),
    }
    for name, (chosen, sizes) in rows.items():
        power, margin = exponent(sizes, [c.step for c in chosen])
        theory, _ = exponent(sizes, [float(law @ c.terms) for c in chosen])
        figures[name] = {
            "value": [power, margin],
            "target": f"the law's {theory:.2f} within the interval or 0.1",
            "met": abs(power - theory) <= max(margin or 0.0, 0.1),
        }
    if smoke:
        figures = {name: {**figure, "met": None} for name, figure in figures.items()}
    return figures


def write(costs: Sequence[Cost], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([field.name for field in fields(Cost)])
        rows.writerows(astuple(cost) for cost in costs)


def draw(costs: Sequence[Cost], law: numpy.ndarray, path: Path) -> None:
    """Draw the seconds of a step against N for each P, and its parts at the largest N."""
    figure = new_figure(7.0, 3.0)
    left, right = figure.subplots(1, 2)
    counts = sorted({cost.parameters for cost in costs})
    for p, colour, marker in zip(counts, PALETTE, MARKERS, strict=False):
        chosen = [cost for cost in costs if cost.parameters == p]
        n = [cost.points for cost in chosen]
        left.loglog(n, [cost.step for cost in chosen], marker, color=colour, label=f"P = {p}")
        left.loglog(n, [float(law @ cost.terms) for cost in chosen], color=colour)
    left.set(xlabel="points N", ylabel="processor seconds of a step")
    most = max(cost.points for cost in costs)
    largest = [cost for cost in costs if cost.points == most]
    parts = {"Jacobian and QR": "fold", "SVD": "svd", f"{PROBES} losses": "losses"}
    for (label, name), colour, marker in zip(parts.items(), PALETTE, MARKERS, strict=False):
        seconds = [getattr(cost, name) for cost in largest]
        right.loglog(counts, seconds, f"{marker}-", color=colour, label=label)
    right.set(xlabel="parameters P", title=f"N = {most}")
    for ax in (left, right):
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_minor_formatter(NullFormatter())
    tidy(left).legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    tidy(right).legend(loc="lower right")
    save(figure, path)


if __name__ == "__main__":
    main()
