"""How fast the machinery is: jets, Jacobians, Levenberg-Marquardt steps, and the memory they take.

What: the loss of u_xx + u_yy = f at 2601 points and its gradient, by kanpinn's forward jets and by
autograd nested in autograd, for the KAN [2, 10, 1] (k = 3, G = 5, 240 parameters, float64) and for
an MLP of as many parameters; the per-sample Jacobian of 2000 residuals with 408 parameters in
closed form and by torch.func's vmap(grad), the Laplacian by grad or as named; one
Levenberg-Marquardt step against points N and parameters P, which should follow 2NP² + O(P³);
float32, threads; peak memory as the points grow tenfold. "Same KAN" is kanpinn's own, whose splines
are fast and have closed-form derivatives there too; "plain" is what one writes in plain torch: an
MLP, and the KAN by the Cox-de Boor recursion.

How: contenders of one table take turns, round by round, so that other work on the machine slows all
of them alike. Times are medians (smallest - largest) over the rounds; a ratio is the median over
rounds of the time over the reference's in the same round. One thread unless a row says more.

How long: two minutes on an idle machine; --smoke: some ten seconds, its numbers mean nothing.

Writes to --output: timings.csv, memory.csv, figure.png, benchmark_machinery.json.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only

import matplotlib.pyplot as plt
import torch
from common import script
from machinery import memory, timing
from machinery.timing import Timing, interleaved
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from rich.console import Console
from rich.table import Table

import kanpinn as kp

NAME = Path(__file__).stem
LOSS, JACOBIAN, THREADS = "loss and gradient", "per-sample Jacobian", "KAN jets by threads"
BY_POINTS, BY_PARAMETERS = "LM step against points", "LM step against parameters"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    chosen = script.options(
        NAME,
        __doc__,
        given,
        threads=dict(type=int, default=2, help="the most threads compared (2)"),
        rounds=dict(type=int, default=21, help="repetitions (21)"),
    )
    if chosen.threads < 1 or chosen.rounds < 1:
        chosen.error(f"--threads {chosen.threads}, --rounds {chosen.rounds}: expected 1 or more")
    return chosen


def loss_and_gradient(points: int, rounds: int) -> list[Timing]:
    contenders = {
        "KAN, jets": timing.jets(timing.kan(10), points),
        "same KAN, nested autograd": timing.nested(timing.kan(10), points),
        "plain KAN, nested autograd": timing.nested(timing.PlainKAN(timing.kan(10)), points),
        "plain MLP, nested autograd": timing.nested(timing.plain_mlp(60), points),
        "MLP, jets": timing.jets(kp.MLP([2, 60, 1]), points),
        "KAN, jets, float32": timing.jets(timing.kan(10, torch.float32), points),
    }
    return interleaved(LOSS, contenders, rounds)


def threads(points: int, rounds: int, most: int) -> list[Timing]:
    contenders = {
        f"{n} points, {count} threads": timing.jets(timing.kan(10), n, count)
        for n in (points, 8 * points)
        for count in (1, most)
    }
    return interleaved(THREADS, contenders, rounds)


def jacobian(points: int, rounds: int) -> list[Timing]:
    network = timing.kan(17)
    written_out = timing.PlainKAN(network)
    contenders = {
        "closed form": timing.closed_form_jacobian(network, points),
        "vmap(grad), the jets": timing.vmap_of_jets(network, points),
        "vmap(grad), same KAN": timing.vmap_of_nested(network, points),
        "same, jacrev": timing.vmap_of_nested(network, points, timing.by_jacrev),
        "vmap(grad), plain KAN": timing.vmap_of_nested(written_out, points),
        "plain, jacrev": timing.vmap_of_nested(written_out, points, timing.by_jacrev),
        "plain, hessian": timing.vmap_of_nested(written_out, points, timing.by_hessian),
    }
    return interleaved(JACOBIAN, contenders, rounds)


def newton_steps(points: list[int], widths: list[int], rounds: int) -> list[Timing]:
    by_points = {f"N = {n}": timing.newton_step(timing.kan(10), n) for n in points}
    by_width = {f"P = {24 * w}": timing.newton_step(timing.kan(w), points[-1]) for w in widths}
    return [
        *interleaved(BY_POINTS, by_points, rounds),
        *interleaved(BY_PARAMETERS, by_width, rounds),
    ]


def peak_memory(points: int) -> list[tuple[str, int, float]]:
    sizes = [points, 10 * points]
    return [
        (task, n, peak)
        for task in memory.TASKS
        for n, peak in zip(sizes, memory.peaks(task, sizes), strict=True)
    ]


def show(timings: list[Timing], peaks: list[tuple[str, int, float]]) -> None:
    console = Console()
    for group in dict.fromkeys(t.group for t in timings):
        table = Table("case", "points", "parameters", "ms", "range", "ratio", title=group)
        for t in (t for t in timings if t.group == group):
            spread = f"{1e3 * min(t.seconds):.1f} - {1e3 * max(t.seconds):.1f}"
            sizes = (str(t.points), str(t.parameters))
            table.add_row(t.case, *sizes, f"{1e3 * t.median:.2f}", spread, f"{t.ratio:.2f}")
        console.print(table)
    table = Table("task", "points", "MiB", title="peak memory of a process")
    for task, n, peak in peaks:
        table.add_row(task, str(n), f"{peak:.0f}")
    console.print(table)


def write(timings: list[Timing], peaks: list[tuple[str, int, float]], folder: Path) -> None:
    head = "group case points parameters threads rounds median_s smallest_s largest_s ratio".split()
    rows = []
    for t in timings:
        values = (t.median, min(t.seconds), max(t.seconds), t.ratio)
        sizes = (t.points, t.parameters, t.threads, len(t.seconds))
        rows.append([t.group, t.case, *sizes, *(f"{value:.6g}" for value in values)])
    script.write_csv(folder / "timings.csv", head, rows)
    memory_rows = [[task, n, f"{peak:.1f}"] for task, n, peak in peaks]
    script.write_csv(folder / "memory.csv", ["task", "points", "peak_mib"], memory_rows)


def figures(
    timings: list[Timing], peaks: list[tuple[str, int, float]], judge: bool
) -> dict[str, script.Verdict]:
    """Return ratios beside their targets; judge: whether the sizes are those of the targets."""
    ratios = {(t.group, t.case): t.ratio for t in timings}
    found: dict[str, script.Verdict] = {}
    for name, key, least in (
        ("nested autograd through the same KAN over jets", (LOSS, "same KAN, nested autograd"), 3),
        ("equal-size MLP, nested autograd, over jets", (LOSS, "plain MLP, nested autograd"), 1),
        ("vmap(grad) over the closed form", (JACOBIAN, "vmap(grad), plain KAN"), 30),
    ):
        met = ratios[key] >= least if judge else None
        found[name] = script.verdict(ratios[key], f">= {least}", met)
    for task in memory.TASKS:
        small, large = (peak for name, _, peak in peaks if name == task)
        met = large <= 1.1 * small if judge else None
        name = f"peak memory of {task}, ten times the points"
        found[name] = script.verdict(large / small, "<= 1.1 times", met)
    return found


def draw(timings: list[Timing], peaks: list[tuple[str, int, float]], path: Path) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    draw_bars(axes[0, 0], [t for t in timings if t.group == LOSS])
    draw_bars(axes[0, 1], [t for t in timings if t.group == JACOBIAN])
    draw_steps(axes[1, 0], timings)
    draw_peaks(axes[1, 1], peaks)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_bars(ax: Axes, timings: list[Timing]) -> None:
    names, times = [t.case for t in timings], [1e3 * t.median for t in timings]
    bars = ax.barh(names, times, color=["C1"] + ["C0"] * (len(times) - 1), log=True)
    ax.bar_label(bars, [f"{time:.1f}" for time in times], padding=3)
    ax.set(title=timings[0].group, xlabel="milliseconds (median)")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.2)
    ax.invert_yaxis()


def draw_steps(ax: Axes, timings: list[Timing]) -> None:
    """Draw seconds against 2NP²; steps that cost nothing else lie on a line of slope one."""
    for group, marker in ((BY_POINTS, "o"), (BY_PARAMETERS, "s")):
        steps = [t for t in timings if t.group == group]
        work = [2 * t.points * t.parameters**2 for t in steps]
        ax.loglog(work, [t.median for t in steps], marker + "-", label=group)
    seconds = [steps[-1].median * w / work[-1] for w in work]
    ax.loglog(work, seconds, "k:", label="slope 1")
    ax.set(title="one Levenberg-Marquardt step", xlabel="2NP²", ylabel="seconds")
    ax.legend()


def draw_peaks(ax: Axes, peaks: list[tuple[str, int, float]]) -> None:
    for task in memory.TASKS:
        sizes, values = zip(*[(n, peak) for name, n, peak in peaks if name == task], strict=True)
        ax.plot(sizes, values, "o-", label=task)
    ax.set(title="peak memory of a process", xlabel="points", ylabel="MiB")
    ax.set_xlim(left=0)
    ax.set_ylim(0, 1.2 * max(peak for *_, peak in peaks))
    ax.legend()


def main(given: Sequence[str] | None = None) -> None:
    chosen = arguments(given)
    rounds, tiny = (2 if chosen.smoke else chosen.rounds), chosen.smoke
    timings = loss_and_gradient(100 if tiny else 2601, rounds)
    timings += jacobian(64 if tiny else 2000, max(2, rounds // 3))
    sizes = [256, 512] if tiny else [1000, 2000, 4000, 8000, 16000]
    timings += newton_steps(sizes, [2, 4] if tiny else [5, 10, 20, 40], max(2, rounds // 7))
    if chosen.threads > 1:
        timings += threads(100 if tiny else 2601, max(2, rounds // 7), chosen.threads)
    peaks = peak_memory(1000 if tiny else 20000)
    show(timings, peaks)
    write(timings, peaks, chosen.output)
    draw(timings, peaks, chosen.output / "figure.png")
    path = chosen.output / "benchmark_machinery.json"
    script.write_verdicts(path, figures(timings, peaks, judge=not tiny))


if __name__ == "__main__":
    main()
