"""From data, or a PDE, to an exact formula.

What: (1) ten functions, fixed beforehand, whose formulas are read off 2000 values each, without
noise, from three seeds: [2,2,1]-like shapes are found, pruned, their edges snapped, the constants
recognised. (2) The poster's Poisson problem, solved by KANs [2,2,1] and [2,3,1] with variable
projection from random starts: u = sin(πx) sin(πy²) is recovered from the run and put into the
equation and the boundary condition. (3) The same for Poisson problems whose solutions are drawn at
random, f(g(x) + h(y)) or g(x) h(y): they have no `exact`, only a source and boundary data.

How long: some twelve minutes on one core; --smoke: some 15 seconds, one function and one run,
whose verdicts stay open.

Writes to --output (results/interpret_poisson): formulas.md, formulas.csv, interpret_poisson.json.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from common import options, verdicts
from interpretation.page import judge, page, table
from interpretation.runs import Row, read_drawn, read_poster, read_target, set_threads
from interpretation.targets import TARGETS

from kanpinn._support.files import write_text

sys.path.append(str(Path(__file__).parents[1] / "problems"))
from poisson2d import Poisson2D

SEEDS = (0, 1, 2)
DRAWN = tuple(range(12))
FORMULA = "sin(pi*x)*sin(pi*y**2)"
SECONDS = 90.0  # of processor time for one formula


def main() -> None:
    chosen = options.finish(
        "interpret_poisson", options.parser("interpret_poisson", __doc__).parse_args()
    )
    output = chosen.output
    output.mkdir(parents=True, exist_ok=True)
    set_threads()
    rows = []
    for row in runs(chosen.smoke):
        rows.append(row)
        sys.stderr.write(f"{row.name}, seed {row.seed}: {row.found} ({row.seconds:.0f} s)\n")
        write_text(output / "formulas.csv", table(rows))
    write_text(output / "formulas.md", page(rows))
    verdicts.write(output / "interpret_poisson.json", judge(rows, complete=not chosen.smoke))
    sys.stdout.write(page(rows))


def runs(smoke: bool) -> Iterator[Row]:
    """All runs, one after the other."""
    if smoke:
        yield read_target(next(t for t in TARGETS if t.name == "product"), 0, SECONDS)
        yield read_poster(Poisson2D(), FORMULA, 0, 3, SECONDS)
        return
    for target in TARGETS:
        for seed in SEEDS:
            yield read_target(target, seed, SECONDS)
    for width in (2, 3):
        for seed in SEEDS:
            yield read_poster(Poisson2D(), FORMULA, seed, width, SECONDS)
    for number in DRAWN:
        yield read_drawn(number, SECONDS)


if __name__ == "__main__":
    main()
