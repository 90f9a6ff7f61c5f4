"""The figures that a problem with a time has besides those of its fields."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from kanpinn.evolution import March
from kanpinn.evolution.function_space import space_of
from kanpinn.plotting.outlines import outline_of
from kanpinn.plotting.snapshots import (
    Components,
    components_figure,
    fields_at,
    phase_figure,
    snapshots_figure,
)
from kanpinn.plotting.steps import steps_figure
from kanpinn.plotting.streamlines import streamlines_figure
from kanpinn.solvers.solution import Solution


def evolution_figures(solution: Solution) -> Iterator[tuple[str, Figure]]:
    """Yield file names without suffix, and figures.

    snapshots: the fields over space at some times. For a flow in the plane: streamlines at the last
    moment. For several fields of the time alone: components, over the time, and for two or three of
    them phases, their path. For a march: steps, its windows.

    Args:
        solution: of a problem with at most two coordinates in space and, as the last, a time.
    """
    domain, history = solution.problem.domain, solution.history
    velocity = solution.problem.velocity_fields
    if domain.dim > 1:
        yield "snapshots", snapshots_figure(solution)
    elif len(solution.fields) > 1:
        found = Components.of(solution)
        yield "components", components_figure(found)
        if len(solution.fields) <= 3:
            yield "phases", phase_figure(found)
    if velocity is not None:
        space, fields = space_of(domain), fields_at(solution, float(domain.bounds[1][-1]), 129)
        outline = None if space.is_box else outline_of(space, fields)
        yield "streamlines", streamlines_figure(fields, velocity, outline)
    marches = [one for one in solution.optimizers if isinstance(one, March)]
    if marches and any(row.get("window", 0) for row in history.rows):
        allowed = None if marches[-1].windows is not None else marches[-1].tolerance / 2
        begin, time = float(domain.bounds[0][-1]), domain.names[-1]
        yield "steps", steps_figure(history, begin, time, allowed)
