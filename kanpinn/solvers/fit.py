"""The fit of a network to data: its maps of inputs and outputs, its loss on rows or batches,
and its run.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from kanpinn._support.distributed import share, together, world
from kanpinn._support.errors import InputError, instance, integer, nearest, one_of
from kanpinn.data import Data, Table
from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks import KAN, Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import LevenbergMarquardt, Method, as_methods, load_libraries
from kanpinn.solvers.fitted import Fitted, Scoring, criterion, loss_term, points_of
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.losses import FreshLosses
from kanpinn.solvers.state import Best, Observer, begin

SCALINGS = ("range", "standard", "quantile")

Bounds = Mapping[str, Sequence[float | int]]


@dataclass(frozen=True, eq=False)
class Range:
    """The input names of a table and the box that is mapped to [-1, 1]^d.

    Args:
        names: of the inputs.
        bounds: the lowest and the highest corner of the box, (d,) each.
    """

    names: tuple[str, ...]
    bounds: tuple[Tensor, Tensor]

    @property
    def dim(self) -> int:
        """The number of inputs d."""
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Affine:
    """The output map u = mean + deviation · N, so that the network N fits standardised targets.

    Args:
        mean: of the targets, (m,).
        deviation: the standard deviation of the targets, (m,).
    """

    mean: Tensor
    deviation: Tensor

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the surrogate's jet from the network's jet."""
        scaled = jet.map(lambda t: t * self.deviation)
        return scaled.with_parts([scaled.value + self.mean, *scaled.parts()[1:]])


def scaled_surrogate(
    network: Network, table: Table, scaling: str | None, bounds: Bounds | None = None
) -> Surrogate:
    """Return the surrogate that maps the training rows to the network's inputs and outputs.

    It also places the first grid of a KAN that has not been trained, except for "standard".

    Args:
        network: to be fitted.
        table: the training rows.
        scaling: "range", "standard" or "quantile", as for `fit`; None for the network's default.
        bounds: of inputs by name, as for `fit`.

    Raises:
        InputError: if the scaling is unknown or does not fit the network, or if bounds do not fit
            the scaling, name no input or are not low < high.
    """
    kan = network if isinstance(network, KAN) else None
    if scaling is None:
        scaling = "range" if kan is not None else "standard"
    one_of("scaling", scaling, SCALINGS)
    if scaling == "quantile" and kan is None:
        raise InputError(f'scaling "quantile" is for KANs: a {type(network).__name__} has no grid')
    if bounds and scaling == "standard":
        raise InputError(
            'bounds are for scaling "range" and "quantile", it is "standard", an MLP\'s default'
        )
    x = table.inputs
    if scaling == "standard":
        mean, deviation = x.mean(dim=0), x.std(dim=0, correction=0)
        corners = mean - deviation, mean + deviation
    else:
        corners = _box(table, bounds)
    surrogate = Surrogate(network, Range(table.names, corners), _output(network, table))
    # Another first grid would change the function of a network that has been trained.
    if kan is not None and not kan.placed and scaling != "standard":
        ends, seen = (
            surrogate.inputs_at(Points(rows.to(surrogate.low), table.names))
            for rows in (torch.stack(corners), x)
        )
        _place_first_grid(kan, ends, seen if scaling == "quantile" else None)
    return surrogate


def _box(table: Table, bounds: Bounds | None) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest corner, (d,) each, from bounds or else the rows' range."""
    low, high = table.inputs.amin(dim=0), table.inputs.amax(dim=0)
    for name, pair in (bounds or {}).items():
        if name not in table.names:
            there = f"the inputs are {', '.join(table.names)}{nearest(name, table.names)}"
            raise InputError(f"bounds name {name!r}, {there}")
        real = len(pair) == 2 and all(isinstance(v, (float, int)) for v in pair)
        if not (real and -math.inf < pair[0] < pair[1] < math.inf):
            raise InputError(f"bounds of {name} must be low < high, got {tuple(pair)}")
        column = table.names.index(name)
        low[column], high[column] = pair
    return low, high


