"""Whether kanpinn can be trusted: each section tries to make it say something wrong.

What: `mutations`: random mutations of the files of problems/, of their tables, values and
characters, are given to `kanpinn check`. `damage`: run folders of a solve and of a fit, with a file
that is cut off, has a flipped bit or other contents, are given to `kanpinn export` and `--resume`.
A command fails if it prints a traceback or more than 2 kB, takes more than 20 s of the processor or
1 GB of memory beyond that of the imports, ends by a signal or without a word, or changes a folder
that it refuses.

`writes`: at every operation on the disk of a short solve, fit and study (a file that is opened,
renamed or removed, a folder that is made, an fsync) the process is killed, also amid a write, or
the disk is full, refuses once, is read-only, or the folder vanishes: what fails must be told with
the path; every run folder must stay readable, with its last checkpoint, and the run must end, when
it is started again, with the coefficients of one that nothing has disturbed. `kills`: the same
after SIGKILL at random moments of a solve, a fit, a march, a search by `auto` and a study.
`adversarial`: named and random problems whose exact solutions are known, and whose errors are hard
to estimate, are solved with given networks and by `kp.auto`. An estimate fails if it is below a
third of the true error, or if a solution is said to be within a tolerance that it is not.
`ill_posed`: well-posed problems of many kinds are drawn, and the same with a fault, such as a side
without a condition: a solve has to speak against these and only these.
`library`: estimates of the errors of problems/ beside the true errors.
`units`: the library's problems with coordinates, fields and equations multiplied by random powers
of ten, from 1e-4 to 1e4: the errors of `kanpinn.auto` must be the same to a factor of 2.
`bounds`: random coercive problems, solved well and badly, get guaranteed bounds (`kp.error_bound`),
which are compared with the true errors: they must hold.

How: each command runs in a fork of this process. What has failed is listed with the file that
reproduces it, which stays in --output. A section that has been measured by the same sources of
kanpinn, with the same options, is not measured again.

How long: some forty minutes on one core; --only SECTION ... measures some of the sections;
--smoke: half a minute.

Writes to --output: trust.json, failures.md, and the files that made a command fail.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from common import options, verdicts
from common.pieces import Pieces, Row
from common.problem_files import PROBLEMS
from hostile import commands, damage, ill_posed, kills, library, mutations, units, writes
from hostile.adversarial.figures import figures as adversarial
from hostile.bounded.figures import figures as bounded

NAME = Path(__file__).stem


@dataclass(frozen=True)
class Section:
    """A part of what is measured.

    figures: measures it with the options of this script, and adds a line for each failure to a
    list. counts: its own options, with their values in full and in a smoke run, and their meaning.
    """

    figures: Callable[[argparse.Namespace, list[str]], dict[str, verdicts.Figure]]
    counts: Mapping[str, tuple[int, int, str]]

    def measured(self, name: str, chosen: argparse.Namespace, pieces: Pieces) -> Row:
        """Return its figures and failures, of an earlier call where that had the same options."""
        counts = {count: getattr(chosen, count) for count in self.counts}

        def make() -> list[Row]:
            print(f"{name} ...", flush=True)
            failures: list[str] = []
            return [{"figures": self.figures(chosen, failures), "failures": failures}]

        return pieces.rows({"section": name, "seed": chosen.seed} | counts, make)[0]


SECTIONS = {
    "mutations": Section(mutations.figures, {"mutations": (2000, 24, "of problem files")}),
    "damage": Section(damage.figures, {"damages": (300, 2, "of each run folder")}),
    "writes": Section(writes.figures, {"writes": (10**6, 2, "faults of each kind of run; all")}),
    "units": Section(units.figures, {"units": (2, 1, "drawn for each problem of the library")}),
    "kills": Section(kills.figures, {"kills": (100, 4, "of runs, the kinds together")}),
    "adversarial": Section(
        adversarial,
        {
            "draws": (60, 1, "random problems"),
            "searches": (80, 1, "problems that `kp.auto` solves"),
            "budget": (20, 2, "seconds of each search"),
        },
    ),
    "ill_posed": Section(
        ill_posed.figures, {"problems": (112, 14, "well-posed problems, and as many ill-posed")}
    ),
    "library": Section(library.figures, {"files": (99, 1, "problem files, poisson2d first")}),
    "bounds": Section(bounded, {"bounded": (150, 2, "random problems with bounds")}),
}


def arguments() -> argparse.Namespace:
    parser = options.parser(NAME, __doc__)
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=[*SECTIONS], metavar="SECTION"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all draws (0)")
    counts = {name: count for one in SECTIONS.values() for name, count in one.counts.items()}
    for name, (full, _, meaning) in counts.items():
        parser.add_argument(f"--{name}", type=int, help=f"{meaning} ({full})")
    chosen = options.finish(NAME, parser.parse_args())
    for name, (full, smoke, _) in counts.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, smoke if chosen.smoke else full)
    return chosen


def main() -> None:
    chosen = arguments()
    torch.set_num_threads(1)
    chosen.output.mkdir(parents=True, exist_ok=True)
    commands.prepare(["check", str(PROBLEMS / "poisson2d.toml")])
    pieces = Pieces.under(chosen.output, chosen.smoke)
    figures: dict[str, verdicts.Figure] = {}
    failures: list[str] = []
    for name in chosen.only:
        row = SECTIONS[name].measured(name, chosen, pieces)
        figures |= row["figures"]
        failures += row["failures"]
    listed = "".join(f"- {failure}\n" for failure in failures) or "None.\n"
    (chosen.output / "failures.md").write_text(f"# Failures\n\n{listed}", "utf-8")
    verdicts.write(chosen.output / f"{NAME}.json", figures)
    for name, figure in figures.items():
        print(f"{name}: {figure['value']} ({figure['target']})")


if __name__ == "__main__":
    main()
