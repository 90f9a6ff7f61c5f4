"""The knot theory of the KAN poster: a knot's signature from its geometry.

What: (1) KAN [17,1,14], G = 3, k = 3, and an MLP 4×300 on 17 invariants, their accuracy on a random
split and on one that keeps equal geometries together, five seeds each, with 2 round(slope/4)
beside; (2) what the signature depends on, by the size of the KAN's edges and by shuffling columns;
(3) the KAN on the three translations of the cusp alone; (4) formulas: thresholds of the slope, a
search over monomials, a KAN regression; (5) relations without a target, from networks that tell
real rows from shuffled ones.

Data: --data DIR or the environment's KANPINN_KNOTS, a folder with train.csv and test.csv: a first
column without a name, the columns of knot_theory/knots.py, `signature` last, as in DeepMind's table
(Davies et al., Nature 600, 2021). --rebuild DIR makes such a folder with SnapPy, which the extra
[knots] brings; a run that was stopped goes on where it was. Inputs that are constant in the data
are left out, and as many classes are told apart as there are.

How long: some 20 minutes on two cores; --smoke: half a minute, on numbers that it makes up.

Writes to --output (results/knots): knots.md, knots_attribution and knots_hidden as .png and .pdf,
knots.json.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common import verdicts
from knot_theory import formulas, pictures, signature
from knot_theory.formulas import Formula
from knot_theory.judging import judge
from knot_theory.knots import Knots, read_knots, synthetic_knots
from knot_theory.page import HEAD, page
from knot_theory.rebuild import rebuild
from knot_theory.relations import find_relations
from knot_theory.signature import SMOKE, Result, Size

import kanpinn as kp
from kanpinn.files import write_text
from kanpinn.plotting.style import save

VARIABLE = "KANPINN_KNOTS"
SYNTHETIC_ROWS = 600
BOTH = (False, True)  # the random split and the grouped one
NETWORKS = {
    signature.all_invariants: BOTH,
    signature.distinct_invariants: (False,),
    signature.three_invariants: BOTH,
    signature.perceptron: BOTH,
}


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help=f"a folder of data; else that of {VARIABLE}")
    parser.add_argument("--rebuild", type=Path, metavar="DIR", help="make such a folder and end")
    parser.add_argument("--count", type=int, default=15000, help="knots to rebuild (15000)")
    parser.add_argument("--workers", type=int, default=1, help="processes to rebuild with (1)")
    parser.add_argument("--output", type=Path, help="results/knots")
    parser.add_argument("--smoke", action="store_true", help="a quick check of the script itself")
    chosen = parser.parse_args(given)
    for name in ("count", "workers"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name} {getattr(chosen, name)}: expected 1 or more")
    folder = os.environ.get(VARIABLE)
    chosen.data = chosen.data or (Path(folder) if folder else None)
    if not (chosen.data or chosen.rebuild or chosen.smoke):
        parser.error(f"no data: give --data DIR or {VARIABLE}, or make some with --rebuild DIR")
    chosen.output = chosen.output or Path("results") / ("knots_smoke" if chosen.smoke else "knots")
    return chosen


def main(given: Sequence[str] | None = None) -> None:
    chosen = arguments(given)
    if chosen.rebuild:
        rebuild(chosen.rebuild, chosen.count, chosen.workers)
        return
    try:
        knots = synthetic_knots(SYNTHETIC_ROWS) if chosen.smoke else read_knots(chosen.data)
    except kp.InputError as error:
        sys.exit(f"knots.py: {error}")
    size = SMOKE if chosen.smoke else Size()
    chosen.output.mkdir(parents=True, exist_ok=True)
    results, found = fitted(knots, size), formulated(knots, size)
    relations = find_relations(knots, size)
    text = page(head(knots, size), results, found, relations)
    write_text(chosen.output / "knots.md", text)
    draw(results, chosen.output)
    figures = judge(results, found, relations, knots.synthetic)
    verdicts.write(chosen.output / "knots.json", figures)
    sys.stdout.write(text)


def fitted(knots: Knots, size: Size) -> list[Result]:
    """Every network on its splits from every seed."""
    results = []
    for network, splits in NETWORKS.items():
        for grouped in splits:
            for seed in size.seeds:
                one = network(knots, seed, grouped, size)
                sys.stderr.write(f"{one.network}, {one.split}, seed {seed}: {one.test:.4f}\n")
                results.append(one)
    return results


def formulated(knots: Knots, size: Size) -> list[Formula]:
    """Formulas from the random split's rows, seed by seed; the search's best under its own name."""
    found = [formulas.baseline(knots)]
    for seed in size.seeds:
        found.append(formulas.thresholds(knots, seed, False, size))
        found.append(formulas.regression(knots, seed, False, size))
        best, *others = formulas.search(knots, seed, False)
        found += [replace(best, kind="search: best"), *others]
    return found


def head(knots: Knots, size: Size) -> str:
    source = "Made-up numbers: nothing here is about knots." if knots.synthetic else "Knots."
    return HEAD.format(
        source=source,
        rows=len(knots.table),
        classes=len(knots.table.classes),
        groups=len(knots.groups.unique(dim=0)),
        seeds=len(size.seeds),
    )


def draw(results: Sequence[Result], folder: Path) -> None:
    """Both figures, as PNG and PDF."""
    drawn = {
        "knots_attribution": pictures.draw_attribution(results),
        "knots_hidden": pictures.draw_hidden(results),
    }
    for name, figure in drawn.items():
        for suffix in ("png", "pdf"):
            save(figure, folder / f"{name}.{suffix}")


if __name__ == "__main__":
    main()
