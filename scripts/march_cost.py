"""What a window of a march costs, against intervals, stages, fields and the degree of splines.

What: u_f' = 0.01 ∂²u_f/∂x² + u_f - u_f² Σ_g u_g for m fields on a period, marched in windows of one
length on intervals that stay. The seconds of a window are the difference of two marches that differ
in the number of windows alone, and are divided by the Newton steps of a window, each of which takes
one residual and s solutions of band systems. One number is varied at a time; exponents are fitted
to the larger half of its values. Beside them: the factors and solutions of the band systems alone,
by LAPACK as the march calls it, and the exponents of the counts of operations: N m w² for factors
and N m w for solutions of N intervals with bands of w = 2 m k entries around a circle (m k between
walls) on either side of the diagonal. Seconds are those of the processor, of one thread.

How long: three minutes on one idle core; --smoke: some seconds.

Writes to --output: march_cost.csv, march_cost.md, march_cost.png and .pdf, march_cost.json.
"""

import csv
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import torch
from common import script
from common.script import save_figure
from marches.picture import markdown
from matplotlib.figure import Figure
from scipy.linalg import lapack

import kanpinn as kp

NAME = Path(__file__).stem


class Reaction(kp.Problem):
    """m fields that diffuse and react with each other, periodic in x."""

    domain = kp.Box(x=(0, 2 * math.pi), t=(0, 1))

    def __init__(self, count: int) -> None:
        self.fields = tuple(f"u{number}" for number in range(count))

    def residual(self, p: kp.Points, *fields: kp.Jet) -> tuple[torch.Tensor, ...]:
        total = sum(one.value for one in fields)
        return tuple(
            kp.partial(u, "t") - 0.01 * kp.partial(u, "x", "x") - u.value + u.value**2 * total
            for u in fields
        )

    def conditions(self) -> list[kp.Condition]:
        starts = [
            kp.Initial(self.domain, self.start(number), field=name)
            for number, name in enumerate(self.fields)
        ]
        return [*starts, kp.Periodic(self.domain, "x")]

    def start(self, number: int) -> Callable[[kp.Points], torch.Tensor]:
        """The initial values of a field."""
        return lambda p: 1 + torch.sin(p.x + number) / 2


@dataclass(frozen=True)
class Size:
    """The numbers that the cost of a window depends on."""

    intervals: int = 400
    stages: int = 7
    fields: int = 1
    degree: int = 9

    @property
    def unknowns(self) -> int:
        return self.intervals * self.fields

    @property
    def width(self) -> int:
        """The entries of a band on either side of the diagonal, around a circle."""
        return 2 * self.degree * self.fields + self.fields - 1


VARIED: Mapping[str, Sequence[int]] = {
    "intervals": (100, 200, 400, 800, 1600),
    "stages": (3, 5, 7, 9, 11),
    "fields": (1, 2, 3, 4, 6),
    "degree": (3, 5, 7, 9, 11),
}
# The exponents of the counts of operations: of a window, of factors and of solutions.
COUNTED: Mapping[str, tuple[int, int, int]] = {
    "intervals": (1, 1, 1),
    "stages": (1, 0, 0),
    "fields": (3, 3, 2),
    "degree": (2, 2, 1),
}


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(NAME, __doc__, given)
    torch.set_num_threads(1)
    usual = Size(intervals=30, stages=3, degree=5) if chosen.smoke else Size()
    march(usual, 1)  # imports what a solve needs
    rows: list[dict[str, float | str]] = []
    for name, values in VARIED.items():
        for value in values[:2] if chosen.smoke else values:
            found = measured(replace(usual, **{name: value}), 1 if chosen.smoke else 3)
            rows.append({"varied": name, "value": value, **found})
            print(rows[-1], flush=True)
    write(rows, chosen.output, chosen.smoke)


