"""What a run folder holds of a solve, or of a fit, beyond what both have."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from kanpinn.runs.config import Job, Result

R = TypeVar("R", bound=Result)
J = TypeVar("J", bound=Job)

log = logging.getLogger(__name__)


class Contents(ABC, Generic[J, R]):
    """Writes and reads what is in a folder besides checkpoint.pt and what all run.json have."""

    @abstractmethod
    def record(self, result: R) -> dict[str, Any]:
        """Further entries of run.json, or others in place of the common ones."""

    @abstractmethod
    def write(self, result: R, settings: Mapping[str, Any], folder: Path, figures: bool) -> None:
        """result.h5 and, where they can be made, files for other programs and figures."""

    @abstractmethod
    def draw(self, result: R, folder: Path) -> list[Path]:
        """The figures, as files in a folder that is made."""

    @abstractmethod
    def restore(self, job: J, state: Mapping[str, Any], measured: bool) -> R:
        """The result of a state after which no step is left; measured: with its errors."""

    @abstractmethod
    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of the result as run.json has them, besides those that all results have."""


def attempt(what: str, make: Callable[[], Any]) -> Any:
    """What a run has computed is kept even where a picture of it cannot be made."""
    try:
        return make()
    except Exception:
        log.warning("%s could not be made", what, exc_info=True)
        return None


def numbers(saved: Mapping[str, float | None]) -> dict[str, float]:
    """JSON has no NaN: null stands for it."""
    return {name: math.nan if value is None else value for name, value in saved.items()}
