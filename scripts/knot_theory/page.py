"""The page of the knots in Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence

from knot_theory.formulas import Formula
from knot_theory.judging import (
    ALL,
    MEASURES,
    PERCEPTRON,
    SPARSE,
    attributed,
    median_of,
    shares_of,
    tests_of,
    translations_first,
)
from knot_theory.relations import Relation, count_groups
from knot_theory.signature import GROUPED, RANDOM, REACHES, Result

HEAD = """# Knot theory

{source} {rows} rows, {classes} signatures, {groups} different geometries (mirror images are one).
The random split tests with a fifth of the rows, and {leak:.0f} % of these have a twin, of the same
geometry or its mirror image, among those trained with; the grouped split tests with a fifth of the
geometries. Medians (least … greatest) over {seeds} seeds.
"""
MEASURED = """
gradient: mean of |∂ cross entropy/∂x| times the deviation of x, the measure of Davies et al., who
took it of an MLP; shuffling: accuracy lost when the column is shuffled; edge: standard deviation of
the edge into the KAN's hidden unit, the paper's measure. On the rows to test with, random split.

The measure to go by is the gradient of the MLP, with the shuffling of its columns beside. Of a KAN:

- A symmetry group is a column of 0 and 1; between them its spline is free, and so is its gradient.
- Edges of inputs that go together cancel: a short geodesic and the injectivity radius, in most rows
  half of it. They are large, and shuffling one of them does harm, though neither is needed. L1 and
  entropy leave less of that, the more the stronger they are, at a price in accuracy.
- An edge's size tells how far it moves the hidden unit, not what follows for the signature.
{reasons}
"""
REACH = """
A KAN's first grid reaches so many standard deviations from the mean, with tangents beyond, in as
many of its fits: of fits with {tried} the one is kept, split by split, with the least cross entropy
on a tenth of the rows, which are none to test with.
""".format(tried=", ".join(f"{reach:g}" for reach in REACHES)).rstrip()
REASONS = """
- The volume's correlation with the cusp volume λ μ_i is {:.2f}, that of μ_i with |μ_r| {:.2f}, that
  of the volume with |σ| {:.2f}: in a sum of functions of one input each, log λ + log μ_r - log|μ|²,
  the volume can stand for λ and μ_i together and μ_r for μ_i, though alone it says little of σ.
""".strip()
SHORT = 6  # lines of a ranking


def page(
    head: str,
    reasons: str,
    results: Sequence[Result],
    formulas: Sequence[Formula],
    relations: Sequence[Relation],
) -> str:
    lines = [head, "## The signature", "", *_accuracies(results)]
    lines += ["", "## What it depends on", "", *_ranking(results, reasons)]
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
        seconds = _range([r.seconds for r in own], 0)
        rows.append([network, span, *cells, train, _reaches(own), seconds])
    head = ["network", "parameters", "random split", "grouped split", "train, random"]
    quoted = "The paper: KAN 81.6 %, DeepMind's MLP 78.0 %, [3,1,14] 78.2 % (random split)."
    table = _table([*head, "reach of the grid", "seconds"], rows)
    return [*table, "", *_plainly(results), "", quoted, REACH]


def _reaches(own: Sequence[Result]) -> str:
    """Return how often each reach was chosen."""
    counts = Counter(r.reach for r in own if r.reach is not None)
    return ", ".join(f"{reach:g} ({count})" for reach, count in sorted(counts.items()))


def _plainly(results: Sequence[Result]) -> list[str]:
    """Compare the MLP with the KAN, and the random split with the grouped one."""
    kan, mlp = (
        [100 * median_of(tests_of(results, network, split)) for split in (RANDOM, GROUPED)]
        for network in (ALL, PERCEPTRON)
    )
    more = "more" if min(m - k for m, k in zip(mlp, kan, strict=True)) > 0 else "not always more"
    return [
        f"The MLP, with many times the parameters, is {more} accurate: {mlp[0]:.1f} % against "
        f"{kan[0]:.1f} % (random split), {mlp[1]:.1f} % against {kan[1]:.1f} % (grouped).",
        f"From the random to the grouped split the MLP's changes by {mlp[1] - mlp[0]:+.1f} points, "
        f"the KAN's by {kan[1] - kan[0]:+.1f}: the random split rewards what remembers twins.",
    ]


def _ranking(results: Sequence[Result], reasons: str) -> list[str]:
    rows = []
    for network in (PERCEPTRON, ALL, *SPARSE):
        for measure in MEASURES:
            shares = shares_of(results, network, measure)
            if shares:
                seeds = f"{sum(map(translations_first, shares))} of {len(shares)}"
                names = list(attributed(results, network, measure))[:SHORT]
                first = ", ".join(f"{name} {_shares(shares, name)}" for name in names)
                rows.append([network, measure, seeds, first])
    head = ["network", "measure", "seeds with the three translations first", "shares in %"]
    return [*_table(head, rows), MEASURED.format(reasons=reasons).rstrip()]


def _shares(shares: Sequence[dict[str, float]], name: str) -> str:
    return _range([100 * share.get(name, 0.0) for share in shares], 0)


def _formulas(formulas: Sequence[Formula]) -> list[str]:
    """Return one line for each kind of formula, and for each of the search's next best formulas."""
    lines: dict[tuple[str, str], list[Formula]] = {}
    for f in formulas:
        lines.setdefault((f.kind, f.words if f.kind == "search" else ""), []).append(f)
    rows = []
    for (kind, _), own in sorted(lines.items(), key=lambda item: (item[0][0], -len(item[1]))):
        words = "; ".join(sorted({f.words for f in own}))
        spreads = [_spread([getattr(f, part) for f in own]) for part in ("train", "test")]
        rows.append([kind, words, *spreads, str(len(own))])
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
    """Return the median and the range in per cent, an empty text if there are no values."""
    percent = [100 * value for value in values]
    if not percent:
        return ""
    return _range(percent, 1, " %")


def _range(values: Sequence[float], digits: int, unit: str = "") -> str:
    median, low, high = (
        f"{value:.{digits}f}" for value in (median_of(values), min(values), max(values))
    )
    return f"{median}{unit}" + (f" ({low} … {high})" if len(values) > 1 else "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    bar = "|".join("---" for _ in head)
    return [f"| {' | '.join(head)} |", f"|{bar}|", *(f"| {' | '.join(r)} |" for r in rows)]
