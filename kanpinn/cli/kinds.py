"""The parts of the commands that depend on the kind of file: solve, eigenvalue problem or fit."""

import dataclasses
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kanpinn.cli.screen import plain_table

if TYPE_CHECKING:
    from kanpinn.jets import Channels
    from kanpinn.loss.terms import Term
    from kanpinn.pde.verify import Defect
    from kanpinn.runs.config import Config, EigenJob, FitJob, Job, SolveJob
    from kanpinn.solvers.eigen import Eigensolution
    from kanpinn.solvers.fitted import Fitted
    from kanpinn.solvers.solution import Solution

Line = tuple[str, str]


class Kind(ABC):
    """A kind of problem file, which is run by `kanpinn <command>`."""

    command = "solve"

    def check(self, job: Any) -> "list[Defect]":
        """Warn if the exact solution does not solve the problem, and return its defects."""
        return []

    def complete(self, job: Any, result: Any) -> Any:
        """Return the result with what the file asks for after the run, such as an estimate."""
        return result

    @abstractmethod
    def lines(self, result: Any) -> Iterator[str]:
        """Yield the texts that are printed of a result."""

    @abstractmethod
    def preview(self, config: "Config", job: Any) -> Iterator[Line]:
        """Yield names with descriptions of what would be run, except the optimizers."""


class SolveKind(Kind):
    """A boundary value or initial value problem to solve."""

    def check(self, job: "SolveJob") -> "list[Defect]":
        from kanpinn.pde.verify import exact_defects
        from kanpinn.runs.config import blaming

        with blaming(type(job.problem).__name__, job.problem):
            defects = list(exact_defects(job.problem))
        for defect in defects:
            if not defect.is_rounding:
                warnings.warn(
                    f"the exact solution does not satisfy {defect.name}: its residual is "
                    f"{defect.size:.1e} (root mean square), {defect.relative:.1e} of the terms",
                    stacklevel=2,
                )
        return defects

    def complete(self, job: "SolveJob", result: "Solution") -> "Solution":
        """Add the estimate of errors that [run] asks for, unless the run ended too early."""
        from kanpinn.solvers.error_estimate import ENDED, estimate_error, judged_by_tolerance

        alone = result.processes == 1
        if not (job.estimate and alone) or result.status.startswith(ENDED):
            return result
        known = dataclasses.replace(result, estimate=estimate_error(result, bound=job.bound))
        return known if job.tolerance is None else judged_by_tolerance(known, job.tolerance)

    def lines(self, result: "Solution") -> Iterator[str]:
        from kanpinn.solvers import tables

        if rows := tables.error_rows(result):
            yield plain_table(rows)
        if (doubt := tables.rule_error(result)) is not None:
            yield doubt
        yield from tables.unknowns(result)
        yield from tables.quantities(result)
        estimate = result.estimate
        if estimate is not None and estimate.reason not in result.status:
            yield str(estimate)
        elif estimate is not None and estimate.errors is not None:  # the table has the errors
            yield str(estimate).splitlines()[-1]
        yield from filter(None, (tables.against(result), tables.summary(result)))

    def preview(self, config: "Config", job: "SolveJob") -> Iterator[Line]:
        defects = self.check(job)
        terms = job.preview().terms
        if job.by_trials:
            yield _trials(job)
        yield from _stated(config, job)
        if not defects:
            yield "exact solution", _instead(job)
        for defect in defects:
            yield "exact solution", f"{defect.name}: {defect.size:.1e} (root mean square)"
        yield _network(config, job)
        yield _boundary_data(job)
        yield _run(config)
        yield from _points(job, terms)