def measured(size: Size, rounds: int) -> dict[str, float]:
    """Return the seconds of a window, of a Newton step, and of the band systems of one stage."""
    few, many = 2, 6
    found = []
    for _ in range(rounds):
        (less, fewer), (more, steps) = march(size, few), march(size, many)
        found.append((more - less, steps - fewer))
    seconds, steps = (statistics.median(column) for column in zip(*found, strict=True))
    factor, solve = band(size, rounds)
    return {
        "window": seconds / (many - few),
        "newton": steps / (many - few),
        "step": seconds / max(steps, 1),
        "factor": factor,
        "solve": solve,
    }


def march(size: Size, windows: int) -> tuple[float, float]:
    """Return the seconds of a march over windows of length 1/10, and its Newton steps."""
    problem = Reaction(size.fields)
    problem.domain = kp.Box(x=(0, 2 * math.pi), t=(0, windows / 10))
    network = kp.Windows([2, size.fields], degree=size.degree, grid=size.intervals)
    settings = kp.March(1e-9, windows=windows, stages=size.stages, regrade=False)
    begin = time.process_time()
    solution = kp.solve(problem, network, settings, errors=False, verified=False)
    seconds = time.process_time() - begin
    return seconds, float(numpy.nansum(solution.history.column("newton")))


def band(size: Size, rounds: int) -> tuple[float, float]:
    """Return the seconds of the factors of a complex band system, and of one solution."""
    n, width = size.unknowns, min(size.width, size.unknowns // 3)
    generator = numpy.random.default_rng(0)
    matrix = generator.normal(size=(3 * width + 1, n)) + 0j
    matrix[2 * width] += 100
    right = generator.normal(size=n) + 0j
    times = []
    for _ in range(3 * rounds):
        begin = time.process_time()
        lu, pivots, _ = lapack.zgbtrf(matrix, width, width)
        middle = time.process_time()
        for _ in range(10):
            lapack.zgbtrs(lu, width, width, right, pivots)
        times.append((middle - begin, (time.process_time() - middle) / 10))
    factor, solve = (statistics.median(column) for column in zip(*times, strict=True))
    return factor, solve


def exponent(rows: Sequence[Mapping[str, float | str]], column: str) -> float:
    """Return the exponent of a column over the larger half of the values."""
    half = rows[len(rows) // 2 :] if len(rows) > 2 else rows
    x, y = ([math.log(max(float(row[c]), 1e-9)) for row in half] for c in ("value", column))
    return float(numpy.polyfit(x, y, 1)[0])


def write(rows: Sequence[Mapping[str, float | str]], output: Path, smoke: bool) -> None:
    """Write the rows, the table of exponents, the picture and the verdicts."""
    with (output / f"{NAME}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    table = [["varied", "window", "Newton step", "counted", "factors", "counted"]]
    table[0] += ["solution", "counted"]
    figures: dict[str, script.Verdict] = {}
    for name, (whole, factors, solutions) in COUNTED.items():
        own = [row for row in rows if row["varied"] == name]
        w, step, factor, solve = (exponent(own, c) for c in ("window", "step", "factor", "solve"))
        cells = [f"{w:.2f}", f"{step:.2f}", f"{whole}", f"{factor:.2f}", f"{factors}"]
        table.append([name, *cells, f"{solve:.2f}", f"{solutions}"])
        figures[f"exponent of the seconds of a window in {name}"] = script.verdict(
            w, f"<= {whole + 0.3:g}", None if smoke else w <= whole + 0.3
        )
    text = markdown(table)
    (output / f"{NAME}.md").write_text(text, encoding="utf-8")
    draw(rows, output / NAME, smoke)
    script.write_verdicts(output / f"{NAME}.json", figures)
    print(text)


def draw(rows: Sequence[Mapping[str, float | str]], stem: Path, smoke: bool) -> None:
    """Draw the seconds of a window and of its band systems against each of the numbers."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    for axes, name in zip(figure.subplots(2, 2).ravel(), VARIED, strict=True):
        own = [row for row in rows if row["varied"] == name]
        for column in ("window", "step", "factor", "solve"):
            x, y = ([float(row[c]) for row in own] for c in ("value", column))
            axes.plot(x, y, marker="o", markersize=4, label=column)
        axes.set(xscale="log", yscale="log", xlabel=name, ylabel="seconds")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    save_figure(figure, stem, smoke)


if __name__ == "__main__":
    main()
