"""Random budgets for random problems of all kinds, and how far they are overrun."""

import argparse
import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import numpy as np
from common.script import PROBLEMS, Verdict, solve_job, verdict
from hostile import adversarial, bounds, domains, drawn, eigenvalues, ill_posed, judging

import kanpinn as kp
from kanpinn.geometry import Domain

# Something to do within some seconds, which returns how it ended, and words that tell it.
Task = tuple[str, Callable[[float], str]]
NETWORKS: dict[str, Callable[[Random], kp.KAN | kp.Cells]] = {
    "cells": lambda draw: kp.Cells(degree=draw.choice([6, 10, 14])),
    "KAN": lambda draw: kp.KAN(hidden=[draw.choice([32, 128, 512])], degree=9),
}


def solved(problem: kp.Problem, words: str, draw: Random, *networks: str) -> Task:
    """Return the solve of a problem, with nothing chosen or, in a third of the draws, a network."""
    tolerance, name = 10 ** -draw.uniform(3, 9), draw.choice(["", "", *networks])

    def solve(budget: float) -> str:
        network = NETWORKS[name](draw) if name else None
        return kp.solve(problem, network, tolerance=tolerance, budget=budget, errors=False).status

    return f"{words}, {name or 'nothing chosen'}, tolerance {tolerance:.0e}", solve


def body(kind: str, draw: Random) -> Task:
    problem = drawn.drawn(kind, draw.randrange(1000))
    return solved(problem, problem.words, draw, *(["cells"] if kind != "conductor" else NETWORKS))


def line(draw: Random) -> Task:
    """A boundary value problem in one dimension, some with a layer."""
    numbers = np.random.default_rng(draw.randrange(1000))
    if draw.random() < 0.5:
        return solved(ill_posed.ordinary(numbers, ""), "ordinary", draw, *NETWORKS)
    small = 10 ** draw.uniform(-6, -1)
    return solved(adversarial.boundary_layer(small), f"layer {small:.1g}", draw, *NETWORKS)


def plane(draw: Random) -> Task:
    """A scalar equation in a random domain of the plane."""
    numbers, kind = np.random.default_rng(draw.randrange(1000)), draw.choice(domains.NAMES)
    shape = draw.choice(domains.KINDS)
    problem = domains.Drawn(kind, shape(numbers), numbers)
    return solved(problem, f"{kind}, {shape.__name__}", draw, *NETWORKS)


def square_with_holes(draw: Random, most: int) -> Domain:
    """A square with round holes, which are as many as fit, up to a number."""
    square, found = kp.Box(x=(0, 1), y=(0, 1)), list[tuple[float, float, float]]()
    for _ in range(200):
        radius = draw.uniform(0.02, 0.08)
        x, y = (draw.uniform(0.03 + radius, 0.97 - radius) for _ in range(2))
        if len(found) < most and all(
            math.hypot(x - a, y - b) > 1.4 * (radius + r) for a, b, r in found
        ):
            found.append((x, y, radius))
    domain: Domain = square
    for x, y, radius in found:
        domain = domain - kp.Disk((x, y), radius)
    return domain


def holes(draw: Random) -> Task:
    """Poisson's or a cubic equation around up to 17 holes."""
    count, cubic = draw.randint(5, 17), draw.random() < 0.5
    problem: kp.Problem = kp.Poisson(square_with_holes(draw, count), source="1 + x", boundary="0")
    if cubic:
        numbers = np.random.default_rng(draw.randrange(1000))
        problem = domains.Drawn("cubic", problem.domain, numbers)
    return solved(problem, f"{count} holes, {'cubic' if cubic else 'Poisson'}", draw, "cells")


