"""Adapted points and balanced terms, each on a problem where it should help.

What: relative L2 errors without a feature and with it, median and range of three seeds: (1) points
that follow the residual (RAD, R3) for a peak; (2) terms balanced by the neural tangent kernel or by
gradients, with penalised data.

How long: two minutes of one core; --smoke: seconds, its numbers mean nothing.

Writes to --output: sharp_features.md, sharp_features.png, sharp_features.json, and pieces/, the
errors of each way: a run that was stopped continues from them.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import options, verdicts
from common.pieces import Pieces
from sharpness.measuring import Case, Measured, all_ways, cases
from sharpness.picture import draw

import kanpinn as kp
from kanpinn._support.files import write_text
from kanpinn.plotting.style import save

NAME = Path(__file__).stem
HEAD = "| feature | way | relative L2 error, median | range | seconds |\n|---|---|---|---|---|\n"


def main(given: Sequence[str] | None = None) -> None:
    parser = options.parser(NAME, __doc__)
    parser.add_argument("--only", default="", help="features whose names contain this")
    chosen = options.finish(NAME, parser.parse_args(given))
    wanted = [case for case in cases() if chosen.only in case.feature]
    if not wanted:
        parser.error(f"--only {chosen.only}: no feature's name contains it")
    chosen.output.mkdir(parents=True, exist_ok=True)
    seeds: tuple[int, ...] = (0, 1, 2)
    if chosen.smoke:
        wanted, seeds = [_small(case) for case in wanted], (0,)
    found = all_ways(wanted, seeds, Pieces.under(chosen.output, again=chosen.smoke))
    text = HEAD + "".join(map(_line, found))
    write_text(chosen.output / f"{NAME}.md", text)
    save(draw(found), chosen.output / f"{NAME}.png")
    verdicts.write(chosen.output / f"{NAME}.json", judged(wanted, found))
    sys.stdout.write(text)


def _small(case: Case) -> Case:
    """Return the same case with few steps on few points."""
    ways = []
    for way in case.ways:
        points = replace(way.points, interior=60, boundary=min(way.points.boundary, 16))
        short = [_shortened(optimizer) for optimizer in way.optimizers]
        width, degree, grid = way.network
        small = ([min(w, 6) for w in width], degree, grid)
        ways.append(replace(way, points=points, optimizers=short[:4], network=small))
    return replace(case, ways=tuple(ways))


def _shortened(optimizer: Any) -> kp.Method:
    """Return the optimizer with two steps at most; a transform takes its one step."""
    if "steps" not in vars(optimizer):  # a transform has its one step
        return optimizer
    return replace(optimizer, steps=min(optimizer.steps, 2))


def _line(one: Measured) -> str:
    least, most = min(one.errors), max(one.errors)
    return (
        f"| {one.case.feature} | {one.way.name} | {one.median:.1e} | {least:.1e} … {most:.1e} | "
        f"{one.seconds:.1f} |\n"
    )


def judged(wanted: Sequence[Case], found: Sequence[Measured]) -> dict[str, verdicts.Figure]:
    """Return the gain of each case's second way over its first, by the median error."""
    figures: dict[str, verdicts.Figure] = {}
    for case in wanted:
        plain, better = (m.median for m in found if m.case is case and m.way in case.ways[:2])
        gain = plain / better
        figures[case.feature] = {
            "value": gain,
            "target": "told" if case.gain is None else f"at least {case.gain:g} times smaller",
            "met": None if case.gain is None else bool(gain >= case.gain),
        }
    return figures


if __name__ == "__main__":
    main()
