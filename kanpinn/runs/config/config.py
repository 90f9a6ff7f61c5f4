"""`Config`: the checked settings of a solve, an eigenvalue problem or a fit.

`Config.build` makes the `Job` that the settings describe; `document_schema` returns the JSON schema
of problem files or fit files.
"""

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from kanpinn._support.errors import InputError, nearest, show
from kanpinn._support.memory import check_memory
from kanpinn.accuracy.references import Recipe
from kanpinn.data import Data
from kanpinn.geometry.sampling import COPIES, SAMPLERS, Collocation
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks import KAN, Network
from kanpinn.networks.kan import KANLayer
from kanpinn.networks.layer import Function
from kanpinn.optimizers import LeastSquares, LevenbergMarquardt, Method, Stage
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.problem import EigenProblem, Problem
from kanpinn.runs.config import models, tables
from kanpinn.runs.config.toml import KeyPath, Override, load_toml, override, spell
from kanpinn.solvers import discretization
from kanpinn.solvers.auto import first_choice
from kanpinn.solvers.auto.search import Announce, TrialSearch
from kanpinn.solvers.eigen import Eigensolution, default_eigen_network, discretize_eigen, eigen
from kanpinn.solvers.eigen.eigen import cell_settings
from kanpinn.solvers.error_estimate import with_estimate
from kanpinn.solvers.fit import Fitted, check_columns, fit
from kanpinn.solvers.solution import Solution
from kanpinn.solvers.solve import default_optimizer, solve
from kanpinn.solvers.state import Losses, Observer

Result = Solution | Eigensolution | Fitted


@dataclass(frozen=True, eq=False, kw_only=True)
class Job(ABC):
    """A solve, an eigenvalue problem or a fit with everything that it needs; it can be run once.

    Args:
        network: the network.
        optimizers: the methods, in their order.
        seed: the seed of all random numbers.
        name: the name of the folder that holds the runs.
        tolerance: the largest acceptable relative L2 error; the estimated error is compared with
            it. None for no comparison.
        budget_seconds: the most seconds that the steps may take; None for no limit.
        by_trials: whether trials choose network, points and optimizers (`TrialSearch`); `network`
            and `optimizers` then belong to the first trial.
    """

    network: Network
    optimizers: tuple[Method, ...]
    seed: int
    name: str
    tolerance: float | None = None
    budget_seconds: float | None = None
    by_trials: bool = False

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
                at the end with the choice that is kept; not called unless trials choose settings
                (`by_trials`).
            assessed: whether a solve measures errors, and verifies the residual at points that it
                has not used.

        Raises:
            InputError: for settings that do not fit together, and for an error in a Python file of
                the user's; the message names the file and the line.
        """
        given = {"observers": observers, "checkpoint": checkpoint, "seed": self.seed}
        return self._run(given | {"budget": self.budget_seconds}, announce, assessed)

    @abstractmethod
    def _run(self, given: dict[str, Any], announce: Announce | None, assessed: bool) -> Result:
        """Run the job and return its result.

        Args:
            given: the arguments observers, checkpoint, seed and budget of a solve, by name.
            announce: a function that is called with each choice of settings that trials make; None
                for no call.
            assessed: whether a solve measures errors, and verifies the residual at points that it
                has not used.
        """

    def judged(self, result: Any) -> Any:
        """Return a result; for a solve, errors are estimated if the settings ask for it."""
        return result

    @abstractmethod
    def preview(self) -> Any:
        """Return the state before the first step of the run; no step is taken."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SolveJob(Job):
    """A solve ready to run.

    Args:
        problem: the problem.
        settings: how the problem is discretized.
        reference: how to compute the reference solution; None for `problem.reference()`.
        estimate: whether errors are also estimated after the solve.
        bound: whether the estimate has guaranteed bounds too.
    """

    problem: Problem
    settings: discretization.SolveSettings
    reference: Recipe | None = None
    estimate: bool = False
    bound: bool = False

    def _run(self, given: dict[str, Any], announce: Announce | None, assessed: bool) -> Solution:
        owners = (self.problem, self.network, *self.optimizers, self.reference)
        with models.blaming(type(self.problem).__name__, *owners):
            if not self.by_trials:
                given |= {"reference": self.reference, "errors": assessed, "verified": assessed}
                settings = vars(self.settings)
                return solve(self.problem, self.network, self.optimizers, **settings, **given)
            like, limits = next(self.network.parameters()), {"tolerance": self.tolerance}
            limits["budget"] = given.pop("budget")
            given |= {name: value for name, value in limits.items() if value is not None}
            given |= {"dtype": like.dtype, "device": like.device, "announce": announce}
            search = TrialSearch(problem=self.problem, boundary=self.settings.boundary, **given)
            return search.solution(self.reference, assessed)

    def judged(self, result: Solution) -> Solution:
        if not self.estimate:
            return result
        return with_estimate(result, self.tolerance, self.bound, self.budget_seconds)

    def preview(self) -> Residuals:
        """Return the loss of the first step, without a step being taken.

        The loss is built from the problem and the settings, which are checked against each other. A
        problem that cannot be solved is thus refused before the run.

        Raises:
            InputError: if problem, network and settings do not fit together.
        """
        network = copy.deepcopy(self.network)
        with models.blaming(type(self.problem).__name__, self.problem, network):
            start = discretization.discretize(self.problem, network, self.settings, self.seed)
            return Losses.of(start, self.optimizers).first()


