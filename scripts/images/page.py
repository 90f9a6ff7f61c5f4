"""Networks for images as a table and as verdicts."""

from collections.abc import Mapping, Sequence
from statistics import median

from common.verdicts import Figure
from images.networks import KAN, NAMES, SINE
from images.training import Result

HEAD = """# Images by networks: PSNR at equal size and time

Grey values as a function of x and y, learned from all pixels in the same processor time by each
network ({budgets}). Each learns in the best of five
ways, tried for 40% of the time with one seed: Adam on random draws of as many pixels at a learning
rate of 0.001, 0.003 or 0.01 that falls to a tenth for the last 30%, or Adam for 15% of the time and
then L-BFGS or Levenberg–Marquardt. Medians (least, greatest) over {seeds} seeds, in dB.

"""
SAID = (
    "- {image}, {size} x {size}: the KAN is {gap:.1f} dB {side} the sine network "
    "({kan:.1f}, {sine:.1f})."
)
READ = """
How to read it. The yardsticks say what a sum with as many numbers can hold: products of a function
of x and one of y, cosines fixed beforehand, and those chosen for the image. A KAN has seven and
more coefficients on every edge and so a quarter of the sine network's units, and a step of Adam
costs it three times as much. The sine network starts with the image's frequencies and learns
by Adam; KANs and MLPs start smooth and need L-BFGS or Levenberg–Marquardt, whose steps are cheap
for a few hundred parameters and dear for a thousand.
"""

Place = tuple[str, int]  # an image and its pixels along an edge


def page(
    results: Sequence[Result],
    others: Mapping[Place, Mapping[str, float]],
    budgets: Mapping[int, float],
) -> str:
    """The page in Markdown; others: what else was measured of each image; budgets: by size."""
    head = ["image", "pixels", "network", "parameters", "learns by", "steps", "PSNR"]
    lines = [head, ["---"] * len(head)]
    for (image, size), yardsticks in others.items():
        place = [image, f"{size} x {size}"]
        for network in NAMES:
            own = of(results, image, size, network)
            r, ends = own[0], [r.levels[-1] for r in own]
            level = f"{median(ends):.1f} ({min(ends):.1f}, {max(ends):.1f})"
            lines.append([*place, network, str(r.parameters), r.way, str(r.steps), level])
        for name, value in yardsticks.items():
            lines.append([*place, f"*{name}*", "", "", "", f"{value:.1f}"])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    said = "\n".join(conclusion(results, *place) for place in others)
    seeds = len({r.seed for r in results})
    times = ", ".join(f"{budget:g} s for {size} x {size}" for size, budget in budgets.items())
    return HEAD.format(budgets=times, seeds=seeds) + text + f"\n\n{said}\n" + READ


def of(results: Sequence[Result], image: str, size: int, network: str) -> list[Result]:
    """The results of all seeds."""
    return [r for r in results if (r.image, r.size, r.network) == (image, size, network)]


def levels(results: Sequence[Result], image: str, size: int) -> tuple[float, float]:
    """The median PSNR of the KAN and of the sine network."""
    kan, sine = (median(r.levels[-1] for r in of(results, image, size, n)) for n in (KAN, SINE))
    return kan, sine


def conclusion(results: Sequence[Result], image: str, size: int) -> str:
    """Who is ahead, in a sentence."""
    kan, sine = levels(results, image, size)
    side, gap = "above" if kan > sine else "below", abs(kan - sine)
    return SAID.format(image=image, size=size, kan=kan, sine=sine, gap=gap, side=side)


def judge(results: Sequence[Result]) -> dict[str, Figure]:
    """Whether the KAN is above the sine network."""
    figures: dict[str, Figure] = {}
    for image, size in dict.fromkeys((r.image, r.size) for r in results):
        kan, sine = levels(results, image, size)
        figures[f"{image}, {size} x {size}: PSNR of the KAN, of the sine network"] = {
            "value": [kan, sine],
            "target": "the first above the second, at equal parameters and time (medians)",
            "met": kan > sine,
        }
    return figures
