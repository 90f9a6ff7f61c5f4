"""Tables of inputs and targets to fit: read from files, sampled from functions, split into
parts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer, nearest, show
from kanpinn.data.column_files import Cells, check_lengths, flat_column, numbers, read_columns
from kanpinn.geometry import Domain, Points
from kanpinn.geometry.sampling import sample

KINDS = ("numbers", "classes")
Names = tuple[str, ...]


def _chosen(
    path: Path,
    columns: dict[str, Cells],
    inputs: Sequence[str] | None,
    targets: str | Sequence[str] | None,
) -> tuple[Names, Names]:
    """Check the chosen columns; return the names of the target columns and of the input columns.

    Args:
        path: the file, for messages.
        columns: all columns of the file, by name.
        inputs: the chosen input columns; None for all named columns that are not targets.
        targets: the chosen target columns; None for the last column.

    Raises:
        InputError: if a column does not exist or is chosen twice, or no column is left.
    """
    if targets is None:
        targets = list(columns)[-1:]
    wanted = [targets] if isinstance(targets, str) else list(targets)
    taken = [name for name in columns if name and name not in wanted]
    chosen = taken if inputs is None else list(inputs)
    both = [*chosen, *wanted]
    for name in both:
        if name not in columns:
            there = ", ".join(columns) or "none"
            hint = nearest(name, columns)
            raise InputError(f"{path} has no column {name!r}{hint} (its columns are {there})")
    if not chosen or not wanted or len({*both}) < len(both):
        got = f"inputs {chosen} and targets {wanted}"
        raise InputError(f"{path}: expected different columns of {list(columns)}, got {got}")
    return tuple(wanted), tuple(chosen)


def _classes(
    path: Path, name: str, labels: numpy.ndarray, given: Sequence[str] | None
) -> tuple[Tensor, Names]:
    """Return class numbers (n,) and the names of the classes.

    Args:
        path: the file, for messages.
        name: the name of the column, for messages.
        labels: the column of classes, numbers or texts, (n,).
        given: the names of the classes in order; by default the labels, sorted by value or
            alphabetically.

    Raises:
        InputError: if a row has no class, or a class is not among the given names.
    """
    try:
        labels = numpy.asarray(labels, dtype=numpy.float64)
    except ValueError:
        labels = labels.astype(str)
        missing = labels == ""
    else:
        missing = ~numpy.isfinite(labels)
    if missing.any():
        raise InputError(f"{path}: {name} has no class in row {int(missing.argmax()) + 1}")
    values, numbered = numpy.unique(labels, return_inverse=True)
    rows = torch.from_numpy(numbered.ravel())
    whole = lambda value: int(value) if isinstance(value, float) and value.is_integer() else value  # noqa: E731
    found = [str(whole(value)) for value in values.tolist()]
    if not given:
        return rows, tuple(found)
    for label in found:
        if label not in given:
            hint = f"{nearest(label, given)} (the classes are {', '.join(given)})"
            raise InputError(f"{path}: {name} has the class {label!r}{hint}")
    return torch.tensor([given.index(label) for label in found])[rows], tuple(given)


@dataclass(frozen=True, eq=False)
class Table:
    """A table of n rows, each with d inputs and with m targets or a class.

    Args:
        inputs: the inputs of all rows, (n, d).
        targets: numbers (n, m) or (n,); with `classes`, class numbers (n,), integers from 0.
        names: the names of the inputs; by default x0, x1, ….
        outputs: the names of the targets; by default y0, y1, …, or "class".
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
        vars(self).update(inputs=inputs, targets=targets)
        shapes = tuple(inputs.shape), tuple(targets.shape)
        fits = inputs.ndim == 2 and targets.ndim == (1 if self.classes else 2)
        if not fits or len(inputs) != len(targets) or 0 in shapes[0] + shapes[1]:
            wanted = "class numbers (n,)" if self.classes else "targets (n,) or (n, m)"
            got = f"{shapes[0]}, {shapes[1]}"
            raise InputError(f"a table takes inputs (n, d) and {wanted}, got {got}")
        columns = 1 if self.classes else targets.shape[1]
        default = ("class",) if self.classes else tuple(f"y{i}" for i in range(columns))
        names = self.names or tuple(f"x{i}" for i in range(inputs.shape[1]))
        lists = {
            "names": (names, inputs.shape[1]),
            "outputs": (self.outputs or default, columns),
            "classes": (self.classes, len(self.classes)),
        }
        for what, (given, count) in lists.items():
            if len(given) != count or len(set(given)) < count:
                raise InputError(f"{what} must be {count} different names, got {list(given)}")
            vars(self)[what] = tuple(given)
        for name, column in _columns(self, "{}", "target {}").items():
            bad = (~column.isfinite()).nonzero()
            if len(bad):
                first, more = int(bad[0]), len(bad) - 1
                there = f"{float(column[first])} in row {first + 1}"
                others = f" (and {more} more)" if more else ""
                raise InputError(f"{name} must be finite numbers, got {there}{others}")
        if not self.classes:
            return
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
            classes: the names of all classes in order; by default the names in the file, sorted.

        Raises:
            InputError: if the file cannot be read or lacks a column, or values are not finite
                numbers.
        """
        if kind not in KINDS:
            raise InputError(f"kind must be one of {KINDS}, got {kind!r}")
        if classes and kind != "classes":
            given = f'{list(classes)} and kind "{kind}"'
            raise InputError(f'classes are for kind "classes", got {given}')
        path = Path(path)
        found: Names = ()
        columns = read_columns(path)
        outputs, names = _chosen(path, columns, inputs, targets)
        cells = {name: flat_column(path, name, columns[name]) for name in (*names, *outputs)}
        check_lengths(path, cells, names[0], "rows", "rows")

        def tensor(of: Names) -> Tensor:
            """Return the columns with the given names as one tensor, (n, number of columns)."""
            return torch.stack([torch.from_numpy(numbers(path, n, cells[n])) for n in of], dim=1)

        values = tensor(names)
        if kind == "numbers":
            answers = tensor(outputs)
        elif len(outputs) != 1:
            raise InputError(f"{path}: classes are one target column, got {show(outputs)}")
        else:
            answers, found = _classes(path, outputs[0], cells[outputs[0]], classes)
        try:
            return Table(values, answers, names, outputs, found)
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
        """Return a table of sampled points of a domain, with the values of a function as targets.

        Args:
            domain: the domain; its coordinates are the inputs.
            function: maps n points p to values (n, m); p.x is a coordinate, (n, 1), as in the
                functions of a problem.
            count: the number n of points.
            seed: the seed of a random sampler.
            sampler: the name of the sampler, see `Collocation`.
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
        """Return the table with only the named inputs, in the order of `names`.

        Raises:
            InputError: if a name is not the name of an input.
        """
        chosen = torch.stack([self.column(name) for name in names], dim=1)
        return Table(chosen, self.targets, tuple(names), self.outputs, self.classes)


