"""The verdicts: medians and worst seeds against targets and against published errors."""

from collections.abc import Sequence

from common.verdicts import Figure
from scoreboards import files
from scoreboards.rows import Row
from scoreboards.summaries import Spread, Summary
from scoreboards.targets import AUTO_ERROR, AUTO_SECONDS, DIRICHLET, VARIANT


def figures(summaries: Sequence[Summary]) -> dict[str, Figure]:
    """Return all measured values of all problems by name."""
    found: dict[str, Figure] = {}
    for s in summaries:
        own = {**_errors(s), **_published(s), **_effectivity(s), **_unknowns(s), **_automatic(s)}
        found |= {f"{s.problem}: {name}": figure for name, figure in own.items()}
    return found


def _errors(s: Summary) -> dict[str, Figure]:
    what = _measure(s)
    judged = {what: (s.hand.spread("error"), s.bound)}
    for name in s.hand.part_names:
        said = (
            f"relative error of {name}" if files.is_eigen(s.problem) else f"relative L2 of {name}"
        )
        judged[said] = (s.hand.part(name), s.target.fields.get(name))
    judged["seconds"] = (s.hand.spread("seconds"), s.target.seconds)
    found: dict[str, Figure] = {}
    for name, (spread, bound) in judged.items():
        variant = s.target.variant and name == what
        said = _said(bound, f", {VARIANT:g} x {DIRICHLET}'s" if variant else "")
        for which, part in (("median", "median"), ("worst seed", "high")):
            value = getattr(spread, part) if spread else None
            met = _met(value, bound) and not s.hand.failed if bound is not None else None
            found[f"{name}, {which}"] = {"value": value, "target": said, "met": met}
    if s.target.aim is not None:
        found[f"{what}, median, the aim"] = _against(s, s.target.aim, "")
    return found


def _measure(s: Summary) -> str:
    if not files.is_eigen(s.problem):
        return "relative L2"
    return f"largest relative error of {s.target.eigenvalues or 'all'} eigenvalues"


def _against(s: Summary, bound: float, why: str) -> Figure:
    spread = s.hand.spread("error")
    value = spread.median if spread else None
    met = _met(value, bound) and not s.hand.failed
    return {"value": value, "target": _said(bound, why), "met": met}


def _published(s: Summary) -> dict[str, Figure]:
    """Compare with published errors; those of KAN codes are targets, others are only reported."""
    found: dict[str, Figure] = {}
    if (kan := s.published.kan) is not None:
        found["median below the best published KAN"] = _against(s, kan.error, f", {kan.source}")
    if (other := s.published.neural) is not None:
        value = _against(s, other.error, "")["value"]
        said = f"told: {other.error:.2g}, {other.source}"
        name = "median, beside the best published neural code"
        found[name] = {"value": value, "target": said, "met": None}
    return found


def _effectivity(s: Summary) -> dict[str, Figure]:
    effect = s.hand.effectivity("l2")
    if effect is None:
        return {}
    value = [effect.low, effect.median, effect.high]
    name = "estimated over true L2 error, smallest, median, largest"
    return {name: {"value": value, "target": "told", "met": None}}


def _unknowns(s: Summary) -> dict[str, Figure]:
    """Return value, ends of the 95% interval, and whether it holds the truth, for each seed."""
    found: dict[str, Figure] = {}
    for name in s.hand.unknown_names:
        value = [[*row.found[name], holds(row, name)] for row in s.hand.rows if name in row.found]
        key = f"{name}: value, low, high, truth, whether the interval holds it, for each seed"
        found[key] = {"value": value, "target": "told", "met": None}
    return found


def holds(row: Row, name: str) -> bool | None:
    """Return whether the interval of an unknown number holds the truth, None if it is not known.

    An interval without ends, of a number that the data do not determine, holds everything.
    """
    _, low, high, truth = row.found[name]
    if truth is None:
        return None
    return (low is None or low <= truth) and (high is None or truth <= high)


def _automatic(s: Summary) -> dict[str, Figure]:
    """Compare automatic solves with hand-set ones: ratios of errors and of seconds."""
    if not s.auto.rows:
        return {}
    pairs = {
        "automatic over hand-set error (or 1e-13), medians": (s.auto_error, AUTO_ERROR),
        "automatic over hand-set seconds, medians": (s.auto_seconds, AUTO_SECONDS),
    }
    return {
        name: {
            "value": value,
            "target": _said(bound, ""),
            "met": _met(value, bound) and not s.auto.failed,
        }
        for name, (value, bound) in pairs.items()
    }


def verdict(pairs: Sequence[tuple[Spread | None, float | None]], failed: bool) -> str:
    """Return "yes", "no", or "median" if only the worst seed misses; "" if nothing is judged."""
    judged = [(spread, bound) for spread, bound in pairs if bound is not None]
    if not judged:
        return ""
    if failed or not all(_met(s.median if s else None, bound) for s, bound in judged):
        return "no"
    return "yes" if all(s.high <= bound for s, bound in judged if s) else "median"


def _met(value: float | None, bound: float | None) -> bool:
    return value is not None and bound is not None and value <= bound


def _said(bound: float | None, why: str) -> str:
    return "told" if bound is None else f"<= {bound:.2g}{why}"
