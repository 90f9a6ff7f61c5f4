"""Data in three parts: for training, validation and testing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer
from kanpinn.data.table import Table

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Data:
    """The data for a fit.

    Args:
        train: the rows to which the network is fitted.
        validation: the rows whose error decides which state of the network is kept.
        test: the rows on which the result is assessed.

    Raises:
        InputError: if the parts differ in columns or classes, an input or a target of `train` is
            constant, or all rows of `train` have one class.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> x = torch.linspace(-1, 1, 100)[:, None]
        >>> rows = kp.Table(x[::2], x[::2] ** 2)
        >>> data = kp.Data(train=rows, test=kp.Table(x[1::2], x[1::2] ** 2))
        >>> {name: len(part) for name, part in data.parts.items()}
        {'train': 50, 'test': 50}
    """

    train: Table
    validation: Table | None = None
    test: Table | None = None

    def __post_init__(self) -> None:
        for name, table in self.parts.items():
            for what in ("names", "outputs", "classes"):
                own, other = getattr(self.train, what), getattr(table, what)
                if own != other:
                    raise InputError(f"{name} and train differ in {what}: {other} and {own}")
        _check_variation(self.train)

    @property
    def parts(self) -> dict[str, Table]:
        """The given parts, by name."""
        given = zip(PARTS, (self.train, self.validation, self.test), strict=True)
        return {name: table for name, table in given if table is not None}

    @staticmethod
    def split(
        table: Table,
        validation: float | int = 0.0,
        test: float | int = 0.2,
        *,
        seed: int = 0,
        groups: Tensor | None = None,
    ) -> "Data":
        """Split a table at random into parts.

        Args:
            table: all rows, n of them.
            validation, test: shares of the rows or, with groups, of the groups, each in [0, 1); 0
                for no such part.
            seed: the seed of the random choice.
            groups: (n,) or (n, q); rows with equal values here go into the same part, so that
                no row similar to a test row is in the training part.

        Raises:
            InputError: if a share is outside [0, 1) or leaves a part without rows, or `groups` has
                another length than the table.
        """
        for name, share in (("validation", validation), ("test", test)):
            if not 0 <= share < 1:
                raise InputError(f"{name} must be a share from 0 to 1, got {share!r}")
        chosen = torch.arange(len(table)) if groups is None else _numbered(groups, len(table))
        count = int(chosen.max()) + 1
        generator = torch.Generator().manual_seed(integer("seed", seed, least=0))
        rank = torch.empty(count, dtype=torch.int64)
        rank[torch.randperm(count, generator=generator)] = torch.arange(count)
        first, second = round(test * count), round((test + validation) * count)
        place = rank[chosen]
        rows = (place >= second, (place >= first) & (place < second), place < first)
        parts = []
        for name, part, share in zip(PARTS, rows, (1.0, validation, test), strict=True):
            if share and not part.any():
                there = f"{count} rows" if groups is None else f"{count} groups of rows"
                raise InputError(
                    f"{name} is left without rows: there are {there}, validation = "
                    f"{validation:g}, test = {test:g}"
                )
            parts.append(table[part] if share else None)
        assert parts[0] is not None
        return Data(parts[0], parts[1], parts[2])


def _numbered(groups: Tensor, rows: int) -> Tensor:
    """Return the group of each row as an index from 0, (n,)."""
    if len(groups) != rows:
        raise InputError(f"groups must have {rows} rows as the table, got {len(groups)}")
    return torch.unique(groups, dim=0, return_inverse=True)[1]


def _check_variation(train: Table) -> None:
    """Refuse constant inputs or targets, and a single class."""
    columns = {f"input {n!r}": x for n, x in zip(train.names, train.inputs.T, strict=True)}
    if not train.classes:
        columns |= {f"target {n!r}": y for n, y in zip(train.outputs, train.targets.T, strict=True)}
    for name, column in columns.items():
        if bool((column == column[0]).all()):
            raise InputError(
                f"the {name} is constant, {float(column[0]):g} in all rows to train with: leave it "
                "out"
            )
    if train.classes and bool((train.targets == train.targets[0]).all()):
        name = train.classes[int(train.targets[0])]
        raise InputError(f"all rows to train with are of one class, {name!r}")
