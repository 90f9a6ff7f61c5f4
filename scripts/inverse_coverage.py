"""Whether the 95% intervals of inverse problems hold the truth as often as they say.

What: problems/inverse_navier_stokes.toml (a number, the viscosity), inverse_diffusion.toml (a
coefficient field, at 81 points) and inverse_lotka_volterra.toml (four numbers, by marches) are
solved for 200 draws of the noise, each draw of the first two with measurements at other points and
other inner functions of the network, each from the start: no draw knows of another. Reported are
the share of intervals that hold the truth, of a field on average over its points, and the
half-widths over 1.96 times the Cramér–Rao bound for the measurements' points of the first draws.
That bound comes from the exact solution's sensitivity, which solves a problem of its own
(scripts/inverse/sensitivity.py and species.py), not from the Jacobian that the intervals come from.

How long: some 20 minutes of one core, --smoke ten seconds.

Writes to --output (results/inverse_coverage): inverse_coverage.json, and pieces/, a file for each
draw: a run that was stopped goes on from them.
"""

import statistics
from collections.abc import Sequence

import torch
from common import options, verdicts
from common.pieces import Pieces
from inverse.draws import BOUNDS, DRAWS

COUNT, BOUNDED = 200, 3  # draws, and those of them that are compared with the bound
COVERED = (0.90, 0.99)
WIDE = 1.5  # times the bound
QUANTILE = 1.959964


def main(given: Sequence[str] | None = None) -> None:
    chosen = options.finish(
        "inverse_coverage", options.parser("inverse_coverage", __doc__).parse_args(given)
    )
    count, bounded = (1, 1) if chosen.smoke else (COUNT, BOUNDED)
    torch.set_num_threads(1)
    chosen.output.mkdir(parents=True, exist_ok=True)
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    figures: dict[str, verdicts.Figure] = {}
    for name, draw in DRAWS.items():
        rows = [
            row
            for seed in range(count)
            for row in pieces.rows({"draw": name, "seed": seed}, lambda: [draw(seed)])  # noqa: B023
        ]
        held = [x for row in rows for x in row["held"]]
        share = sum(held) / len(held)
        figures[f"{name}_coverage"] = {
            "value": share,
            "target": "0.90 to 0.99 over 200 draws",
            "met": None if chosen.smoke else COVERED[0] <= share <= COVERED[1],
        }
        figures[f"{name}_width"] = _width(name, rows[:bounded], chosen.smoke)
        figures[f"{name}_seconds"] = {
            "value": statistics.median(row["seconds"] for row in rows),
            "target": "processor seconds of one draw, median: no target",
            "met": None,
        }
    verdicts.write(chosen.output / "inverse_coverage.json", figures)
    for name, figure in figures.items():
        print(f"{name}: {figure['value']} ({figure['target']}; met: {figure['met']})")


def _width(name: str, rows: list[dict], smoke: bool) -> verdicts.Figure:
    """Return the half-widths over those of the bound, over draws and points."""
    ratios: list[float] = []
    error = 0.0
    for seed, row in enumerate(rows):
        bound, own = BOUNDS[name](seed, smoke)
        half_widths = torch.tensor(row["half_width"], dtype=torch.float64)
        ratios += (half_widths / (QUANTILE * bound)).tolist()
        error = max(error, own)
    found = {
        "median": statistics.median(ratios),
        "least": min(ratios),
        "largest": max(ratios),
        "relative_error_of_sensitivities": error,
    }
    return {
        "value": found,
        "target": f"median between 1/{WIDE} and {WIDE}",
        "met": None if smoke else 1 / WIDE <= found["median"] <= WIDE,
    }


if __name__ == "__main__":
    main()
