"""The README's picture: a solution, its error, and the edge functions of a 98-coefficient KAN.

What: problems/poisson2d_small.toml (variable projection from random starts) solved and drawn on one
sheet. How long: some ten seconds. Writes to --output: poisson2d_small.png, readme_picture.json.
"""

import argparse
from pathlib import Path

from common import script
from common.script import solve_job
from matplotlib.figure import Figure

from kanpinn.plotting.edges import edges_of, plot_edge
from kanpinn.plotting.fields import Sheet, limits_of, plot_magnitude, plot_values
from kanpinn.plotting.style import new_figure, save
from kanpinn.solvers import Solution
from kanpinn.solvers.grid_fields import on_grid

PROBLEM = "poisson2d_small"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results/reference"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a coarser output grid")
    chosen = parser.parse_args()
    overrides = [f"run.seed={chosen.seed}", *(["network.grid=[1,12]"] if chosen.smoke else [])]
    solution = solve_job(PROBLEM, overrides).run()
    chosen.output.mkdir(parents=True, exist_ok=True)
    print(save(picture(solution), chosen.output / "poisson2d_small.png"))
    script.write_verdicts(
        chosen.output / "readme_picture.json", figures(solution, judge=not chosen.smoke)
    )


def figures(solution: Solution, judge: bool) -> dict[str, script.Verdict]:
    """Return the picture's errors and sizes; judge: whether it is the problem file's network."""
    errors = solution.errors
    assert errors is not None
    small, exact = solution.parameters <= 98, errors.l2_relative <= 1e-11
    return {
        "coefficients": script.verdict(solution.parameters, "<= 98", small if judge else None),
        "relative L2 error": script.verdict(
            errors.l2_relative, "<= 1e-11", exact if judge else None
        ),
    }


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
