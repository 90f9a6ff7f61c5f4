"""The fit of a network to data."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kanpinn._support.distributed import together, world
from kanpinn._support.errors import InputError, instance, integer
from kanpinn.data import Data, Table
from kanpinn.loss.sparsity import Sparsity
from kanpinn.networks.network import Network
from kanpinn.optimizers import LevenbergMarquardt, Method, as_methods, load_libraries
from kanpinn.solvers.fit.batches import FitLoss
from kanpinn.solvers.fit.fitted import Fitted
from kanpinn.solvers.fit.frame import Bounds, frame
from kanpinn.solvers.fit.scores import Scoring, criterion
from kanpinn.solvers.kept_states import Best
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.losses import FreshLosses
from kanpinn.solvers.state import Observer, begin


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
    budget_seconds: float | int | None = None,
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
        budget_seconds: for all steps, as for `solve`.
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
    _check(network, data, batch, patience)
    chosen = LevenbergMarquardt() if optimizers is None else optimizers
    stages = as_methods(chosen, network, batch, "batch must be 0")
    with together():
        surrogate = frame(network, data.train, scaling, bounds)
    loss = FitLoss(data.train, surrogate, batch, seed, sparsity)
    if checkpoint is None:
        loss.prepare()
    losses = FreshLosses(loss.residuals, int(batch > 0))
    state = begin(losses, stages, budget_seconds, _best(data, patience), checkpoint)
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