@dataclass(frozen=True, eq=False, kw_only=True)
class EigenJob(Job):
    """A solve of an eigenvalue problem, ready to run.

    Args:
        problem: the eigenvalue problem.
        settings: how the problem is discretized.
        count: the number of eigenvalues.
        near: the eigenvalues nearest to this number are computed; None for the smallest
            eigenvalues.
    """

    problem: EigenProblem
    settings: discretization.SolveSettings
    count: int
    near: float | None

    def _run(
        self, given: dict[str, Any], announce: Announce | None, assessed: bool
    ) -> Eigensolution:
        """Solve the problem, or continue from a checkpoint.

        If the checkpoint has no steps left, its modes are returned.
        """
        with models.blaming(type(self.problem).__name__, self.problem, self.network):
            given |= {"near": self.near, "tolerance": self.tolerance, **vars(self.settings)}
            method = next(iter(self.optimizers), None)
            return eigen(self.problem, self.network, self.count, optimizers=method, **given)

    def preview(self) -> discretization.Discretization[EigenProblem]:
        """Return the discretization of the eigenvalue problem from which the solve starts."""
        with models.blaming(type(self.problem).__name__, self.problem, self.network):
            return discretize_eigen(
                self.problem, self.network, self.settings, self.seed, self.count, self.near
            )


class NoSteps(Method):
    """An optimizer that takes no steps, to assess a fit before its first step."""

    steps = 0

    def start(self, residuals: Residuals, seed: int) -> Stage:
        return LeastSquares().start(residuals, seed)


@dataclass(frozen=True, eq=False, kw_only=True)
class FitJob(Job):
    """A fit ready to run.

    Args:
        data: the rows of data, divided into parts.
        settings: the arguments scaling, bounds, batch and patience of `kanpinn.fit`.
        sparsity: the term of the loss that reduces the number of edges; None for no such term.
    """

    data: Data
    settings: "FitTable"
    sparsity: Sparsity | None = None

    def _run(self, given: dict[str, Any], announce: Announce | None, assessed: bool) -> Fitted:
        settings = {**vars(self.settings), "sparsity": self.sparsity}
        owners = (self.network, *self.optimizers)
        with models.blaming(self.name, *owners), models.naming("fit", settings):
            return fit(self.network, self.data, self.optimizers, **settings, **given)

    def preview(self) -> Fitted:
        """Return the fit, with its scores, as it is before the first step."""
        start = replace(self, network=copy.deepcopy(self.network), optimizers=(NoSteps(),))
        fitted: Fitted = start.run()
        return fitted


Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class RunTable(models.FixedTable):
    """Settings of the whole run.

    Args:
        seed: the seed of all random numbers; a network may have a seed of its own.
        dtype: the floating-point format of the network.
        device: the device that computes, such as "cpu", "cuda" or "cuda:1".
        estimate: whether the errors of a solve are also estimated without an exact solution.
        bound: whether the estimate has guaranteed bounds too, if the equation is of a kind that has
            them.
        tolerance: the largest acceptable relative L2 error, with which the estimated error is
            compared; null for no comparison.
        budget_seconds: the most seconds that the steps may take; null for no limit.
        threads: the number of threads of PyTorch and of linear algebra; null for one thread per
            core, or a single thread if more do not help, as for networks in cells.
    """

    seed: tables.Seed = 0
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"
    estimate: bool = False
    bound: bool = False
    tolerance: Positive | None = None
    budget_seconds: Positive | None = None
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None

    def refuse(self, reason: str, *keys: str) -> None:
        """Refuse keys of section [run] that have no meaning in a file of this kind.

        Args:
            reason: why the keys have no meaning, for the message.
            keys: the names of the keys.

        Raises:
            InputError: for the first key with a value other than false or null.
        """
        for key in keys:
            if value := getattr(self, key):
                raise InputError(tables.left_out(f"run.{key}", value, reason))


