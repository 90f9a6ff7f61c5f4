"""A table of inputs and what a network is to make of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor

from kanpinn.columns import Cells, numbers, read_columns
from kanpinn.errors import InputError
from kanpinn.geometry import Domain, Points
from kanpinn.sampling import sample
from kanpinn.wording import nearest, show

KINDS = ("numbers", "classes")


@dataclass(frozen=True, eq=False)
class Table:
    """n rows of d inputs with m targets each, or with one of several classes.

    Args:
        inputs: (n, d).
        targets: (n, m) numbers; with `classes` (n,) whole numbers from 0, the rows' classes.
        names: of the inputs, x0, x1, … by default.
        outputs: names of the targets, y0, y1, … or "class" by default.
        classes: what each class is called.

    Raises:
        InputError: for shapes or names that do not fit, no rows, what is not finite, class numbers
            beyond the classes, a single class.
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
                raise InputError(
                    f"{name} has {len(bad)} numbers that are not finite, the first in row "
                    f"{int(bad[0]) + 1}"
                )
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
        """A table from the columns of a CSV, NPZ or HDF5 file.

        Args:
            path: of the file; in CSV the first line names the columns, NPZ and HDF5 have an array
                (n,) for each.
            inputs: names of columns, by default all that are no targets and have a name.
            targets: names of columns, by default the last one.
            kind: "numbers", or "classes" of one target column, numbers or texts, in their order.
            classes: what all classes are called, by default those that the file has.

        Raises:
            InputError: for a file that cannot be read, columns that it lacks, texts, rows that are
                not finite.
        """
        path = Path(path)
        if kind not in KINDS:
            raise InputError(f"kind must be one of {KINDS}, got {kind!r}")
        columns = read_columns(path)
        targets, inputs = _chosen(path, columns, inputs, targets)
        for name in (*inputs, *targets):
            if len(columns[name]) != len(columns[inputs[0]]):
                raise InputError(f"{path}: {name} and {inputs[0]} differ in length")
        read = [torch.from_numpy(numbers(path, name, columns[name])) for name in inputs]
        wanted = {name: columns[name] for name in targets}
        values, named = _targets(path, wanted, kind, classes or ())
        try:
            return Table(torch.stack(read, 1), values, tuple(inputs), tuple(targets), named)
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
        """`count` points of a domain, drawn with a sampler, and a function's values there.

        function: of named points, p.x is (n, 1), as in a problem; gives (n, m).
        """
        generator = torch.Generator().manual_seed(seed)
        points = sample(domain, count, sampler, generator)
        return Table(points.coords, function(points), domain.names)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: Tensor | slice) -> "Table":
        """Some of the rows."""
        parts = self.inputs[rows], self.targets[rows]
        return Table(*parts, self.names, self.outputs, self.classes)

    def column(self, name: str) -> Tensor:
        """An input by its name, (n,).

        Raises:
            InputError: where there is none of that name.
        """
        if name not in self.names:
            raise InputError(f"no input is called {name!r}{nearest(name, self.names)}")
        return self.inputs[:, self.names.index(name)]

    def only(self, names: Sequence[str]) -> "Table":
        """The table with these inputs alone."""
        chosen = torch.stack([self.column(name) for name in names], dim=1)
        return Table(chosen, self.targets, tuple(names), self.outputs, self.classes)


def _distinct(what: str, names: Sequence[str], count: int) -> tuple[str, ...]:
    if len(names) != count or len(set(names)) < count:
        raise InputError(f"{what} must be {count} different names, got {list(names)}")
    return tuple(names)


def _chosen(
    path: Path,
    columns: dict[str, Cells],
    inputs: Sequence[str] | None,
    targets: str | Sequence[str] | None,
) -> tuple[list[str], list[str]]:
    """The names of the target columns and of the input columns."""
    if targets is None:
        targets = list(columns)[-1:]
    wanted = [targets] if isinstance(targets, str) else list(targets)
    taken = [name for name in columns if name and name not in wanted]
    chosen = taken if inputs is None else list(inputs)
    for name in (*chosen, *wanted):
        if name not in columns:
            there = ", ".join(columns) or "none"
            hint = nearest(name, columns)
            raise InputError(f"{path} has no column {name!r}{hint} (its columns are {there})")
    if not chosen or not wanted or set(chosen) & set(wanted):
        raise InputError(
            f"{path}: expected inputs and targets, different columns of {list(columns)}, got "
            f"inputs {chosen} and targets {wanted}"
        )
    return wanted, chosen


def _targets(
    path: Path, columns: dict[str, Cells], kind: str, classes: Sequence[str]
) -> tuple[Tensor, tuple[str, ...]]:
    if kind == "numbers":
        read = [torch.from_numpy(numbers(path, name, cells)) for name, cells in columns.items()]
        return torch.stack(read, dim=1), ()
    if len(columns) != 1:
        raise InputError(f"{path}: classes are one target column, got {show(list(columns))}")
    (name, cells), *_ = columns.items()
    numbered, found = _classes(path, name, cells)
    return (numbered, found) if not classes else _renumbered(path, name, numbered, found, classes)


def _classes(path: Path, name: str, cells: Cells) -> tuple[Tensor, tuple[str, ...]]:
    """Class numbers and what the classes are called, in the order of the numbers or the texts."""
    labels = numpy.asarray(cells).ravel()
    try:
        labels = numpy.asarray(labels, dtype=numpy.float64)
        if not numpy.isfinite(labels).all():
            raise InputError(f"{path}: {name} has classes that are not finite")
    except ValueError:
        labels = labels.astype(str)
    found, numbered = numpy.unique(labels, return_inverse=True)
    names = tuple(f"{c:g}" if isinstance(c, float) else str(c) for c in found.tolist())
    return torch.from_numpy(numbered.ravel()), names


def _renumbered(
    path: Path, name: str, numbered: Tensor, found: Sequence[str], classes: Sequence[str]
) -> tuple[Tensor, tuple[str, ...]]:
    """The class numbers by the place of the classes' names among all there are."""
    for one in found:
        if one not in classes:
            raise InputError(
                f"{path}: {name} has the class {one!r}{nearest(one, classes)} (the classes are "
                f"{', '.join(classes)})"
            )
    places = torch.tensor([classes.index(one) for one in found])
    return places[numbered], tuple(classes)
