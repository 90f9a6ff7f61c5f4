"""A file of settings, for a solve or for a fit: read, overridden, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kanpinn._support.errors import InputError
from kanpinn.runs.config.eigens import EigenSections
from kanpinn.runs.config.fits import FitSections
from kanpinn.runs.config.foreign_keys import drop_foreign_keys
from kanpinn.runs.config.forms import construct
from kanpinn.runs.config.job import Job
from kanpinn.runs.config.overrides import Override, override
from kanpinn.runs.config.reading import faults, load_toml
from kanpinn.runs.config.schema import RunSection
from kanpinn.runs.config.sections import Sections, Shared
from kanpinn.runs.config.solves import SolveSections


@dataclass(frozen=True, kw_only=True)
class Config(Shared):
    """A problem file, with or without [eigen], or a fit file.

    `network`, each `optimizer` and what is a table in `sections` are the arguments of the class
    they describe and are checked against it when the job is built.
    sections: those that files of its kind alone have; notes: what an override made void, a line
    each.
    """

    sections: Sections
    notes: tuple[str, ...] = ()

    @staticmethod
    def read(path: Path, overrides: Sequence[str] = ()) -> "Config":
        """A TOML file, the overrides ("network.width=[2, 32, 1]") laid over it.

        Raises:
            InputError: one line for each fault, naming key, value and what was expected.
        """
        path = Path(path)
        written = load_toml(path)
        changes = [Override.parse(pair) for pair in overrides]
        return _changed(written, changes, path.parent, path.stem)

    @staticmethod
    def from_dict(
        data: dict[str, Any],
        directory: Path = Path(),
        name: str | None = None,
        notes: Sequence[str] = (),
    ) -> "Config":
        """The same from the sections as a dict, such as `to_dict` gives.

        Raises:
            InputError: as for `read`.
        """
        kind = _kind_of(data)
        if found := faults(data, kind.names):
            raise InputError("\n".join(found))
        sections = kind.of(data)
        return Config(
            sections=sections,
            network=data.get("network", {}),
            optimizer=tuple(data.get("optimizer", ())),
            run=construct("run", RunSection, data.get("run", {})),
            directory=Path(directory).resolve(),
            name=name or sections.name,
            notes=tuple(notes),
        )

    @property
    def kind(self) -> str:
        """ "problem", "eigen" or "fit": what the file is a file of."""
        return self.sections.kind

    @property
    def title(self) -> str:
        """What is solved or fitted, in a few words."""
        return self.sections.title

    def override(self, pairs: Sequence[str]) -> "Config":
        """This configuration with "KEY=VALUE" pairs laid over it."""
        data = override(self.to_dict(), [Override.parse(pair) for pair in pairs])
        return Config.from_dict(data, self.directory, self.name, self.notes)

    def vary(self, values: Mapping[str, Any]) -> "Config":
        """This configuration with other values for some keys, {"network.grid": [4, 8]}.

        Raises:
            InputError: naming the key.
        """
        changes = [Override.of(key, value) for key, value in values.items()]
        return _changed(self.to_dict(), changes, self.directory, self.name)

    def to_dict(self) -> dict[str, Any]:
        """The sections as plain values, strict JSON; `from_dict` reads them back."""
        own = self.sections.to_dict()
        run = {k: v for k, v in asdict(self.run).items() if v is not None}
        shared = {"network": self.network, "optimizer": list(self.optimizer), "run": run}
        return own | {name: section for name, section in shared.items() if section}

    def build(self) -> Job:
        """The job that the file describes.

        Raises:
            InputError: naming the key, where a table does not fit the class that it describes.
        """
        return self.sections.build(self)


def _kind_of(data: Mapping[str, Any]) -> type[Sections]:
    """Which sections a file has: those of a fit, of an eigenvalue problem, or of a solve."""
    if "data" in data and "problem" not in data:
        return FitSections
    return EigenSections if "eigen" in data else SolveSections


def _changed(
    written: dict[str, Any], changes: Sequence[Override], directory: Path, name: str
) -> Config:
    """What is written with the changes laid over it, and a note of what they made void."""
    data = override(written, changes)
    given = {change.path for change in changes}
    data, notes = drop_foreign_keys(written, data, given, directory)
    return Config.from_dict(data, directory, name, notes)
