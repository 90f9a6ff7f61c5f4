"""The networks for images as tables and as verdicts."""

from collections.abc import Mapping, Sequence
from statistics import median

from common.verdicts import Figure
from images.choosing import PART, Result, Trial
from images.networks import KAN, NAMES, SINE
from images.training import FIRST, SLOWER, START, START_RATE, WAYS

HEAD = """# Images by networks: PSNR at equal size and time

Grey values as a function of x and y in [-1, 1], learned from all pixels in the same processor time
by each network: {budgets}, to the end of the step it is in. Each network comes in variants
of one size, and all have the same ways to learn: Adam on random draws of as many pixels, at the
rate that is named for {first:.0%} of the time and then at {slower:g} of it; or Adam at a rate of
{start_rate:g} for {start:.0%} of the time and then L-BFGS or Levenberg–Marquardt. Each pair of a
variant and a way is tried for {part:.0%} of the time; that with the highest median over the seeds
({seeds}) learns for the whole of it. Medians (least, greatest) over the seeds, in dB.

"""
SAID = (
    "- {image}, {size} x {size}: the KAN is {gap:.1f} dB {side} the sine network "
    "({kan:.1f}, {sine:.1f}); the seeds' ranges {overlap}; highest: {best}, {level:.1f}."
)
TRIALS = """
## The trials

Medians over the seeds after {part:.0%} of the time; the sine networks' frequency is the factor
in their first layer's sines, the KANs are named by their widths. Levenberg–Marquardt is left out
where its steps are too dear for the time.

"""
YARDSTICKS = """

The yardsticks, in italics, are what sums with as many numbers hold: products of a function of x and
one of y, the lowest cosines, and those that are best for the image.
"""

Place = tuple[str, int]  # an image and its pixels along an edge


def page(
    results: Sequence[Result],
    trials: Sequence[Trial],
    others: Mapping[Place, Mapping[str, float]],
    budgets: Mapping[int, float],
) -> str:
    """Return the page in Markdown.

    others: what else was measured of each image. budgets: the seconds for each size.
    """
    times = ", ".join(f"{budget:g} s for {size} x {size}" for size, budget in budgets.items())
    head = HEAD.format(
        budgets=times,
        seeds=", ".join(map(str, dict.fromkeys(r.seed for r in results))),
        first=FIRST,
        slower=SLOWER,
        start=START,
        start_rate=START_RATE,
        part=PART,
    )
    said = "\n".join([verdict(results, list(others)), *(ahead(results, *p) for p in others)])
    first = _markdown(result_rows(results, others))
    second = _markdown(trial_rows(trials))
    return head + first + YARDSTICKS + f"\n{said}\n" + TRIALS.format(part=PART) + second + "\n"


def result_rows(
    results: Sequence[Result], others: Mapping[Place, Mapping[str, float]]
) -> list[list[str]]:
    """Return a row for each network and for each yardstick."""
    rows = [["image", "pixels", "network", "variant", "parameters", "learns by", "steps", "PSNR"]]
    for (image, size), yardsticks in others.items():
        place = [image, f"{size} x {size}"]
        for network in NAMES:
            own = of(results, image, size, network)
            r, ends = own[0], [r.levels[-1] for r in own]
            level = f"{median(ends):.1f} ({min(ends):.1f}, {max(ends):.1f})"
            cells = [network, r.variant, str(r.parameters), r.way, str(r.steps), level]
            rows.append([*place, *cells])
        rows += [[*place, f"*{n}*", "", "", "", "", f"{v:.1f}"] for n, v in yardsticks.items()]
    return rows


def trial_rows(trials: Sequence[Trial]) -> list[list[str]]:
    """Return a row for each variant, with a column for each way to learn."""
    rows = [["image", "pixels", "network", "variant", *WAYS]]
    level = {(t.image, t.size, t.network, t.variant, t.way): t.level for t in trials}
    for image, size, network, variant in dict.fromkeys(key[:-1] for key in level):
        own = [level.get((image, size, network, variant, way)) for way in WAYS]
        cells = ["" if value is None else f"{value:.1f}" for value in own]
        rows.append([image, f"{size} x {size}", network, variant, *cells])
    return rows


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def of(results: Sequence[Result], image: str, size: int, network: str) -> list[Result]:
    """Return the results of all seeds."""
    return [r for r in results if (r.image, r.size, r.network) == (image, size, network)]


def ends(results: Sequence[Result], image: str, size: int) -> dict[str, list[float]]:
    """Return each network's PSNR at the end, for all seeds."""
    return {n: [r.levels[-1] for r in of(results, image, size, n)] for n in NAMES}


def verdict(results: Sequence[Result], places: Sequence[Place]) -> str:
    """Return a sentence that says for how many images the KAN is ahead."""
    reached = [ends(results, *place) for place in places]
    count = sum(median(e[KAN]) > median(e[SINE]) for e in reached)
    return (
        f"At equal parameters and time the KAN's median PSNR is above the sine network's in "
        f"{count} of {len(places)} images, and not in {len(places) - count}:\n"
    )


def ahead(results: Sequence[Result], image: str, size: int) -> str:
    """Return a sentence that says which network is ahead on an image."""
    reached = ends(results, image, size)
    middle = {network: median(levels) for network, levels in reached.items()}
    kan, sine, best = middle[KAN], middle[SINE], max(middle, key=lambda n: middle[n])
    low, high = sorted((reached[KAN], reached[SINE]), key=median)
    return SAID.format(
        image=image,
        size=size,
        gap=abs(kan - sine),
        side="above" if kan > sine else "below",
        kan=kan,
        sine=sine,
        overlap="overlap" if max(low) >= min(high) else "are apart",
        best=best,
        level=middle[best],
    )


def judge(results: Sequence[Result]) -> dict[str, Figure]:
    """Return whether the KAN is above the sine network, for each image and size."""
    figures: dict[str, Figure] = {}
    for image, size in dict.fromkeys((r.image, r.size) for r in results):
        reached = ends(results, image, size)
        kan, sine = median(reached[KAN]), median(reached[SINE])
        figures[f"{image}, {size} x {size}: PSNR of the KAN, of the sine network"] = {
            "value": [kan, sine],
            "target": "the first above the second, at equal parameters and time (medians)",
            "met": kan > sine,
        }
    return figures