class EigenKind(Kind):
    """An eigenvalue problem to solve."""

    def lines(self, result: "Eigensolution") -> Iterator[str]:
        from kanpinn.solvers import tables

        if result.count:
            yield plain_table(tables.eigenvalue_rows(result))
        yield from tables.remarks(result)
        yield tables.summary(result)

    def preview(self, config: "Config", job: "EigenJob") -> Iterator[Line]:
        from kanpinn.runs.config import blaming

        with blaming(type(job.problem).__name__, job.problem, job.network):
            terms = tuple(job.preview().terms())
        yield from _stated(config, job)
        which = "smallest" if job.near is None else f"nearest to {job.near:g}"
        yield "eigenvalues", f"{job.count}, the {which}"
        yield "exact eigenvalues", "known" if job.problem.has_exact_eigenvalues else "none"
        yield _network(config, job)
        yield _boundary_data(job)
        yield _run(config)
        yield from _points(job, terms)


class FitKind(Kind):
    """Data to fit a network to."""

    command = "fit"

    def lines(self, result: "Fitted") -> Iterator[str]:
        from kanpinn.solvers import tables

        yield plain_table(tables.score_rows(result))
        yield tables.summary(result)

    def preview(self, config: "Config", job: "FitJob") -> Iterator[Line]:
        job.preview()  # refuses settings that do not fit together
        train = job.data.train
        counts = ", ".join(f"{len(table)} rows {part}" for part, table in job.data.parts.items())
        yield "data", f"{config.file.title}: {counts}"
        yield "inputs", ", ".join(train.names)
        yield "targets", ", ".join(train.outputs)
        if train.classes:
            yield "classes", f"{len(train.classes)}: {', '.join(train.classes)}"
        yield _network(config, job)
        yield "batch", f"{job.settings.batch} rows a step" if job.settings.batch else "all rows"
        yield _run(config)


KINDS: dict[str, Kind] = {"problem": SolveKind(), "eigen": EigenKind(), "fit": FitKind()}


def _trials(job: "SolveJob") -> Line:
    from kanpinn.solvers.auto import TrialSearch

    tolerance = TrialSearch.tolerance if job.tolerance is None else job.tolerance
    seconds = job.budget_seconds or TrialSearch.budget_seconds
    goal = f"until the estimated relative L2 error is {tolerance:g} or {seconds:g} s have passed"
    return "chosen by trials", f"network, points and optimizers, {goal}; below is the first trial"


def _stated(config: "Config", job: "SolveJob | EigenJob") -> Iterator[Line]:
    first_line = (type(job.problem).__doc__ or "").strip().partition("\n")[0]
    yield "problem", f"{config.file.title}: {first_line}"
    yield "domain", repr(job.problem.domain)


def _instead(job: "SolveJob") -> str:
    """Return what errors will be measured against in place of an exact solution."""
    from kanpinn.accuracy.references import reference_of

    reference = reference_of(job.problem, job.reference)
    if reference is None:
        return "none: errors cannot be measured"
    return f"none: errors are measured against {reference!r}"


def _network(config: "Config", job: "Job") -> Line:
    network, run = job.network, config.file.run
    size = f"{list(network.width)}, {network.parameter_count} parameters"
    return "network", f"{type(network).__name__} {size}, {run.dtype} on {run.device}"


def _boundary_data(job: "SolveJob | EigenJob") -> Line:
    """Return how boundary data are imposed; cells always have them in their least squares."""
    from kanpinn.networks.constraints import describe_imposition
    from kanpinn.spaces.cells.cells import Cells

    in_cells, energy = isinstance(job.network, Cells), job.settings.form == "energy"
    boundary = "penalty" if in_cells else job.settings.boundary
    words = describe_imposition(job.problem, boundary, energy)
    if in_cells and words == boundary:
        words += ", with weights that follow from the sizes of the cells"
    return "boundary data", words


def _run(config: "Config") -> Line:
    import torch

    threads = torch.get_num_threads()
    return "run", f"seed {config.file.run.seed}, {threads} thread{'s' * (threads > 1)}"


def _points(job: "SolveJob | EigenJob", terms: "tuple[Term, ...]") -> Iterator[Line]:
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
