"""How fast the machinery is: jets and Jacobians, and the memory they take.

What: the loss of u_xx + u_yy = f at 2601 points and its gradient, by kanpinn's forward jets and by
autograd nested in autograd, for the KAN [2, 10, 1] (k = 3, G = 5, 240 parameters, float64) and for
an MLP of as many parameters; the per-sample Jacobian of 2000 residuals with 408 parameters in
closed form and by torch.func's vmap(grad); float32; peak memory as the points grow tenfold. "Same
KAN" is kanpinn's own, whose splines are fast and have closed-form derivatives there too; "plain" is
what one writes in plain torch: an MLP, and the KAN by the Cox-de Boor recursion.

How: contenders of one table take turns, round by round, so that other work on the machine slows all
of them alike. Times are medians (smallest - largest) over the rounds, of one thread; a ratio is the
median over rounds of the time over the reference's in the same round.

How long: two minutes on an idle machine; --smoke: some ten seconds, its numbers mean nothing.

Writes to --output: benchmark_machinery.md and benchmark_machinery.json.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from common import script
from machinery import memory, timing
from machinery.timing import Timing, interleaved

import kanpinn as kp

NAME = Path(__file__).stem
LOSS, JACOBIAN = "loss and gradient", "per-sample Jacobian"


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


def jacobian(points: int, rounds: int) -> list[Timing]:
    network = timing.kan(17)
    written_out = timing.PlainKAN(network)
    contenders = {
        "closed form": timing.closed_form_jacobian(network, points),
        "vmap(grad), the jets": timing.vmap_of_jets(network, points),
        "vmap(grad), same KAN": timing.vmap_of_nested(network, points),
        "vmap(grad), plain KAN": timing.vmap_of_nested(written_out, points),
    }
    return interleaved(JACOBIAN, contenders, rounds)


def peak_memory(points: int) -> list[tuple[str, int, float]]:
    sizes = [points, 10 * points]
    return [
        (task, n, peak)
        for task in memory.TASKS
        for n, peak in zip(sizes, memory.peaks(task, sizes), strict=True)
    ]


def page(timings: list[Timing], peaks: list[tuple[str, int, float]]) -> str:
    """Return the tables of times and of memory in Markdown."""
    rows = [
        [
            *(t.group, t.case, str(t.points), str(t.parameters)),
            *(script.spread([1e3 * s for s in t.seconds], ".2f", ".2f"), f"{t.ratio:.2f}"),
        ]
        for t in timings
    ]
    head = ["task", "case", "points", "parameters", "milliseconds", "ratio"]
    of_memory = [[task, str(n), f"{peak:.0f}"] for task, n, peak in peaks]
    tables = (head, rows), (["task", "points", "peak of the process, MiB"], of_memory)
    return "\n".join(script.markdown(*table) for table in tables)


def figures(
    timings: list[Timing], peaks: list[tuple[str, int, float]]
) -> dict[str, script.Verdict]:
    """Return ratios beside their targets."""
    ratios = {(t.group, t.case): t.ratio for t in timings}
    found: dict[str, script.Verdict] = {}
    for name, key, least in (
        ("nested autograd through the same KAN over jets", (LOSS, "same KAN, nested autograd"), 3),
        ("equal-size MLP, nested autograd, over jets", (LOSS, "plain MLP, nested autograd"), 1),
        ("vmap(grad) over the closed form", (JACOBIAN, "vmap(grad), plain KAN"), 30),
    ):
        found[name] = script.verdict(ratios[key], f">= {least}", ratios[key] >= least)
    for task in memory.TASKS:
        small, large = (peak for name, _, peak in peaks if name == task)
        met = large <= 1.1 * small
        name = f"peak memory of {task}, ten times the points"
        found[name] = script.verdict(large / small, "<= 1.1 times", met)
    return found


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(
        NAME, __doc__, given, rounds=dict(type=int, default=21, help="repetitions (21)")
    )
    if chosen.rounds < 1:
        chosen.error(f"--rounds {chosen.rounds}: expected 1 or more")
    torch.set_num_threads(1)
    rounds, tiny = (2 if chosen.smoke else chosen.rounds), chosen.smoke
    timings = loss_and_gradient(100 if tiny else 2601, rounds)
    timings += jacobian(64 if tiny else 2000, max(2, rounds // 3))
    peaks = peak_memory(1000 if tiny else 20000)
    script.publish(chosen, page(timings, peaks), figures(timings, peaks))


if __name__ == "__main__":
    main()
