"""A table of inputs and targets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn._support.wording import nearest
from kanpinn.data.table_files import read_rows
from kanpinn.geometry import Domain, Points
from kanpinn.geometry.sampling import sample


@dataclass(frozen=True, eq=False)
class Table:
    """n rows of d inputs, each with m targets or with its class.

    Args:
        inputs: (n, d).
        targets: numbers (n, m) or (n,); with `classes`, class numbers (n,), integers from 0.
        names: the names of the inputs, x0, x1, … by default.
        outputs: the names of the targets, y0, y1, … or "class" by default.
        classes: the names of the classes, in the order of their numbers; () if targets are numbers.

    Raises:
        InputError: if shapes or names do not fit, there are no rows, values are not finite, or
            class numbers do not belong to at least two classes.

    Example:
        >>> import torch
        >>> import kanpinn as kp
        >>> x = torch.linspace(0, 1, 10)[:, None]
        >>> rows = kp.Table(x, x**2, names=("x",), outputs=("height",))
        >>> len(rows), rows.names, rows.outputs
        (10, ('x',), ('height',))
    """

    inputs: Tensor
    targets: Tensor
    names: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        inputs = torch.as_tensor(self.inputs, dtype=torch.float64)
        targets = torch.as_tensor(self.targets)
        if not self.classes:
            targets = targets.to(torch.float64)
            targets = targets[:, None] if targets.ndim == 1 else targets
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "targets", targets)
        self._check_shapes()
        columns = 1 if self.classes else targets.shape[1]
        default = ("class",) if self.classes else tuple(f"y{i}" for i in range(columns))
        names = self.names or tuple(f"x{i}" for i in range(inputs.shape[1]))
        object.__setattr__(self, "names", _distinct("names", names, inputs.shape[1]))
        object.__setattr__(self, "outputs", _distinct("outputs", self.outputs or default, columns))
        object.__setattr__(self, "classes", _distinct("classes", self.classes, len(self.classes)))
        self._check_values()

    def _check_shapes(self) -> None:
        inputs, targets = tuple(self.inputs.shape), tuple(self.targets.shape)
        fits = len(inputs) == 2 and len(targets) == (1 if self.classes else 2)
        if not fits or inputs[0] != targets[0] or 0 in inputs + targets:
            wanted = "class numbers (n,)" if self.classes else "targets (n,) or (n, m)"
            raise InputError(f"a table takes inputs (n, d) and {wanted}, got {inputs}, {targets}")

    def _check_values(self) -> None:
        columns = dict(zip(self.names, self.inputs.T, strict=True))
        if not self.classes:
            columns |= {f"target {n}": t for n, t in zip(self.outputs, self.targets.T, strict=True)}
        for name, column in columns.items():
            bad = (~column.isfinite()).nonzero()
            if len(bad):
                first, more = int(bad[0]), len(bad) - 1
                there = f"{float(column[first])} in row {first + 1}"
                others = f" (and {more} more)" if more else ""
                raise InputError(f"{name} must be finite numbers, got {there}{others}")
        if self.classes:
            self._check_classes()

    def _check_classes(self) -> None:
        if len(self.classes) < 2:
            raise InputError(f"the targets have one class only, {self.classes[0]!r}")
        whole = not self.targets.dtype.is_floating_point
        if not whole or self.targets.min() < 0 or self.targets.max() >= len(self.classes):
            last = len(self.classes) - 1
            raise InputError(f"class numbers must be whole numbers from 0 to {last}")

    @staticmethod
    def read(
        path: str | Path,
        inputs: Sequence[str] | None = None,
        targets: str | Sequence[str] | None = None,
        kind: str = "numbers",
        classes: Sequence[str] | None = None,
    ) -> "Table":
        """Return a table read from the columns of a CSV, NPZ or HDF5 file.

        Args:
            path: the file; the first line of a CSV file names the columns, NPZ and HDF5 files have
                one array (n,) per column.
            inputs: the names of the input columns; by default all named columns except the targets.
            targets: the names of the target columns; by default the last column of the file.
            kind: "numbers"; or "classes" if the single target column has classes, as numbers or
                texts.
            classes: the names of all classes in order; by default those in the file, sorted.

        Raises:
            InputError: if the file cannot be read, it lacks a column, or values are not finite
                numbers.
        """
        path = Path(path)
        rows = read_rows(path, inputs, targets, kind, classes)
        try:
            return Table(*rows)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @staticmethod
    def sample(
        domain: Domain,
        function: Callable[[Points], Tensor],
        count: int,
        *,
        seed: int = 0,
        sampler: str = "uniform",
    ) -> "Table":
        """Return a table of sampled points of a domain with a function's values as targets.

        Args:
            domain: the domain that is sampled; its coordinates are the inputs.
            function: maps named points, where p.x is (n, 1) as in a problem, to values (n, m).
            count: the number n of points.
            seed: the seed of a random sampler.
            sampler: the name of the sampler; see `Collocation`.
        """
        generator = torch.Generator().manual_seed(seed)
        points = sample(domain, count, sampler, generator)
        return Table(points.coords, function(points), domain.names)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: Tensor | slice) -> "Table":
        """Return the table of some of the rows, given as a mask, indices or a slice."""
        parts = self.inputs[rows], self.targets[rows]
        return Table(*parts, self.names, self.outputs, self.classes)

    def column(self, name: str) -> Tensor:
        """Return the column (n,) of an input, by its name.

        Raises:
            InputError: if no input has that name.
        """
        if name not in self.names:
            raise InputError(f"no input is called {name!r}{nearest(name, self.names)}")
        return self.inputs[:, self.names.index(name)]

    def only(self, names: Sequence[str]) -> "Table":
        """Return the table with only these inputs, in this order.

        Raises:
            InputError: if there is no input of one of the names.
        """
        chosen = torch.stack([self.column(name) for name in names], dim=1)
        return Table(chosen, self.targets, tuple(names), self.outputs, self.classes)


def _distinct(what: str, names: Sequence[str], count: int) -> tuple[str, ...]:
    if len(names) != count or len(set(names)) < count:
        raise InputError(f"{what} must be {count} different names, got {list(names)}")
    return tuple(names)
