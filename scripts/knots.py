"""The knot theory of the KAN poster: a knot's signature from its geometry.

What: (1) KAN [17,1,14], G = 3, k = 3, and an MLP 4×300 on 17 invariants, their accuracy on a random
split and on one that keeps equal geometries together, five seeds each, with 2 round(slope/4)
beside; (2) what the signature depends on, by the gradient of the loss, by shuffling columns and by
the size of edges, of the MLP, of the KAN, and of the KAN with L1 and entropy of three strengths;
(3) the KAN on the three translations of the cusp alone; (4) formulas: thresholds of the slope, a
search over monomials, a KAN regression; (5) relations without a target, from networks that tell
real rows from shuffled ones. How far a KAN's first grid reaches is chosen, split by split, on a
tenth of the rows, which are none to test with.

Data: --data DIR or the environment's KANPINN_KNOTS, a folder with train.csv and test.csv: a first
column without a name, the columns of knot_theory/knots.py, `signature` last, as in DeepMind's table
(Davies et al., Nature 600, 2021). --rebuild DIR makes such a folder with SnapPy, which the extra
[knots] brings; a run that was stopped goes on where it was. Inputs that are constant in the data
are left out, and as many classes are told apart as there are.

How long: some 25 minutes of one core, --smoke 15 seconds, on numbers that it makes up. --rebuild:
about a quarter of a second of one core for a knot, so an hour or more for 15000, which --workers N
share.

Writes to --output (results/knots): knots.md, knots_attribution, knots_hidden and knots_network as
.png and .pdf, knots.json, and pieces/, the results of each fit: a run that was stopped goes on from
them.
"""

import argparse
import itertools
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from common import options, verdicts
from common.figures import save_figure
from common.pieces import Pieces
from knot_theory import formulas, pictures, signature
from knot_theory.formulas import Formula
from knot_theory.judging import ALL, judge, median_of
from knot_theory.knots import IMAGINARY, REAL, Knots, read_knots, synthetic_knots
from knot_theory.page import HEAD, REASONS, page
from knot_theory.rebuild import draw_names, invariants, rebuild
from knot_theory.relations import Relation, find_relations
from knot_theory.signature import GROUPED, RANDOM, SMOKE, STRENGTHS, VALIDATION, Result, Size

import kanpinn as kp
from kanpinn._support.files import write_text

VARIABLE = "KANPINN_KNOTS"
SYNTHETIC_ROWS = 400
NETWORKS = (signature.all_invariants, signature.three_invariants, signature.perceptron)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = options.parser("knots", __doc__)
    parser.add_argument("--data", type=Path, help=f"a folder of data; else that of {VARIABLE}")
    parser.add_argument("--rebuild", type=Path, metavar="DIR", help="make such a folder and end")
    parser.add_argument("--count", type=int, default=15000, help="knots to rebuild (15000)")
    parser.add_argument("--workers", type=int, default=1, help="processes to rebuild with (1)")
    chosen = parser.parse_args(given)
    for name in ("count", "workers"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name} {getattr(chosen, name)}: expected 1 or more")
    folder = os.environ.get(VARIABLE)
    chosen.data = chosen.data or (Path(folder) if folder else None)
    if not (chosen.data or chosen.rebuild or chosen.smoke):
        parser.error(f"no data: give --data DIR or {VARIABLE}, or make some with --rebuild DIR")
    return options.finish("knots", chosen)


def main(given: Sequence[str] | None = None) -> None:
    chosen = arguments(given)
    if chosen.rebuild:
        rebuild(chosen.rebuild, draw_names(chosen.count), invariants, chosen.workers)
        return
    try:
        knots = made_up(chosen.output / "data") if chosen.smoke else read_knots(chosen.data)
    except kp.InputError as error:
        sys.exit(f"knots.py: {error}")
    size = SMOKE if chosen.smoke else Size()
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    results, found = fitted(knots, size, pieces), formulated(knots, size, pieces)
    relations = related(knots, size, pieces)
    text = page(head(knots, size), reasons(knots), results, found, relations)
    write_text(chosen.output / "knots.md", text)
    draw(results, knots, size, chosen.output)
    figures = judge(results, found, relations, knots.synthetic)
    verdicts.write(chosen.output / "knots.json", figures)
    sys.stdout.write(text)


