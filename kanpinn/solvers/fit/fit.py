"""The fit of a network to data."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kanpinn._support.distributed import together, world
from kanpinn._support.errors import InputError, integer
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

    Where the data have a part for validation, the state with its least error is kept, and the run
    ends when an optimizer no longer lowers it: so refinement stops before the network has as many
    parameters as there are rows.

    Args:
        network: changed in place; its dtype and device are the run's. For classes it has one output
            each, or for two classes one, the log odds of the second.
        data: the parts to train with, to stop by and to judge by; a table is all to train with.
        optimizers: run in order; Levenberg–Marquardt by default.
        scaling: of inputs: "range" maps that of the rows to [-1, 1], a KAN's default; "standard"
            the mean ± a standard deviation, an MLP's default; "quantile" is "range" with as many
            rows in each interval of the first grid. That lies on [-1, 1] always, so that of
            "standard" splines are their tangents beyond a standard deviation.
        bounds: {input: (low, high)}, the range of an input in place of that of its rows; beyond it
            splines are their tangents.
        batch: rows that each step sees, drawn at random; 0 for all.
        sparsity: a term of the loss that makes a KAN's edges few.
        patience: steps without a lower validation error that end the run; None for no limit.
        seed: of batches and optimizers; the network has its own.
        budget_seconds: that the steps may take, as for `solve`.
        observers: called with the `SolverState` after every step.
        checkpoint: a `SolverState.state_dict()` to go on from.

    Raises:
        InputError: where network, data and optimizers do not fit together.
    """
    load_libraries()
    started = time.perf_counter()
    seed = integer("seed", seed, least=0)
    data = Data(data) if isinstance(data, Table) else data
    _check(network, data, batch, patience)
    chosen = LevenbergMarquardt() if optimizers is None else optimizers
    stages = as_methods(chosen, batch, "batch must be 0")
    with together():
        surrogate = frame(network, data.train, scaling, bounds)
    loss = FitLoss(data.train, surrogate, batch, seed, sparsity)
    if checkpoint is None:
        loss.prepare()
    losses = FreshLosses(loss.residuals, int(batch > 0))
    state = begin(losses, stages, budget_seconds, _best(data, patience), checkpoint)
    scoring = Scoring(data)
    run_stages(state, scoring, observers, seed, checkpoint)
    assert state.status is not None
    residuals = loss.whole()  # whichever rows the last step saw
    return Fitted(
        data=data,
        surrogate=surrogate,
        residuals=residuals,
        scores=scoring.scores(surrogate.evaluate),
        status=state.status,
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
    if network.width[0] != len(table.names):
        raise InputError(
            f"network.width must start with {len(table.names)} for the inputs "
            f"{', '.join(table.names)}, got {list(network.width)}"
        )
    _check_outputs(network, table)


def _check_outputs(network: Network, table: Table) -> None:
    last, width = network.width[-1], list(network.width)
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