def _output(network: Network, table: Table) -> Affine | None:
    if table.classes:
        return None
    like = next(network.parameters())
    mean, deviation = table.targets.mean(dim=0), table.targets.std(dim=0, correction=0)
    return Affine(mean.to(like), deviation.to(like))


@torch.no_grad()
def _place_first_grid(network: KAN, ends: Tensor, rows: Tensor | None) -> None:
    """Place the first layer's grid, uniform or by quantiles of the rows.

    Args:
        network: whose first layer is changed.
        ends: the lowest and the highest input, (2, d).
        rows: the inputs whose quantiles are the knots, (n, d); None for a uniform grid.
    """
    layer = network.layers[0]
    low, high = ends
    basis = layer.basis.uniform(low, high, layer.basis.intervals, layer.basis.degree)
    if rows is not None:
        share = torch.linspace(0, 1, layer.basis.intervals + 1).to(rows)
        breaks = torch.quantile(rows, share, dim=0).clamp(low, high).T.clone()
        breaks[:, [0, -1]] = ends.T
        # A part of the uniform grid keeps the intervals from zero length where rows are equal.
        basis = basis.on(0.9 * breaks + 0.1 * basis.breaks)
    layer.basis = basis


class FitLoss:
    """The loss of a fit on all rows of a table, or on a random batch of rows for each epoch.

    Args:
        table: the training rows.
        surrogate: is fitted to them.
        batch: the number of rows in a batch, drawn with replacement; 0 for all rows.
        seed: of the draws.
        sparsity: a further term of the loss; None for none.
    """

    def __init__(
        self,
        table: Table,
        surrogate: Surrogate,
        batch: int,
        seed: int,
        sparsity: Sparsity | None,
    ) -> None:
        self.table, self.surrogate, self.batch, self.seed = table, surrogate, batch, seed
        self.deviation = None if table.classes else cast(Affine, surrogate.output).deviation
        self.points = points_of(table, surrogate)
        self.extra = [] if sparsity is None else [sparsity.term(surrogate, self.points)]

    def whole(self) -> Residuals:
        """Return the loss on all rows."""
        term = loss_term(self.table, self.points, self.deviation)
        return Residuals(self.surrogate, [term, *self.extra])

    def residuals(self, epoch: int) -> Residuals:
        """Return the loss of an epoch, on its batch or on all rows."""
        if not self.batch:
            return self.whole()
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * epoch)
        rows = torch.randint(len(self.points), (self.batch,), generator=generator)
        points = self.points[rows.to(self.points.coords.device)]
        term = loss_term(self.table, points, self.deviation)
        return Residuals(self.surrogate, [term, *self.extra])

    def prepare(self) -> None:
        """Prepare the surrogate on the rows, for example place its grids."""
        self.surrogate.prepare(self.points[share(len(self.points))])


