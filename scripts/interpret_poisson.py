"""From data, or a PDE, to an exact formula.

What: (1) ten functions, fixed beforehand, whose formulas are read off 2000 values each, without
noise, from three seeds: [2,2,1]-like shapes are found, pruned, their edges snapped, the constants
recognised. (2) The poster's Poisson problem, solved by KANs [2,2,1] and [2,3,1] with variable
projection from random starts: u = sin(πx) sin(πy²) is recovered from the run and put into the
equation and the boundary condition. (3) The same for Poisson problems whose solutions are drawn at
random, f(g(x) + h(y)) or g(x) h(y): they have no `exact`, only a source and boundary data.

How long: some twenty minutes on one core, of which the function that is not found takes twelve;
--smoke: some seconds, one run of each kind, whose verdicts stay open.

Writes to --output (results/interpret_poisson): formulas.md, formulas.csv, interpret_poisson.json,
and pieces/, a file for each formula: a run that was stopped goes on from them.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from common import options, verdicts
from common.pieces import Pieces
from interpretation.functions import TARGETS
from interpretation.page import judge, page, table
from interpretation.runs import Row, read_drawn, read_poster, read_target, set_threads

import kanpinn as kp
from kanpinn._support.files import write_text

sys.path.append(str(Path(__file__).parents[1] / "problems"))
from poisson2d import Poisson2D

SEEDS = (0, 1, 2)
DRAWN: tuple[int, ...] = tuple(range(12))
SUM = 0  # a drawn solution that is f(g(x) + h(y))
FORMULA = "sin(pi*x)*sin(pi*y**2)"
# Of processor time for one formula. The slowest that is found, 1/(1 + x² + y²) from seed 1, takes
# 64 seconds on a quiet core and twice as many beside other work.
SECONDS = 240.0


def main() -> None:
    chosen = options.finish(
        "interpret_poisson", options.parser("interpret_poisson", __doc__).parse_args()
    )
    output = chosen.output
    output.mkdir(parents=True, exist_ok=True)
    set_threads()
    pieces = Pieces.under(output, again=chosen.smoke)
    rows: list[Row] = []
    for name, read in runs(chosen.smoke):
        (row,) = pieces.records(Row, {"run": name}, lambda: [read()])  # noqa: B023
        rows.append(row)
        sys.stderr.write(f"{row.name}, seed {row.seed}: {row.found} ({row.seconds:.0f} s)\n")
        write_text(output / "formulas.csv", table(rows))
    write_text(output / "formulas.md", page(rows))
    verdicts.write(output / "interpret_poisson.json", judge(rows, complete=not chosen.smoke))
    sys.stdout.write(page(rows))


def runs(smoke: bool) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield the name of every run and the call that makes it.

    A smoke run makes one of each kind. Where it allows no time, no formula is found.
    """
    targets = [target for target in TARGETS if not smoke or target.name == "product"]
    seeds, widths = ((0,), (2,)) if smoke else (SEEDS, (2, 3))
    drawn = {1: SECONDS, SUM: 1e-3} if smoke else dict.fromkeys(DRAWN, SECONDS)
    seconds, wide = (1e-3, 24) if smoke else (SECONDS, 64)
    short = kp.VariableProjection(steps=5, rounds=1, starts=2, coarse=4)
    search = short if smoke else kp.VariableProjection()
    for target in targets:
        for seed in seeds:
            yield f"{target.name} {seed}", partial(read_target, target, seed, SECONDS)
    for width in widths:
        for seed in seeds:
            read = partial(read_poster, Poisson2D(), FORMULA, seed, width, seconds, search)
            yield f"poster {width} {seed}", read
    for number, limit in drawn.items():
        yield f"drawn {number}", partial(read_drawn, number, limit, wide)


if __name__ == "__main__":
    main()
