"""Images as functions of x and y: sine network, KANs and MLPs of one size, given the same time.

What: the Shepp–Logan phantom, made here, and where scikit-image is installed (pip install
'kanpinn[images]') its photograph "camera", 128 x 128 pixels each. A sine network with Sitzmann's
start, two KANs and MLPs of tanh and silu units, some 4900 parameters each, learn all pixels by Adam
on batches of 4096 in the same processor time: the number of steps is the budget over what a step
costs, which is timed first. Each learning rate is the best of four in short runs. Three seeds.

How long: twenty minutes on one idle core; --smoke: half a minute, tiny image, one second each.

Writes to --output (results/imaging): imaging.md; curves (PSNR against seconds and steps) and, for
each image, pictures (reconstructions and errors) as .png and .pdf; imaging.json.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from common import verdicts
from images.figures import draw_curves, draw_pictures
from images.page import judge, page
from images.pictures import images
from images.training import NETWORKS, learn
from images.yardsticks import yardsticks

from kanpinn.files import write_text
from kanpinn.plotting.style import save

PIXELS, BUDGET = 128, 20.0


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="results/imaging")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for a network (20)")
    parser.add_argument("--smoke", action="store_true", help="a quick check of the script itself")
    chosen = parser.parse_args(given)
    chosen.output = chosen.output or Path("results") / f"imaging{'_smoke' * chosen.smoke}"
    return chosen


def main() -> None:
    torch.set_num_threads(1)  # processor seconds are then those of a core
    chosen = arguments()
    pixels, seeds, budget = PIXELS, chosen.seeds, chosen.budget
    made = {name: make for name, make in images().items()}
    if chosen.smoke:
        pixels, seeds, budget, made = 32, seeds[:1], 0.2, {"phantom": made["phantom"]}
    output = chosen.output
    output.mkdir(parents=True, exist_ok=True)
    results, others = [], {}
    for name, make in made.items():
        image, found = make(pixels), []
        for network in NETWORKS:
            found += learn(name, image, network, seeds, budget)
            sys.stderr.write(f"{name}, {network}: {found[-1].levels[-1]:.1f} dB\n")
        others[name] = yardsticks(image, min(found[0].parameters, image.numel() // 2))
        results += found
        for suffix in ("png", "pdf"):
            save(draw_pictures(image, found), output / f"pictures_{name}.{suffix}")
    for suffix in ("png", "pdf"):
        save(draw_curves(results), output / f"curves.{suffix}")
    figures = judge(results, list(made))
    if chosen.smoke:
        figures = {name: {**figure, "met": None} for name, figure in figures.items()}
    verdicts.write(output / "imaging.json", figures)
    text = page(results, others, budget)
    write_text(output / "imaging.md", text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