def fit(
    network: Network,
    data: Data | Table,
    optimizers: Method | Sequence[Method] | None = None,
    *,
    scaling: str | None = None,
    bounds: Bounds | None = None,
    batch: int = 0,
    sparsity: Sparsity | None = None,
    patience: int | None = None,
    seed: int = 0,
    budget: float | int | None = None,
    observers: Sequence[Observer] = (),
    checkpoint: Mapping[str, Any] | None = None,
) -> Fitted:
    """Fit a network to data: minimise the mean squared residual, or the cross entropy of classes.

    If the data have a validation part, the state with the least validation error is kept. The run
    ends when an optimizer after the first one has not lowered this error, so grid refinement stops
    before the network has as many parameters as there are rows.

    Args:
        network: changed in place; its dtype and device are those of the run. It has one output for
            each target or class; for two classes it may have one output, the log odds of the
            second.
        data: the parts for training, validation and test; a table is for training only.
        optimizers: run in order; None for Levenberg–Marquardt.
        scaling: the map of the inputs. "range", a KAN's default, maps the range of the training
            rows to [-1, 1]. "standard", an MLP's default, maps mean ± one standard deviation to
            [-1, 1]; a KAN's first grid covers [-1, 1] only, and its splines continue beyond as
            their tangents. "quantile" is "range" with about as many rows in each interval of the
            first grid.
        bounds: {input: (low, high)}, used as the range of an input instead of that of its rows;
            splines continue beyond it as their tangents.
        batch: the number of random rows for each step; 0 for all rows.
        sparsity: a term of the loss that reduces the number of a KAN's edges.
        patience: the number of steps without a lower validation error after which the run ends;
            None for no limit.
        seed: of batches and optimizers; the network has its own.
        budget: for all steps, as for `solve`.
        observers: called with the `SolverState` after every step, such as `Progress()`. Those that
            are context managers are entered for the time of the steps.
        checkpoint: a `SolverState.state_dict()` from which the run continues.

    Returns:
        The fitted network with its scores, history and status.

    Raises:
        InputError: if network, data and optimizers do not fit together.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, torch.exp(x)))
        >>> fitted.status, fitted.scores["train"].rmse < 1e-6
        ('converged', True)
    """
    load_libraries()
    started = time.perf_counter()
    seed = integer("seed", seed, least=0)
    data = Data(data) if isinstance(data, Table) else data
    instance("network", network, Network)
    instance("data", data, Data)
    train = data.train
    network.sized(len(train.names), len(train.classes or train.outputs))
    _check(network, data, batch, patience)
    chosen = LevenbergMarquardt() if optimizers is None else optimizers
    stages = as_methods(chosen, network, batch, "batch must be 0")
    with together():
        surrogate = scaled_surrogate(network, data.train, scaling, bounds)
    loss = FitLoss(data.train, surrogate, batch, seed, sparsity)
    if checkpoint is None:
        loss.prepare()
    losses = FreshLosses(loss.residuals, int(batch > 0))
    state = begin(losses, stages, budget, _best(data, patience), checkpoint)
    scoring = Scoring(data)
    status = run_stages(state, scoring, observers, seed, checkpoint)
    residuals = loss.whole()  # on all rows, also if the last step used a batch
    return Fitted(
        data=data,
        surrogate=surrogate,
        residuals=residuals,
        scores=scoring.scores(surrogate.evaluate),
        status=status,
        history=state.history,
        seconds=state.clock.earlier + time.perf_counter() - started,
        optimizer_seconds=state.clock.seconds,
        loss_terms=residuals.term_values(),
        optimizers=stages,
        processes=world(),
    )


def _best(data: Data, patience: int | None) -> Best | None:
    if data.validation is None:
        return None
    return Best(f"validation_{criterion(data.train)}", patience)


def _check(network: Network, data: Data, batch: int, patience: int | None) -> None:
    integer("batch", batch, least=0)
    table = data.train
    if patience is not None:
        integer("patience", patience)
        if data.validation is None:
            raise InputError("patience needs rows for validation, there are none")
    check_columns(table, network.width)


def check_columns(table: Table, width: Sequence[int]) -> None:
    """Refuse a network's width whose ends are not the numbers of inputs and outputs of the rows.

    Args:
        table: the rows.
        width: the units per layer, inputs first.

    Raises:
        InputError: for other numbers; the message says what they must be.
    """
    width = list(width)
    last = width[-1]
    if width[0] != len(table.names):
        raise InputError(
            f"network.width must start with {len(table.names)} for the inputs "
            f"{', '.join(table.names)}, got {width}"
        )
    if not table.classes:
        if last != len(table.outputs):
            raise InputError(
                f"network.width must end with {len(table.outputs)} for the targets "
                f"{', '.join(table.outputs)}, got {width}"
            )
        return
    count = len(table.classes)
    if last != count and (last, count) != (1, 2):
        one = " (or 1, the log odds of the second)" if count == 2 else ""
        raise InputError(
            f"network.width must end with {count}{one}, an output for each of the classes "
            f"{', '.join(table.classes)}, got {width}"
        )
