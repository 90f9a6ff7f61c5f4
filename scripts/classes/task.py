"""Problems with known solutions, the points where errors are measured, and other codes' solves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.special
import sympy
import torch
from hostile.ill_posed import Drawn as Asked

import kanpinn as kp

Array = np.ndarray
# Of each solve: its resolution or tolerance, and a function that returns its values (n, m) at the
# points of the truth; or, where the code measures them itself, its error and seconds.
Solves = Iterator[tuple[Any, Callable[[], Array] | tuple[float, float]]]
Codes = Mapping[str, Callable[[Array], Solves]]
# operator(module, p, u, d) has derivatives d("x", ...) of u; module: of exp, sin, ...
Operator = Callable[[Any, Any, Any, Any], Any]
MOMENTS = 8  # of evolutions, at which errors are measured
POINTS = 4000
TORCH = {n: getattr(torch, n) for n in "sin cos exp log sqrt tanh cosh sinh erf".split()}


@dataclass(frozen=True)
class Truth:
    """Values (n, m) at points (n, d), and their relative error."""

    coords: Array
    values: Array
    known_to: float = 0.0


@dataclass(frozen=True)
class Task:
    """A problem with its truth, made coarsely for a smoke run, and other codes by their names.

    The seconds of a code whose name ends with "refined" include those of its coarser meshes.
    """

    words: str
    problem: Any
    truth: Callable[[bool], Truth]
    codes: Codes


def function(expressions: Sequence[Any], names: Sequence[str]) -> tuple[Any, Any]:
    """Return functions of coordinates (n, d) and of `kp.Points`, both with values (n, m)."""
    symbols, exact = sympy.symbols(list(names)), [sympy.N(e, 17) for e in expressions]
    by_numpy = sympy.lambdify(symbols, exact, modules=[{"erf": scipy.special.erf}, "numpy"])
    by_torch = sympy.lambdify(symbols, exact, modules=[TORCH, "math"])

    def of_coords(x: Array) -> Array:
        return np.stack([one + 0 * x[:, 0] for one in by_numpy(*x.T)], axis=1)

    def of_points(p: kp.Points) -> torch.Tensor:
        columns = [getattr(p, name) for name in names]
        return torch.cat([one + 0 * columns[0] for one in by_torch(*columns)], dim=1)

    return of_coords, of_points


def within(domain: Any, most: int = POINTS) -> Array:
    """Return at most `most` random points in a domain, (n, d)."""
    low, high = (one.numpy() for one in domain.bounds)
    found = low + (high - low) * np.random.default_rng(0).random((8 * POINTS, len(low)))
    return found[domain.contains(torch.from_numpy(found)).numpy()][:most]


def known(domain: Any, exact: Callable[[Array], Array]) -> Callable[[bool], Truth]:
    """Return the truth of a formula, for an evolution at some moments."""

    def truth(_: bool) -> Truth:
        x = within(domain)
        if domain.time_name:
            low, high = domain.time_span
            x[:, -1] = low + (high - low) * (np.arange(len(x)) % MOMENTS + 1) / MOMENTS
        return Truth(x, exact(x))

    return truth


def box(wide: Sequence[float], **more: tuple[float, float]) -> Any:
    return kp.Box(**{name: (0.0, high) for name, high in zip("xyz", wide, strict=False)}, **more)


def derivatives(u: kp.Jet) -> Callable[..., torch.Tensor]:
    return lambda *names: kp.partial(u, *names)


def stated(operator: Operator, domain: Any, conditions: Sequence[Any], source: Any) -> kp.Problem:
    """Return the problem operator(u) = source."""
    return Asked(
        domain,
        lambda p, u: operator(torch, p, u.value, derivatives(u)) - source(p),
        *conditions,
    )


def source_of(operator: Operator, exact: Any, names: Sequence[str]) -> tuple[Any, Any]:
    """Return operator(exact) as two functions, see `function`."""
    place = SimpleNamespace(**{name: sympy.Symbol(name) for name in names})
    return function([operator(sympy, place, exact, lambda *by: sympy.diff(exact, *by))], names)
