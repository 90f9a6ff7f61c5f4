"""How well a fit does on a table."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.datasets import Table
from kanpinn.fitting.terms import full_logits

CHUNK = 2**16


@dataclass(frozen=True)
class Scores:
    """Of numbers: root mean square and greatest error over rows and targets, in their own units,
    and the part of the variance that is explained. Of classes: the share of rows that are named
    rightly, and the mean cross entropy. NaN stands for what does not apply.
    """

    rows: int
    rmse: float = math.nan
    max_error: float = math.nan
    r2: float = math.nan
    accuracy: float = math.nan
    cross_entropy: float = math.nan


def score(outputs: Tensor, table: Table) -> Scores:
    """The scores of a network's outputs (n, m) for the rows of a table."""
    if table.classes:
        return _classified(full_logits(outputs.detach().cpu().double()), table)
    error = outputs.detach().cpu().double() - table.targets
    mean_square = error.square().mean(dim=0)
    variance = table.targets.var(dim=0, correction=0)
    r2 = float((1 - mean_square / variance).mean()) if bool((variance > 0).all()) else math.nan
    rmse = float(mean_square.mean().sqrt())
    return Scores(len(table), rmse, float(error.abs().max()), r2)


def _classified(logits: Tensor, table: Table) -> Scores:
    accuracy = float((logits.argmax(dim=1) == table.targets).double().mean())
    entropy = float(torch.nn.functional.cross_entropy(logits, table.targets))
    return Scores(len(table), accuracy=accuracy, cross_entropy=entropy)


def criterion(table: Table) -> str:
    """The score by which fits are compared: the least is the best."""
    return "cross_entropy" if table.classes else "rmse"


def recorded(table: Table) -> tuple[str, ...]:
    """The scores that the history records of each part."""
    return ("cross_entropy", "accuracy") if table.classes else ("rmse",)
