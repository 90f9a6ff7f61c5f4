"""What has to be said of pictures: replicates, what is missing, how orders are fitted."""

from collections.abc import Iterator, Mapping, Sequence

from kanpinn.plotting.curves import Curve
from kanpinn.runs.report.curves import usable
from kanpinn.runs.report.dimensions import is_seed
from kanpinn.runs.study.columns import WAITING, has_failed
from kanpinn.runs.study.table import Study


def replicates(study: Study, some: Sequence[Curve]) -> Iterator[str]:
    """What markers and bars are."""
    counts = {point.error.count for curve in some for point in curve.points}
    if max(counts) > 1:
        what = "seeds" if any(map(is_seed, study.varied)) else "runs"
        number = str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        yield f"Markers: median over {number} {what}, bars: range."


def hollow(made: Mapping[str, Sequence[Curve]]) -> Iterator[str]:
    """What hollow markers are, where there are some."""
    if any(curve.levelled for some in made.values() for curve in some):
        yield "Hollow: errors that no longer fall, not fitted."


def surplus(some: Sequence[Curve], most: int) -> Iterator[str]:
    """That not all curves are drawn, where that is so."""
    if len(some) > most:
        yield f"{most} of {len(some)} settings are shown."


def missing(study: Study) -> Iterator[str]:
    """How many runs failed, are not done, or have no error."""
    statuses = [row["status"] for row in study.rows]
    failed = sum(map(has_failed, study.rows))
    waiting = statuses.count(WAITING)
    bare = (
        sum(not any(usable(row, e) for e in study.errors) for row in study.rows) - failed - waiting
    )
    for count, what in ((failed, "failed"), (waiting, "not done yet"), (bare, "without an error")):
        if count:
            yield f"{count} of {len(statuses)} runs {what}."


def explained(made: Mapping[str, Sequence[Curve]], against: str) -> str:
    """How the numbers in the legends came about."""
    every = [curve for some in made.values() for curve in some]
    if not any(curve.fit for curve in every):
        return "Seconds are measured: no order is fitted." if against == "seconds" else ""
    text = (
        "Orders: least squares on the logarithms of the mean errors"
        " (without the hollow ones), with their 95% confidence interval."
    )
    if not any(curve.levelled for curve in every):
        text = text.replace(" (without the hollow ones)", "")
    if any(curve.theory for curve in every):
        text += (
            " In brackets: k + 1 in L² and k in H¹, the orders of the best splines of degree k"
            " (dotted), and k − 1, which a residual in L² guarantees for an equation of second"
            " order if it falls at its own best rate."
        )
    return text