def cube(draw: Random) -> Task:
    """A scalar equation or Stokes' in space."""
    numbers = np.random.default_rng(draw.randrange(1000))
    if draw.random() < 0.5:
        return solved(ill_posed.fluxes(numbers, ""), "fluxes", draw, *NETWORKS)
    case, where = (
        adversarial.drawn_function(draw, ("x", "y", "z")),
        kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)),
    )
    solid: Domain = draw.choice([where, where - kp.Ball((0, 0, 0), 0.5), kp.Ball((0, 0, 0), 0.9)])
    problem = kp.Poisson(solid, source="1 + x", boundary=lambda p: case.values(p))
    return solved(problem, f"Poisson in {solid!r:.40}, {case.words}", draw, *NETWORKS)


def posed(kinds: tuple[str, ...], draw: Random) -> Task:
    """A well-posed problem of one of some kinds, such as flows and evolutions."""
    kind, numbers = draw.choice(kinds), np.random.default_rng(draw.randrange(1000))
    return solved(ill_posed.FAMILIES[kind][0](numbers, ""), kind, draw, *NETWORKS)


def evolving(draw: Random) -> Task:
    case = adversarial._in_time(draw)
    return solved(*case, draw, "KAN")


def heated(draw: Random) -> Task:
    """Heat in the plane, in domains with corners and holes, some with data that do not agree."""
    shape: Domain = draw.choice(
        [
            kp.Box(x=(0, 1), y=(0, 1)),
            kp.Polygon([(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]),
            kp.Disk((0, 0), 1) - kp.Disk((0.3, 0.2), 0.25),
            square_with_holes(draw, draw.randint(1, 17)),
        ]
    )
    known = {"exact": "exp(-t) * sin(3*x + y)"}
    contrary = {"initial": "1 + x", "boundary": "0"}
    given = draw.choice([known, contrary])
    problem = kp.Heat(shape.over(t=(0, 10 ** draw.uniform(-2, 1))), **given)  # type: ignore[arg-type]
    words = f"heat in {shape!r:.40}, {'known' if given is known else 'data that do not agree'}"
    tolerance, chosen = 10 ** -draw.uniform(3, 7), draw.random() < 0.3

    def solve(budget: float) -> str:
        network = kp.CellWindows(degree=8, cells=2) if chosen else None
        return kp.solve(problem, network, tolerance=tolerance, budget=budget, errors=False).status

    return f"{words}, {'cells' if chosen else 'nothing chosen'}, {tolerance:.0e}", solve


def searched(draw: Random) -> Task:
    problem, options, _ = eigenvalues.drawn(draw.randrange(1000))
    return problem.words, lambda budget: kp.eigen(problem, budget=budget, **options).status


def library(draw: Random, names: Sequence[str] = ()) -> Task:
    """A problem of the library, with nothing chosen or with the network of its file."""
    names = names or sorted(path.stem for path in PROBLEMS.glob("*.toml"))
    own, tolerance, job = draw.random() < 0.5, 10 ** -draw.uniform(3, 8), None
    while job is None:
        name = draw.choice(names)
        with contextlib.suppress(TypeError):  # for files of fits and of eigenvalue problems
            job = solve_job(name)

    def solve(budget: float) -> str:
        if own:
            chosen = job.network, job.optimizers, job.settings.points
            return kp.solve(job.problem, *chosen, budget=budget, errors=False).status
        return kp.solve(job.problem, tolerance=tolerance, budget=budget, errors=False).status

    return f"{name}, {'its file' if own else 'nothing chosen'}", solve


def unknown(draw: Random) -> Task:
    """Unknown parameters or coefficients from data, with nothing chosen or as in the files."""
    names = sorted(path.stem for path in PROBLEMS.glob("inverse_*.toml"))
    return library(draw, names)


def bounded(draw: Random) -> Task:
    """A guaranteed bound of a solution that a short solve has found."""
    problem, network, words = bounds.drawn_in_polygon(draw.randrange(1000))

    def bound(budget: float) -> str:
        solution = kp.solve(problem, network, tolerance=1e-3, budget=5, errors=False)
        begin()
        found = kp.error_bound(solution, budget=budget)
        return found.reason or f"{found.energy_relative:.1e}, {found.ended}"

    return f"bound: {words}", bound


def crowded(draw: Random) -> Task:
    """A network with many points or coefficients."""
    points, units = round(10 ** draw.uniform(3, 7)), round(10 ** draw.uniform(1, 3.5))
    wide = kp.Poisson(
        kp.Box(**dict.fromkeys("xy"[: draw.choice([1, 2])], (0, 1))), source="1", boundary="0"
    )
    sampler, method = (
        draw.choice(["gauss", "sobol"]),
        draw.choice([kp.LeastSquares(), kp.LBFGS(steps=10**6), kp.LevenbergMarquardt(steps=1000)]),
    )

    def solve(budget: float) -> str:
        network, chosen = kp.KAN(hidden=[units], degree=7), kp.Collocation(points, 100, sampler)
        return kp.solve(wide, network, method, chosen, budget=budget, errors=False).status

    return f"{points} {sampler} points, {units} units, {method.title}", solve


FLOWS, EVOLUTIONS = (
    ("stokes", "elastic", "plate"),
    ("heat", "wave", "transport", "dispersive", "schroedinger", "kinetics", "reaction"),
)
KINDS: dict[str, Callable[[Random], Task]] = {
    "line": line,
    "conductor": partial(body, "conductor"),
    "body": partial(body, "body"),
    "solid": partial(body, "solid"),
    "plane": plane,
    "holes": holes,
    "cube": cube,
    "flow": partial(posed, FLOWS),
    "evolution": partial(posed, EVOLUTIONS),
    "evolving": evolving,
    "heated": heated,
    "searched": searched,
    "library": library,
    "unknown": unknown,
    "bounded": bounded,
    "crowded": crowded,
}
BEGUN = [0.0, 0.0]


def begin() -> None:
    """Start both clocks: the processor's and the one on the wall."""
    BEGUN[:] = time.process_time(), time.monotonic()


def done(seed: int) -> judging.Row:
    """Do a task within a random budget, and return how long it took."""
    draw = Random(f"budget {seed}")
    kind, budget = [*KINDS][seed % len(KINDS)], 2 * 30 ** draw.random()
    words, task = KINDS[kind](draw)
    judging.by_processor()
    begin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            status = task(budget)
        except kp.InputError as refused:
            status = f"refused: {refused}"
    spent, by_clock = time.process_time() - BEGUN[0], time.monotonic() - BEGUN[1]
    return {
        **{"kind": kind, "seed": seed, "budget": round(budget, 1), "seconds": round(spent, 1)},
        **{"wall": round(by_clock, 1), "words": words, "status": status},
    }


def overruns(row: dict[str, Any]) -> bool:
    """Return whether a task took more than 20 % and more than 5 s longer than its budget."""
    return row["seconds"] > max(1.2 * row["budget"], row["budget"] + 5)


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Do random tasks within random budgets, and count the overruns."""
    first, rows = 1000 * options.seed, list[dict[str, Any]]()
    if options.smoke:  # a task of each kind is drawn, and one is done
        for seed in range(len(KINDS)):
            [*KINDS.values()][seed](Random(seed))
    tasks = {f"{seed}": partial(done, seed) for seed in range(first, first + options.budgets)}
    for row in judging.found(tasks, 1500):
        ended = "traceback" not in row
        rows.append(row | {"overrun": ended and overruns(row), "ended": ended})
        print(json.dumps(rows[-1]), flush=True)
        failures += [f"budget {row}"] if rows[-1]["overrun"] or not ended else []
    (options.output / "budgets.json").write_text(json.dumps(rows, indent=1), "utf-8")
    over, count = sum(row["overrun"] for row in rows), len(rows)
    failed = sum(not row["ended"] for row in rows)
    empty = sum(row["status"].startswith(("failed: the budget", "refused")) for row in rows)
    return {
        "budgets: overruns": verdict(over, f"0 of {count}", not over),
        "budgets: tracebacks": verdict(failed, f"0 of {count}", not failed),
        "budgets: without a solution": verdict(empty, "reported"),
    }
