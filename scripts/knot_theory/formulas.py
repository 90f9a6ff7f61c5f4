"""Formulas for the signature: the slope and its thresholds, a search, a KAN regression."""

import itertools
from dataclasses import dataclass, replace

import torch
from knot_theory.attribution import accuracies
from knot_theory.knots import IMAGINARY, LONGITUDE, REAL, TRANSLATIONS, Knots
from knot_theory.signature import VALIDATION, Size, fit_starts
from torch import Tensor

import kanpinn as kp

POWERS = (0.0, 0.5, 1.0, 1.5, 2.0)  # of λ
ODD = (1, 3)  # of μ_r: a mirror image has the opposite signature
LOWER = (0, 1, 2, 3, 4)  # of |μ| and of μ_i, below the bar
FACTORS = torch.linspace(0.6, 1.5, 91, dtype=torch.float64)  # about the least-squares coefficient
SHOWN = 5
NUMBERS = (3, 2, 1)  # width of the network for the signature as a number


@dataclass(frozen=True)
class Formula:
    """A formula as text, with its accuracy on the rows it was found with and on others."""

    kind: str
    words: str
    train: float
    test: float


def of_split(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Formula]:
    """Return all formulas but the baseline; the best of the search has a name of its own."""
    best, *others = search(knots, seed, grouped)
    fits = [fit(knots, seed, grouped, size) for fit in (thresholds, regression)]
    return [*fits, replace(best, kind="search: best"), *others]


def baseline(knots: Knots) -> Formula:
    """Return 2 round(slope/4), in which nothing is fitted."""
    right = accuracy(2 * (knots.slope / 4).round(), knots.signatures)
    return Formula("baseline", "2 round(slope / 4)", right, right)


def thresholds(knots: Knots, seed: int, grouped: bool, size: Size) -> Formula:
    """Fit a function of the slope alone, KAN [1, classes].

    The class is the one whose spline is the greatest.
    """
    table, classes = knots.table, knots.table.classes
    of_slope = kp.Table(knots.slope[:, None], table.targets, ("slope",), table.outputs, classes)
    groups = knots.groups if grouped else None
    data = kp.Data.split(of_slope, seed=seed, groups=groups)
    network = kp.KAN([1, len(classes)], degree=3, grid=8, seed=seed)
    fitted = kp.fit(network, data, kp.LBFGS(size.steps), seed=seed)
    words = "thresholds of λ μ_r / (μ_r² + μ_i²)"
    return Formula("slope, learned", words, *accuracies(fitted))


def search(knots: Knots, seed: int, grouped: bool) -> list[Formula]:
    """Return the best formulas 2 round(c z / 2) on the training rows.

    z is λ^p μ_r^q / |μ|^r or λ^p μ_r^q / μ_i^r.
    """
    data = knots.split(seed, grouped)
    values = torch.tensor([float(c) for c in data.train.classes], dtype=torch.float64)
    train, test = (data.parts[part] for part in ("train", "test"))
    found = []
    for p, q, r, modulus in itertools.product(POWERS, ODD, LOWER, (True, False)):
        if r == 0 and not modulus:
            continue
        one, other = (_monomial(table, p, q, r, modulus) for table in (train, test))
        wanted = values[train.targets]
        factor, right = _best_factor(one, wanted)
        words = _words(factor, p, q, r, modulus)
        unseen = accuracy(2 * (factor * other / 2).round(), values[test.targets])
        found.append(Formula("search", words, right, unseen))
    return sorted(found, key=lambda formula: -formula.train)[:SHOWN]


def regression(knots: Knots, seed: int, grouped: bool, size: Size) -> Formula:
    """Fit a KAN [3,2,1] to the signature as a number, rounded to the nearest even one."""
    data = _as_numbers(knots.split(seed, grouped, VALIDATION))
    _, fitted = fit_starts(data, NUMBERS, seed, size, intervals=5)
    train, test = (
        accuracy(2 * (fitted(table.inputs) / 2).round(), table.targets)
        for table in (data.parts["train"], data.parts["test"])
    )
    return Formula("KAN [3,2,1]", "a network for the signature, rounded", train, test)


def _as_numbers(data: kp.Data) -> kp.Data:
    """Return the data with signatures as numbers and the translations as the only inputs."""
    values = torch.tensor([float(c) for c in data.train.classes], dtype=torch.float64)
    return kp.Data(
        **{
            name: kp.Table(part.only(TRANSLATIONS).inputs, values[part.targets], TRANSLATIONS)
            for name, part in data.parts.items()
        }
    )


def accuracy(predicted: Tensor, wanted: Tensor) -> float:
    """Return the share of rows that agree."""
    return float((predicted == wanted).double().mean())


def _monomial(table: kp.Table, p: float, q: int, r: int, modulus: bool) -> Tensor:
    longitude, imaginary, real = (table.column(n) for n in (LONGITUDE, IMAGINARY, REAL))
    below = torch.hypot(real, imaginary) if modulus else imaginary
    return longitude**p * real**q / below**r


def _best_factor(z: Tensor, wanted: Tensor) -> tuple[float, float]:
    least = float((z @ wanted) / (z @ z))
    tried = [(accuracy(2 * (least * f * z / 2).round(), wanted), -abs(f - 1), f) for f in FACTORS]
    right, _, factor = max(tried)
    return least * float(factor), right


def _words(factor: float, p: float, q: int, r: int, modulus: bool) -> str:
    upper = [_power("λ", p), _power("μ_r", q)]
    lower = _power("|μ|" if modulus else "μ_i", r)
    product = " ".join(part for part in upper if part)
    return f"2 round({factor / 2:.3g} {product}{' / ' + lower if lower else ''})"


def _power(name: str, power: float) -> str:
    return "" if power == 0 else name if power == 1 else f"{name}^{power:g}"
