"""Runs that get SIGKILL at a random moment, are started again, and must end as if they had not."""

import argparse
import random
import time
from pathlib import Path

from common.verdicts import Figure

from hostile import commands
from hostile.jobs import JOBS, Job, Values, every_step, networks, same


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, Figure]:
    """Kill runs of one kind after the other, half with the default interval between checkpoints.

    The others write a checkpoint after every step. Fewer kills than kinds leave the last kinds out.
    """
    found: dict[str, Figure] = {}
    for i, (name, job) in enumerate(JOBS.items()):
        if not (count := len(range(i, chosen.kills, len(JOBS)))):
            break
        folder = (chosen.output / "kills").resolve()
        whole, seconds = undisturbed(job, folder / "whole" / name)
        moments = random.Random(f"{chosen.seed} {name}")
        killed, wrong = 0, []
        for number in range(count):
            moment, often = moments.uniform(0, seconds), number % 2 == 1
            output = folder / "killed" / name
            job.write_file(output)
            killed += started(job, output, often, moment).code < 0
            if fault := different(job, output, whole):
                kept = "a checkpoint at every step" if often else "the default interval"
                wrong.append(f"{name}, killed after {moment:.2f} s with {kept}: {fault}")
        failures += wrong
        found[f"{name}: runs that a kill has changed"] = {
            "value": len(wrong),
            "target": f"0 of {killed} that were killed",
            "met": not wrong,
        }
    return found


def undisturbed(job: Job, output: Path) -> tuple[list[Values], float]:
    """Return the networks that a job finds, and the seconds by the clock that it takes."""
    job.write_file(output)
    begun = time.monotonic()
    done = started(job, output, False, 200)
    if done.code:
        raise RuntimeError(f"{output.with_suffix('.toml')} cannot be run: {done.said}")
    return networks(output), time.monotonic() - begun


def started(job: Job, output: Path, often: bool, seconds: float) -> commands.Finished:
    """Start a job, which gets SIGKILL after some seconds.

    often: whether it writes a checkpoint after every step.
    """

    def action() -> int:
        if often:
            every_step()
        return job.start(output)

    return commands.forked(action, seconds)


def different(job: Job, output: Path, whole: list[Values]) -> str:
    """Go on with what was killed, and return what differs then, "" if nothing does."""
    again = commands.forked(lambda: job.again(output), 200)
    if again.code:
        return f"it cannot be gone on with: {again.said.strip()}"
    return "" if same(networks(output), whole) else "other networks than without the kill"
