"""The result of a fit: the fitted network, its scores, and the loss terms of the data."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.shown import Solved
from kanpinn.data import Data, Table
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.loss.residuals import Residuals
from kanpinn.loss.terms import ResidualTerm, Term
from kanpinn.networks.layer import Tape
from kanpinn.networks.network import Network
from kanpinn.networks.surrogate import Surrogate
from kanpinn.optimizers import Method
from kanpinn.solvers.loop import Evaluate
from kanpinn.solvers.state import History


@dataclass(frozen=True, eq=False)
class CrossEntropy(Term):
    """weight · mean over rows of -log p(class), p the softmax of the network's outputs.

    With one output y there are two classes, with logits 0 and y. `points.data` (n, 1) holds the
    class indices. The Gauss–Newton Hessian Jᵀ(diag p - ppᵀ)J has the root √p ∘ (J - pᵀJ). With the
    residual r = (p - e)/√p, e the unit vector of the class, the least-squares rows have the exact
    gradient Jᵀ(p - e). In the roots, p is replaced by (p + mixed · e) / (1 + mixed), since
    otherwise a row whose class has a probability near zero would dominate all others.

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

    Args:
        table: gives the names of the inputs.
        points: rows of the table, with the targets as `data`.
        deviation: the standard deviation of the targets, (m,); None for classes.
    """
    channels = Channels(table.names)
    if deviation is None:
        return CrossEntropy("data", points, 1.0, channels)

    def residual(p: Points, u: Jet) -> Tensor:
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
        r2: for numbers, the explained part of the variance, the mean over the targets; None if a
            target has no variance.
        accuracy: for classes, the share of rows whose likeliest class is the right one.
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
    """Return the scores of a surrogate's outputs (n, m) for the n rows of a table."""
    if table.classes:
        return _classified(full_logits(outputs.detach().cpu().double()), table)
    error = outputs.detach().cpu().double() - table.targets
    mean_square = error.square().mean(dim=0)
    variance = table.targets.var(dim=0, correction=0)
    r2 = float((1 - mean_square / variance).mean()) if bool((variance > 0).all()) else None
    rmse = float(mean_square.mean().sqrt())
    return Scores(len(table), rmse, float(error.abs().max()), r2)


def _classified(logits: Tensor, table: Table) -> Scores:
    accuracy = float((logits.argmax(dim=1) == table.targets).double().mean())
    entropy = float(torch.nn.functional.cross_entropy(logits, table.targets))
    return Scores(len(table), accuracy=accuracy, cross_entropy=entropy)


def criterion(table: Table) -> str:
    """Return the name of the score by which fits are compared; smaller is better."""
    return "cross_entropy" if table.classes else "rmse"


def recorded(table: Table) -> tuple[str, ...]:
    """Return the names of the scores that the history records for each part of the data."""
    return ("cross_entropy", "accuracy") if table.classes else ("rmse",)


@dataclass(frozen=True, eq=False)
class Scoring:
    """The scores of a surrogate on all parts of the data, for the history and for the end."""

    data: Data

    def __call__(self, evaluate: Evaluate, until: float | None = None) -> dict[str, float]:
        names = recorded(self.data.train)
        return {
            f"{part}_{name}": getattr(scores, name)
            for part, scores in self.scores(evaluate).items()
            for name in names
        }

    def scores(self, evaluate: Evaluate, chunk: int = 2**15) -> dict[str, Scores]:
        """Return the `Scores` of each part of the data, by name.

        Args:
            evaluate: the surrogate's evaluation.
            chunk: the number of rows evaluated at a time, which bounds the memory.
        """
        channels = Channels(self.data.train.names)
        found = {}
        for part, table in self.data.parts.items():
            pieces = [
                evaluate(Points(x, table.names), channels).value for x in table.inputs.split(chunk)
            ]
            found[part] = score(torch.cat(pieces), table)
        return found


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(Solved):
    """A network fitted to data; calling it evaluates the targets, or the logits of the classes.

    Notebooks show it as tables with a picture.

    Args:
        data: the parts for training, validation and test.
        surrogate: the network with the maps between its inputs and outputs and the data's units.
        residuals: the loss on all training rows.
        scores: of each part of the data, by the names "train", "validation" and "test".
        status: "converged", "stopped: ..." or "failed: ...", in words.
        history: the recorded rows of the run.
        seconds: the wall time of the run.
        optimizer_seconds: the seconds of each optimizer.
        loss_terms: the value of each loss term on all training rows, by name.
        optimizers: in the order in which they ran.
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
    surrogate: Surrogate
    residuals: Residuals
    scores: dict[str, Scores]
    status: str
    history: History
    seconds: float
    optimizer_seconds: list[float]
    loss_terms: dict[str, float]
    optimizers: tuple[Method, ...]
    processes: int = 1

    def __repr__(self) -> str:
        what, steps = ", ".join(self.data.train.outputs), self.history.steps
        return f"<Fitted {what}: {self.status}; steps: {steps}, unknowns: {self.parameters}>"

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the outputs: targets or classes; for a single logit, the second class."""
        train = self.data.train
        return train.classes[-self.network.width[-1] :] if train.classes else train.outputs

    @property
    def network(self) -> Network:
        """The network inside the surrogate."""
        return self.surrogate.network

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return self.network.parameter_count

    @torch.no_grad()
    def __call__(self, inputs: Points | Tensor) -> Tensor:
        """Return values (n, m) at inputs (n, d), whose columns are those of `data.train.names`."""
        like, names = self.surrogate.low, self.data.train.names
        points = Points.of(inputs, names)
        return self.surrogate.jet(points.to(like.dtype, like.device), Channels(names)).value

    def probabilities(self, inputs: Points | Tensor) -> Tensor:
        """Return the probability of each class, (n, classes), at inputs (n, d).

        Raises:
            InputError: if the targets are numbers.
        """
        self._check_classes()
        return full_logits(self(inputs)).softmax(dim=1)

    def predict(self, inputs: Points | Tensor) -> Tensor:
        """Return the index in `data.train.classes` of the likeliest class, (n,), at inputs (n, d).

        Raises:
            InputError: if the targets are numbers.
        """
        self._check_classes()
        return full_logits(self(inputs)).argmax(dim=1)

    def plot(self, target: str | None = None, *, error: bool = False, ax: Any = None) -> Any:
        """Draw fitted values against the data, or the confusion matrix of classes.

        Training and test rows are drawn, at most 4000 of each; the confusion matrix is that of the
        test rows or, without any, of the training rows.

        Args:
            target: the name of a target; by default there is a panel for each.
            error: whether to draw fitted - data in place of the fitted values.
            ax: axes of Matplotlib to draw in, one for each panel; by default those of a new figure
                of pyplot, which notebooks show.

        Returns:
            The `matplotlib.axes.Axes`; for several targets an array of them, (targets,).

        Raises:
            InputError: for a name that is no target, an option that is not for classes, or another
                number of axes than of panels.
        """
        return self._view().plot(self, target, error=error, ax=ax)

    def _check_classes(self) -> None:
        if not self.data.train.classes:
            raise InputError("the targets are numbers, not classes: call the fit for its values")
