"""How a user draws the fields of a solution."""

from collections.abc import Mapping, Sequence
from typing import Any

from kanpinn._support.shown import Shown


class DrawnFields(Shown):
    """The part of a `Solution` that draws it, and shows it in notebooks."""

    shown_by = "kanpinn.plotting.notebook.solutions"

    def plot(
        self,
        field: str | None = None,
        *,
        along: str | Sequence[str] | None = None,
        cut: tuple[Sequence[float | int], Sequence[float | int]] | None = None,
        at: Mapping[str, float | int] | None = None,
        time: float | int | Sequence[float | int] | None = None,
        error: bool = False,
        nodes: int | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw fields as lines over one coordinate or along a cut, or as maps over two.

        Lines have the exact solution beside them, or the reference if it has been made already, and
        an unknown field its 95% interval. Where the domain has more coordinates than are drawn, the
        title says at which values the others are held: without `at` and `time`, at the centre of
        the domain.

        Args:
            field: the name of a field; by default there is a panel for each field.
            along: the name of the coordinate, or the names of two, that vary; by default both of a
                plane, and at most two.
            cut: the ends of a straight cut, ((x0, y0), (x1, y1)), in the coordinates that are not
                fixed by `at` or `time`. The horizontal axis is the distance from the first end.
            at: values of coordinates that do not vary, by name.
            time: the time, or several of them: lines of one panel, or a map for each.
            error: whether to draw the absolute value of the error, on a logarithmic scale, in place
                of the field.
            nodes: points along each axis; by default 401 of a line, 129 of a map.
            ax: axes of Matplotlib to draw in, one for each panel; by default those of a new figure
                of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several panels an array of them, (fields,) or, for maps
            at several times, (times,) or (fields, times).

        Raises:
            InputError: for a name that is no field or coordinate, a place outside the domain's box,
                errors of a problem without an exact solution or a reference with values
                everywhere, or another number of axes than of panels.

        Example:
            >>> import kanpinn as kp
            >>> from matplotlib.figure import Figure
            >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), source="1", boundary="0")
            >>> solution = kp.solve(problem, kp.KAN([2, 16, 1], grid=4))
            >>> ax = solution.plot(cut=((0, 0.5), (1, 0.5)), ax=Figure().subplots())
            >>> ax.get_xlabel(), ax.get_ylabel()
            ('distance from (0, 0.5) to (1, 0.5)', '$u$')
        """
        options = {"along": along, "cut": cut, "at": at, "time": time}
        return self._view().plot(self, field, **options, error=error, nodes=nodes, ax=ax)
