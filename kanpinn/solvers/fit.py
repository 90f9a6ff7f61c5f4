"""`fit`: the fit of a network to data. Also the scaling of inputs and outputs, the loss on all
rows or on batches, and the result `Fitted` with its scores.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.distributed import share, together
from kanpinn._support.errors import InputError, instance, integer, nearest, one_of
from kanpinn.data import Data, Table
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet, JetFunction
from kanpinn.loss import Residuals, ResidualTerm, Sparsity, Term
from kanpinn.networks import KAN, Network, Surrogate
from kanpinn.networks.layer import Tape
from kanpinn.networks.network import check_width
from kanpinn.optimizers import LevenbergMarquardt, Method
from kanpinn.solvers.loop import run_stages
from kanpinn.solvers.solution import Solved
from kanpinn.solvers.state import Best, Losses, Observer, SolverState, as_methods

SCALINGS = ("range", "standard", "quantile")

Bounds = Mapping[str, Sequence[float | int]]


@dataclass(frozen=True, eq=False)
class Range:
    """The inputs of a table: their names, and the box that is mapped to [-1, 1]^d.

    For a fit this object takes the place of the domain of a PDE.

    Args:
        names: the names of the d inputs; they need not be Python identifiers.
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
        mean: the means of the m targets, (m,).
        deviation: the standard deviations of the targets, (m,).
    """

    mean: Tensor
    deviation: Tensor

    def apply(self, points: Points, jet: Jet) -> Jet:
        """Return the jet of u from the jet of the network N."""
        return jet.affine(self.deviation, self.mean)


@torch.no_grad()
def scaled_surrogate(
    network: Network, table: Table, scaling: str | None, bounds: Bounds | None = None
) -> Surrogate:
    """Return a surrogate of a network, with inputs and outputs scaled to the training rows.

    The first grid of a KAN that has not been trained is also placed over the rows, unless the
    scaling is "standard".

    Args:
        network: the network to fit.
        table: the training rows.
        scaling: "range", "standard" or "quantile", as for `fit`; None for the network's default.
        bounds: the bounds of inputs by name, as for `fit`.

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
    output, like = None, next(network.parameters())
    if not table.classes:
        targets = table.targets
        output = Affine(targets.mean(dim=0).to(like), targets.std(dim=0, correction=0).to(like))
    surrogate = Surrogate(network, Range(table.names, corners), output)
    # Another first grid would change the function of a network that has been trained.
    if kan is not None and not kan.placed and scaling != "standard":
        ends, seen = (
            surrogate.inputs_at(Points(rows.to(surrogate.low), table.names))
            for rows in (torch.stack(corners), x)
        )
        old, (low, high) = kan.layers[0].basis, ends
        basis = old.uniform(low, high, old.intervals, old.degree)
        if scaling == "quantile":
            share = torch.linspace(0, 1, old.intervals + 1).to(seen)
            breaks = torch.quantile(seen, share, dim=0).clamp(low, high).T.clone()
            breaks[:, [0, -1]] = ends.T
            # The share 0.1 of the uniform grid keeps intervals from zero length if rows are equal.
            basis = basis.on(0.9 * breaks + 0.1 * basis.breaks)
        kan.layers[0].basis = basis
    return surrogate