def made_up(folder: Path) -> Knots:
    """Write the data files of made-up knots as --rebuild does, and read them."""
    knots = synthetic_knots(SYNTHETIC_ROWS)
    shutil.rmtree(folder, ignore_errors=True)
    rebuild(folder, list(map(str, range(SYNTHETIC_ROWS))), knots.row, workers=1)
    return replace(read_knots(folder), synthetic=True)


def key_of(knots: Knots, size: Size, **own: object) -> dict[str, object]:
    """Return the key of a piece: its own entries, and the rows and sizes of its study."""
    return {**own, "rows": knots.digest, "size": repr(size)}


def fitted(knots: Knots, size: Size, pieces: Pieces) -> list[Result]:
    """Return every network on both splits from every seed."""
    results = []
    for network, grouped, seed in itertools.product(NETWORKS, (False, True), size.seeds):
        split = GROUPED if grouped else RANDOM
        key = key_of(knots, size, network=network.__name__, split=split, seed=seed)
        own = pieces.records(Result, key, partial(network, knots, seed, grouped, size))
        for one in own:
            sys.stderr.write(f"{one.network}, {one.split}, seed {seed}: {one.test:.4f}\n")
        results += own
    return results


def formulated(knots: Knots, size: Size, pieces: Pieces) -> list[Formula]:
    """Return the formulas from the random split's rows, seed by seed."""
    found = [formulas.baseline(knots)]
    for seed in size.seeds:
        make = partial(formulas.of_split, knots, seed, False, size)
        found += pieces.records(Formula, key_of(knots, size, formulas="all", seed=seed), make)
    return found


def related(knots: Knots, size: Size, pieces: Pieces) -> list[Relation]:
    """Return the relations among the columns of all rows."""
    key = key_of(knots, size, relations="all")
    found = pieces.records(Relation, key, partial(find_relations, knots, size))
    return [replace(one, members=frozenset(one.members)) for one in found]


def head(knots: Knots, size: Size) -> str:
    source = "Made-up numbers: nothing here is about knots." if knots.synthetic else "Knots."
    return HEAD.format(
        source=source,
        rows=len(knots.table),
        classes=len(knots.table.classes),
        groups=len(knots.groups.unique(dim=0)),
        leak=100 * median_of(knots.leak(seed) for seed in size.seeds),
        seeds=len(size.seeds),
    )


def reasons(knots: Knots) -> str:
    """Say why a sum of functions of one input each uses the volume for part of the translations."""
    x = knots.table.column
    volume, imaginary = x("volume"), x(IMAGINARY)
    pairs = (volume, x("cusp_volume")), (imaginary, x(REAL).abs()), (volume, knots.signatures.abs())
    found = [float(torch.corrcoef(torch.stack(pair).double())[0, 1]) for pair in pairs]
    return REASONS.format(*found)


def draw(results: Sequence[Result], knots: Knots, size: Size, folder: Path) -> None:
    """Draw and write the figures; two show the sparsest network, which is fitted once more."""
    first = next(r for r in results if (r.network, r.split) == (ALL, RANDOM))
    assert first.reach is not None  # a KAN has a grid
    data = knots.split(first.seed, False, VALIDATION)
    *_, (_, one) = signature.sparse_fits(data, first.reach, first.seed, size, STRENGTHS)
    drawn = {
        "knots_attribution": pictures.draw_attribution(results),
        "knots_hidden": pictures.draw_hidden(one),
        "knots_network": pictures.draw_edges(one),
    }
    for name, figure in drawn.items():
        save_figure(figure, folder / name, knots.synthetic)


if __name__ == "__main__":
    main()
