"""The order in which families of choices make trials."""

from collections.abc import Callable, Iterator, Sequence

from kanpinn.solvers.auto.climb import Climb


def turns(climbs: Sequence[Climb], is_over: Callable[[], bool]) -> Iterator[tuple[Climb, float]]:
    """Yield the climb that makes the next step, and the part of the time left that it may take.

    Each climbs until it is idle; then that with the least residual goes on. While networks of a
    kind that has not been tried are to come, a trial may take a part of the time left, see
    `Family`. A climb whose next trial would take more is postponed.

    Args:
        climbs: those of all families, in order.
        is_over: whether the search ends before the next step.
    """
    for place, climb in enumerate(climbs, 1):
        tried, later = ({one.kind for one in some} for some in (climbs[:place], climbs[place:]))
        part = climb.family.part if later - tried else 1.0
        while not (is_over() or climb.ended or climb.is_idle or climb.postponed):
            yield climb, part
    while not is_over() and (left := [one for one in climbs if not one.ended]):
        yield min(left, key=lambda one: one.loss), 1.0
