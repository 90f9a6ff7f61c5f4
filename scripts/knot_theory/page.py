"""What was measured, as Markdown."""

from collections.abc import Iterable, Sequence

import numpy
from knot_theory.formulas import Formula
from knot_theory.judging import ALL, DISTINCT, attributed, median_of, tests_of
from knot_theory.relations import Relation, count_groups
from knot_theory.signature import GROUPED, RANDOM, Result

HEAD = """# Knot theory

{source} {rows} rows, {classes} signatures, {groups} different geometries (mirror images are one).
The random split tests with a fifth of the rows, of which many have a twin among those trained with;
the grouped one with a fifth of the geometries. Medians (least … greatest) over {seeds} seeds.
"""
KINDS = {"edge": "share by size of edge", "shuffling": "share by accuracy lost when shuffled"}
SHORT = 6  # lines of a ranking


def page(
    head: str,
    results: Sequence[Result],
    formulas: Sequence[Formula],
    relations: Sequence[Relation],
) -> str:
    lines = [head, "## The signature", "", *_accuracies(results)]
    lines += ["", "## What it depends on", "", *_ranking(results)]
    lines += ["", "## Formulas", "", *_formulas(formulas)]
    lines += ["", "## Relations without a target", "", *_relations(relations)]
    return "\n".join(lines) + "\n"


def _accuracies(results: Sequence[Result]) -> list[str]:
    rows = []
    for network in dict.fromkeys(r.network for r in results):
        own = [r for r in results if r.network == network]
        counts = sorted({r.parameters for r in own})
        span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} … {counts[-1]}"
        cells = [_spread(tests_of(results, network, split)) for split in (RANDOM, GROUPED)]
        train = _spread([r.train for r in own if r.split == RANDOM])
        rows.append([network, span, *cells, train, f"{median_of(r.seconds for r in own):.0f}"])
    head = ["network", "parameters", "random split", "grouped split", "train, random", "seconds"]
    quoted = "The paper: KAN 81.6 %, DeepMind's MLP 78.0 %, [3,1,14] 78.2 % (random split)."
    return [*_table(head, rows), "", quoted]


def _ranking(results: Sequence[Result]) -> list[str]:
    lines = []
    for network in (DISTINCT, ALL):
        rankings = {kind: attributed(results, kind, network) for kind in KINDS}
        order = list(rankings["shuffling"])[:SHORT]
        rows = [
            [name, *(f"{100 * rankings[kind][name]:.1f} %" for kind in KINDS)] for name in order
        ]
        lines += [f"{network}:", "", *_table(["invariant", *KINDS.values()], rows), ""]
    note = (
        "With all inputs the edges of a short geodesic and of the injectivity radius, in most rows"
    )
    return [*lines, note, "half of it, cancel: their sizes say nothing of either."]


def _formulas(formulas: Sequence[Formula]) -> list[str]:
    rows = []
    for kind, words in dict.fromkeys((f.kind, f.words) for f in formulas):
        own = [f for f in formulas if (f.kind, f.words) == (kind, words)]
        spreads = [_spread([getattr(f, part) for f in own]) for part in ("train", "test")]
        rows.append([kind, words, *spreads, str(len(own))])
    rows.sort(key=lambda row: (row[0], -int(row[-1]), row[1]))
    return _table(["kind", "formula", "train", "test", "seeds"], rows)


def _relations(relations: Sequence[Relation]) -> list[str]:
    rows = []
    for number in sorted({r.round for r in relations}):
        own = [r for r in relations if r.round == number]
        for group, count in count_groups(own).most_common(SHORT):
            least = min(r.loss for r in own if group <= r.members)
            rows.append(
                [str(number), ", ".join(sorted(group)), f"{count} of {len(own)}", f"{least:.3f}"]
            )
    return _table(["round", "invariants", "starts", "least loss (0.25: none)"], rows)


def _spread(values: Iterable[float]) -> str:
    percent = [100 * value for value in values]
    if not percent:
        return ""
    if len(percent) == 1:
        return f"{percent[0]:.1f} %"
    return f"{numpy.median(percent):.1f} % ({min(percent):.1f} … {max(percent):.1f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    bar = "|".join("---" for _ in head)
    return [f"| {' | '.join(head)} |", f"|{bar}|", *(f"| {' | '.join(r)} |" for r in rows)]
