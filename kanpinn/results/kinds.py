"""The kinds of runs, and run.json of each."""

from typing import Any

from kanpinn.config import Config, Result
from kanpinn.results.contents import Contents
from kanpinn.results.eigens import EigenContents
from kanpinn.results.fits import FitContents
from kanpinn.results.record import common_record, strict
from kanpinn.results.solves import SolveContents

CONTENTS: dict[str, Contents[Any, Any]] = {
    "problem": SolveContents(),
    "eigen": EigenContents(),
    "fit": FitContents(),
}


def run_record(result: Result, config: Config) -> dict[str, Any]:
    """What run.json says of a result: plain values, None for what is not a number."""
    return strict(common_record(result, config) | CONTENTS[config.kind].record(result))
