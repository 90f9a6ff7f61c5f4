"""The sections of a file: those that all files have, and those that each kind adds."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kanpinn._support.errors import InputError
from kanpinn._support.wording import show
from kanpinn.runs.config.job import Job
from kanpinn.runs.config.schema import RunSection


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What files of every kind have.

    network, optimizer: the arguments of the classes that they describe. directory: where files are
    looked for; name: what run folders are called after.
    """

    network: dict[str, Any]
    optimizer: tuple[dict[str, Any], ...] = ()
    run: RunSection = field(default_factory=RunSection)
    directory: Path = Path()
    name: str = "problem"

    def refuse(self, reason: str, *keys: str) -> None:
        """Refuse these keys of [run], which say nothing for the files of a kind.

        Raises:
            InputError: naming the first one that is given, its value and the reason.
        """
        for key in keys:
            if value := getattr(self.run, key):
                raise InputError(f"run.{key} = {show(value)}: {reason}")


class Sections(ABC):
    """What files of one kind have besides.

    kind, command: what such a file is, and what runs it; names: of its own sections.
    """

    kind: ClassVar[str]
    command: ClassVar[str]
    names: ClassVar[tuple[str, ...]]

    @staticmethod
    @abstractmethod
    def of(data: dict[str, Any]) -> "Sections":
        """From the sections of a file."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What is solved or fitted, in a few words."""

    @property
    def name(self) -> str:
        """What a run is called after, where there is no file to call it after."""
        return self.title.rpartition(":")[2].lower()

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The sections as plain values."""

    @abstractmethod
    def build(self, shared: Shared) -> Job:
        """The job that a file with these sections and the shared ones describes."""
