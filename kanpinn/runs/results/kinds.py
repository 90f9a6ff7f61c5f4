"""The kinds of runs, and run.json of each."""

from typing import Any

from kanpinn.runs.config import Config, Result
from kanpinn.runs.results.contents import Contents
from kanpinn.runs.results.eigens import EigenContents
from kanpinn.runs.results.fits import FitContents
from kanpinn.runs.results.record import common_record, strict
from kanpinn.runs.results.solves import SolveContents

CONTENTS: dict[str, Contents[Any, Any]] = {
    "problem": SolveContents(),
    "eigen": EigenContents(),
    "fit": FitContents(),
}


def run_record(result: Result, config: Config) -> dict[str, Any]:
    """What run.json says of a result: plain values, None for what is not a number."""
    return strict(common_record(result, config) | CONTENTS[config.kind].record(result))