def _box(table: Table, bounds: Bounds | None) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest corner of the box that is mapped to [-1, 1]^d, (d,) each.

    Args:
        table: the training rows, whose range is used for inputs without bounds.
        bounds: the bounds of inputs by name, as for `fit`.

    Raises:
        InputError: if bounds name no input or are not low < high.
    """
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


@dataclass(frozen=True, eq=False)
class CrossEntropy(Term):
    """The cross entropy of classes as a loss term, with rows for Gauss–Newton methods.

    The term is weight · mean of -log p(class) over the rows of the data. Here p are the
    probabilities of the classes: the softmax of the network's outputs. With one output y there are
    two classes, with logits 0 and y. `points.data` (n, 1) holds the class indices. The Gauss–Newton
    Hessian Jᵀ(diag p - ppᵀ)J, where J is the Jacobian of the logits, has the square root √p ∘ (J -
    pᵀJ). With the residual r = (p - e)/√p, where e is the unit vector of the class, the
    least-squares rows have the exact gradient Jᵀ(p - e). In the square roots, p is replaced by (p +
    m e) / (1 + m) with the number m = `mixed`, since otherwise a row whose class has a probability
    near zero would dominate all other rows.

    Reference: Schraudolph, Fast curvature matrix-vector products (2002).
    """

    mixed: float = field(default=1e-2, kw_only=True)

    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        logits = full_logits(surrogate.jet(points, self.channels).value)
        return torch.nn.functional.cross_entropy(logits, labels_of(points), reduction="sum")

    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        logits = full_logits(surrogate.jet(points, self.channels, tape).value)
        p = logits.detach().softmax(dim=1)
        e = torch.nn.functional.one_hot(labels_of(points), p.shape[1])
        q = ((p + self.mixed * e) / (1 + self.mixed)).clamp_min(torch.finfo(p.dtype).tiny)
        moves = logits - (q * logits).sum(dim=1, keepdim=True)
        return ((p - e) / q + moves - moves.detach()) * (q / 2).sqrt()


def full_logits(outputs: Tensor) -> Tensor:
    """Return the logits of all classes, (n, classes): for one output y the logits 0 and y."""
    if outputs.shape[1] > 1:
        return outputs
    return torch.cat([torch.zeros_like(outputs), outputs], dim=1)


def labels_of(points: Points) -> Tensor:
    """Return the class indices of the rows, (n,)."""
    assert points.data is not None
    return points.data[:, 0].long()


def points_of(table: Table, surrogate: Surrogate) -> Points:
    """Return a table's inputs as points, with the targets as `data`, in the network's dtype."""
    targets = table.targets[:, None] if table.classes else table.targets
    like = surrogate.low
    points = Points(table.inputs, table.names, data=targets.to(torch.float64))
    return points.to(like.dtype, like.device)


def loss_term(table: Table, points: Points, deviation: Tensor | None) -> Term:
    """Return the loss term for points of a table.

    For numbers the residual is (output - target) / deviation. For classes the term is the cross
    entropy.

    Args:
        table: the table; its inputs name the coordinates of the points.
        points: rows of the table, with the targets as `data`.
        deviation: the standard deviation of the targets, (m,); None for classes.
    """
    channels = Channels(table.names)
    if deviation is None:
        return CrossEntropy("data", points, 1.0, channels)

    def residual(p: Points, u: Jet) -> Tensor:
        """Return the outputs minus the targets, in units of the deviations."""
        assert p.data is not None
        return (u.value - p.data) / deviation

    return ResidualTerm("data", points, 1.0, channels, residual)


@dataclass(frozen=True)
class Scores:
    """The scores of a fit on a table; a score that does not apply is None.

    Args:
        rows: the number of rows.
        rmse: for numbers, the root mean square error over rows and targets, in the targets' units.
        max_error: for numbers, the greatest absolute error, in the targets' units.
        r2: for numbers, the coefficient of determination R² (the explained part of the variance),
            averaged over the targets; None if a target has no variance.
        accuracy: for classes, the share of rows whose likeliest class is the true class.
        cross_entropy: for classes, the mean cross entropy.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> scores = kp.fit(kp.KAN([1, 1]), kp.Table(x, x**2)).scores["train"]
        >>> scores.rows, scores.r2 > 0.999
        (100, True)
    """

    rows: int
    rmse: float | None = None
    max_error: float | None = None
    r2: float | None = None
    accuracy: float | None = None
    cross_entropy: float | None = None


def score(outputs: Tensor, table: Table) -> Scores:
    """Compute the scores of a surrogate's outputs for the n rows of a table.

    Args:
        outputs: the values, (n, m). For classes they are logits, see `full_logits`.
        table: the rows with their targets.

    Returns:
        The accuracy and the cross entropy for classes; the errors and R² for numbers.
    """
    if table.classes:
        logits = full_logits(outputs.detach().cpu().double())
        accuracy = float((logits.argmax(dim=1) == table.targets).double().mean())
        entropy = float(torch.nn.functional.cross_entropy(logits, table.targets))
        return Scores(len(table), accuracy=accuracy, cross_entropy=entropy)
    error = outputs.detach().cpu().double() - table.targets
    mean_square = error.square().mean(dim=0)
    variance = table.targets.var(dim=0, correction=0)
    r2 = float((1 - mean_square / variance).mean()) if bool((variance > 0).all()) else None
    rmse = float(mean_square.mean().sqrt())
    return Scores(len(table), rmse, float(error.abs().max()), r2)


def criterion(table: Table) -> str:
    """Return the name of the score by which fits are compared; smaller is better."""
    return "cross_entropy" if table.classes else "rmse"


def scores_of(data: Data, evaluate: JetFunction) -> dict[str, Scores]:
    """Return the scores of a surrogate on the parts "train", "validation" and "test" of the data.

    Args:
        data: the data; validation and test rows may be missing.
        evaluate: returns the surrogate's jet at points.
    """
    names, scores = data.train.names, {}
    for part, table in data.parts.items():
        chunks = (Points(x, names) for x in table.inputs.split(2**15))  # to bound memory
        values = torch.cat([evaluate(p, Channels(names)).value for p in chunks])
        scores[part] = score(values, table)
    return scores


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Fitted(Solved):
    """A network fitted to data; calling it evaluates the targets, or the logits of the classes.

    Notebooks show it as tables with a picture.

    Args:
        data: the parts for training, validation and test.
        surrogate: the network, with the maps from the data's inputs to the network's inputs, and
            from the network's outputs to the targets.
        residuals: the loss on all training rows, with its terms.
        scores: the scores of each part of the data, by the names "train", "validation" and "test".
        status: "converged", "stopped: ..." or "failed: ...", in words.
        history: the recorded rows of the run.
        seconds: the wall time of the run.
        optimizer_seconds: the seconds of each optimizer.
        loss_terms: the value of each loss term on all training rows, by name.
        optimizers: the optimizers, in the order in which they ran.
        processes: the number of processes that fitted the network together.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
        >>> fitted = kp.fit(kp.KAN([1, 1], degree=5, grid=8), kp.Table(x, torch.sin(3 * x)))
        >>> fitted.scores["train"].rmse < 1e-4, fitted(x[:3]).shape
        (True, torch.Size([3, 1]))
    """

    shown_by = "kanpinn.plotting.fits"

    data: Data
    scores: dict[str, Scores]

    def __repr__(self) -> str:
        outputs, steps = ", ".join(self.data.train.outputs), self.history.steps
        return f"<Fitted {outputs}: {self.status}; steps: {steps}, parameters: {self.parameters}>"

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the targets or classes; the second class only if there is a single logit."""
        train = self.data.train
        return train.classes[-self.network.width[-1] :] if train.classes else train.outputs

    def __call__(self, inputs: Points | Tensor) -> Tensor:
        """Return the m targets, or the logits of the classes, at inputs (n, d), as a tensor (n, m).

        The columns are in the order of `data.train`.
        """
        return self._values(inputs)

    def probabilities(self, inputs: Points | Tensor) -> Tensor:
        """Return the probability of each class, (n, classes), at inputs (n, d).

        Raises:
            InputError: if the targets are numbers.
        """
        return self._logits(inputs).softmax(dim=1)

    def predict(self, inputs: Points | Tensor) -> Tensor:
        """Return the index in `data.train.classes` of the likeliest class, (n,), at inputs (n, d).

        Raises:
            InputError: if the targets are numbers.
        """
        return self._logits(inputs).argmax(dim=1)

    def plot(self, target: str | None = None, *, error: bool = False, ax: Any = None) -> Any:
        """Draw fitted values against the data, or the confusion matrix of classes.

        Values are drawn for at most 4000 training rows and at most 4000 test rows. The confusion
        matrix counts the test rows or, if there are no test rows, the training rows.

        Args:
            target: the name of a target; by default there is a panel for each.
            error: whether to draw fitted - data in place of the fitted values.
            ax: axes of Matplotlib to draw in, one for each panel; by default the axes of a new
                figure of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several targets an array of them, (targets,).

        Raises:
            InputError: for a name that is no target, for `error` with classes, or if the number of
                axes is not the number of panels.
        """
        return self._view().plot(self, target, error=error, ax=ax)

    def _logits(self, inputs: Points | Tensor) -> Tensor:
        """The logits of all classes at inputs, (n, classes).

        Raises:
            InputError: if the targets are numbers.
        """
        if not self.data.train.classes:
            raise InputError("the targets are numbers, not classes: call the fit for its values")
        return full_logits(self(inputs))


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

    If the data have a validation part, the network gets the coefficients of the step with the least
    validation error. The run ends after an optimizer, other than the first, that has not lowered
    the validation error; so grid refinement stops before the network overfits.

    Args:
        network: the network, trained in place; the fit uses its dtype and device. The network has
            an output for each target or class. For two classes it may have a single output, which
            is the log odds of the second class.
        data: the parts for training, validation and test; a table is for training only.
        optimizers: the optimizers, run in order; None for Levenberg–Marquardt.
        scaling: the map of the inputs. "range", a KAN's default, maps the range of the training
            rows to [-1, 1]. "standard", an MLP's default, maps mean ± one standard deviation to
            [-1, 1]; a KAN's first grid covers [-1, 1] only, and its splines continue beyond as
            their tangents. "quantile" is "range" with about equally many rows in each interval of
            the first grid.
        bounds: {input: (low, high)}; for these inputs low and high replace the least and the
            greatest value in the training rows. Splines continue beyond as their tangents.
        batch: the number of random rows for each step; 0 for all rows.
        sparsity: a term of the loss that reduces the number of a KAN's edges.
        patience: the number of steps without a lower validation error after which the run ends;
            None for no limit.
        seed: the seed of batches and optimizers; the network has its own seed.
        budget: the budget of all steps, as for `solve`.
        observers: called with the `SolverState` after every step, such as `Progress()`. Observers
            that are context managers are entered before the steps and exited after them.
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
    started = time.perf_counter()
    seed = integer("seed", seed, least=0)
    data = Data(data) if isinstance(data, Table) else data
    instance("network", network, Network)
    instance("data", data, Data)
    train = data.train
    network.sized(len(train.names), len(train.classes or train.outputs))
    integer("batch", batch, least=0)
    if patience is not None:
        integer("patience", patience)
        if data.validation is None:
            raise InputError("patience needs rows for validation, there are none")
    check_columns(train, network.width)
    chosen = LevenbergMarquardt() if optimizers is None else optimizers
    stages = as_methods(chosen, network, batch, "batch must be 0")
    with together():
        surrogate = scaled_surrogate(network, train, scaling, bounds)
    points, output = points_of(train, surrogate), surrogate.output
    deviation = output.deviation if isinstance(output, Affine) else None
    extra = [] if sparsity is None else [sparsity.term(surrogate, points)]

    def residuals_of(rows: Points) -> Residuals:
        """Return the loss of the rows, with the loss term of `sparsity` if it is given."""
        return Residuals(surrogate, [loss_term(train, rows, deviation), *extra])

    def residuals(epoch: int) -> Residuals:
        """Return the loss of an epoch: on a batch drawn with replacement, or on all rows."""
        if not batch:
            return residuals_of(points)
        generator = torch.Generator().manual_seed(seed + 1_000_003 * epoch)
        rows = torch.randint(len(points), (batch,), generator=generator)
        return residuals_of(points[rows.to(points.coords.device)])

    def measure(evaluate: JetFunction, until: float | None = None) -> dict[str, float]:
        """The scores of all parts of the data, by names such as "validation_rmse"."""
        names = ("cross_entropy", "accuracy") if train.classes else ("rmse",)
        scores = scores_of(data, evaluate)
        return {f"{part}_{n}": getattr(s, n) for part, s in scores.items() for n in names}

    if checkpoint is None:
        surrogate.prepare(points[share(len(points))])
    best = None if data.validation is None else Best(f"validation_{criterion(train)}", patience)
    losses = Losses(residuals, int(batch > 0))
    state = SolverState(losses, stages, budget, best, checkpoint)
    status = run_stages(state, measure, observers, seed, checkpoint)
    whole = residuals_of(points)  # on all rows, also if the last step used a batch
    scores, values = scores_of(data, surrogate.evaluate), whole.term_values()
    facts = state.facts(status, started) | {"residuals": whole}
    return Fitted(data=data, scores=scores, loss_terms=values, **facts)


def check_columns(table: Table, width: Sequence[int]) -> None:
    """Check that a network has the numbers of inputs and outputs that a table needs.

    Args:
        table: the table.
        width: the numbers of units of the network's layers, inputs first.

    Raises:
        InputError: for a wrong number of inputs or outputs; the message says the right number.
    """
    names, classes = ", ".join(table.names), ", ".join(table.classes)
    counts, to = [len(table.outputs)], f" for the targets {', '.join(table.outputs)}"
    if count := len(table.classes):
        counts = [2, 1] if count == 2 else [count]
        either = " (or 1, the log odds of the second)" if count == 2 else ""
        to = f"{either}, an output for each of the classes {classes}"
    check_width(width, [len(table.names)], f" for the inputs {names}", counts, to)
