"""The figures of the adversarial problems: true errors beside estimated ones."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import median

from common.verdicts import Figure

from hostile.adversarial.case import Case
from hostile.adversarial.drawn import drawn
from hostile.adversarial.judged import Judged, chosen, outcome, solved
from hostile.adversarial.named import PROBLEMS, named
from kanpinn.pde.verify import exact_defects

LARGEST = 3.0  # the true error over the estimated one
TOLD = ("Lotka-Volterra",)  # exact values without derivatives, by SciPy
TOLERANCE = 1e-6  # of the searches


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Figure]:
    """Solve named and random problems with given networks, and by `kp.auto`."""
    makers: list[Callable[[], Case]] = [partial(named, one) for one in list(PROBLEMS)]
    if options.smoke:
        makers = makers[2:3]
    first = 1000 * options.seed
    makers += [partial(drawn, number) for number in range(first, first + options.draws)]
    given = _all("given networks", partial(solved, seed=options.seed), makers, options, failures)
    search = partial(chosen, seed=options.seed, seconds=options.budget, tolerance=TOLERANCE)
    found = _all("auto", search, makers[: options.searches], options, failures)
    wrong = _inconsistent(range(first, first + max(options.draws, 60)))
    failures += wrong
    false = [one for one in found if one.within and one.true > LARGEST * TOLERANCE]
    failures += [f"auto, {one.name}: {one.status}, true {one.true:.1e}" for one in false]
    costs = [one.verifying / one.solving for one in given]
    return {
        "problems that their exact solution does not solve": {
            "value": len(wrong),
            "target": "0",
            "met": not wrong,
        },
        **_estimates("given networks", given),
        **_estimates("auto", found),
        "auto: within the tolerance, though the error is above it": {
            "value": len(false),
            "target": f"0 of {len(found)}",
            "met": not false,
        },
        "time of the verification over that of the solve": {
            "value": f"median {median(costs):.2f}, most {max(costs):.2f}",
            "target": "at most 1",
            "met": max(costs) <= 1,
        },
    }


def _inconsistent(numbers: Iterable[int]) -> list[str]:
    """Return the named and drawn problems whose exact solution has a residual, with its place."""
    makers: list[Callable[[], Case]] = [partial(named, one) for one in PROBLEMS if one not in TOLD]
    makers += [partial(drawn, number) for number in numbers]
    found = []
    for make in makers:
        case = make()
        found += [
            f"{case.name}: {one.name} has the relative residual {one.relative:.1e}"
            for one in exact_defects(case.problem)
            if not one.relative <= 1e-6
        ]
    return found


def _all(
    title: str,
    judge: Callable[[Case], Judged],
    makers: Sequence[Callable[[], Case]],
    options: argparse.Namespace,
    failures: list[str],
) -> list[Judged]:
    """Judge all cases, and write their table to the output."""
    judged, lines = [], []
    for make in makers:
        case = make()
        one = outcome(partial(judge, case), case.name)
        if isinstance(one, str):
            lines.append(f"| {one} | | | | |")
            continue
        judged.append(one)
        lines.append(one.row)
        if one.ratio is not None and one.ratio > LARGEST:
            failures.append(
                f"{title}, {one.name}: true error {one.true:.1e}, estimated {one.estimated:.1e}"
            )
    head = "| problem | true | estimated | ratio | said |\n|---|---|---|---|---|\n"
    path = options.output / f"adversarial_{title.replace(' ', '_')}.md"
    path.write_text(f"# Relative L2 errors, {title}\n\n{head}" + "\n".join(lines) + "\n", "utf-8")
    return judged


def _estimates(title: str, judged: Sequence[Judged]) -> dict[str, Figure]:
    ratios = sorted(one.ratio for one in judged if one.ratio is not None)
    low = sum(ratio > LARGEST for ratio in ratios)
    spread = f"median {median(ratios):.2g}, {ratios[0]:.2g} to {ratios[-1]:.2g}" if ratios else ""
    return {
        f"{title}: true error above {LARGEST:g} times the estimated one": {
            "value": f"{low} of {len(ratios)} known, {len(judged) - len(ratios)} unknown",
            "target": "at most 1 %",
            "met": low <= 0.01 * len(ratios),
        },
        f"{title}: true error over the estimated one": {
            "value": spread,
            "target": "about 1",
            "met": None,
        },
    }