SHARED = ("optimizer", "run")  # the sections that files of every kind have


class File(models.TomlTable):
    """The sections that files of every kind have.

    Attributes:
        kind: "problem", "eigen" or "fit".
        derivatives: the highest order of derivatives that the loss usually contains.
    """

    optimizer: tuple[tables.Named, ...] = ()
    run: RunTable = RunTable()

    kind: ClassVar[str]
    derivatives: ClassVar[int] = 2

    @property
    @abstractmethod
    def title(self) -> str:
        """The name of the problem's class or equation, or the file or formula of the data."""

    @property
    def name(self) -> str:
        """The default name of the folder of runs, for settings that are not read from a file."""
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
        """Return the sections by name; [[optimizer]] and [run], common to all files, come last."""
        names = sorted(cls.model_fields, key=SHARED.__contains__)
        return {name: cls.model_fields[name] for name in names}

    @classmethod
    def refusal(cls, path: str, key: str, value: Any) -> str:
        sections = cls.by_key()
        known = ", ".join(f"[{name}]" for name in sections)
        return f"{key} is unknown{nearest(key, sections)} (the sections are {known})"

    def common(self, name: str) -> dict[str, Any]:
        """Return arguments of a `Job`: its name, and the seed, tolerance and budget from [run]."""
        shared = {"seed", "tolerance", "budget_seconds"}
        return {"name": name, **self.run.model_dump(include=shared)}

    def placed(self, network: Network) -> Network:
        """Return the network on the device and in the floating-point format of [run].

        Raises:
            InputError: if the machine does not have the device.
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
            network: the network that the methods train.
            directory: the folder in which class files of the user are looked for.
            default: the methods if the file has no section [[optimizer]].
            rows: the number of rows of the least-squares problem.

        Raises:
            InputError: if a table does not fit its class, a method does not support the network, or
                the triangular factor of its least-squares problem does not fit into memory.
        """
        methods: list[Method] = []
        for index, table in enumerate(self.optimizer):
            path = f"optimizer[{index}]"
            method: Method = table.build(path, directory)
            keys = {*table.by_key(), *(table.model_extra or {})}
            with models.naming(path, keys, f'{path}.type = "{table.type}": '):
                method.check(network)
            methods.append(method)
        if not methods:
            methods = [*default]
            for method in methods:
                method.check(network)
        for index, method in enumerate(methods):
            columns = method.unknowns(network)
            given = f"optimizer[{index}] ({method.title} for {columns} coefficients)"
            check_memory(given, method.factor_bytes(network, rows))
        # At least so many points are evaluated together: the basis functions of each unit, their
        # derivatives, and copies for the chain rule.
        points, copies = min(rows, 256), 4
        layers = [layer for part in network.parts for layer in part.layers]
        degrees = [layer.basis.degree for layer in layers if isinstance(layer, KANLayer)]
        values = sum(network.width) * (max(degrees, default=0) + 1) * (self.derivatives + 1)
        given = f"network.width = {list(network.width)}"
        check_memory(given, 8 * copies * points * values)
        return tuple(methods)


