"""The measured values beside their targets; those of made-up data are not judged."""

from collections.abc import Iterable, Sequence

import numpy
from common.verdicts import Figure
from knot_theory.formulas import Formula
from knot_theory.knots import LONGITUDE, REAL, TARGET, TRANSLATIONS
from knot_theory.relations import Relation, count_groups
from knot_theory.signature import GROUPED, RANDOM, STRENGTHS, Result

ALL, THREE, PERCEPTRON = "KAN, all invariants", "KAN, three invariants", "MLP, all invariants"
SPARSE = tuple(f"KAN, sparsity {strength:g}" for strength in STRENGTHS)
PAPER = {ALL: 0.816, THREE: 0.782, PERCEPTRON: 0.780}
PARAMETERS = 250
FORMULA = 0.83
MEASURES = ("gradient", "shuffling", "edge")
# The groups of the paper's figure 4.4, by members that tell them.
GROUPS = {
    "signature": {TARGET, REAL},
    "cusp volume or volume": {LONGITUDE, "meridinal_translation_imag"},
    "geodesic": {"short_geodesic_real_part", "injectivity_radius"},
}


def judge(
    results: Sequence[Result],
    formulas: Sequence[Formula],
    relations: Sequence[Relation],
    synthetic: bool,
) -> dict[str, Figure]:
    """Return every measured value with its target."""
    figures: dict[str, Figure] = {}
    for network, split in ((n, s) for n in PAPER for s in (RANDOM, GROUPED)):
        found = tests_of(results, network, split)
        if not found:
            continue
        judged = split == RANDOM and network != PERCEPTRON
        target = f">= {PAPER[network]}, the paper's" if judged else _beside(network)
        met = float(numpy.median(found)) >= PAPER[network] if judged else None
        value = _summary(found)
        figures[f"{network}: accuracy, {split} split"] = Figure(value=value, target=target, met=met)
    count = max(r.parameters for r in results if r.network == ALL)
    figures["parameters"] = Figure(value=count, target=f"<= {PARAMETERS}", met=count <= PARAMETERS)
    figures |= _attributions(results)
    figures |= _formulas(formulas)
    found_groups = [group for r in relations for group in count_groups([r])]
    seen = {name: sum(members <= g for g in found_groups) for name, members in GROUPS.items()}
    figures["relations: starts that found each group"] = Figure(
        value=seen, target="each of the paper's three groups", met=all(seen.values())
    )
    if synthetic:
        return {n: Figure(**{**f, "met": None}) for n, f in figures.items()}
    return figures


def tests_of(results: Sequence[Result], network: str, split: str) -> list[float]:
    """Return the accuracies of a network on one kind of split."""
    return [r.test for r in results if (r.network, r.split) == (network, split)]


def median_of(values: Iterable[float]) -> float:
    return float(numpy.median(list(values)))


def attributed(results: Sequence[Result], network: str, measure: str) -> dict[str, float]:
    """Return the median share of each invariant, the greatest first; 0 if it was constant."""
    shares = shares_of(results, network, measure)
    names = dict.fromkeys(name for share in shares for name in share)
    found = {name: median_of(s.get(name, 0.0) for s in shares) for name in names}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def shares_of(results: Sequence[Result], network: str, measure: str) -> list[dict[str, float]]:
    """Return the shares on the random splits, seed by seed; empty if there is no such measure."""
    own = [r for r in results if (r.network, r.split) == (network, RANDOM)]
    return [r.shares[measure] for r in own if measure in r.shares]


def translations_first(shares: dict[str, float]) -> bool:
    """Return whether the three translations have the greatest shares."""
    return set(sorted(shares, key=lambda name: -shares[name])[:3]) == set(TRANSLATIONS)


def _attributions(results: Sequence[Result]) -> dict[str, Figure]:
    figures = {}
    for network in (PERCEPTRON, ALL, *SPARSE):
        for measure in MEASURES:
            shares = shares_of(results, network, measure)
            if not shares:
                continue
            medians = attributed(results, network, measure)
            seeds = sum(map(translations_first, shares))
            value = {"first": list(medians)[:4], "seeds": f"{seeds} of {len(shares)}"}
            target = "the three translations first, in the median and for each seed"
            met = translations_first(medians) and seeds == len(shares)
            name = f"attribution, {network}, by {measure}"
            figures[name] = Figure(value=value, target=target, met=met)
    return figures


def _formulas(formulas: Sequence[Formula]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for kind in dict.fromkeys(f.kind for f in formulas):
        own = [f for f in formulas if f.kind == kind]
        met = _median_test(own) >= FORMULA if kind in ("slope, learned", "search: best") else None
        target = "told beside" if met is None else f">= {FORMULA}"
        figures[f"formula, {kind}"] = Figure(
            value=_summary([f.test for f in own]), target=target, met=met
        )
    return figures


def _median_test(formulas: Sequence[Formula]) -> float:
    return median_of(f.test for f in formulas)


def _beside(network: str) -> str:
    return f"told beside the paper's {PAPER[network]} (random split)"


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {"median": median_of(values), "least": min(values), "greatest": max(values)}
