"""kanpinn check."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from kanpinn._support.interrupts import importing
from kanpinn.cli.options import Overrides, ProblemFile
from kanpinn.cli.running import set_threads
from kanpinn.cli.screen import note, reporting
from kanpinn.cli.solve import check_exact
from kanpinn.cli.tables import table

if TYPE_CHECKING:
    from kanpinn.jets.jet import Channels
    from kanpinn.loss.terms import Term
    from kanpinn.pde.verify import Defect
    from kanpinn.runs.config import AutoJob, Config, EigenJob, FitJob, Job, SolveJob


def check(file: ProblemFile, overrides: Overrides = None) -> None:
    """Check a problem file or a fit file and show what would run, without running it."""
    with reporting():
        with importing():
            from kanpinn.runs.config import AutoJob, Config, EigenJob, FitJob, SolveJob

        config = Config.read(file, overrides or ())
        for line in config.notes:
            note(f"note: {line}")
        set_threads(config)
        job = config.build()
        rows: list[tuple[str, str]] = []
        if isinstance(job, AutoJob):
            rows.append(_trials(job))
        if isinstance(job, SolveJob):
            rows += _solve(config, job)
        if isinstance(job, EigenJob):
            rows += _eigen(config, job)
        if isinstance(job, FitJob):
            rows += _fit(config, job)
        rows += _optimizers(config, job)
        typer.echo(table(rows, left=True))


def _trials(job: "AutoJob") -> tuple[str, str]:
    from kanpinn.solvers.auto import BUDGET, TOLERANCE

    tolerance = TOLERANCE if job.tolerance is None else job.tolerance
    seconds = BUDGET if job.budget_seconds is None else job.budget_seconds
    goal = f"until the relative L2 error is estimated at {tolerance:g} or {seconds:g} s are up"
    return "chosen by trials", f"network, points and optimizers, {goal}; below is the first trial"


def _solve(config: "Config", job: "SolveJob") -> Iterator[tuple[str, str]]:
    from kanpinn.networks.constraints.boundary_data import describe_form

    defects = check_exact(job)
    with job.blamed():
        terms = job.preview().residuals.terms
    yield from _problem(config, job, defects)
    yield _network(config, job)
    boundary, energy = job.settings.boundary, job.settings.form == "energy"
    yield "boundary data", describe_form(job.problem, boundary, energy)
    yield _run(config)
    yield from _points(job, terms)


def _eigen(config: "Config", job: "EigenJob") -> Iterator[tuple[str, str]]:
    from kanpinn.networks.constraints.boundary_data import describe_form

    with job.blamed():
        terms = tuple(job.preview().terms())
    yield from _stated(config, job)
    which = "smallest" if job.near is None else f"nearest to {job.near:g}"
    yield "eigenvalues", f"{job.count}, the {which}"
    yield "exact eigenvalues", "known" if job.problem.has_exact_eigenvalues else "none"
    yield _network(config, job)
    yield "boundary data", describe_form(job.problem, job.settings.boundary)
    yield _run(config)
    yield from _points(job, terms)


def _fit(config: "Config", job: "FitJob") -> Iterator[tuple[str, str]]:
    job.preview()  # refuses what does not fit together
    train = job.data.train
    counts = ", ".join(f"{len(table)} rows {part}" for part, table in job.data.parts.items())
    yield "data", f"{config.title}: {counts}"
    yield "inputs", ", ".join(train.names)
    yield "targets", ", ".join(train.outputs)
    if train.classes:
        yield "classes", f"{len(train.classes)}: {', '.join(train.classes)}"
    yield _network(config, job)
    yield "batch", f"{job.settings.batch} rows a step" if job.settings.batch else "all rows"
    yield _run(config)


def _problem(
    config: "Config", job: "SolveJob", defects: "list[Defect]"
) -> Iterator[tuple[str, str]]:
    yield from _stated(config, job)
    if not defects:
        yield "exact solution", _instead(job)
    for defect in defects:
        yield "exact solution", f"{defect.name}: {defect.size:.1e} (root mean square)"


def _stated(config: "Config", job: "SolveJob | EigenJob") -> Iterator[tuple[str, str]]:
    summary = (type(job.problem).__doc__ or "").strip().partition("\n")[0]
    yield "problem", f"{config.title}: {summary}"
    yield "domain", repr(job.problem.domain)


def _instead(job: "SolveJob") -> str:
    """What errors will be measured against in place of an exact solution."""
    from kanpinn.accuracy.references import reference_of

    reference = reference_of(job.problem, job.reference)
    if reference is None:
        return "none: errors will not be known"
    return f"none: errors will be against {reference!r}"


def _network(config: "Config", job: "Job") -> tuple[str, str]:
    network, run = job.network, config.run
    size = f"{list(network.width)}, {network.parameter_count} parameters"
    return "network", f"{type(network).__name__} {size}, {run.dtype} on {run.device}"


def _run(config: "Config") -> tuple[str, str]:
    import torch

    threads = torch.get_num_threads()
    return "run", f"seed {config.run.seed}, {threads} thread{'s' * (threads > 1)}"


def _points(job: "SolveJob | EigenJob", terms: "tuple[Term, ...]") -> Iterator[tuple[str, str]]:
    points = job.settings.points
    every = f", new ones every {points.resample} steps" if points.resample else ""
    yield "sampler", points.sampler + every
    for term in terms:
        counted = f"{len(term.points)} points, weight {term.weight:g}"
        yield f"term {term.name}", f"{counted}, uses {_channels(term.channels)}"


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
    from kanpinn.runs.config import AutoJob

    default = " (first trial)" if isinstance(job, AutoJob) else " (by default)"
    for index, optimizer in enumerate(job.optimizers):
        chosen = "" if "optimizer" in config.sections else default
        yield f"optimizer[{index}]", f"{optimizer}{chosen}"