class SamplerTable(models.TomlTable):
    """The section [points]: the collocation points of a solve."""

    arg_sampler: Annotated[Literal[SAMPLERS], Field(alias="sampler")] = "gauss"  # type: ignore[valid-type]


if TYPE_CHECKING:
    PointsTable = SamplerTable
else:
    PointsTable = models.table_of(Collocation, "points", SamplerTable)


class WeightTable(models.FixedTable):
    """The weights of the mean squared residuals of an eigenvalue problem.

    Args:
        interior: the weight of the operators.
        boundary: the weight of the conditions.
    """

    interior: Weight = 1.0
    boundary: Weight = 1.0


class LossTable(WeightTable):
    """The loss: the sum of the weighted mean squared residuals, or an energy.

    Args:
        interior: the weight of the equation.
        boundary: the weight of the conditions.
        form: "strong" minimises the squared residual, "energy" the energy of the problem's class.
            With "energy", cells solve the equation that is derived from the energy.
        balance: how the weights of the loss terms are balanced, see `kanpinn.solve`.
    """

    form: Literal["strong", "energy"] = "strong"
    balance: Literal["sizes", "ntk", "gradients"] | None = None


class ProblemFile(File):
    """The sections that files of solves and of eigenvalue problems have."""

    problem: tables.ProblemTable
    points: PointsTable | None = None
    loss: WeightTable = WeightTable()
    network: tables.WithBoundary | None = None

    @property
    def title(self) -> str:
        return self.problem.title

    def make_network(
        self, problem: BoundaryValueProblem, inputs: Function | None, directory: Path
    ) -> Network:
        """Return the network of section [network], on the device of [run].

        Args:
            problem: the problem.
            inputs: the function that computes the network's inputs from points; None for the
                coordinates.
            directory: the folder in which class files of the user are looked for.

        Raises:
            InputError: if the network's inputs and outputs do not fit the problem.
        """
        assert self.network is not None
        with models.blaming(type(problem).__name__, problem):
            sizes = discretization.input_counts(problem, inputs)[0], len(problem.fields)
            if self.network.known_width is not None:  # refused before a large network is built
                discretization.check_inputs_and_fields(problem, inputs, self.network.known_width)
            made = self.network.build("network", directory, sizes=sizes, seed=self.run.seed)
        return self.placed(made)

    def settings(
        self, problem: BoundaryValueProblem, default: Collocation, directory: Path
    ) -> discretization.SolveSettings:
        """Return the settings of the solve: points, imposition of boundary data, and loss.

        Args:
            problem: the problem.
            default: the points if the file has no section [points].
            directory: the folder in which class files of the user are looked for.

        Raises:
            InputError: for points that do not fit into memory, or Gauss rules of too many nodes.
        """
        if self.points is not None:
            default = self.points.build("points", directory)
            most = 10_000  # nodes per axis: computing more nodes takes longer than any solve
            dim, faces = problem.domain.dim, len(problem.domain.boundary.pieces)
            sizes = {"interior": (default.interior, 1, dim)}
            sizes["boundary"] = (default.boundary, faces, dim - 1)
            for name, (count, parts, axes) in sizes.items():
                given = f"points.{name} = {count}"
                check_memory(given, 8 * COPIES * dim * count)
                if default.sampler == "gauss" and axes and count // parts > most**axes:
                    limit = f"Gauss rules have at most {most} nodes on an axis"
                    raise InputError(f"{given}: {limit}; take fewer points, or another sampler")
        boundary = "auto" if self.network is None else self.network.boundary
        loss = discretization.Loss(**self.loss.model_dump())
        return discretization.SolveSettings(points=default, boundary=boundary, loss=loss)


