"""kanpinn check."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from kanpinn.cli.options import Overrides, ProblemFile
from kanpinn.cli.screen import note, reporting
from kanpinn.cli.solve import check_exact, set_threads
from kanpinn.cli.tables import table
from kanpinn.interrupts import importing

if TYPE_CHECKING:
    from kanpinn.blocks import Block
    from kanpinn.config import Config, Job
    from kanpinn.exactness import Defect
    from kanpinn.jet import Channels


def check(file: ProblemFile, overrides: Overrides = None) -> None:
    """Check a problem file and show what would run, without running it."""
    with reporting():
        with importing():
            from kanpinn.config import Config, blaming

        config = Config.read(file, overrides or ())
        for line in config.notes:
            note(f"note: {line}")
        set_threads(config)
        job = config.build()
        defects = check_exact(job)
        with blaming(type(job.problem).__name__, *job.sources):
            blocks = job.preview().residuals.blocks
        rows = [*_problem(config, job, defects), *_network(config, job), *_points(job, blocks)]
        rows += _optimizers(config, job)
        typer.echo(table(rows, left=True))


def _problem(config: "Config", job: "Job", defects: "list[Defect]") -> Iterator[tuple[str, str]]:
    problem = job.problem
    summary = (type(problem).__doc__ or "").strip().partition("\n")[0]
    yield "problem", f"{config.title}: {summary}"
    yield "domain", repr(problem.domain)
    if not defects:
        yield "exact solution", _instead(job)
    for defect in defects:
        yield "exact solution", f"{defect.name}: {defect.size:.1e} (root mean square)"


def _instead(job: "Job") -> str:
    """What errors will be measured against in place of an exact solution."""
    from kanpinn.references import reference_of

    reference = reference_of(job.problem, job.reference)
    if reference is None:
        return "none: errors will not be known"
    return f"none: errors will be against {reference!r}"


def _network(config: "Config", job: "Job") -> Iterator[tuple[str, str]]:
    import torch

    from kanpinn.exact_data import describe_form

    network, run = job.network, config.run
    size = f"{list(network.width)}, {network.parameter_count} parameters"
    yield "network", f"{type(network).__name__} {size}, {run.dtype} on {run.device}"
    yield "boundary data", describe_form(job.problem, job.boundary, job.form == "energy")
    threads = torch.get_num_threads()
    yield "run", f"seed {run.seed}, {threads} thread{'s' * (threads > 1)}"


def _points(job: "Job", blocks: "tuple[Block, ...]") -> Iterator[tuple[str, str]]:
    every = f", new ones every {job.points.resample} steps" if job.points.resample else ""
    yield "sampler", job.points.sampler + every
    for block in blocks:
        counted = f"{len(block.points)} points, weight {block.weight:g}"
        yield f"block {block.name}", f"{counted}, uses {_channels(block.channels)}"


def _channels(channels: "Channels") -> str:
    parts = ["the value"]
    if channels.gradient:
        parts.append("the gradient")
    if channels.second != "none":
        parts.append(f"the {channels.second}")
    if channels.directions:
        along = f"{len(channels.directions)} direction(s)"
        parts.append(f"derivatives to order {channels.order} along {along}")
    return ", ".join(parts)


def _optimizers(config: "Config", job: "Job") -> Iterator[tuple[str, str]]:
    for index, optimizer in enumerate(job.optimizers):
        chosen = "" if config.optimizer else " (by default)"
        yield f"optimizer[{index}]", f"{optimizer}{chosen}"
