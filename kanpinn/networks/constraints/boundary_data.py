"""Which form Dirichlet data take: built into the surrogate, or a term of the loss."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from kanpinn._support.errors import InputError
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet
from kanpinn.networks.constraints.box import MAX_DIM, Fieldwise, as_box, on_box
from kanpinn.networks.constraints.distance import end_of_time, on_any_domain
from kanpinn.networks.constraints.lifting import NotExact
from kanpinn.networks.surrogate import OutputMap
from kanpinn.pde.conditions.condition import Prescribed
from kanpinn.pde.jumps import Jump, jumps, prescribed_data
from kanpinn.pde.problem import Problem

FORMS = ("auto", "exact", "penalty")


@dataclass(frozen=True, eq=False)
class Form:
    """How a surrogate takes boundary and initial data.

    Args:
        output: the map that builds data in, None where all of them are terms of the loss.
        met: which of `conditions()` hold for every network, and so have no term.
        why: why data are not built in, where that was for "auto" to choose.
    """

    output: OutputMap | None
    met: frozenset[int] = frozenset()
    why: str = ""


def choose_form(
    problem: Problem, boundary: str, found: Sequence[Jump], rough: bool = False
) -> Form:
    """The form of the problem's Dirichlet and initial values, as `boundary` of `solve` asks for it.

    "exact" can be had up to four dimensions: on boxes for all data that are smooth on each side,
    elsewhere where smooth functions of the points vanish on the pieces with data alone, and a
    polynomial takes the data. "auto" is that wherever it pays, which is for all but non-zero data
    off boxes. Measured on disks, annuli, disks with a hole, pentagons and bitten squares, zero data
    are 10 to 400 times more accurate than by the penalty with networks small and large; others
    with small ones only: with large ones, at 1e-8 and below, either may be better, and the penalty
    by up to 1e7.
    A corner that points inward has no such function; with a joined distance, whose second
    derivatives are unbounded there, an L-shape's error is 2e-3 where the penalty's is 1e-11.

    Args:
        problem: the problem, whose conditions are asked for once.
        boundary: "auto", "exact" or "penalty".
        found: the jumps of the problem's data, where no continuous function takes them.
        rough: whether a distance will do that has no second derivatives at corners, as for
            energies.

    Raises:
        InputError: for another word, or where "exact" is asked for and cannot be had.
    """
    if boundary not in FORMS:
        raise InputError(f'boundary must be "auto", "exact" or "penalty", got {boundary!r}')
    if boundary == "penalty":
        return Form(None)
    try:
        if found:
            raise NotExact(str(found[0]))
        output = _output_map(problem, rough, boundary == "exact")
        # Rates are not built in with the values, but only in windows of time.
        met = numbers_of(problem, lambda one: one.rate is None)
        return Form(output, met if output else frozenset())
    except NotExact as reason:
        if boundary == "exact":
            raise InputError(
                f'boundary = "exact" is impossible here, use "penalty": {reason}'
            ) from None
        return Form(None, why=str(reason))


def numbers_of(problem: Problem, built_in: Callable[[Prescribed], bool]) -> frozenset[int]:
    """Which of `conditions()` prescribe values, all of which are built in."""
    data = [one.prescribed(problem.fields) for one in problem.conditions()]
    return frozenset(i for i, found in enumerate(data) if found and all(map(built_in, found)))


def describe_form(problem: Problem, boundary: str, rough: bool = False) -> str:
    """What `choose_form` chooses, in words: "none" without data, "exact", "penalty", and why."""
    if not any(prescribed_data(problem).values()):
        return "none"
    form = choose_form(problem, boundary, jumps(problem), rough)
    if boundary != "auto":
        return boundary
    return f"penalty (chosen: {form.why})" if form.output is None else "exact (chosen)"


def _output_map(problem: Problem, rough: bool, lifting: bool) -> OutputMap | None:
    if problem.enrichment():
        raise NotExact(
            "the exact form does not go with the known functions of "
            f"{type(problem).__name__}.enrichment(), which need not vanish on the boundary"
        )
    data = prescribed_data(problem)
    maps = [_of_field(problem, name, data[name], rough, lifting) for name in problem.fields]
    if all(one is None for one in maps):
        return None
    return maps[0] if len(maps) == 1 else Fieldwise(tuple(maps))


def _of_field(
    problem: Problem, name: str, data: Sequence[Prescribed], rough: bool, lifting: bool
) -> OutputMap | None:
    """What takes the values that are prescribed for one field, None where there are none."""
    if not data:
        return None
    if problem.domain.dim > MAX_DIM:
        raise NotExact(
            f"the exact form is for up to {MAX_DIM} dimensions, the domain has {problem.domain.dim}"
        )
    for one, other in itertools.combinations(data, 2):
        if one.piece == other.piece:
            raise NotExact(f"two conditions prescribe {name} on {one.piece.name}")
    box = as_box(problem.domain)
    # A polynomial has to take values on walls; at an end of time they are taken as they are.
    lifted = [one for one in data if not one.is_zero and end_of_time(one.piece) is None]
    if box is None and lifted and not lifting:
        raise NotExact("the penalty is as a rule more accurate for non-zero data off boxes")
    domain = problem.domain
    made = on_any_domain(domain, data, rough) if box is None else on_box(box, data, rough)
    check_data(made, data, name)
    return made


@torch.no_grad()
def check_data(made: OutputMap, data: Sequence[Prescribed], name: str) -> None:
    """Refuse what does not take the data: where these disagree, no continuous function does.

    Raises:
        NotExact: naming the field and the piece.
    """
    for one in data:
        points = sample(one.piece, 16, "gauss")
        zero = Jet(Channels(points.names), torch.zeros_like(points.coords[:, :1]))
        found, wanted = made.apply(points, zero).value, one.values(points)
        gap = float((found - wanted).abs().max())
        if not gap <= 1e-8 * (1 + float(wanted.abs().max())):
            raise NotExact(
                f"values prescribed for {name} disagree: those on {one.piece.name} would be "
                f"missed by {gap:.1e}"
            )
