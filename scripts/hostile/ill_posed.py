"""Random problems that are well posed, and the same with a fault, and what a solve says of them."""

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy
from common import verdicts

import kanpinn as kp
from hostile import scalar_equations, systems
from hostile.drawing import Draw


@dataclass(frozen=True)
class Case:
    """A problem, and what is wrong with it: an empty text where nothing is."""

    family: str
    fault: str
    problem: kp.Problem

    def said(self) -> str:
        """Return what a solve says against the problem; an empty text where it says nothing."""
        d, m = self.problem.domain.dim, len(self.problem.fields)
        wide = self.family == "waves"  # a resonance is seen where its mode is resolved
        network = kp.KAN([d, 60 if wide else 24, m], degree=7, grid=[3, 6])
        points = kp.Collocation(800, 100) if wide else kp.Collocation(80, 60)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                done = kp.solve(self.problem, network, kp.LeastSquares(1), points, errors=False)
            except kp.InputError as error:
                return f"refused: {error}"
        if told:
            return f"warned: {told[0].message}"
        return done.status if done.status.startswith("failed") else ""


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, verdicts.Figure]:
    """Return how many faults of drawn problems are missed, and how many alarms are false.

    Args:
        chosen: the options: the number of well-posed problems, each of which is drawn with a fault
            as well, and the seed of all draws.
        failures: gets a line for each wrong answer.
    """
    wrong: dict[str, list[str]] = {"faults that are missed": [], "false alarms": []}
    for index, case in enumerate(cases(chosen.problems, chosen.seed)):
        said = case.said()
        if bool(said) != bool(case.fault):
            kind = "faults that are missed" if case.fault else "false alarms"
            wrong[kind].append(f"{case.family} {index // 2}: {case.fault or said}")
    failures += [
        f"ill-posed problems, {kind}: {one}" for kind, all_ in wrong.items() for one in all_
    ]
    return {
        f"ill-posed problems: {kind}": {
            "value": len(found),
            "target": f"0 of {chosen.problems}",
            "met": not found,
        }
        for kind, found in wrong.items()
    }


def cases(count: int, seed: int) -> Iterator[Case]:
    """Yield a well-posed problem and one with a fault, `count` times."""
    for index in range(count):
        family = [*FAMILIES][index % len(FAMILIES)]
        make, faults = FAMILIES[family]
        for ill in (False, True):
            draw = numpy.random.default_rng([seed, index])
            fault = str(draw.choice(faults)) if ill else ""
            yield Case(family, fault, make(numpy.random.default_rng([seed, index, 1]), fault))


FAMILIES: dict[str, tuple[Callable[[Draw, str], kp.Problem], list[str]]] = {
    "elliptic": (scalar_equations.elliptic, ["a side", "a side", "two values"]),
    "plate": (scalar_equations.plate, ["a condition at a side"]),
    "heat": (scalar_equations.heat, ["the initial value", "a side"]),
    "wave": (scalar_equations.wave, ["the rate", "the initial value", "a side"]),
    "transport": (scalar_equations.transport, ["an inflow", "the initial value"]),
    "dispersive": (scalar_equations.dispersive, ["a condition at a side"]),
    "schroedinger": (systems.schroedinger, ["a field at a side", "a field's initial value"]),
    "stokes": (systems.stokes, ["the outlet", "a condition at the outlet", "a field at a side"]),
    "elastic": (systems.elastic, ["a field at a side"]),
    "ordinary": (scalar_equations.ordinary, ["a condition"]),
    "kinetics": (systems.kinetics, ["a field's initial value"]),
    "reaction": (systems.reaction, ["a field's initial value", "a field at a side"]),
    "waves": (scalar_equations.waves, ["a resonance"]),
    "fluxes": (scalar_equations.fluxes, ["the balance"]),
}
