"""Images as functions of x and y: sine networks, KANs and MLPs of one size, given the same time.

What: the Shepp–Logan phantom, made here, and where scikit-image is installed (pip install
'kanpinn[images]') its photograph "camera", 32 x 32 and 64 x 64 pixels each. Sine networks with
Sitzmann's start and two frequencies, KANs with one, two and five hidden layers, and MLPs of tanh
and silu units, some 310 and 1290 parameters each, learn all pixels in the same processor time, by
the clock. Adam at two learning rates, L-BFGS and, for the smaller networks, Levenberg–Marquardt are
tried for 40% of the time, and the variant and way with the best median over the seeds learn for the
whole of it. Three seeds.

How long: twelve minutes on one idle core; --smoke: seconds, the small phantom, one seed.

Writes to --output (results/imaging): imaging.md; curves (PSNR against seconds) and, for each image
and size, pictures (reconstructions and errors) as .png and .pdf; imaging.json; and pieces/, each
trial and each result: a run that was stopped continues from them.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import torch
from common import options, verdicts
from common.figures import save_figure
from common.pieces import Pieces
from images.choosing import Result, Trial, learn
from images.figures import draw_curves, draw_pictures
from images.networks import NAMES
from images.page import judge, page
from images.pictures import images
from images.yardsticks import yardsticks

from kanpinn._support.files import write_text

BUDGETS = {32: 3.0, 64: 6.0}  # processor seconds for a network, by pixels along an edge


def study(
    chosen: Sequence[str], budgets: Mapping[int, float], seeds: Sequence[int], pieces: Pieces
) -> tuple[list[Result], list[Trial]]:
    """Return the results and trials of every network on every image in every size.

    Progress is written to standard error.
    """
    results: list[Result] = []
    trials: list[Trial] = []
    for size, budget in budgets.items():
        costs: defaultdict[str, dict[type, float]] = defaultdict(dict)
        for name in chosen:
            image = images()[name](size)
            for network in NAMES:
                learned, tried = learn(name, image, network, seeds, budget, costs, pieces)
                results, trials = results + learned, trials + tried
                r, level = learned[0], median(r.levels[-1] for r in learned)
                told = f"{name} {size}, {network} {r.variant}, {r.way}: {level:.1f} dB"
                sys.stderr.write(f"{told}, {time.process_time():.0f} s in all\n")
    return results, trials


def main(given: Sequence[str] | None = None) -> None:
    torch.set_num_threads(1)  # processor seconds are then those of a core
    name = Path(__file__).stem
    parser = options.parser(name, __doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    chosen = options.finish(name, parser.parse_args(given))
    output = chosen.output
    output.mkdir(parents=True, exist_ok=True)
    made, budgets, seeds = list(images()), BUDGETS, chosen.seeds
    if chosen.smoke:
        made, budgets, seeds = ["phantom"], {32: 0.01}, seeds[:1]
    pieces = Pieces.under(output, again=chosen.smoke)
    results, trials = study(made, budgets, seeds, pieces)
    others = {}
    for image, size in dict.fromkeys((r.image, r.size) for r in results):
        own = [r for r in results if (r.image, r.size) == (image, size)]
        pixels = images()[image](size)
        others[image, size] = yardsticks(pixels, own[0].parameters)
        figure = draw_pictures(pixels, own)
        save_figure(figure, output / f"pictures_{image}_{size}", chosen.smoke)
    save_figure(draw_curves(results), output / "curves", chosen.smoke)
    figures = judge(results)
    if chosen.smoke:
        figures = {key: {**figure, "met": None} for key, figure in figures.items()}
    verdicts.write(output / f"{name}.json", figures)
    text = page(results, trials, others, budgets)
    write_text(output / f"{name}.md", text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
