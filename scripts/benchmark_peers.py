"""Seconds to an accuracy on the poster's Poisson problem: kanpinn beside other codes, in one run.

What: u_xx + u_yy = f on [-1, 1]^2, u = 0 on the boundary, u = sin(pi x) sin(pi y^2), solved by
kanpinn, by tensor-product splines and Chebyshev polynomials, by scikit-fem (P2, P4), and by pykan,
DeepXDE, PINA's KAN, jaxKAN and jinns, each with its best documented optimizer, in float64 on the
CPU. The network peers share the collocation points (41 x 41 Gauss points, 41 on each side) and the
loss (0.01 interior + boundary). Each peer runs in a process and, if it is not a requirement of
kanpinn, in a virtual environment of its own, which pip creates when it is first needed.

Clock: errors are relative, by 200 x 200 Gauss points. Imports and the time for measuring errors are
not counted; compilation by jax's peers is. Points of the splines, scikit-fem and random-feature
rows are independent solves, each timed from its start; the others are timelines of one solve.

How long: with the defaults some 40 minutes a seed on two cores, and once 5 to 10 minutes and 5 GB
for the environments. --smoke: under a minute, no network.

Writes to --output, in place of what an earlier run wrote there: timelines.csv (every measurement),
table.csv (medians over seeds), figure.png, logs/ (the output of each peer), benchmark_peers.json;
and pieces/, the measurements of each peer's run: a benchmark that was stopped continues from them.
--redraw makes table, figure and JSON from timelines.csv again. A peer that is missing or fails is
reported at the end, after the others have run, and the exit code is then 1.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from common import script
from common.pieces import Pieces
from peers import launch, report
from peers.launch import PeerError, default_folder

NAME = Path(__file__).stem


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    names = [peer.name for peer in launch.PEERS]
    every = ",".join(names)
    chosen = script.options(
        NAME,
        __doc__,
        given,
        budget=dict(type=float, default=240.0, help="seconds per peer (240)"),
        threads=dict(type=int, default=2, help="cores per peer (2)"),
        peers=dict(type=_listed(str, names), default=every, help=every),
        seeds=dict(type=_listed(int), default="0", help="such as 0,1,2 (0)"),
        environments=dict(type=Path, default=default_folder()),
        redraw=dict(action="store_true", help="only the table and the figure"),
    )
    if chosen.smoke:
        chosen.budget, chosen.threads, chosen.seeds = min(chosen.budget, 0.001), 1, chosen.seeds[:1]
        chosen.peers = [name for name in names if name in launch.SMOKE]
    if chosen.budget <= 0 or chosen.threads < 1:
        chosen.error(f"--budget {chosen.budget}, --threads {chosen.threads}: expected more than 0")
    return chosen


def _listed(kind: type, allowed: Sequence[str] = ()) -> Callable[[str], list]:
    """Return a parser of comma-separated values."""

    def parse(text: str) -> list:
        try:
            values = [kind(part) for part in text.split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: expected numbers like 0,1,2") from None
        unknown = [value for value in values if allowed and value not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(allowed)}")
        return values

    return parse


def measure_all(chosen: argparse.Namespace) -> tuple[list[report.Measurement], list[str]]:
    """Run the chosen peers in turn; return their measurements and a message for each failure."""
    logs = chosen.output.absolute() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    settings = launch.Settings(
        chosen.budget, chosen.threads, chosen.environments.expanduser(), logs
    )
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    measurements: list[report.Measurement] = []
    failures: list[str] = []
    for peer, row, seed in runs(chosen.peers, chosen.seeds):
        label = " ".join(filter(None, [peer.name, row, f"seed {seed}" if peer.seeded else ""]))
        print(f"{label} ...", end=" ", flush=True)
        try:
            key = {"peer": peer.name, "row": row, "seed": seed}
            key |= {"budget": chosen.budget, "threads": chosen.threads}
            measure = partial(launch.measure, peer, row, seed, settings)
            found = pieces.records(report.Measurement, key, measure)
            print(f"{report.best(found).l2_relative:.1e}", flush=True)
        except PeerError as error:
            found = error.measurements
            failures.append(f"{label}: {error}")
            print("FAILED", flush=True)
        measurements += found
        script.write_rows(chosen.output / "timelines.csv", report.Measurement, measurements)
    return measurements, failures


def runs(names: Sequence[str], seeds: Sequence[int]) -> list[tuple[launch.Peer, str, int]]:
    """Return peer, row and seed of every process; a peer without randomness runs once."""
    return [
        (peer, row, seed)
        for peer in launch.PEERS
        if peer.name in names
        for row in peer.rows
        for seed in (seeds if peer.seeded else seeds[:1])
    ]


def publish(timelines: Path, output: Path) -> None:
    """Write and print the table, draw the figure and write the verdicts, all from timelines.csv."""
    measurements = script.read_rows(timelines, report.Measurement)
    cells = report.table(report.summarize(measurements))
    script.write_csv(output / "table.csv", cells[0], cells[1:])
    report.draw(measurements, output / "figure.png")
    script.write_verdicts(output / "benchmark_peers.json", report.figures(measurements))
    print(
        f"\n{script.markdown(cells[0], cells[1:])}\n{output / 'table.csv'}, {output / 'figure.png'}"
    )


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    timelines = chosen.output / "timelines.csv"
    if chosen.redraw:
        if not timelines.is_file():
            print(f"{timelines}: no such file; run the benchmark first", file=sys.stderr)
            return 2
        publish(timelines, chosen.output)
        return 0
    launch.limit_threads(chosen.threads)
    measurements, failures = measure_all(chosen)
    if measurements:
        publish(timelines, chosen.output)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
