"""A script whose measurements are sections, of which some may be made alone."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from common import options, verdicts
from common.pieces import Pieces, Row
from common.problem_files import PROBLEMS

from hostile import commands


@dataclass(frozen=True)
class Section:
    """A part of what is measured.

    figures: measures it with the options of the script, and adds a line for each failure to a list.
    counts: its own options, with their values in full and in a smoke run, and their meaning.
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


def measure(script: str, description: str | None, sections: Mapping[str, Section]) -> None:
    """Measure the sections that the command line names, and write figures and failures.

    Args:
        script: the name of the script, and of its folder and its file of figures.
        description: its docstring.
        sections: all sections by name.
    """
    chosen = _arguments(script, description, sections)
    torch.set_num_threads(1)
    chosen.output.mkdir(parents=True, exist_ok=True)
    commands.prepare(["check", str(PROBLEMS / "poisson2d.toml")])
    pieces = Pieces.under(chosen.output, chosen.smoke)
    figures: dict[str, verdicts.Figure] = {}
    failures: list[str] = []
    for name in chosen.only:
        row = sections[name].measured(name, chosen, pieces)
        figures |= row["figures"]
        failures += row["failures"]
    listed = "".join(f"- {failure}\n" for failure in failures) or "None.\n"
    (chosen.output / "failures.md").write_text(f"# Failures\n\n{listed}", "utf-8")
    verdicts.write(chosen.output / f"{script}.json", figures)
    for name, figure in figures.items():
        print(f"{name}: {figure['value']} ({figure['target']})")


def _arguments(
    script: str, description: str | None, sections: Mapping[str, Section]
) -> argparse.Namespace:
    parser = options.parser(script, description)
    parser.add_argument(
        "--only", nargs="+", choices=sections, default=[*sections], metavar="SECTION"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all draws (0)")
    counts = {name: count for one in sections.values() for name, count in one.counts.items()}
    for name, (full, _, meaning) in counts.items():
        parser.add_argument(f"--{name}", type=int, help=f"{meaning} ({full})")
    chosen = options.finish(script, parser.parse_args())
    for name, (full, smoke, _) in counts.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, smoke if chosen.smoke else full)
    return chosen
