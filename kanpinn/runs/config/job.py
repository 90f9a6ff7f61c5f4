"""`Job`, a solve or fit that a file describes, and the sections that files of all kinds have."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from pydantic.fields import FieldInfo

from kanpinn._support.errors import InputError, nearest, show
from kanpinn.geometry.sampling import SAMPLERS, Collocation
from kanpinn.loss.residuals import Residuals
from kanpinn.networks import Network
from kanpinn.networks.kan import KANLayer
from kanpinn.optimizers import LeastSquares, Method, Optimizer, Stage
from kanpinn.runs.config.models import FixedTable, TomlTable, table_of
from kanpinn.runs.config.named import Named, check_memory
from kanpinn.solvers.auto.search import Announce
from kanpinn.solvers.eigen import Eigensolution
from kanpinn.solvers.fit import Fitted
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.state import Observer

Result = Solution | Eigensolution | Fitted


@dataclass(frozen=True, eq=False, kw_only=True)
class Job(ABC):
    """A solve or a fit with everything that it needs; it can be run once."""

    network: Network
    optimizers: tuple[Method, ...]
    seed: int
    name: str

    by_trials: ClassVar[bool] = False  # whether trials choose network, points and optimizers

    def run(
        self,
        observers: Sequence[Observer] = (),
        checkpoint: Mapping[str, Any] | None = None,
        announce: Announce | None = None,
        assessed: bool = True,
    ) -> Any:
        """Run the job and return its result.

        Args:
            observers: functions that are called with the state after every step.
            checkpoint: the state from which the run continues; None to start anew.
            announce: a function that is called with each choice of settings before its trial, and
                at the end with the choice that is kept; only jobs whose settings are left to
                trials make choices.
            assessed: whether a solve measures errors, and verifies the residual at fresh points.

        Raises:
            InputError: also for an error in a file of the user's; the message names file and line.
        """
        given = {"observers": observers, "checkpoint": checkpoint}
        return self._run(given, announce, assessed)

    @abstractmethod
    def _run(self, given: dict[str, Any], announce: Announce | None, assessed: bool) -> Result:
        """Run the job; `given` has the observers and the checkpoint."""


class NoSteps(Optimizer):
    """An optimizer without steps, for a preview of the state before the first step."""

    steps = 0

    def start(self, residuals: Residuals, seed: int) -> Stage:
        return LeastSquares().start(residuals, seed)


Seed = Annotated[int, Field(ge=0, le=2**53)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class SamplerTable(TomlTable):
    """The collocation points."""

    arg_sampler: Annotated[Literal[SAMPLERS], Field(alias="sampler")] = "gauss"  # type: ignore[valid-type]


PointsTable = table_of(Collocation, "points", SamplerTable)


class RunTable(FixedTable):
    """Settings of the whole run.

    Args:
        seed: the seed of all random numbers; a network may have a seed of its own.
        dtype: the floating-point format of the network.
        device: the device that computes, such as "cpu", "cuda" or "cuda:1".
        estimate: whether the errors of a solve are also estimated without an exact solution.
        bound: whether the estimate has guaranteed bounds too, where theory gives them.
        tolerance: a relative L2 error with which the estimated one is compared; null for none.
        budget_seconds: the seconds that the steps may take; null for no limit.
        threads: the threads of PyTorch and of linear algebra; null for one for each core, or for
            a single one where more do not help, as for networks in cells.
    """

    seed: Seed = 0
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"
    estimate: bool = False
    bound: bool = False
    tolerance: Positive | None = None
    budget_seconds: Positive | None = None
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None

    def refuse(self, reason: str, *keys: str) -> None:
        """Refuse keys that have no meaning in files of one kind.

        Args:
            reason: why the keys have no meaning, for the message.
            keys: the names of the keys.

        Raises:
            InputError: for the first key with a value other than false or null.
        """
        for key in keys:
            if value := getattr(self, key):
                raise InputError(
                    f"run.{key} = {show(value)}: expected to be left out, since {reason}"
                )


SHARED = ("optimizer", "run")  # the sections that files of every kind have


class File(TomlTable):
    """The sections that files of every kind have.

    Attributes:
        kind: "problem", "eigen" or "fit".
        derivatives: the order of the derivatives that the loss usually has.
    """

    optimizer: tuple[Named, ...] = ()
    run: RunTable = RunTable()

    kind: ClassVar[str]
    derivatives: ClassVar[int] = 2

    @property
    @abstractmethod
    def title(self) -> str:
        """The problem or the data, as the file names them."""

    @property
    def name(self) -> str:
        """The name of the runs, if the settings do not come from a named file."""
        return self.title.rpartition(":")[2].lower()

    @abstractmethod
    def job(self, directory: Path, name: str) -> Job:
        """Return the job that the file describes, ready to run.

        Args:
            directory: the folder in which files named by the file are looked for.
            name: the name of the job.

        Raises:
            InputError: if a table does not fit the class that it describes.
        """

    @classmethod
    def by_key(cls) -> dict[str, FieldInfo]:
        """Return the sections by name, those that all kinds of files have at the end."""
        names = sorted(cls.model_fields, key=SHARED.__contains__)
        return {name: cls.model_fields[name] for name in names}

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        sections = cls.by_key()
        known = ", ".join(f"[{name}]" for name in sections)
        return f"{key} is unknown{nearest(key, sections)} (the sections are {known})"

    def placed(self, network: Network) -> Network:
        """Return the network on the device and in the format of [run].

        Raises:
            InputError: if there is no such device.
        """
        run = self.run
        try:
            if (device := torch.device(run.device)).type == "meta":
                raise NotImplementedError("it computes shapes without values")
            return network.to(device=device, dtype=getattr(torch, run.dtype))
        except (AssertionError, NotImplementedError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            given = f'run.device = "{run.device}"'
            raise InputError(f"{given}: this machine has no such device ({reason})") from None

    def make_optimizers(
        self, network: Network, directory: Path, default: tuple[Method, ...], rows: int
    ) -> tuple[Method, ...]:
        """Return the methods of [[optimizer]] in their order.

        Args:
            network: the network that they train.
            directory: the folder in which classes of the user's own are looked for.
            default: the methods if the file has none.
            rows: the number of rows of a least-squares problem.

        Raises:
            InputError: if a table does not fit its class, a method does not support the network, or
                the triangular factor of its least-squares problem does not fit into memory.
        """
        methods: list[Method] = []
        for index, table in enumerate(self.optimizer):
            path = f"optimizer[{index}]"
            method: Method = table.build(path, directory)
            try:
                method.check(network)
            except InputError as error:
                key = str(error).partition(" ")[0]
                known = key in table.by_key() or key in (table.model_extra or {})
                given = f"{path}." if known else f'{path}.type = "{table.type}": '
                raise InputError(f"{given}{error}") from None
            methods.append(method)
        for index, method in enumerate(methods := methods or [*default]):
            columns = method.unknowns(network)
            given = f"optimizer[{index}] ({method.title} for {columns} coefficients)"
            # The triangular factor, and the rows that are folded into it.
            check_memory(given, 8 * 2 * columns * min(rows, columns))
        # So many points, or all, are evaluated together at least, with the basis functions of each
        # unit and their derivatives, and what the chain rule needs of them.
        points, copies = min(rows, 256), 4
        layers = [layer for part in network.parts for layer in part.layers]
        degrees = [layer.basis.degree for layer in layers if isinstance(layer, KANLayer)]
        values = sum(network.width) * (max(degrees, default=0) + 1) * (self.derivatives + 1)
        given = f"network.width = {list(network.width)}"
        check_memory(given, 8 * copies * points * values)
        return tuple(methods)
