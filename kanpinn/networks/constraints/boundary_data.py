"""Chooses whether Dirichlet data are built into the surrogate or are a term of the loss."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from kanpinn._support.errors import InputError
from kanpinn.geometry import Domain
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet
from kanpinn.networks.constraints.box import MAX_DIM, Fieldwise, on_box
from kanpinn.networks.constraints.distance import on_any_domain
from kanpinn.networks.constraints.lifting import NotExact
from kanpinn.networks.surrogate import OutputMap
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.conditions.condition import Prescribed
from kanpinn.pde.jumps import Jump, jumps, prescribed_data

IMPOSITIONS = ("auto", "exact", "penalty")


@dataclass(frozen=True, eq=False)
class Imposition:
    """How boundary and initial data are imposed: built into the surrogate, or as terms of the loss.

    Args:
        output: the output map that builds data in; None where all data are terms of the loss.
        met: the indices in `conditions()` of those that hold for every network, and so have no
            term in the loss.
        why: the reason why data are not built in, where "auto" decided so; otherwise empty.
        follows: what a jump of the data means for the solve, for the warning.
    """

    output: OutputMap | None
    met: frozenset[int] = frozenset()
    why: str = ""
    follows: str = "this limits the accuracy"


def choose_imposition(
    problem: BoundaryValueProblem,
    boundary: str,
    found: Sequence[Jump],
    rough: bool = False,
    walls: bool = False,
) -> Imposition:
    """Choose how the Dirichlet and initial values of a problem are imposed.

    They can be built in ("exact") in up to four dimensions: on boxes for data that are smooth on
    each side, and on other domains if there is a smooth function that vanishes only on the pieces
    with data, and a polynomial that equals the data there. The choice "auto" is "exact" wherever it
    is possible, except for non-zero data on domains that are no boxes.

    The choice rests on measurements on disks, annuli, disks with a hole, pentagons and squares with
    a bite taken out. With zero data, "exact" is 10 to 400 times more accurate than "penalty", for
    small and large networks. With non-zero data that holds for small networks only; with large
    ones, at errors of 1e-8 and below, either may be better, and "penalty" by a factor of up to 1e7.
    At a reentrant corner there is no such smooth function. There, a distance function can be joined
    from those of the two sides, but its second derivatives are unbounded at the corner: on an
    L-shape the error is 2e-3 with it, and 1e-11 with "penalty".

    Args:
        problem: the problem; its `conditions()` should return the same conditions at each call.
        boundary: "auto", "exact" or "penalty", the argument `boundary` of `solve`.
        found: the jumps of the problem's data; no continuous function equals data that jump.
        rough: whether the distance function may lack second derivatives at corners, as in the
            energy form.
        walls: whether data at the first moment are not to be built in, and those on walls wherever
            it is possible, as for networks in time windows.

    Raises:
        InputError: for another value of `boundary`, or where "exact" is requested but impossible.
    """
    if boundary not in IMPOSITIONS:
        raise InputError(f'boundary must be "auto", "exact" or "penalty", got {boundary!r}')
    if boundary == "penalty":
        return Imposition(None)
    try:
        return _built_in(problem, found, rough, walls, lifting=walls or boundary == "exact")
    except NotExact as reason:
        if boundary == "exact":
            other = "auto" if walls else "penalty"
            raise InputError(
                f'boundary = "exact" is impossible here, use "{other}": {reason}'
            ) from None
        return Imposition(None, why=str(reason))


def _built_in(
    problem: BoundaryValueProblem, found: Sequence[Jump], rough: bool, walls: bool, lifting: bool
) -> Imposition:
    """Build the data into the surrogate.

    Args:
        problem, found, rough, walls: as for `choose_imposition`.
        lifting: whether non-zero data on domains that are no boxes are built in too.

    Raises:
        NotExact: where that is impossible.
    """
    if found:
        raise NotExact(str(found[0]))
    if problem.enrichment():
        raise NotExact(
            "exact imposition does not go with the known functions of "
            f"{type(problem).__name__}.enrichment(), which need not vanish on the boundary"
        )
    data = prescribed_data(problem)
    if walls:
        data = {name: [d for d in own if not at_start(d)] for name, own in data.items()}
    maps = [_of_field(problem.domain, name, data[name], rough, lifting) for name in problem.fields]
    if all(one is None for one in maps):
        return Imposition(None)
    # The maps build in values but no rates, which only networks in time windows build in.
    met = numbers_of(problem, lambda one: one.rate is None and not (walls and at_start(one)))
    return Imposition(maps[0] if len(maps) == 1 else Fieldwise(tuple(maps)), met)


def at_start(data: Prescribed) -> bool:
    """Return whether data are prescribed where the last coordinate, the time, begins."""
    return data.piece.side == (len(data.piece.names) - 1, False)


def numbers_of(
    problem: BoundaryValueProblem, built_in: Callable[[Prescribed], bool]
) -> frozenset[int]:
    """Return the indices of those `conditions()` that prescribe values, all of them built in.

    Args:
        problem: the problem.
        built_in: whether the surrogate has the given prescribed values built in.
    """
    conditions = problem.conditions()
    data = [[] if one.numbers else one.prescribed(problem.fields) for one in conditions]
    return frozenset(i for i, found in enumerate(data) if found and all(map(built_in, found)))


def describe_imposition(problem: BoundaryValueProblem, boundary: str, rough: bool = False) -> str:
    """Return the choice of `choose_imposition` as text, with the reason for a penalty.

    The text is "none" for a problem without prescribed values, `boundary` itself unless that is
    "auto", and otherwise "exact (chosen)" or "penalty (chosen: …)".

    Args:
        problem, boundary, rough: as for `choose_imposition`.

    Raises:
        InputError: as `choose_imposition` does, for problems with prescribed values.
    """
    if not any(prescribed_data(problem).values()):
        return "none"
    chosen = choose_imposition(problem, boundary, jumps(problem), rough)
    if boundary != "auto":
        return boundary
    return f"penalty (chosen: {chosen.why})" if chosen.output is None else "exact (chosen)"


def _of_field(
    domain: Domain, name: str, data: Sequence[Prescribed], rough: bool, lifting: bool
) -> OutputMap | None:
    """Return the output map that builds in one field's values, None for a field without any."""
    if not data:
        return None
    if domain.dim > MAX_DIM:
        raise NotExact(
            f"exact imposition is for up to {MAX_DIM} dimensions, the domain has {domain.dim}"
        )
    for one, other in itertools.combinations(data, 2):
        if one.piece == other.piece:
            raise NotExact(f"two conditions prescribe {name} on {one.piece.name}")
    # Data on walls need a polynomial lifting; data at an end of time are used as they are.
    lifted = any(not one.is_zero and one.piece.at_time is None for one in data)
    if lifted and not lifting and not domain.is_box:
        raise NotExact("the penalty is as a rule more accurate for non-zero data off boxes")
    make = on_box if domain.is_box else on_any_domain
    made = make(domain, data, rough)
    check_data(made, data, name)
    return made


@torch.no_grad()
def check_data(made: OutputMap, data: Sequence[Prescribed], name: str) -> None:
    """Refuse an output map that does not reproduce the data on the boundary.

    That happens where the data disagree, so that no continuous function equals them.

    Args:
        made: the output map of one field.
        data: the values prescribed for the field.
        name: the name of the field, for messages.

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