class SolveFile(ProblemFile):
    """A problem, and the settings of its solve.

    Args:
        problem: the equation with its domain and conditions.
        network: the network that represents the solution; by default trials choose it.
        points: the collocation points; by default as many as the network's output layer needs.
        loss: the loss that is minimised.
        optimizer: the methods, in their order; by default one method that suits the network.
        reference: the reference solution, from which errors are measured if no exact solution is
            known.
        run: the settings of the whole run.
    """

    problem: Annotated[tables.ProblemTable, tables.PROBLEMS]
    loss: LossTable = LossTable()
    reference: Annotated[models.TomlTable, tables.REFERENCES] | None = None
    network: Annotated[tables.WithBoundary, tables.SOLVE_NETWORKS] | None = None
    optimizer: tuple[Annotated[tables.Named, tables.SOLVE_STAGES], ...] = ()

    kind: ClassVar[str] = "problem"

    def job(self, directory: Path, name: str) -> SolveJob:
        problem = self.problem.build("problem", directory)
        run, reference = self.run, self.reference
        known = self.common(name) | {
            "problem": problem,
            "reference": None if reference is None else reference.build("reference", directory),
            "estimate": run.estimate or run.bound or run.tolerance is not None,
            "bound": run.bound,
        }
        types = [table.type for table in self.optimizer]
        if self.network is None or "auto" in (self.network.type, *types):
            self._check_choice(types)
            boundary = "auto" if self.network is None else self.network.boundary
            first = first_choice(problem, boundary)
            network = self.placed(first.network(run.seed, torch.float64, "cpu"))
            settings = first.settings(boundary)
            known |= {"network": network, "optimizers": first.optimizers}
            return SolveJob(settings=settings, by_trials=True, **known)
        has_kinks = getattr(self.network.about, "has_kinks", False)
        inputs = discretization.inputs_of(problem, has_kinks)
        network = self.make_network(problem, inputs, directory)
        settings = self.settings(problem, discretization.default_points(network), directory)
        assert settings.points is not None
        rows = len(problem.fields) * (settings.points.interior + settings.points.boundary)
        default = () if self.optimizer else (default_optimizer(network, run.tolerance),)
        methods = self.make_optimizers(network, directory, default, rows)
        if default and network.solved_by:  # the method compares its own estimate with the tolerance
            known |= {"tolerance": None, "estimate": run.estimate or run.bound}
        return SolveJob(network=network, optimizers=methods, settings=settings, **known)

    def _check_choice(self, types: list[str]) -> None:
        """Refuse a file that leaves only a part of the settings to trials.

        Args:
            types: the types of the optimizers.

        Raises:
            InputError: unless the network, the points, the loss and the optimizers are all left out
                or "auto".
        """
        index = types.index("auto") if "auto" in types else 0
        expected = ""
        if "auto" in types and len(types) > 1:
            expected = "to be the only optimizer"
        elif "auto" in types and self.network is not None and self.network.type != "auto":
            expected = f"no network beside it, got {show(self.network.type)}"
        elif types and "auto" not in types:
            if self.network is None:
                raise InputError(f"network is missing: expected a section [network]{tables.SIGN}")
            expected = 'no optimizer beside a network of type "auto", since trials choose both'
        if expected:
            raise InputError(f"optimizer[{index}].type = {show(types[index])}: expected {expected}")
        for section, table in (("points", self.points), ("loss", self.loss)):
            given = table.model_dump(by_alias=True, exclude_defaults=True) if table else {}
            for key, value in given.items():
                raise InputError(tables.AutoTable.refusal(section, key, value))


class EigenTable(models.FixedTable):
    """The eigenvalues to compute: the smallest eigenvalues, or those nearest to a number.

    Args:
        count: the number of eigenvalues, counted with multiplicity.
        near: the eigenvalues nearest to this number are computed; null for the smallest
            eigenvalues.
    """

    count: Annotated[int, Field(ge=1)] = 6
    near: float | None = None


