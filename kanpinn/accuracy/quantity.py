"""`Quantity`: numbers that are computed from a solution, with their estimated errors."""

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Union

import torch
from torch import Tensor

PARTS = 8  # the number of parts of the region for which errors are estimated separately
ROWS = PARTS + 2


@dataclass(frozen=True, eq=False, repr=False)
class Quantity:
    """A number that is computed from a solution, with its estimated error.

    The error is estimated when `error` is first read. For this purpose the number is computed again
    from a better solution of the same problem, and by a coarser quadrature rule. For a solution in
    cells, its own solve has computed the better solution, unless its budget left no time. Then the
    first estimate computes it or, if it would take longer than the solve, a poorer solution in its
    place, with a warning. For other networks, the first estimate solves a finer network, as
    `estimate_error` does. Arithmetic with quantities computes the errors as well, and takes
    into account that errors of two numbers from the same solution may cancel. `float(quantity)` is
    the number alone, which other functions use. `str` tells the number with its error; `repr`,
    which consoles and notebooks show, leaves the error out while it would take another solve.

    Args:
        value: the number, (), or several numbers of any shape.
        others: a function that returns the numbers computed in `ROWS` other ways, (ROWS, …). Row 0
            uses the better solution everywhere. Each of the next `PARTS` rows uses it in one part
            of the region only. The last row uses a coarser rule. All rows are NaN without a better
            solution.
        ready: a function that returns whether `others` needs no further solve.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), source="1", boundary="0")
        >>> solution = kp.solve(problem, kp.Cells(degree=8), tolerance=1e-6)
        >>> mean = solution.integral() / problem.domain.measure
        >>> abs(float(mean) - 0.03514425373878841) <= 3 * float(mean.error)
        True
    """

    value: Tensor
    others: Callable[[], Tensor]
    ready: Callable[[], bool] = lambda: True

    # NumPy's arrays and functions leave the operators to this class.
    __array_ufunc__ = None

    @cached_property
    def error(self) -> Tensor:
        """The estimated absolute errors, of the shape of `value`; NaN if they are not known.

        The error is the difference between the solution and the better solution. The differences in
        several parts of the region may cancel by chance, so the error is at least the root of their
        sum of squares. Added to this are the difference between the quadrature rule and a coarser
        rule, and an allowance for rounding.
        """
        apart = (self._others - self.value).abs()
        parts = apart[1:-1].square().sum(dim=0).sqrt()
        rounding = 4 * torch.finfo(self.value.dtype).eps * self.value.abs()
        return torch.maximum(apart[0], parts) + apart[-1] + rounding

    @cached_property
    def _others(self) -> Tensor:
        """The numbers computed in `ROWS` other ways by the function `others`, on first access."""
        return self.others()

    def is_ready(self) -> bool:
        """Return whether the error can be computed without a further solve."""
        return "_others" in vars(self) or self.ready()

    @property
    def shape(self) -> torch.Size:
        """The shape of the numbers."""
        return self.value.shape

    def map(self, function: Callable[[Tensor], Tensor]) -> "Quantity":
        """Apply a function of PyTorch, such as `torch.sqrt`, to each number."""
        return Quantity(function(self.value), lambda: function(self._others), self.is_ready)

    def item(self) -> float:
        """Return a single number as a float."""
        return float(self.value.item())

    def tolist(self) -> Any:
        """Return the numbers as a list of floats, without their errors."""
        return self.value.tolist()

    def __float__(self) -> float:
        return self.item()

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> "Iterator[Quantity]":
        return (self[number] for number in range(len(self)))

    def __getitem__(self, index: Any) -> "Quantity":
        several = index if isinstance(index, tuple) else (index,)
        own = self.value[index]
        return Quantity(own, lambda: self._others[(slice(None), *several)], self.is_ready)

    def __array__(self, *args: Any, **options: Any) -> Any:
        return self.value.numpy().__array__(*args, **options)

    @classmethod
    def exact(cls, value: Tensor) -> "Quantity":
        """Return numbers as a quantity without an error."""
        return cls(value, lambda: value[None])

    def _with(self, other: Any, function: Callable[[Any, Any], Tensor]) -> "Quantity":
        """Apply a function of two arguments to the numbers and to `other`, element by element.

        The errors of both are combined if `other` is a `Quantity`; other operands are exact.

        Args:
            other: the second operand, a `Quantity`, a number, an array or a tensor.
            function: the function, whose arguments are broadcast.
        """
        if not isinstance(other, Quantity):
            other = Quantity.exact(torch.as_tensor(other).to(self.value))
        most = max(self.value.ndim, other.value.ndim)

        def others() -> Tensor:
            """Return the function's values for both operands, computed in other ways, (ROWS, …)."""
            both = [
                rows.view(len(rows), *(1,) * (most + 1 - rows.ndim), *rows.shape[1:])
                for rows in (self._others, other._others)
            ]
            return function(*both)

        both = self.is_ready, other.is_ready
        return Quantity(function(self.value, other.value), others, lambda: all(f() for f in both))

    def __add__(self, other: Any) -> "Quantity":
        return self._with(other, operator.add)

    def __radd__(self, other: Any) -> "Quantity":
        return self + other

    def __sub__(self, other: Any) -> "Quantity":
        return self._with(other, operator.sub)

    def __rsub__(self, other: Any) -> "Quantity":
        return -self + other

    def __mul__(self, other: Any) -> "Quantity":
        return self._with(other, operator.mul)

    def __rmul__(self, other: Any) -> "Quantity":
        return self * other

    def __truediv__(self, other: Any) -> "Quantity":
        return self._with(other, operator.truediv)

    def __rtruediv__(self, other: Any) -> "Quantity":
        return self._with(other, lambda own, its: its / own)

    def __pow__(self, power: float | int) -> "Quantity":
        return self.map(lambda own: own**power)

    def __neg__(self) -> "Quantity":
        return self.map(operator.neg)

    def __abs__(self) -> "Quantity":
        return self.map(torch.abs)

    def __lt__(self, other: Union[float, int, "Quantity"]) -> bool:
        return float(self) < float(other)

    def __gt__(self, other: Union[float, int, "Quantity"]) -> bool:
        return float(self) > float(other)

    def __le__(self, other: Union[float, int, "Quantity"]) -> bool:
        return float(self) <= float(other)

    def __ge__(self, other: Union[float, int, "Quantity"]) -> bool:
        return float(self) >= float(other)

    def __format__(self, form: str) -> str:
        return format(float(self), form) if form else str(self)

    def __str__(self) -> str:
        """Return the numbers with their errors, such as "0.0351442537 ± 4e-10"."""
        if self.value.ndim:
            return f"[{', '.join(map(str, self))}]"
        return with_error(float(self), float(self.error))

    def __repr__(self) -> str:
        if self.is_ready():
            return str(self)
        told = f"{self.tolist()}" if self.value.ndim else f"{float(self):.10g}"
        return f"{told} (its error takes another solve: print it, or ask for .error)"


def with_error(value: float, error: float) -> str:
    """Return a number with its error as text; its last digit is the first digit of the error.

    Args:
        value: the number.
        error: its error; NaN if it is not known.
    """
    if not math.isfinite(error) or not math.isfinite(value):
        return f"{value:.10g} (the error is not known)"
    if error == 0:
        return f"{value:.17g} ± 0"
    last = math.floor(math.log10(error))
    first = math.floor(math.log10(abs(value))) if value else last
    digits = min(max(first - last, 0), 17)
    if -5 <= first < 10 and last < 1:
        return f"{value:.{max(-last, 0)}f} ± {error:.0e}"
    return f"{value:.{digits}e} ± {error:.0e}"
