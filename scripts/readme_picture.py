"""The README's picture: a solution, its error, and the edge functions of a 98-coefficient KAN.

What: problems/poisson2d_small.toml (variable projection from random starts) solved and drawn on one
sheet, which stands in README.md and docs/theory/variable_projection.md. How long: some ten seconds;
--smoke: some seconds, a coarser grid. Writes to --output: poisson2d_small.png, readme_picture.json.
"""

from common import script
from common.script import solve_job
from matplotlib.figure import Figure

from kanpinn.plotting.edges import edges_of, plot_edge
from kanpinn.plotting.fields import Sheet, limits_of, plot_magnitude, plot_values
from kanpinn.plotting.style import new_figure, save
from kanpinn.solvers import Solution
from kanpinn.solvers.grid_fields import on_grid

PROBLEM = "poisson2d_small"
SMOKE = [
    *("network.grid=[1,12]", "network.hidden=[2]", "run.estimate=false"),
    'optimizer=[{type = "variable_projection", steps = 10, rounds = 2, starts = 4}]',
]


def main() -> None:
    chosen = script.options("readme_picture", __doc__)
    solution = solve_job(PROBLEM, SMOKE if chosen.smoke else []).run()
    errors, size = solution.errors, solution.parameters
    assert errors is not None
    error = errors.l2_relative
    figures = {
        "coefficients": script.verdict(size, "<= 98", size <= 98),
        "relative L2 error": script.verdict(error, "<= 1e-11", error <= 1e-11),
    }
    save(picture(solution), chosen.output / f"{PROBLEM}.png")
    script.write_verdicts(chosen.output / "readme_picture.json", figures, chosen.smoke)


def picture(solution: Solution) -> Figure:
    """Draw solution and error on the left, and the edges beside them, inner above outer."""
    figure = new_figure(11.5, 3.9)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.35, 1])[0]
    fields = on_grid(solution)
    named, sheet = fields.of("u"), Sheet(fields.axes)
    u, error = left.subplots(1, 2)
    plot_values(u, sheet, named["solution"], limits_of(named["solution"]), "solution $u$")
    plot_magnitude(error, sheet, named["error"], "|error of $u$|")
    inner, outer = edges_of(solution)
    axes = right.subplots(2, max(len(inner), len(outer)), squeeze=False)
    for row, edges in zip(axes, (inner, outer), strict=True):
        for ax, edge in zip(row, edges, strict=False):
            plot_edge(ax, edge)
        for ax in row[len(edges) :]:
            ax.set_visible(False)
    return figure


if __name__ == "__main__":
    main()