class EigenFile(ProblemFile):
    """An eigenvalue problem, and the settings of its solve.

    Args:
        problem: the operators with their domain and conditions.
        eigen: the number of eigenvalues and, if given, the number to which they are nearest.
        network: the network; modes are linear combinations of its output layer's basis functions.
            By default the network that `kanpinn.eigen` chooses.
        points: the collocation points; by default as many as the network's output layer needs.
        loss: the weights of the operator and of the conditions.
        optimizer: at most one "adaptive_least_squares" for a network in cells; otherwise none, as
            eigenvalues are found by linear algebra.
        run: the settings of the whole run.
    """

    problem: tables.EigenClassTable
    eigen: EigenTable
    network: Annotated[tables.WithBoundary, tables.EIGEN_NETWORKS] | None = None
    optimizer: tuple[Annotated[tables.Named, tables.FIT_STAGES], ...] = ()

    kind: ClassVar[str] = "eigen"

    def job(self, directory: Path, name: str) -> EigenJob:
        self.run.refuse("eigenvalues always have bounds and estimates", "estimate", "bound")
        problem: EigenProblem = self.problem.build("problem", directory)
        if self.network is None:
            with models.blaming(type(problem).__name__, problem):
                count = discretization.input_counts(problem, problem.inputs())[0]
                made = default_eigen_network(problem).sized(count, len(problem.fields))
            network = self.placed(made)
        else:
            network = self.make_network(problem, problem.inputs(), directory)
        if len(self.optimizer) > 1:
            raise InputError("optimizer: expected at most one for eigenvalues")
        given = self.optimizer[0].build("optimizer[0]", directory) if self.optimizer else None
        with models.naming("optimizer[0]", (), "optimizer[0]: "):
            method = cell_settings(network, given, self.run.tolerance)
        points = discretization.default_points(network, network.width[0])
        known = self.common(name) | self.eigen.model_dump()
        known |= {"problem": problem, "settings": self.settings(problem, points, directory)}
        methods = () if method is None else (method,)
        return EigenJob(network=network, optimizers=methods, **known)


SparsityTable = models.table_of(Sparsity, "sparsity")


class FitTable(models.FixedTable):
    """The settings of a fit, which are arguments of `kanpinn.fit`.

    Args:
        scaling: how inputs are scaled. "range" maps the range of the rows to [-1, 1]. "standard"
            maps mean ± one standard deviation of the rows to [-1, 1]. "quantile" scales like
            "range", and each interval of the first layer's grids has equally many rows. null means
            "range" for KANs and "standard" for MLPs.
        bounds: the ranges [low, high] of some inputs by name, in place of the ranges of the rows.
        batch: the number of rows that a step uses; 0 for all rows.
        sparsity: a term of the loss that reduces the number of edges, see `kanpinn.Sparsity`.
        patience: the number of steps without a lower validation error after which the fit ends;
            null for no limit.
    """

    scaling: Literal["range", "standard", "quantile"] | None = None
    bounds: dict[str, list[float]] | None = None
    batch: Annotated[int, Field(ge=0)] = 0
    sparsity: SparsityTable | None = None  # type: ignore[valid-type]
    patience: Annotated[int, Field(ge=1)] | None = None


class FitFile(File):
    """Data, and the settings of the fit of a network to them.

    Args:
        data: the rows, and how they are divided into parts.
        network: the network that is fitted to the rows.
        fit: the settings of the fit.
        optimizer: the methods that minimise the error, in their order; by default
            Levenberg–Marquardt.
        run: the settings of the whole run.
    """

    data: Annotated[tables.DataTable, tables.DATA]
    network: Annotated[tables.Named, tables.FIT_NETWORKS]
    fit: FitTable = FitTable()
    optimizer: tuple[Annotated[tables.Named, tables.FIT_STAGES], ...] = ()

    kind: ClassVar[str] = "fit"
    derivatives: ClassVar[int] = 0

    @property
    def title(self) -> str:
        """The file or the formula of the data."""
        return self.data.title

    @property
    def name(self) -> str:
        return self.data.name

    def job(self, directory: Path, name: str) -> FitJob:
        reason = "a fit has scores, and no error to estimate"
        self.run.refuse(reason, "estimate", "bound", "tolerance")
        data = self.data.build("data", directory, seed=self.run.seed)
        train, sparsity = data.train, self.fit.sparsity
        sizes = len(train.names), len(train.classes or train.outputs)
        if self.network.known_width is not None:
            check_columns(train, self.network.known_width)
        made = self.network.build("network", directory, sizes=sizes, seed=self.run.seed)
        network = self.placed(made)
        rows = (self.fit.batch or len(train)) * network.width[-1]
        methods = self.make_optimizers(network, directory, (LevenbergMarquardt(),), rows)
        known = self.common(name) | {"data": data, "settings": self.fit}
        if sparsity is not None:
            known["sparsity"] = sparsity.build("fit.sparsity", directory)
        return FitJob(network=network, optimizers=methods, **known)


