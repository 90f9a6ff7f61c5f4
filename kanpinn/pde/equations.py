"""Ready-made problems for common equations, which can be named in problem files."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from torch import Tensor

from kanpinn._support.errors import InputError, nearest, show
from kanpinn.geometry import Boundary, Domain, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels, Jet, jet_of, laplacian, normal_derivative, partial, total
from kanpinn.pde.conditions import (
    Condition,
    Data,
    Dirichlet,
    Initial,
    Integral,
    Neumann,
    Periodic,
    Robin,
    values_of,
)
from kanpinn.pde.expressions import JUMPS, Expression, check_parameters
from kanpinn.pde.problem import Problem

Function = Callable[[Points], Tensor]
Value = float | int | Function
Parameters = Mapping[str, float | int]
Spec = Data | Mapping[str, Data | Sequence[Data]]  # "0", "neumann", {"robin": [1, 1, "x"]}
BoundaryData = Spec | Mapping[str, Spec]

KINDS = ("dirichlet", "neumann", "robin")
OTHERS = "others"


@dataclass(frozen=True)
class NormalDerivative:
    """Boundary data alpha u + beta ∂u/∂n of a known function u, for Neumann and Robin conditions.

    Called with n points with normals, the object returns the data (n, 1).

    Args:
        known: u, a function of n points that returns (n, 1).
        alpha, beta: numbers or functions of points.
    """

    known: Function
    alpha: Value = 0.0
    beta: Value = 1.0

    def __call__(self, p: Points) -> Tensor:
        slopes = Channels(p.names, gradient=True)
        u = jet_of(lambda x: self.known(Points(x, p.names)), p.coords, slopes)
        alpha, beta = (values_of(v, p, 1, "a Robin coefficient") for v in (self.alpha, self.beta))
        return alpha * u.value + beta * normal_derivative(u, p)


class Shared(TypedDict, total=False):
    """The keyword arguments that all ready-made equations accept; see `Equation`."""

    exact: Data | None
    source: Data | None
    boundary: BoundaryData | None
    periodic: Sequence[str]
    parameters: Parameters | None


class Equation(Problem):
    """Base class of equations L u = f for one field u.

    All data are numbers, formulas or functions of points. If `exact` is given, the source and those
    boundary and initial data that are not given are derived from the exact solution (a manufactured
    solution). The exact solution has no other influence on the loss.

    Args:
        domain: a domain of space, or of space and time: a box with a coordinate t, or
            `space.over(t=(0, 1))`.
        exact: the exact solution, if it is known.
        source: the right-hand side f; by default it is derived from `exact`, or 0 without `exact`.
        boundary: the boundary data. They are the values of u; or "none" for no condition; or a dict
            with one entry, {"dirichlet": u}, {"neumann": ∂u/∂n} or
            {"robin": [alpha, beta, alpha u + beta ∂u/∂n]}. If `exact` is given, "dirichlet",
            "neumann" and {"robin": [alpha, beta]} need no value. Pieces with different data are
            given by a dict from the names of pieces to data of these kinds; the key "others" stands
            for all pieces that are not named.
        periodic: the names of the coordinates in which u is periodic.
        parameters: the values of names in the formulas.

    Raises:
        InputError: if an argument is invalid; the message names the argument.

    Example:
        >>> import kanpinn as kp
        >>> box = kp.Box(x=(0, 1), y=(0, 1))
        >>> mixed = {"x_min": 0, "x_max": {"neumann": 1}, "others": {"neumann": 0}}
        >>> problem = kp.Poisson(box, source="sin(pi*x)", boundary=mixed)
        >>> isinstance(problem, Equation), len(problem.conditions())
        (True, 3)
    """

    exact: Function | None = None

    def __init__(
        self,
        domain: Domain,
        *,
        exact: Data | None = None,
        source: Data | None = None,
        boundary: BoundaryData | None = None,
        periodic: Sequence[str] = (),
        parameters: Parameters | None = None,
    ) -> None:
        self.domain = domain
        self.parameters = dict(parameters or {})
        check_parameters(self.parameters)
        if not isinstance(domain, Domain):
            raise InputError(
                f"domain must be a kanpinn domain such as Box(x=(-1, 1)), got {domain!r}"
            )
        self.time = domain.time_name
        self._coefficients: list[tuple[str, Value, float, bool]] = []  # with lower bounds
        self.space = tuple(name for name in domain.names if name != self.time)
        if exact is not None:
            known = self.coefficient("exact", exact)
            self.exact = known if callable(known) else Expression(repr(float(known)))
        self._source: Value | None = None  # None: derived from the exact solution
        if source is not None or exact is None:
            self._source = self.coefficient("source", 0.0 if source is None else source)
        self._conditions: list[Condition] = []
        for name in periodic:
            if name not in self.space:
                raise InputError(
                    f"periodic = {list(periodic)}: expected coordinates of space, which are "
                    f"{', '.join(self.space)}"
                )
            if not {f"{name}_min", f"{name}_max"} <= {*domain.boundary.names}:
                raise InputError(
                    f"periodic = {list(periodic)}: the boundary has no pieces {name}_min and "
                    f"{name}_max; its pieces are {', '.join(domain.boundary.names)}"
                )
            self._conditions.append(Periodic(domain, name))
        # Pieces at the first and last time and periodic pieces have no boundary data.
        apart = {f"{name}_{end}" for name in periodic for end in ("min", "max")}
        if self.time is not None:
            apart |= {"initial", "final", f"{self.time}_min", f"{self.time}_max"}
        if pieces := tuple(p for p in domain.boundary.pieces if p.name not in apart):
            self._conditions += self._boundary_conditions(Boundary(pieces), boundary)

    @abstractmethod
    def operator(self, p: Points, u: Jet) -> Tensor:
        """Return L u of the equation L u = f at n points, (n, 1), from the jet of u."""

    def residual(self, p: Points, *fields: Jet) -> Tensor:
        return self.operator(p, *fields) - self.source(p)

    def source(self, p: Points) -> Tensor:
        given = self._source
        if given is None:
            return super().source(p)
        return p.once(self.source, lambda: values_of(given, p, 1, "source"))

    def conditions(self) -> Sequence[Condition]:
        return self._conditions

    def value(self, name: str, given: Data) -> Value:
        """Convert a constant formula to a number, and any other formula to a function of points.

        Numbers and functions are returned unchanged.

        Args:
            name: the name of the datum, for messages.
            given: a number, a formula or a function of points.

        Raises:
            InputError: for an invalid formula; the message names the datum.
        """
        if type(given) is not str:
            return given  # type: ignore[return-value]
        try:
            expression = Expression(given, **self.parameters)
            expression.check(self.domain.names)
        except InputError as error:
            raise InputError(f"{name} = {error}") from None
        constant = expression.constant
        return expression if constant is None else constant

    def check_class(self) -> None:
        super().check_class()
        p = sample(self.domain, 64, "sobol")
        for name, given, least, above in self._coefficients:
            values = values_of(given, p, 1, name)
            good = values.isfinite() & ((values > least) if above else (values >= least))
            if not good.all():
                first = int((~good[:, 0]).nonzero()[0])
                bound = f"{'above' if above else 'at least'} {least:g}"
                raise InputError(
                    f"{name} must be {'finite' if least == -math.inf else bound}, is "
                    f"{float(values[first]):.3g} at {p.show(first)}"
                )

    def steady(self) -> None:
        """Refuse a domain with a time coordinate; equations without a time derivative call this.

        Raises:
            InputError: if the domain has a time coordinate.
        """
        if self.time is not None:
            kind = type(self).__name__
            raise InputError(f"domain has the time {self.time}, which {kind} does not have")

    def add_initial(self, given: Data | None, rate: Value | None = None) -> None:
        """Add the initial condition of an equation with time.

        Args:
            given: the initial values; None for the initial values of `exact`.
            rate: the initial time derivative; None for equations of first order in time.

        Raises:
            InputError: if the domain has no time, or there are neither initial values nor `exact`.
        """
        if self.time is None:
            raise InputError(
                f"domain has no time, which {type(self).__name__} needs: give it a coordinate t "
                "or, where it is no box, a time"
            )
        start = self.exact if given is None else self.value("initial", given)
        if start is None:
            raise InputError("initial is missing: there is no exact solution to take it from")
        self._conditions.append(Initial(self.domain, start, rate))

    def diffusion_term(self, p: Points, u: Jet, a: Value) -> Tensor:
        """Return ∇·(a ∇u) at n points, with derivatives in space only, (n, 1).

        Args:
            p: the points.
            u: the jet of u.
            a: the diffusivity, a number or a function of points.
        """
        if self.time is None:
            second = laplacian(u)
        else:
            second = total(partial(u, name, name) for name in self.space)
        if not callable(a):
            return a * second
        first = Channels(p.names, gradient=True)
        known = jet_of(lambda x: a(Points(x, p.names)), p.coords, first)
        slopes = (partial(known, name) * partial(u, name) for name in self.space)
        return values_of(a, p, 1, "diffusion") * second + total(slopes)

    def coefficient(
        self,
        name: str,
        given: Data,
        least: float = -math.inf,
        *,
        above: bool = True,
        differentiable: bool = False,
    ) -> Value:
        """Return a coefficient of the equation as a number or a function of points.

        The bound is stored; `check_class` later compares the values of the coefficient with it.

        Args:
            name: the name of the coefficient's argument, for messages.
            given: a number, a formula or a function of points.
            least: the lower bound of the values.
            above: whether values equal to `least` are refused, too.
            differentiable: whether formulas that can jump are refused, since automatic
                differentiation would ignore the jump without a message.

        Raises:
            InputError: for an invalid formula, or a formula that can jump.
        """
        datum = self.value(name, given)
        jumps = datum.functions & {*JUMPS} if isinstance(datum, Expression) else ()
        if differentiable and jumps:
            raise InputError(
                f"{name} = {show(given)}: must have a gradient everywhere, {min(jumps)} can jump"
            )
        self._coefficients.append((name, datum, least, above))
        return datum

    def _boundary_conditions(
        self, whole: Boundary, given: BoundaryData | None
    ) -> Iterator[Condition]:
        """Yield the conditions that the user's boundary data describe.

        On pieces that a dict of pieces does not name, without an entry "others", the values of the
        exact solution are prescribed.

        Args:
            whole: the boundary without the pieces that have no boundary data.
            given: the argument `boundary` of the class.

        Raises:
            InputError: if an entry is invalid, the boundary has no piece of this name, or a piece
                has no entry and there is no exact solution; the message names the piece.
        """
        if not isinstance(given, Mapping) or {*given} & {*KINDS}:
            yield from self._condition(whole, "boundary", given)
            return
        for name in given:
            if name not in (*whole.names, OTHERS):
                raise InputError(
                    f"boundary.{name} is no piece of the boundary{nearest(name, whole.names)} "
                    f"(the pieces are {', '.join(dict.fromkeys(whole.names))})"
                )
        named = [name for name in given if name != OTHERS]
        for name in named:
            yield from self._condition(whole[name], f"boundary.{name}", given[name])
        if rest := tuple(piece for piece in whole.pieces if piece.name not in named):
            if OTHERS not in given and self.exact is None:
                missing = ", ".join(dict.fromkeys(piece.name for piece in rest))
                raise InputError(
                    f"boundary says nothing of the pieces {missing}: name them, or say what holds "
                    f"on all of them under {OTHERS}"
                )
            yield from self._condition(Boundary(rest), f"boundary.{OTHERS}", given.get(OTHERS))

    def _condition(self, boundary: Boundary, name: str, given: Any) -> list[Condition]:
        """Return the condition on a part of the boundary as a list; it is empty for "none".

        Args:
            boundary: the part of the boundary.
            name: the name of the entry, for messages.
            given: the entry of the argument `boundary` for this part.

        Raises:
            InputError: if the entry is invalid; the message names the entry.
        """
        kind, datum = "dirichlet", given
        match given:
            case "none":
                return []
            case "dirichlet" | "neumann" | "robin":
                if self.exact is None:
                    raise InputError(
                        f"{name} has no value, and there is no exact solution to take it from; "
                        f"a table with the key {given} gives one"
                    )
                kind, datum = given, None
            case Mapping():
                if len(given) != 1 or not {*given} <= {*KINDS}:
                    raise InputError(
                        f"{name} = {show(dict(given))}: expected a value, or a table with one of "
                        f"the keys {', '.join(KINDS)}"
                    )
                ((kind, datum),) = given.items()
                name = f"{name}.{kind}"
        is_list = isinstance(datum, Sequence) and type(datum) is not str
        if kind == "robin":
            if not is_list or len(datum) not in (2, 3):
                raise InputError(
                    f"{name} = {show(datum)}: expected a list [alpha, beta, value], or "
                    "[alpha, beta] where there is an exact solution"
                )
            alpha, beta, *rest = (self.value(f"{name}[{i}]", v) for i, v in enumerate(datum))
            value = rest[0] if rest else NormalDerivative(self._exact(name), alpha, beta)
            return [Robin(boundary, alpha, beta, value)]
        if is_list or type(datum) is dict:
            raise InputError(f"{name} = {show(datum)}: expected a number or a formula")
        value = self._exact(name) if datum is None else self.value(name, datum)
        if kind == "dirichlet":
            return [Dirichlet(boundary, value)]
        return [Neumann(boundary, NormalDerivative(self._exact(name)) if datum is None else value)]

    def _exact(self, name: str) -> Function:
        """Return the exact solution, from which data that the user does not give are derived.

        Args:
            name: the name of the datum that is derived from it, for the message.

        Raises:
            InputError: if there is no exact solution.
        """
        if self.exact is None:
            raise InputError(f"{name} has no value, and there is no exact solution to take it from")
        return self.exact


class Poisson(Equation):
    """Poisson equation -∇·(a ∇u) = f, such as steady heat conduction with a heat source f.

    Args:
        diffusion: the diffusivity a > 0, differentiable everywhere.
        mean: the mean of u over the domain. It has to be given if the boundary data determine u
            only up to a constant.
        domain, shared: see `Equation`.

    Raises:
        InputError: if an argument is invalid; the message names the argument.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Poisson(kp.Box(x=(-1, 1), y=(-1, 1)), exact="sin(pi*x) * sin(pi*y)")
        >>> solution = kp.solve(problem, kp.KAN([2, 24, 1], degree=7, grid=[4, 6]))
        >>> solution.errors.l2_relative < 1e-3
        True
    """

    def __init__(
        self,
        domain: Domain,
        *,
        diffusion: Data = 1.0,
        mean: float | int | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(domain, **shared)
        self.steady()
        self.diffusion = self.coefficient("diffusion", diffusion, 0, differentiable=True)
        if mean is not None:
            self._conditions.append(Integral(domain, mean * domain.measure))
        elif not any(c.fixes_constant for c in self._conditions):
            raise InputError(
                "mean is missing: no boundary value fixes the constant that u is determined up to"
            )

    def operator(self, p: Points, u: Jet) -> Tensor:
        return -self.diffusion_term(p, u, self.diffusion)


class Heat(Equation):
    """Heat equation ∂u/∂t - ∇·(a ∇u) = f.

    Args:
        diffusion: the diffusivity a > 0, differentiable everywhere.
        initial: u at the initial time, by default taken from `exact`.
        domain, shared: see `Equation`.

    Raises:
        InputError: if an argument is invalid; the message names the argument.

    Example:
        >>> import kanpinn as kp
        >>> rod = kp.Box(x=(0, 1), t=(0, 1))
        >>> problem = kp.Heat(rod, diffusion=0.1, initial="sin(pi*x)", boundary="0")
        >>> network = kp.Windows([2, 1], degree=7, grid=8)
        >>> kp.solve(problem, network, kp.March(tolerance=1e-4)).status
        'converged'
    """

    def __init__(
        self,
        domain: Domain,
        *,
        diffusion: Data = 1.0,
        initial: Data | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(domain, **shared)
        self.diffusion = self.coefficient("diffusion", diffusion, 0, differentiable=True)
        self.add_initial(initial)

    def operator(self, p: Points, u: Jet) -> Tensor:
        rate = partial(u, str(self.time))
        return rate - self.diffusion_term(p, u, self.diffusion)


class Wave(Equation):
    """Wave equation ∂²u/∂t² - c² Δu = f.

    Args:
        speed: the wave speed c > 0.
        initial: u at the initial time, by default taken from `exact`.
        rate: ∂u/∂t at the initial time, by default taken from `exact`, or 0 without `exact`.
        domain, shared: see `Equation`.

    Raises:
        InputError: if an argument is invalid; the message names the argument.

    Example:
        >>> import kanpinn as kp
        >>> string = kp.Box(x=(0, 1), t=(0, 0.5))
        >>> problem = kp.Wave(string, speed=2.0, initial="sin(pi*x)", rate=0, boundary="0")
        >>> kp.solve(problem, kp.Windows([2, 1], degree=7, grid=8), kp.March(1e-4)).status
        'converged'
    """

    def __init__(
        self,
        domain: Domain,
        *,
        speed: Data = 1.0,
        initial: Data | None = None,
        rate: Data | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(domain, **shared)
        self.speed = self.coefficient("speed", speed, 0)
        if rate is None and self.exact is not None:
            # At the initial time the outward normal points to earlier times, so ∂u/∂n = -∂u/∂t.
            self.add_initial(initial, NormalDerivative(self.exact, beta=-1.0))
        else:
            self.add_initial(initial, self.value("rate", 0.0 if rate is None else rate))

    def operator(self, p: Points, u: Jet) -> Tensor:
        t, c = str(self.time), values_of(self.speed, p, 1, "speed")
        return partial(u, t, t) - c**2 * self.diffusion_term(p, u, 1.0)


class Helmholtz(Equation):
    """Helmholtz equation -Δu - k² u = f, for time-harmonic waves.

    Args:
        wavenumber: the wavenumber k.
        domain, shared: see `Equation`.

    Raises:
        InputError: if an argument is invalid; the message names the argument.

    Example:
        >>> import kanpinn as kp
        >>> problem = kp.Helmholtz(kp.Box(x=(0, 1)), wavenumber=20, exact="sin(20*x)")
        >>> kp.solve(problem, kp.KAN([1, 1], degree=9, grid=12)).errors.l2_relative < 1e-5
        True
    """

    def __init__(self, domain: Domain, *, wavenumber: Data, **shared: Unpack[Shared]) -> None:
        super().__init__(domain, **shared)
        self.steady()
        self.wavenumber = self.coefficient("wavenumber", wavenumber)

    def operator(self, p: Points, u: Jet) -> Tensor:
        k = values_of(self.wavenumber, p, 1, "wavenumber")
        return -laplacian(u) - k**2 * u.value


class AdvectionDiffusion(Equation):
    """Advection-diffusion-reaction equation ∂u/∂t + v·∇u - ∇·(a ∇u) + r u = f.

    On a domain without time the term ∂u/∂t is absent.

    Args:
        velocity: the velocity v, a list with a component for each coordinate of space.
        diffusion: the diffusivity a ≥ 0, differentiable everywhere. For a = 0 the outflow boundary
            has no condition: the data of its pieces have to be "none".
        reaction: the reaction rate r.
        initial: u at the initial time, by default taken from `exact`.
        domain, shared: see `Equation`.

    Raises:
        InputError: if an argument is invalid; the message names the argument.

    Example:
        >>> import kanpinn as kp
        >>> channel = kp.Box(x=(0, 1), y=(0, 1))
        >>> data = {"source": "y", "boundary": "0"}
        >>> problem = kp.AdvectionDiffusion(channel, velocity=["1", "x"], diffusion=0.1, **data)
        >>> problem.fields, len(problem.conditions())
        (('u',), 1)
    """

    def __init__(
        self,
        domain: Domain,
        *,
        velocity: Sequence[Data],
        diffusion: Data,
        reaction: Data = 0.0,
        initial: Data | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(domain, **shared)
        if isinstance(velocity, str) or len(velocity) != len(self.space):
            raise InputError(
                f"velocity must be a list of {len(self.space)}, the components along "
                f"{', '.join(self.space)}, got {velocity!r}"
            )
        self.velocity = [self.coefficient(f"velocity[{i}]", v) for i, v in enumerate(velocity)]
        self.diffusion = self.coefficient(
            "diffusion", diffusion, 0, above=False, differentiable=True
        )
        self.reaction = self.coefficient("reaction", reaction)
        if self.time is not None:
            self.add_initial(initial)
        elif initial is not None:
            raise InputError("initial is for a domain with time")
        elif not any(c.fixes_constant for c in self._conditions):
            if self.reaction == 0:
                raise InputError(
                    "boundary has no value that fixes the constant that u is determined up to"
                )

    def operator(self, p: Points, u: Jet) -> Tensor:
        terms = values_of(self.reaction, p, 1, "reaction") * u.value
        for name, v in zip(self.space, self.velocity, strict=True):
            terms = terms + values_of(v, p, 1, "velocity") * partial(u, name)
        if self.diffusion != 0:
            terms = terms - self.diffusion_term(p, u, self.diffusion)
        return terms if self.time is None else terms + partial(u, self.time)
