"""kanpinn fit."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kanpinn.cli.options import RESULTS, Json, Output, Overrides, Quiet, Resume, Seed
from kanpinn.cli.running import Course, Wish, follow
from kanpinn.cli.tables import scores_table, summary

if TYPE_CHECKING:
    from kanpinn.solvers.fit import Fitted


def fit(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A fit file (TOML).")] = None,
    overrides: Overrides = None,
    json: Json = False,
    output: Output = RESULTS,
    seed: Seed = None,
    quiet: Quiet = False,
    resume: Resume = None,
) -> None:
    """Fit a network to data: a table of scores, and a run folder with everything else.

    Exit codes: 0 a usable fit, 1 numerical failure, 2 bad input, 130 interrupted.
    """
    pairs = [*(overrides or ()), *([] if seed is None else [f"run.seed={seed}"])]
    wish = Wish(file, resume, pairs, output, json, quiet)
    follow(Course("fit", lambda job: None, lambda job, fitted: fitted, _lines), wish)


def _lines(fitted: "Fitted") -> Iterator[str]:
    yield scores_table(fitted)
    yield summary(fitted)