CHOSEN = ("loss", "optimizer", "points")  # the sections that trials choose


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a solve, of an eigenvalue problem or of a fit.

    Args:
        sections: the settings as plain values.
        file: the settings of `sections` as a validated pydantic model.
        directory: the folder in which files named by the settings are looked for.
        name: the name of the folder that holds the runs.
        notes: one line for each key or section of the file that no longer applies after overrides.
    """

    sections: dict[str, Any]
    file: File = field(repr=False, compare=False)
    directory: Path = Path()
    name: str = "problem"
    notes: tuple[str, ...] = ()

    @staticmethod
    def read(path: Path, overrides: Sequence[str] = ()) -> "Config":
        """Read a TOML file.

        Args:
            path: the file.
            overrides: "KEY=VALUE" pairs that replace values of the file, such as
                "network.width=[2, 32, 1]".

        Raises:
            InputError: with one line for each fault: the path of the key, its value, and the
                expected value.
        """
        path = Path(path)
        written = load_toml(path)
        if not overrides:
            return Config.from_dict(written, path.parent, path.stem)
        changes = [Override.parse(pair) for pair in overrides]
        return _changed(written, changes, path.parent, path.stem)

    @staticmethod
    def from_dict(
        data: dict[str, Any],
        directory: Path = Path(),
        name: str | None = None,
        notes: Sequence[str] = (),
    ) -> "Config":
        """Return a configuration from a dict of plain values, after checking all its sections.

        Args:
            data: the sections of a configuration file as plain values, such as `to_dict` returns.
            directory: the folder in which files named by the settings are looked for.
            name: the name of the folder that holds the runs; by default the name of the problem.
            notes: one line for each key or section that no longer applies after overrides.

        Raises:
            InputError: with one line for each fault: the path of the key, its value, and the
                expected value.
        """
        kind: type[File] = EigenFile if "eigen" in data else SolveFile
        if "data" in data and "problem" not in data:
            kind = FitFile
        file = models.read_table(kind, data)
        sections = {}
        for section in sorted(kind.model_fields, key=SHARED.__contains__):
            table, given = getattr(file, section), data.get(section)
            if isinstance(table, models.FixedTable):  # run.json also has the defaults of the table
                given = table.model_dump(by_alias=True, exclude_none=True)
            if given:
                sections[section] = given
        plain, where = json.loads(json.dumps(sections)), Path(directory).resolve()
        known: dict[str, Any] = {"name": name or file.name, "notes": tuple(notes)}
        return Config(sections=plain, file=file, directory=where, **known)

    def override(self, pairs: Sequence[str]) -> "Config":
        """Return this configuration with some values replaced.

        Args:
            pairs: "KEY=VALUE" pairs, such as "network.width=[2, 32, 1]".

        Raises:
            InputError: with one line for each fault: the path of the key, its value, and the
                expected value.
        """
        data = override(self.sections, [Override.parse(pair) for pair in pairs])
        return Config.from_dict(data, self.directory, self.name, self.notes)

    def vary(self, values: Mapping[str, Any]) -> "Config":
        """Return this configuration with other values for some keys.

        If a value changes the type of a table, such as the network's, the keys that only the former
        type has are dropped.

        Args:
            values: the new values by dotted key, such as {"network.grid": [4, 8]}.

        Raises:
            InputError: with one line for each fault: the path of the key, its value, and the
                expected value.
        """
        changes = [Override.of(key, value) for key, value in values.items()]
        return _changed(self.sections, changes, self.directory, self.name)

    def to_dict(self) -> dict[str, Any]:
        """Return the sections as plain values of strict JSON, which `from_dict` reads back."""
        return copy.deepcopy(self.sections)

    def build(self) -> Job:
        """Return the job that the settings describe, ready to run.

        Raises:
            InputError: if a table does not fit the class that it describes; the message names the
                key.
        """
        job = self.file.job(self.directory, self.name)
        threads, suitable = self.file.run.threads, job.network.threads
        if threads is not None and suitable is not None and threads > suitable:
            reason = f"{type(job.network).__name__}, whose matrices are too small for more"
            raise InputError(
                f"run.threads must be {suitable} for {reason}, got {threads}; torchrun starts "
                "several processes"
            )
        return job


def _changed(
    written: dict[str, Any], changes: Sequence[Override], directory: Path, name: str
) -> Config:
    """Return the configuration of a file with overrides, and with notes on the removed keys.

    If an override changes the type of a table, the keys of the file that the new type does not have
    are removed. If the network is no longer a KAN, optimizers of the type "refine" are removed as
    well. If the network's type is "auto", the sections that trials choose are removed. Keys that
    overrides set are kept. A table whose type is unchanged or unknown is left as it is, so that its
    errors are reported.

    Args:
        written: the sections of the file.
        changes: the overrides.
        directory: the folder in which class files of the user are looked for.
        name: the name of the folder that holds the runs.

    Raises:
        InputError: if a class of the user's cannot be loaded.
    """
    data, given = override(written, changes), {change.path for change in changes}
    notes: list[str] = []
    pairs: list[tuple[KeyPath, models.Variants, Any, Any]] = [
        ((name,), variants, written.get(name), data.get(name))
        for name, variants in (("problem", tables.PROBLEMS), ("network", tables.SOLVE_NETWORKS))
    ]
    stages: Any = written.get("optimizer"), data.get("optimizer")
    if all(type(stage) is list for stage in stages):
        both = enumerate(zip(*stages, strict=False))
        pairs[1:1] = [(("optimizer", i), tables.SOLVE_STAGES, *pair) for i, pair in both]
    for path, variants, before, after in pairs:
        if type(before) is not dict or type(after) is not dict:
            continue
        key, tag = variants.key, variants.tag(after)
        if key not in before or before[key] == after.get(key) or tag not in variants.tables:
            continue
        table, now = variants.tables[tag], f"{key} = {show(after[key])}"
        kept = {*table.by_key(), *(changed[-1] for changed in given if changed[:-1] == path)}
        table = table.described(after[key], directory, spell(path))
        kept |= {*table.by_key()}
        if table.model_config["extra"] == "forbid":
            foreign = [key for key in after if key not in kept]
            for key in foreign:
                del after[key]
            keys = ", ".join(f"{spell(path)}.{key}" for key in foreign)
            verb = "does" if len(foreign) == 1 else "do"
            notes += [f"{now}: {keys} of the file {verb} not apply"] if foreign else []
        if path != ("network",):
            continue
        if table.about is None:  # the network is left to trials
            for section in CHOSEN:
                if section in data and section not in {changed[0] for changed in given}:
                    del data[section]
                    notes.append(f"{now}: section [{section}] of the file does not apply")
        elif not issubclass(table.about, KAN) and ("optimizer",) not in given:
            touched = {changed[1] for changed in given if changed[0] == "optimizer"}
            refines = lambda stage: type(stage) is dict and stage.get("type") == "refine"  # noqa: E731
            every = list(enumerate(data.get("optimizer", [])))
            kept_stages = [stage for i, stage in every if i in touched or not refines(stage)]
            if skipped := len(every) - len(kept_stages):
                data["optimizer"] = kept_stages
                notes.append(f"{now}: {skipped} refine stages of the file are skipped")
    return Config.from_dict(data, directory, name, notes)


class _Schema(GenerateJsonSchema):
    """Generator of JSON schemas without the titles of keys, which would only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def document_schema(kind: str = "problem") -> dict[str, Any]:
    """Return the JSON schema (2020-12) of problem files or of fit files.

    Args:
        kind: "problem" for files of solves and of eigenvalue problems, or "fit".
    """
    files: Any = FitFile if kind == "fit" else SolveFile | EigenFile
    schema = TypeAdapter(files).json_schema(schema_generator=_Schema)
    return {"$schema": _Schema.schema_dialect, "title": f"kanpinn {kind} file"} | schema