def _columns(table: Table, inputs: str, targets: str) -> dict[str, Tensor]:
    """Return the columns of inputs and of numeric targets, (n,) each, by names for messages.

    Args:
        inputs, targets: formats of the names of inputs and of targets, such as "input {!r}".
    """
    columns = {inputs.format(n): x for n, x in zip(table.names, table.inputs.T, strict=True)}
    if not table.classes:
        both = zip(table.outputs, table.targets.T, strict=True)
        columns |= {targets.format(name): column for name, column in both}
    return columns


PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Data:
    """The data for a fit, divided into up to three parts.

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
        train = self.train
        for name, column in _columns(train, "input {!r}", "target {!r}").items():
            if bool((column == column[0]).all()):
                given = f"{float(column[0]):g} in all rows to train with"
                raise InputError(f"the {name} is constant, {given}: leave it out")
        if train.classes and bool((train.targets == train.targets[0]).all()):
            name = train.classes[int(train.targets[0])]
            raise InputError(f"all rows to train with are of one class, {name!r}")

    @property
    def parts(self) -> dict[str, Table]:
        """The tables that are not None, by the names "train", "validation" and "test"."""
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
            table: all n rows.
            validation, test: the shares of the rows or, with `groups`, of the groups in these
                parts, each in [0, 1); 0 for no such part.
            seed: the seed of the random choice.
            groups: the group of each row, as one value (n,) or q values (n, q). Rows of one group
                are put into the same part, so that no training row resembles a test row.

        Raises:
            InputError: if a share is outside [0, 1) or leaves a part without rows, or `groups` has
                another length than the table.
        """
        for name, share in (("validation", validation), ("test", test)):
            if not 0 <= share < 1:
                raise InputError(f"{name} must be a share from 0 to 1, got {share!r}")
        if groups is not None and len(groups) != len(table):
            raise InputError(f"groups must have {len(table)} rows as the table, got {len(groups)}")
        chosen = torch.arange(len(table))
        if groups is not None:
            chosen = torch.unique(groups, dim=0, return_inverse=True)[1]
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
                shares = f"validation = {validation:g}, test = {test:g}"
                raise InputError(f"{name} is left without rows: there are {there}, {shares}")
            parts.append(table[part] if share else None)
        assert parts[0] is not None
        return Data(parts[0], parts[1], parts[2])
