"""Networks for images as a table and as verdicts."""

from collections.abc import Mapping, Sequence
from statistics import median

from common.verdicts import Figure
from images.training import KANS, NETWORKS, SINE, Result

HEAD = """# Images by networks: PSNR at equal size and time

Grey values of {pixels} x {pixels} pixels as a function of x and y, learned from all of them by Adam
on batches; {budget:g} processor seconds of steps for each network, of which 30% at a tenth of the
learning rate. That is the best of four in a quarter of the time, for one seed. Medians (least,
greatest) over {seeds} seeds, in dB.

"""
BEATEN = (
    "- {image}: the sine network is ahead of the best KAN by {gap:.1f} dB ({sine:.1f}, {kan:.1f})."
)
WON = (
    "- {image}: the best KAN is ahead of the sine network by {gap:.1f} dB ({kan:.1f}, {sine:.1f})."
)
READ = """
How to read it. The yardsticks say what a sum with as many numbers can hold: products of a function
of x and one of y, cosines fixed beforehand, and those chosen for the image. In a layer as wide as
these a KAN has eleven and more coefficients on every edge and so a third of the sine network's
units, and a step of it costs more; its first steps bring more, the later ones less.
"""


def page(
    results: Sequence[Result],
    others: Mapping[str, Mapping[str, float]],
    budget: float,
) -> str:
    """The page in Markdown; others: for each image what else was measured."""
    pixels, seeds = len(results[0].picture), len({r.seed for r in results})
    head = ["image", "network", "parameters", "rate", "ms a step", "steps", "PSNR"]
    lines = [head, ["---"] * len(head)]
    for image, yardsticks in others.items():
        for network in NETWORKS:
            own = of(results, image, network)
            r, ends = own[0], [r.levels[-1] for r in own]
            level = f"{median(ends):.1f} ({min(ends):.1f}, {max(ends):.1f})"
            cost, steps = f"{1e3 * r.cost:.1f}", str(r.steps[-1])
            lines.append([image, network, str(r.parameters), f"{r.rate:g}", cost, steps, level])
        for name, value in yardsticks.items():
            lines.append([image, f"*{name}*", "", "", "", "", f"{value:.1f}"])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    said = "\n".join(conclusion(results, image) for image in others)
    return HEAD.format(pixels=pixels, budget=budget, seeds=seeds) + text + f"\n\n{said}\n" + READ


def of(results: Sequence[Result], image: str, network: str) -> list[Result]:
    """The results of all seeds."""
    return [r for r in results if (r.image, r.network) == (image, network)]


def levels(results: Sequence[Result], image: str) -> tuple[float, float]:
    """The median PSNR of the best KAN and of the sine network."""
    found = {n: median(r.levels[-1] for r in of(results, image, n)) for n in NETWORKS}
    return max(found[name] for name in KANS), found[SINE]


def conclusion(results: Sequence[Result], image: str) -> str:
    """Who is ahead, in a sentence."""
    kan, sine = levels(results, image)
    return (WON if kan > sine else BEATEN).format(
        image=image, kan=kan, sine=sine, gap=abs(kan - sine)
    )


def judge(results: Sequence[Result], images: Sequence[str]) -> dict[str, Figure]:
    """Whether a KAN is above the sine network."""
    figures: dict[str, Figure] = {}
    for image in images:
        kan, sine = levels(results, image)
        figures[f"{image}: PSNR of the best KAN, of the sine network"] = {
            "value": [kan, sine],
            "target": "the first above the second, at equal parameters and time (medians)",
            "met": kan > sine,
        }
    return figures
