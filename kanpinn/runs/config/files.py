"""What files of every kind have: a network, optimizers, and [run]."""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from pydantic.fields import FieldInfo

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest, show
from kanpinn.geometry.sampling import SAMPLERS, Collocation
from kanpinn.networks import Network
from kanpinn.optimizers import Method
from kanpinn.runs.config.job import Job
from kanpinn.runs.config.models import FixedTable, Table, table_of
from kanpinn.runs.config.named import Named

Seed = Annotated[int, Field(ge=0, le=2**53)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class SamplerTable(Table):
    """The collocation points."""

    arg_sampler: Annotated[Literal[SAMPLERS], Field(alias="sampler")] = "gauss"  # type: ignore[valid-type]


PointsTable = table_of(Collocation, "points", SamplerTable)


class RunTable(FixedTable):
    """What holds for the whole run.

    Args:
        seed: of all that is random, where a table has none of its own.
        dtype: the precision of the network's numbers.
        device: that computes, such as "cpu", "cuda" or "cuda:1".
        estimate: whether the errors of a solve are also estimated without the exact solution.
        tolerance: a relative L2 error that the estimate is compared with; it asks for one.
        budget_seconds: that the steps may take.
        threads: of the command line's process; by default all cores.
    """

    seed: Seed = 0
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"
    estimate: bool = False
    tolerance: Positive | None = None
    budget_seconds: Positive | None = None
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None

    def refuse(self, reason: str, *keys: str) -> None:
        """Refuse keys that say nothing for the files of a kind.

        Raises:
            InputError: naming the first one that is given, its value and the reason.
        """
        for key in keys:
            if value := getattr(self, key):
                raise InputError(f"run.{key} = {show(value)}: {reason}")


SHARED = ("optimizer", "run")  # sections of files of every kind


class File(Table):
    """The sections of a file. Those of each kind add their own."""

    optimizer: tuple[Named, ...] = ()
    run: RunTable = RunTable()

    kind: ClassVar[str]  # "problem", "eigen" or "fit"

    @property
    @abstractmethod
    def title(self) -> str:
        """What is solved or fitted, in a few words."""

    @property
    def name(self) -> str:
        """What a run is called after, where there is no file to call it after."""
        return self.title.rpartition(":")[2].lower()

    @abstractmethod
    def job(self, directory: Path, name: str) -> Job:
        """The job that the file describes.

        Args:
            directory: where files that it names are looked for.
            name: of the job.

        Raises:
            InputError: naming the key that does not fit.
        """

    @classmethod
    def by_key(cls) -> dict[str, FieldInfo]:
        """The sections, those that all kinds of files have last."""
        names = sorted(cls.model_fields, key=SHARED.__contains__)
        return {name: cls.model_fields[name] for name in names}

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        sections = cls.by_key()
        known = ", ".join(f"[{name}]" for name in sections)
        return f"{key} is unknown{nearest(key, sections)} (the sections are {known})"

    def placed(self, network: Network) -> Network:
        """The network on the device and in the precision of [run].

        Raises:
            InputError: where there is no such device.
        """
        run = self.run
        try:
            device = torch.device(run.device)
            return network.to(device=device, dtype=getattr(torch, run.dtype))
        except (AssertionError, NotImplementedError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            given = f'run.device = "{run.device}"'
            raise InputError(f"{given}: no such device here ({reason})") from None

    def make_optimizers(
        self, network: Network, directory: Path, default: Method
    ) -> tuple[Method, ...]:
        """The optimizers in order; the default where there are none.

        Raises:
            InputError: also for refinements that do not fit the network, which would only fail when
                they are due.
        """
        stages = []
        for index, table in enumerate(self.optimizer):
            path = f"optimizer[{index}]"
            stage: Method = table.build(path, directory)
            try:
                stage.check(network)
            except InputError as error:
                own = str(error).partition(" ")[0] in table.arguments()
                given = f"{path}." if own else f'{path}.type = "{table.type}": '
                raise InputError(f"{given}{error}") from None
            stages.append(stage)
        return tuple(stages) or (default,)
