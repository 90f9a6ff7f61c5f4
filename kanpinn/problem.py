"""Problems: a domain, a residual, conditions, and optionally a source and an exact solution."""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TypeVar

import torch
from torch import Tensor

from kanpinn.errors import InputError
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.jet import Channels, Jet, MissingChannel, jet_of

THIRD_SOURCE = -0.618  # no round number, at which more than affine functions would fit a line
Data = float | int | Callable[[Points], Tensor]


@dataclass(frozen=True)
class Dirichlet:
    """u = value on a boundary or a part of it: a number, or a function of points → (n, m)."""

    boundary: Boundary
    value: Data = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.boundary, Boundary):
            raise InputError(f"Dirichlet takes a boundary, got {type(self.boundary).__name__}")
        if not callable(self.value) and not isinstance(self.value, Real):
            raise InputError(
                f"Dirichlet takes a number or a function of points, got {self.value!r}"
            )

    def target(self, p: Points) -> Tensor:
        """The prescribed values, (n, m)."""
        if callable(self.value):
            return stack_equations(self.value(p), len(p), "a Dirichlet value")
        return torch.full_like(p.coords[:, :1], float(self.value))

    def residual(self, p: Points, u: Jet) -> Tensor:
        """u - value, (n, m)."""
        target, m = self.target(p), u.value.shape[1]
        if target.shape[1] not in (1, m):
            raise InputError(
                f"a Dirichlet value must have 1 column or {m}, one for each field, "
                f"got {target.shape[1]}"
            )
        return u.value - target


class Problem(ABC):
    """A PDE on a domain: subclass it and write `domain`, `residual` and `conditions`.

    residual(p, u) gives (n, equations), or a tuple of such, from named points (`p.x` is (n, 1)) and
    the jet of the solution. `exact(p)`, (n, m), is optional: it serves the errors, and `source(p)`
    is derived from it where a class does not write its own.
    """

    domain: Domain
    fields: tuple[str, ...] = ("u",)

    @abstractmethod
    def residual(self, p: Points, u: Jet) -> Tensor | tuple[Tensor, ...]:
        """What vanishes in the domain."""

    @abstractmethod
    def conditions(self) -> Sequence[Dirichlet]:
        """What holds on the boundary."""

    def source(self, p: Points) -> Tensor:
        """The right-hand side, derived so that `exact` solves the equation; (n, fields).

        Raises:
            InputError: where there is no exact solution, or the residual not affine in the source.
        """
        return derived_source(self, p)

    @property
    def has_exact(self) -> bool:
        """Whether the class gives an exact solution."""
        return callable(getattr(self, "exact", None))

    def check(self) -> None:
        """Refuse a class that lacks what a solve needs."""
        name = type(self).__name__
        if not isinstance(getattr(self, "domain", None), Domain):
            raise InputError(f"{name}.domain must be a kanpinn domain such as Box(x=(-1, 1))")
        conditions = self.conditions()
        if not isinstance(conditions, Sequence):
            raise InputError(
                f"{name}.conditions() must be a list of conditions, got {conditions!r}"
            )
        if not conditions:
            warnings.warn(f"{name} has no conditions: its solution is not unique", stacklevel=3)
        if not all(hasattr(c, "residual") and hasattr(c, "boundary") for c in conditions):
            raise InputError(f"{name}.conditions() must list conditions, got {conditions!r}")


P = TypeVar("P", bound=Problem)


def stack_equations(residual: object, n: int, what: str) -> Tensor:
    """The residual's equations as columns (n, equations); what would broadcast is refused."""
    parts = residual if isinstance(residual, (tuple, list)) else (residual,)
    for part in parts or (None,):
        if isinstance(part, Jet):
            part = part.value
        if not isinstance(part, Tensor) or part.ndim != 2 or part.shape[0] != n or not part.numel():
            got = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise InputError(f"{what} must have shape (n, 1) with n = {n} points here, got {got}")
    return torch.cat([p.value if isinstance(p, Jet) else p for p in parts], dim=1)


def exact_jet(problem: Problem, p: Points, channels: Channels) -> Jet:
    """The exact solution's jet at points, by nested automatic differentiation."""
    name = f"{type(problem).__name__}.exact"

    def exact(x: Tensor) -> Tensor:
        values = problem.exact(Points(x, p.names))  # type: ignore[attr-defined]
        stacked = stack_equations(values, len(x), name)
        if stacked.shape[1] != len(problem.fields):
            raise InputError(
                f"{name} must have {len(problem.fields)} columns for the fields "
                f"{', '.join(problem.fields)}, got {stacked.shape[1]}"
            )
        return stacked

    return jet_of(exact, p.coords, channels)


def exact_residual(problem: Problem, p: Points) -> Tensor:
    """The residual of the exact solution, (n, equations); zero where problem and solution agree."""

    def evaluate(channels: Channels) -> Tensor:
        return stack_equations(
            problem.residual(p, exact_jet(problem, p, channels)), len(p), "residual"
        )

    return evaluate(find_channels(evaluate, p.names))


def find_channels(evaluate: Callable[[Channels], object], names: tuple[str, ...]) -> Channels:
    """The derivatives a residual uses: run it, and carry what it misses until it runs through.

    Raises:
        InputError: where it asks for a derivative that cannot be carried.
    """
    channels = Channels(names)
    while True:
        try:
            evaluate(channels)
            return channels
        except MissingChannel as missing:
            wider = channels | missing.needed
            if wider == channels:
                raise InputError(
                    "the residual takes a derivative of something that is not the solution's jet"
                ) from None
            channels = wider


def derived_source(problem: Problem, p: Points) -> Tensor:
    """s with residual(exact; s) = 0, for residuals affine in s: s = -r(0) / (r(1) - r(0))."""
    name = type(problem).__name__
    if not problem.has_exact:
        raise InputError(f"{name} uses source(p) but has neither `source` nor `exact`")
    at = [exact_residual(_with_constant_source(problem, s), p) for s in (0.0, 1.0, THIRD_SOURCE)]
    slope = at[1] - at[0]
    curvature = (at[2] - at[0] - THIRD_SOURCE * slope).abs().max()
    rounding = 1e3 * torch.finfo(slope.dtype).eps * (1 + max(r.abs().max() for r in at))
    unused = (slope == 0).all(dim=0)  # equations of a system that have no source
    if bool(((slope == 0) & ~unused).any()) or bool(unused.all()) or curvature > rounding:
        raise InputError(
            f"{name}: a source is derived from `exact` only if the residual is affine in "
            "source(p); write source(p) yourself"
        )
    return torch.where(unused, torch.zeros_like(slope), -at[0] / slope).detach()


def with_source(problem: P, source: Callable[[Points], Tensor]) -> P:
    """The same problem with another source."""
    view = copy.copy(problem)
    object.__setattr__(view, "source", source)  # also where a problem is a frozen dataclass
    return view


def _with_constant_source(problem: P, value: float) -> P:
    fields = len(problem.fields)
    return with_source(problem, lambda p: p.coords.new_full((len(p), fields), value))
