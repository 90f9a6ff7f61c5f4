"""The two kinds of runs, and run.json of either."""

from typing import Any

from kanpinn.config import Config, Result
from kanpinn.results.contents import Contents
from kanpinn.results.fits import FitContents
from kanpinn.results.record import common_record, strict
from kanpinn.results.solves import SolveContents

CONTENTS: dict[str, Contents[Any, Any]] = {"problem": SolveContents(), "fit": FitContents()}


def run_record(result: Result, config: Config) -> dict[str, Any]:
    """What run.json says of a solve or a fit: plain values, None for what is not a number."""
    return strict(common_record(result, config) | CONTENTS[config.kind].record(result))
